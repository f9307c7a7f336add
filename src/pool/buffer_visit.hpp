// How the parts of a BufferPoolCore hold its mutex.
#pragma once

#include "pool/buffer_pool.hpp"

namespace stealth {

// The mutex, held while this lives, and what may only be done without it: dropping buffers, and the core's own end.
class BufferPoolCore::Visit {
 public:
  explicit Visit(BufferPoolCore& pool) noexcept : pool_(pool) { pool_.mutex_.lock(); }
  Visit(Visit const&) = delete;
  Visit& operator=(Visit const&) = delete;
  ~Visit() {
    static_cast<void>(drop_all());
    bool const ended = pool_.destroyed_ && pool_.out_ == 0 && pool_.inside_ == 0;
    if (ended) pool_.destroyed_ = false;
    pool_.mutex_.unlock();
    if (wakes_) pool_.wake();
    if (ended) g_buffer_pools.give_back(pool_);
  }
  // Something has been released: those who wait are woken when the mutex is free.
  void released() noexcept { wakes_ = pool_.fell() || wakes_; }
  void leave() noexcept {
    ++pool_.inside_;
    pool_.mutex_.unlock();
  }
  void come_back() noexcept {
    pool_.mutex_.lock();
    --pool_.inside_;
  }
  void drop(BufferCore& buffer) noexcept {
    dropped_.push_front(&buffer);
    ++pool_.dropped_;
  }
  // The bytes that went back.
  std::size_t drop_all() noexcept {
    if (dropped_.empty()) return 0;
    leave();
    std::size_t bytes = 0;
    while (BufferCore* const buffer = dropped_.front()) {
      dropped_.remove(buffer);
      bytes += buffer->end();
      g_buffers.give_back(*buffer);
    }
    come_back();
    return bytes;
  }

 private:
  BufferPoolCore& pool_;
  List<BufferCore> dropped_;
  bool wakes_ = false;
};

}  // namespace stealth
