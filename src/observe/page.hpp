// The control page: what a process shows of itself to the `stealth` command, and where it is told what to change.
//
// One small file for each process, page-PID-START in the user's directory (os/shared_file.hpp says where). The process
// alone writes the head, the two snapshots and the answer; the command alone writes the wish. Both run on, whatever
// the other does: what is read here is copied once, checked, and then believed.
//
// Snapshots are written in turn, a whole one at a time; `newest` names the one that is complete. A reader copies it and
// sees by `begun` and `ended`, and by `newest` read again, that nothing was written over meanwhile. A process that was
// stopped in the middle of one leaves the other whole.
//
// Only this file is known to both sides. It is plain data of fixed layout: numbers in the machine's order, texts ended
// by a NUL within their bounds, reserved space zero. A change of layout is another kVersion.
#pragma once

#include <cstddef>
#include <cstdint>

namespace stealth::observe {

inline constexpr char kMagic[8] = {'S', 'T', 'E', 'A', 'L', 'T', 'H', 'P'};
inline constexpr std::uint32_t kVersion = 1;

inline constexpr std::uint32_t kClassRows = 96;
inline constexpr std::uint32_t kWaitingRows = 64;
inline constexpr std::uint32_t kBuckets = 26;
inline constexpr std::size_t kSettingsBytes = 8192;
inline constexpr std::size_t kWishBytes = 2048;
inline constexpr std::size_t kAnswerBytes = 512;

// Never changes after the page has got its name.
struct Head {
  char magic[8];
  std::uint32_t version;
  std::uint32_t bytes;  // sizeof(Page)
  // Whose it is, as os::ProcessMark and os::ProcessWorld tell it.
  std::uint64_t mark;
  std::uint64_t boot, pid_namespace, time_namespace;
  std::uint64_t made_ns;  // CLOCK_REALTIME
  std::uint32_t process, user;
  char program[64];
  char library[32];  // its version
};

// A size class, or a rule for large blocks with a max.
struct ClassRow {
  std::uint64_t size;  // bytes of a block
  std::uint64_t max;   // blocks; 0: no limit
  std::uint64_t slabs;
  std::uint64_t carved;                      // blocks, ever
  std::uint64_t in_use, in_lists, in_slabs;  // blocks now
  std::uint64_t waits, waited_ns, grants;
};

// A thread that waits, or has a delay imposed, now.
struct WaitingRow {
  std::uint64_t thread;    // its id in the process's PID namespace
  std::uint64_t since_ns;  // CLOCK_MONOTONIC
  std::uint64_t bytes;     // wanted; 0: a block of a class at its max
  std::uint64_t size;      // the block size of the class; 0: a large block
};

// Bytes, nanoseconds and counts, as in struct stealth_statistics (stealth.h says more). Counts only grow.
struct Figures {
  std::uint64_t at_ns;        // CLOCK_MONOTONIC, when they were read
  std::uint64_t interval_ns;  // they are read anew about so often while the process runs
  std::uint64_t capacity;     // 0: none
  std::uint64_t soft_point;   // 0: none
  std::uint64_t held, used, over, peak;
  std::uint64_t live;                        // with the program, blocks and spans rounded up
  std::uint64_t idle;                        // held, free, and can be given back at once
  std::uint64_t purged;                      // given back to the kernel, ever
  std::uint64_t pools;                       // of held: explicit pools
  std::uint64_t large_blocks, large_bytes;   // of live
  std::uint64_t heaps;                       // threads that have one, or had
  std::uint64_t passed_calls, passed_bytes;  // to the next allocator, ever
  std::uint64_t waiting_now, waits, waited_ns, longest_call_ns, longest_sleep_ns;
  std::uint64_t grants, refusals, observed_ns;
  std::uint64_t histogram[kBuckets];  // [i]: calls that waited less than 2^i us, and not less than half of it
  std::uint64_t group_members;        // 0: in no group
  std::uint64_t mode;                 // STEALTH_MODE_…
  std::uint64_t policy;               // STEALTH_POLICY_…
  std::uint64_t profile_interval;     // mean bytes between samples; 0: off
  std::uint64_t profile_samples;      // live ones
  std::uint64_t reserved[16];
};

struct Snapshot {
  std::uint64_t begun;  // its number, from 1
  Figures figures;
  std::uint32_t classes, waiting;  // rows in use
  ClassRow class_rows[kClassRows];
  WaitingRow waiting_rows[kWaitingRows];
  char settings[kSettingsBytes];  // STEALTH_NAME=value, a line each: those in force
  std::uint64_t ended;            // == begun when it is whole
};

// Written by the command, which holds an flock on the file meanwhile: the text first, then the number.
struct Wish {
  std::uint32_t number;  // one more than the last answer's
  std::uint32_t reserved;
  // "set NAME=VALUE", or "profile heap NAME" and "profile stalls NAME": a dump is written into a new file of that name,
  // dump- and letters, digits and dashes, beside the page.
  char text[kWishBytes];
};
struct Answer {
  std::uint32_t number;     // of the wish
  std::int32_t error;       // a stealth_error; 0: done
  char text[kAnswerBytes];  // why not, without "stealth: "; else empty
};

struct Page {
  Head head;
  alignas(64) std::uint32_t bell;    // a shared futex: the command adds one and wakes whoever sleeps on it
  alignas(64) std::uint64_t newest;  // its number; it is in snapshots[number % 2]. 0: none yet
  alignas(64) Snapshot snapshots[2];
  alignas(64) Wish wish;
  alignas(64) Answer answer;
};

}  // namespace stealth::observe
