// Plays a script of operations with one to four threads, which share a table of slots.
//
// By turns each operation is done by the thread that it is dealt to, one after the other: the same input does the same
// each time, and what was allocated by one thread is freed by others. At once each thread does its own, beside the
// others; a slot that another thread has just now is passed over. A script may fork: the child goes on with the slots
// that its thread had locked, whatever the other threads were at.
#pragma once

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <barrier>
#include <cerrno>
#include <cstdint>
#include <thread>
#include <vector>

#include "input.hpp"

namespace fuzz {

struct Op {
  std::uint8_t kind = 0, who = 0, slot = 0;
  std::uint16_t a = 0;
  std::uint8_t b = 0;
  unsigned thread = 0;  // by which it is done
};

// Six bytes for the whole, then six for each operation.
struct Script {
  static constexpr std::size_t kMostOps = 200;

  Script(std::uint8_t const* data, std::size_t size) {
    Input input(data, size);
    mode = input.byte();
    for (std::uint8_t& option : options) option = input.byte();
    while (!input.empty() && ops.size() < kMostOps) {
      Op op;
      op.kind = input.byte();
      op.who = input.byte();
      op.slot = input.byte();
      op.a = static_cast<std::uint16_t>(input.number(2));
      op.b = input.byte();
      // By turns a thread goes on for a while: to hand over takes far longer than an operation.
      bool const goes_on = !at_once() && !ops.empty() && op.who < 192;
      op.thread = goes_on ? ops.back().thread : op.who % threads();
      ops.push_back(op);
    }
  }
  [[nodiscard]] unsigned threads() const { return 1 + (mode & 3U); }
  [[nodiscard]] bool at_once() const { return threads() > 1 && (mode & 4U) != 0; }
  [[nodiscard]] bool flag(unsigned bit) const { return (mode >> bit & 1U) != 0; }  // 3 and up are the target's

  std::uint8_t mode = 0;
  std::array<std::uint8_t, 5> options{};
  std::vector<Op> ops;
};

template <class T, std::size_t kCount>
class Slots {
 public:
  static constexpr std::size_t size() { return kCount; }
  // Null where another thread has it.
  T* lock(std::size_t index) {
    Slot& slot = slots_[index % kCount];
    return slot.taken.exchange(true, std::memory_order_acquire) ? nullptr : &slot.value;
  }
  void unlock(std::size_t index) { slots_[index % kCount].taken.store(false, std::memory_order_release); }
  // While no other thread is there.
  T& at(std::size_t index) { return slots_[index].value; }

 private:
  struct Slot {
    std::atomic<bool> taken{false};
    T value{};
  };
  std::array<Slot, kCount> slots_;
};

// Calls play(op) for each operation, in the thread that it is dealt to. The threads end together: one that takes over
// the heap of another that ended is ordered after it by a mark of the kernel's, of which TSan knows nothing.
template <class Play>
void perform(Script const& script, Play play) {
  std::vector<Op> const& ops = script.ops;
  unsigned const threads = script.threads();
  if (threads == 1) {
    for (Op const& op : ops) play(op);
    return;
  }
  // Where a thread's turn begins; kNotNow: it has none.
  constexpr std::size_t kNotNow = ~std::size_t{0};
  std::array<std::atomic<std::size_t>, 4> turns{kNotNow, kNotNow, kNotNow, kNotNow};
  auto const give_turn = [&](unsigned thread, std::size_t begin) {
    turns[thread].store(begin);
    turns[thread].notify_one();
  };
  auto const by_turns = [&](unsigned me) {
    while (true) {
      turns[me].wait(kNotNow);
      std::size_t now = turns[me].exchange(kNotNow);
      if (now == kNotNow) continue;
      for (; now < ops.size() && ops[now].thread == me; ++now) play(ops[now]);
      if (now < ops.size()) {
        give_turn(ops[now].thread, now);
        continue;
      }
      for (unsigned other = 0; other < threads; ++other) give_turn(other, now);
      return;
    }
  };
  std::barrier gate(static_cast<std::ptrdiff_t>(threads));
  auto const work = [&](unsigned me) {
    gate.arrive_and_wait();
    if (script.at_once()) {
      for (Op const& op : ops) {
        if (op.thread == me) play(op);
      }
    } else {
      by_turns(me);
    }
    gate.arrive_and_wait();
  };
  give_turn(ops.empty() ? 0 : ops[0].thread, 0);
  std::vector<std::thread> crew;
  for (unsigned me = 0; me < threads; ++me) crew.emplace_back(work, me);
  for (std::thread& thread : crew) thread.join();
}

// Forks with every slot locked that can be had and that `stride` and `first` choose; body(value) is called in the child
// for each of them, and last() behind them. The child may allocate nothing but what is tested: other threads may have
// been inside of malloc.
template <class T, std::size_t kCount, class Body, class Last>
void fork_with(Slots<T, kCount>& slots, std::size_t first, std::size_t stride, Body body, Last last) {
  if (kTsan) return;  // TSan's own locks do not survive a fork from among threads
  std::array<T*, kCount> mine{};
  for (std::size_t i = first; i < kCount; i += stride) mine[i] = slots.lock(i);
  pid_t const child = fork();
  if (child == 0) {
    signal(SIGALRM, SIG_DFL);
    alarm(40);  // a deadlock ends by a signal
    for (T* const value : mine) {
      if (value != nullptr) body(*value);
    }
    last();
    _exit(0);
  }
  for (std::size_t i = 0; i < kCount; ++i) {
    if (mine[i] != nullptr) slots.unlock(i);
  }
  if (child < 0) return;  // no more processes here: nothing was tried
  int status = -1;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

}  // namespace fuzz
