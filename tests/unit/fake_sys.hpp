// The other door to the kernel: passes every call through and counts it, unless a test has said what shall happen
// instead. Calls are named by their numbers (SYS_mmap, …). Threads may call while a test changes its mind.
#pragma once

#include <sys/syscall.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace stealth::fake {

// Everything passes through again, the counts are 0, and no file is served.
void reset();

// Calls of this number since reset(), failed ones included.
[[nodiscard]] std::uint64_t count(long number);

inline constexpr std::uint64_t kForEver = ~std::uint64_t{0};
// The nth call of this number from now on (1: the next one) and the following ones, `times` in all, fail with -error.
void fail(long number, std::uint64_t nth, int error, std::uint64_t times = 1);
// Ends fail() for this number.
void stop_failing(long number);

// Every call of this number gives `result` and never gets to the kernel.
void answer(long number, long result);

// Opening `path` succeeds, and reading it gives `text`. A served file is never the real one.
void serve(std::string const& path, std::string const& text);
// Paths that are not served do not exist.
void serve_nothing_else();
// The paths that were opened since reset(), in order.
[[nodiscard]] std::vector<std::string> opened();
// Served files that are open at the moment.
[[nodiscard]] std::size_t open_files();

// Reads and writes move at most so many bytes at once; 0: no limit.
void move_at_most(std::size_t bytes);

// Writes to this descriptor are kept here, one string for each call, and go nowhere.
void capture(int file);
[[nodiscard]] std::vector<std::string> captured();

// Called before (`done` is false) and after each call that goes to the kernel or is answered, its own ones apart. Null:
// nobody is.
using Witness = void (*)(long number, bool done);
void tell(Witness witness);

// Sleeping on a futex, and waking who sleeps there, by the test's rules: called in the kernel's place. Null: by the
// kernel's again.
struct Futexes {
  long (*wait)(std::uint32_t const* word, std::uint32_t expected, std::uint64_t timeout_ns);
  void (*wake)(std::uint32_t const* word);
};
void futexes_by(Futexes const* rules);

// Sleeps of this length or longer on a private futex are ended by a wake-up alone (the clock ends them after three
// minutes, so that a test can fail): a lost one shows, and no machine is too slow for it. 0: by the clock again,
// those apart that somebody is in.
void only_wakes_end(std::uint64_t sleeps_of_ns);
// Threads in such a sleep, or just before it.
[[nodiscard]] std::size_t asleep();

// A test's fresh start, and a clean end whatever happens in it.
struct Fresh {
  Fresh() { reset(); }
  ~Fresh() { reset(); }
  Fresh(Fresh const&) = delete;
  Fresh& operator=(Fresh const&) = delete;
};

}  // namespace stealth::fake
