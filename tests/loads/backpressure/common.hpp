// What the backpressure loads share: arguments, the clock that paces a consumer, messages with a stamp, the queue
// without bounds, what allocations cost, and the line of JSON that each load ends with. Knows no allocator: all of it
// calls malloc and new like any program.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "../common.hpp"

namespace pressure {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

inline constexpr double kMiB = 1024.0 * 1024.0;

inline double seconds(Clock::duration time) { return Seconds(time).count(); }
inline Clock::duration duration(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(Seconds(seconds));
}

// NAME=VALUE … behind the load's name. Each load asks for its arguments by name and says what holds without them.
class Arguments {
 public:
  Arguments(int argc, char** argv, int first);
  double number(const char* name, double otherwise);
  unsigned count(const char* name, unsigned otherwise) { return static_cast<unsigned>(number(name, otherwise)); }
  std::size_t mib(const char* name, double otherwise) {
    return static_cast<std::size_t>(number(name, otherwise) * kMiB);
  }
  // Ends the program where an argument was given that no load asked for: call it when all have been asked.
  void refuse_others() const;

 private:
  struct Given {
    std::string name;
    double value;
    bool asked = false;
  };
  std::vector<Given> given_;
};

// The time that one role's allocations took, each by itself. Seen from the program, so preemption is in it.
struct AllocationTime {
  std::uint64_t count = 0;
  std::uint64_t over_1ms = 0;
  Clock::duration total{};
  Clock::duration longest{};

  void took(Clock::duration time) {
    ++count;
    total += time;
    if (time > longest) longest = time;
    if (time > std::chrono::milliseconds(1)) ++over_1ms;
  }
  void add(const AllocationTime& other);
  template <typename Allocate>
  auto measure(Allocate allocate) {
    const auto before = Clock::now();
    if constexpr (std::is_void_v<decltype(allocate())>) {
      allocate();
      took(Clock::now() - before);
    } else {
      auto result = allocate();
      took(Clock::now() - before);
      return result;
    }
  }
};

// At least 16 bytes; all behind the head is written with the key, and read again where it arrives.
struct Message {
  std::uint64_t key;
  std::uint32_t size;  // with this head
  std::uint32_t producer;

  void write(std::size_t bytes, unsigned from, std::uint64_t number);
  [[nodiscard]] bool is_intact() const;
};

[[nodiscard]] Message* allocate(std::size_t bytes, AllocationTime& time);

// Holds a thread to so many bytes a second by the clock. Who is late catches up, by so many seconds at most: with none,
// work takes its time whenever it begins. (Some it needs, as no sleep ends on the dot.)
class Pace {
 public:
  explicit Pace(double bytes_per_second, double catches_up = 1e6)
      : bytes_per_second_(bytes_per_second), catches_up_(duration(std::max(catches_up, 0.005))) {}
  void begin() { due_ = Clock::now(); }
  // When the next message is to be taken.
  [[nodiscard]] Clock::time_point due() const { return due_; }
  // The work that so many bytes are: moves the clock on, and sleeps where it is ahead of now.
  void spend(std::size_t bytes);
  void pause(Clock::duration time);

 private:
  double bytes_per_second_;
  Clock::duration catches_up_;
  Clock::time_point due_ = Clock::now();
};

// What one consumer saw.
struct Consumption {
  std::uint64_t received = 0, bytes = 0, corrupt = 0, keys = 0;
  std::uint64_t pops = 0, empty_pops = 0;
  Clock::duration empty{};         // due by its clock, and the queue had nothing
  Clock::duration locked{};        // due by its clock, and somebody else held the queue's mutex
  Clock::duration longest_late{};  // how far behind its clock it ever was
  Clock::time_point began{};       // with its first message
  Clock::duration time{};          // from then on until nothing came any more
  AllocationTime allocation;

  void add(const Consumption& other);
  // Checks the message and frees it.
  void take(Message* message);
};

// What one producer did.
struct Production {
  std::uint64_t sent = 0, bytes = 0, keys = 0;
  AllocationTime allocation;

  void add(const Message& message) {
    ++sent;
    bytes += message.size;
    keys += message.key;
  }
};

// Without bounds, fine locking: messages are made outside of the mutex, the deque's own nodes in it.
class Queue {
 public:
  // A node of the deque is an allocation as well: `time` sees it.
  void push(Message* message, AllocationTime& time);
  // For who holds the mutex already, and has to wake nobody but by release().
  [[nodiscard]] std::unique_lock<std::mutex> lock() { return std::unique_lock(mutex_); }
  void push_locked(Message* message, AllocationTime& time);
  // Null: nothing comes any more. The consumer's clock begins with the first message: that it waits for that one is no
  // want.
  [[nodiscard]] Message* pop(Pace& pace, Consumption& seen);
  void close();

 private:
  std::mutex mutex_;
  std::condition_variable filled_;
  std::deque<Message*> messages_;
  bool closed_ = false;
};

// The one line that a load prints: {"load":…, …}. Sizes in bytes, times in seconds.
class Report {
 public:
  explicit Report(const char* load);
  ~Report();  // adds the program's own memory and CPU time, and ends the line
  Report(const Report&) = delete;
  Report& operator=(const Report&) = delete;

  void add(const char* name, double value);
  void add(const char* name, std::uint64_t value);
  void add(const char* name, Clock::duration time) { add(name, seconds(time)); }
  void add(const char* name, const std::vector<double>& values);
  void add(const char* role, const AllocationTime& time);  // "ROLE_allocations":{…}
  // All that producers and consumers tell; `rate`: bytes a second of all consumers together.
  void add(const std::vector<Production>& producers, const std::vector<Consumption>& consumers, double rate);
};

// Bytes of resident memory of a process that nobody else maps (its anonymous part); 0 where it is gone.
[[nodiscard]] std::size_t private_resident(int pid);

// The loads, each in its file.
void flow(const char* name, Arguments& arguments);  // queue, many, needs, mutex, shift, pause, sixty-four
void pipeline(const char* name, Arguments& arguments);
void steady(const char* name, Arguments& arguments);  // calm as well
void leak(const char* name, Arguments& arguments);
void group(const char* name, Arguments& arguments);

}  // namespace pressure
