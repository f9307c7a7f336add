// What unwinding has taught about the program's frames, for all threads: how far the caller's return address lies from
// the frame's own, and which callers it has been seen to have. With that, a stack that consists of known frames is
// walked by two loads a frame, without the unwinder, its tables and its locks.
//
// A frame's distance is that of its code, unless it makes room of a size that it computes (alloca, realigned stacks):
// one that was seen with two distances counts as varying, and is left to the unwinder. Until then nothing is believed
// that does not agree with a second table: a word of the stack is taken for the caller's return address only if this
// very caller has been seen for this frame. What is forgotten or overwritten costs an unwinding, no more.
//
// All words are written and read by any thread at any time: each stands for itself.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace stealth {

class KnownFrames {
 public:
  using Address = std::uintptr_t;

  enum class Kind : std::uint8_t { unknown, varies, outermost, fixed };
  struct Frame {
    Kind kind;
    std::size_t distance;  // of a fixed one: in bytes, from where its return address stands to where its caller's does
  };

  [[nodiscard]] Frame find(Address pc) const noexcept {
    std::uint64_t const key = key_of(pc);
    std::uint64_t const word = frames_[key % kFrames].load(std::memory_order_relaxed);
    std::uint64_t const distance = word % kDistances;
    if (distance == 0 || word / kDistances != key / kFrames) return {Kind::unknown, 0};
    if (distance == kVaries) return {Kind::varies, 0};
    if (distance == kOutermost) return {Kind::outermost, 0};
    return {Kind::fixed, distance * sizeof(Address)};
  }
  [[nodiscard]] bool is_called_by(Address pc, Address caller) const noexcept {
    std::uint64_t const pair = pair_of(pc, caller);
    return pairs_[pair % kPairs].load(std::memory_order_relaxed) == pair;
  }
  // Whether a page of some stack has been read before.
  [[nodiscard]] bool is_readable(Address at) const noexcept {
    return pages_[key_of(at / kPageBytes) % kPages].load(std::memory_order_relaxed) == at / kPageBytes;
  }

  void learn(Address pc, std::size_t distance, Address caller) noexcept {
    bool const fits = distance % sizeof(Address) == 0 && distance <= kMostDistance;
    Frame const before = find(pc);
    bool const differs = before.kind != Kind::unknown && !(before.kind == Kind::fixed && before.distance == distance);
    write(pc, fits && distance != 0 && !differs ? distance / sizeof(Address) : kVaries);
    std::uint64_t const pair = pair_of(pc, caller);
    pairs_[pair % kPairs].store(pair, std::memory_order_relaxed);
  }
  void learn_outermost(Address pc) noexcept {
    Kind const before = find(pc).kind;
    write(pc, before == Kind::unknown || before == Kind::outermost ? kOutermost : kVaries);
  }
  void learn_varying(Address pc) noexcept { write(pc, kVaries); }
  void learn_readable(Address at) noexcept {
    pages_[key_of(at / kPageBytes) % kPages].store(at / kPageBytes, std::memory_order_relaxed);
  }

  static constexpr std::size_t kPageBytes = 4096;  // the smallest that there is
  // Of larger frames the end is not looked for unasked: should the distance have been another's, and the stack's end
  // near, it may lie beyond.
  static constexpr std::size_t kMostDistance = 2 * kPageBytes;

 private:
  static constexpr std::size_t kFrames = 1 << 17, kPairs = 1 << 18, kPages = 1 << 12;
  // A word of frames_: the bits of the key that are not the place in the table, and the distance in words.
  // 0 where nothing is known.
  static constexpr std::uint64_t kDistances = 1 << 14, kOutermost = kDistances - 2, kVaries = kDistances - 1;
  static_assert(kMostDistance / sizeof(Address) < kOutermost);

  // A permutation, so that frame and key stand for each other: multiplied by an odd number, the high bits folded in.
  static std::uint64_t key_of(Address pc) noexcept {
    std::uint64_t const mixed = std::uint64_t{pc} * 0x9E3779B97F4A7C15u;
    return mixed ^ mixed >> 32;
  }
  static std::uint64_t pair_of(Address pc, Address caller) noexcept {
    std::uint64_t const mixed = (key_of(pc) + caller) * 0x9E3779B97F4A7C15u;
    return mixed ^ mixed >> 32;
  }
  void write(Address pc, std::uint64_t distance) noexcept {
    std::uint64_t const key = key_of(pc);
    frames_[key % kFrames].store(key / kFrames * kDistances + distance, std::memory_order_relaxed);
  }

  std::atomic<std::uint64_t> frames_[kFrames] = {}, pairs_[kPairs] = {};
  std::atomic<Address> pages_[kPages] = {};
};

}  // namespace stealth
