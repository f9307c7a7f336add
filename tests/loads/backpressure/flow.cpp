// Loads: producers, one queue without bounds, consumers that the clock paces; as it stands in many a service. What the
// loads differ in is the table of plans; every figure of it can be given as an argument.
#include <atomic>
#include <string_view>
#include <thread>

#include "common.hpp"

namespace pressure {
namespace {

struct Plan {
  const char* name;
  unsigned producers = 1, consumers = 1;
  double total_mib = 1024;
  double rate_mib = 200;                 // a second, all consumers together
  double supply_mib = 0;                 // a second, each producer; 0: as fast as it can
  double catch_up = 1e6;                 // how many seconds a consumer makes up for, where it was kept from its work
  double low = 512, high = 8192;         // sizes of messages, even between them
  unsigned low_bits = 0, high_bits = 0;  // or 2^low … 2^high, as many from each doubling
  double burst_mib = 0, quiet_ms = 0;    // a producer makes about so much at once, then rests about so long
  double pause_seconds = 0;              // the consumers stop once, in the middle
  double scratch_mib = 0;                // a consumer needs memory itself, and keeps up to so much
  double before_mib = 0;                 // first so much of 1 KiB blocks, of which one in eight stays
  bool under_lock = false;               // messages are made while the queue's mutex is held
};

constexpr Plan kPlans[] = {
    {.name = "queue"},
    {.name = "many", .producers = 8, .consumers = 4, .low_bits = 4, .high_bits = 18, .burst_mib = 4, .quiet_ms = 20},
    {.name = "needs", .scratch_mib = 8},
    // This consumer does not catch up: if it did, what it lost before a taken mutex would not show in its time.
    {.name = "mutex", .supply_mib = 400, .catch_up = 0, .under_lock = true},
    {.name = "shift", .total_mib = 640, .low = 8192, .high = 65536, .before_mib = 88},
    {.name = "pause", .total_mib = 512, .pause_seconds = 2},
    {.name = "sixty-four", .producers = 64},
};

Plan plan_of(std::string_view name, Arguments& arguments) {
  for (Plan plan : kPlans) {
    if (plan.name != name) continue;
    plan.producers = arguments.count("producers", plan.producers);
    plan.consumers = arguments.count("consumers", plan.consumers);
    plan.total_mib = arguments.number("total", plan.total_mib);
    plan.rate_mib = arguments.number("rate", plan.rate_mib);
    plan.supply_mib = arguments.number("supply", plan.supply_mib);
    plan.catch_up = arguments.number("catch_up", plan.catch_up);
    plan.low = arguments.number("low", plan.low);
    plan.high = arguments.number("high", plan.high);
    plan.burst_mib = arguments.number("burst", plan.burst_mib);
    plan.quiet_ms = arguments.number("quiet", plan.quiet_ms);
    plan.pause_seconds = arguments.number("pause", plan.pause_seconds);
    plan.scratch_mib = arguments.number("scratch", plan.scratch_mib);
    plan.before_mib = arguments.number("before", plan.before_mib);
    plan.under_lock = arguments.number("locked", plan.under_lock ? 1 : 0) != 0;
    arguments.refuse_others();
    if (plan.producers == 0 || plan.consumers == 0 || plan.rate_mib <= 0) loads::fail("producers, consumers, rate: 0");
    if (plan.low < sizeof(Message) || plan.high < plan.low) loads::fail("low is 16 at least, high not below it");
    return plan;
  }
  loads::fail("no such flow");
}

// The sizes that came before: many small blocks, of which one in eight stays, so that half of the pages are bound.
class Before {
 public:
  Before(std::size_t bytes, AllocationTime& time) : blocks_(bytes / kSize) {
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      time.measure([&] { blocks_[i].fill(kSize, i); });
    }
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      if (i % 8 != 0) blocks_[i].drop(unused_);
    }
  }
  ~Before() {
    for (loads::Block& block : blocks_) block.drop(unused_);
  }
  Before(const Before&) = delete;
  Before& operator=(const Before&) = delete;

 private:
  static constexpr std::size_t kSize = 1024;
  loads::Checksum unused_;
  std::vector<loads::Block> blocks_;
};

// A consumer's own memory: a few KiB for each message, more than the message was at times; kept until there is as much
// as it keeps, when all but an eighth goes.
class Scratch {
 public:
  explicit Scratch(double mib) : keeps_(static_cast<std::size_t>(mib * kMiB)), random_(99) {
    blocks_.reserve(keeps_ / kLeast + 1);
  }
  ~Scratch() { shrink(0); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  void need(AllocationTime& time) {
    if (keeps_ == 0) return;
    const std::size_t size = random_.between(kLeast, 12 * kLeast);
    blocks_.push_back(allocate(size, time));
    blocks_.back()->write(size, 0, size);
    bytes_ += size;
    if (bytes_ > keeps_) shrink(keeps_ / 8);
  }

 private:
  static constexpr std::size_t kLeast = 1024;

  void shrink(std::size_t to) {
    while (bytes_ > to) {
      bytes_ -= blocks_.back()->size;
      if (!blocks_.back()->is_intact()) loads::fail("a consumer's own memory does not hold what was written to it");
      std::free(blocks_.back());
      blocks_.pop_back();
    }
  }

  std::size_t keeps_;
  std::size_t bytes_ = 0;
  std::vector<Message*> blocks_;
  loads::Random random_;
};

class Flow {
 public:
  explicit Flow(const Plan& plan)
      : plan_(plan), left_(static_cast<std::int64_t>(plan.total_mib * kMiB)), running_(plan.producers) {}

  void produce(unsigned number, Production& made) {
    const Before before(static_cast<std::size_t>(plan_.before_mib * kMiB), made.allocation);
    loads::Random random(number + 1);
    std::vector<char> draft(plan_.under_lock ? static_cast<std::size_t>(plan_.high) : 0);
    double burst = new_burst(random);
    Pace pace(plan_.supply_mib * kMiB);
    for (;;) {
      const std::size_t size = plan_.high_bits == 0 ? random.between(static_cast<std::size_t>(plan_.low),
                                                                     static_cast<std::size_t>(plan_.high))
                                                    : random.doubling(plan_.low_bits, plan_.high_bits);
      // One pot for all: who is held back gets less of it.
      const auto bytes = static_cast<std::int64_t>(size);
      if (left_.fetch_sub(bytes, std::memory_order_relaxed) < bytes) break;
      if (plan_.under_lock) {
        send_under_lock(size, number, made, draft);
      } else {
        Message* const message = allocate(size, made.allocation);
        message->write(size, number, made.sent);
        made.add(*message);
        queue_.push(message, made.allocation);
      }
      if (plan_.supply_mib > 0) pace.spend(size);
      burst -= static_cast<double>(size);
      if (plan_.burst_mib > 0 && burst < 0) {
        burst = new_burst(random);
        std::this_thread::sleep_for(duration(plan_.quiet_ms * 2e-3 * random.unit()));
      }
    }
    if (running_.fetch_sub(1) == 1) queue_.close();
  }

  void consume(Consumption& seen) {
    Pace pace(plan_.rate_mib * kMiB / plan_.consumers, plan_.catch_up);
    Scratch scratch(plan_.scratch_mib);
    const double half = plan_.total_mib * kMiB / plan_.consumers / 2;
    bool paused = plan_.pause_seconds == 0;
    while (Message* const message = queue_.pop(pace, seen)) {
      const std::size_t size = message->size;
      scratch.need(seen.allocation);
      seen.take(message);
      pace.spend(size);
      if (!paused && static_cast<double>(seen.bytes) >= half) {
        paused = true;
        pace.pause(duration(plan_.pause_seconds));
      }
    }
  }

 private:
  double new_burst(loads::Random& random) const { return plan_.burst_mib * kMiB * (0.5 + random.unit()); }

  // The content is ready before; what the mutex covers is the allocation, of the message and of the queue's node, and
  // a copy.
  void send_under_lock(std::size_t size, unsigned number, Production& made, std::vector<char>& draft) {
    auto* const content = reinterpret_cast<Message*>(draft.data());
    content->write(size, number, made.sent);
    made.add(*content);
    const auto lock = queue_.lock();
    Message* const message = allocate(size, made.allocation);
    std::memcpy(static_cast<void*>(message), content, size);
    queue_.push_locked(message, made.allocation);
  }

  const Plan plan_;
  std::atomic<std::int64_t> left_;
  std::atomic<unsigned> running_;
  Queue queue_;
};

}  // namespace

void flow(const char* name, Arguments& arguments) {
  const Plan plan = plan_of(name, arguments);
  std::vector<Production> producers(plan.producers);
  std::vector<Consumption> consumers(plan.consumers);
  const auto began = Clock::now();
  {
    Flow running(plan);
    std::vector<std::thread> threads;
    for (Consumption& one : consumers) threads.emplace_back([&] { running.consume(one); });
    for (unsigned i = 0; i < plan.producers; ++i) {
      threads.emplace_back([&running, i, &one = producers[i]] { running.produce(i, one); });
    }
    for (std::thread& thread : threads) thread.join();
  }
  const auto elapsed = Clock::now() - began;
  Report report(name);
  report.add("elapsed", elapsed);
  report.add(producers, consumers, plan.rate_mib * kMiB);
}

}  // namespace pressure
