// The demonstration's program: a fast producer, a slow consumer, and an unbounded queue between them, as it stands in
// many a service. It knows nothing of libstealth: plain malloc, std::deque, two threads, one mutex.
//
//   demo-queue TOTAL_MIB PRODUCER_MIB_PER_S CONSUMER_MIB_PER_S
//
// The consumer is paced by the clock, as if each message cost it that much work. At the end one line of `name=value`
// figures on stdout; exit status 1 where a message was lost or damaged. Ends by itself after a minute in any case.
#include <sys/prctl.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>
#include <random>
#include <thread>

namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr double kMiB = 1024.0 * 1024.0;

struct Message {
  std::uint64_t number;
  std::uint64_t checksum;
  std::size_t body_size;
  std::uint64_t* body() { return reinterpret_cast<std::uint64_t*>(this + 1); }
};

std::uint64_t checksum_of(Message& message) {
  std::uint64_t sum = message.number;
  for (std::size_t i = 0; i < message.body_size / sizeof(std::uint64_t); ++i) sum = sum * 31 + message.body()[i];
  return sum;
}

// Holds a thread to so many bytes per second. What was missed is not caught up with: work takes its time whenever it
// begins. Only a few milliseconds are, because no sleep ends on the dot.
class Pace {
 public:
  explicit Pace(double bytes_per_second) : bytes_per_second_(bytes_per_second) {}

  void spend(std::size_t bytes) {
    constexpr auto kSlack = std::chrono::milliseconds(5);
    const auto now = Clock::now();
    if (next_ < now - kSlack) next_ = now - kSlack;
    next_ += std::chrono::duration_cast<Clock::duration>(Seconds(static_cast<double>(bytes) / bytes_per_second_));
    if (next_ > now + std::chrono::milliseconds(1)) std::this_thread::sleep_until(next_);
  }

 private:
  double bytes_per_second_;
  Clock::time_point next_ = Clock::now();
};

// The queue without bounds.
class Queue {
 public:
  void push(Message* message) {
    const std::lock_guard lock(mutex_);
    messages_.push_back(message);
    filled_.notify_one();
  }

  Message* pop() {
    std::unique_lock lock(mutex_);
    filled_.wait(lock, [this] { return !messages_.empty(); });
    Message* message = messages_.front();
    messages_.pop_front();
    return message;
  }

 private:
  std::mutex mutex_;
  std::condition_variable filled_;
  std::deque<Message*> messages_;
};

struct Figures {
  std::uint64_t produced = 0;
  std::uint64_t consumed = 0;
  std::uint64_t damaged = 0;
  double producer_seconds = 0;
  double consumer_seconds = 0;
  double consumed_bytes = 0;
};

double seconds_since(Clock::time_point start) { return Seconds(Clock::now() - start).count(); }

void produce(Queue& queue, double total_bytes, double bytes_per_second, Figures& figures) {
  std::minstd_rand random(1);
  std::uniform_int_distribution<std::size_t> sizes(512, 8192);
  Pace pace(bytes_per_second);
  const auto start = Clock::now();
  for (double sent = 0; sent < total_bytes;) {
    const std::size_t size = sizes(random);
    auto* message = static_cast<Message*>(std::malloc(size));
    if (message == nullptr) break;
    *message = {figures.produced, 0, size - sizeof(Message)};
    std::memset(message->body(), static_cast<int>(figures.produced & 0xff), message->body_size);
    message->checksum = checksum_of(*message);
    queue.push(message);
    ++figures.produced;
    sent += static_cast<double>(size);
    pace.spend(size);
  }
  figures.producer_seconds = seconds_since(start);
  queue.push(nullptr);
}

void consume(Queue& queue, double bytes_per_second, Figures& figures) {
  Pace pace(bytes_per_second);
  const auto start = Clock::now();
  while (Message* message = queue.pop()) {
    if (message->number != figures.consumed || message->checksum != checksum_of(*message)) ++figures.damaged;
    ++figures.consumed;
    const std::size_t size = sizeof(Message) + message->body_size;
    figures.consumed_bytes += static_cast<double>(size);
    std::free(message);
    pace.spend(size);
  }
  figures.consumer_seconds = seconds_since(start);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: demo-queue TOTAL_MIB PRODUCER_MIB_PER_S CONSUMER_MIB_PER_S\n");
    return 2;
  }
  // Whoever watches us may be killed himself: then we end as well.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  alarm(60);
  const double total = std::atof(argv[1]) * kMiB;
  const double producer_rate = std::atof(argv[2]) * kMiB;
  const double consumer_rate = std::atof(argv[3]) * kMiB;

  Queue queue;
  Figures figures;
  std::thread consumer([&] { consume(queue, consumer_rate, figures); });
  std::thread producer([&] { produce(queue, total, producer_rate, figures); });
  producer.join();
  consumer.join();
  std::printf(
      "produced=%llu consumed=%llu damaged=%llu producer_seconds=%.3f consumer_seconds=%.3f consumer_mib_per_s=%.2f\n",
      static_cast<unsigned long long>(figures.produced), static_cast<unsigned long long>(figures.consumed),
      static_cast<unsigned long long>(figures.damaged), figures.producer_seconds, figures.consumer_seconds,
      figures.consumed_bytes / kMiB / figures.consumer_seconds);
  return figures.produced == figures.consumed && figures.damaged == 0 ? 0 : 1;
}
