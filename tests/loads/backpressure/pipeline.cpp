// Load: three stages with a queue between each two. The middle one makes a new message of each that it takes, so that
// it needs memory in order to free some; it is a tenth faster than the last.
#include <thread>

#include "common.hpp"

namespace pressure {
namespace {

void produce(Queue& out, std::size_t total, Production& made) {
  loads::Random random(1);
  while (made.bytes < total) {
    const std::size_t size = random.between(512, 8192);
    Message* const message = allocate(size, made.allocation);
    message->write(size, 0, made.sent);
    made.add(*message);
    out.push(message, made.allocation);
  }
  out.close();
}

void pass_on(Queue& in, Queue& out, double rate, Consumption& seen, Production& made) {
  Pace pace(rate);
  while (Message* const message = in.pop(pace, seen)) {
    const std::size_t size = message->size;
    Message* const next = allocate(size, made.allocation);
    next->write(size, 1, made.sent);
    made.add(*next);
    out.push(next, made.allocation);
    seen.take(message);
    pace.spend(size);
  }
  out.close();
}

void consume(Queue& in, double rate, Consumption& seen) {
  Pace pace(rate);
  while (Message* const message = in.pop(pace, seen)) {
    const std::size_t size = message->size;
    seen.take(message);
    pace.spend(size);
  }
}

}  // namespace

void pipeline(const char* name, Arguments& arguments) {
  const std::size_t total = arguments.mib("total", 768);
  const double rate = arguments.number("rate", 200) * kMiB;
  const double middle = arguments.number("middle", 1.1);
  arguments.refuse_others();
  if (rate <= 0 || middle <= 0) loads::fail("rate and middle are above zero");

  Queue first;
  Queue second;
  Production made;
  Production made_anew;
  Consumption passed;
  Consumption seen;
  const auto began = Clock::now();
  std::thread last([&] { consume(second, rate, seen); });
  std::thread between([&] { pass_on(first, second, rate * middle, passed, made_anew); });
  produce(first, total, made);
  between.join();
  last.join();
  const auto elapsed = Clock::now() - began;

  // What the first sent is checked by the second, what the second sent by the third; told are the ends.
  seen.corrupt += passed.corrupt;
  if (made.sent == passed.received && made.keys != passed.keys) ++seen.corrupt;
  if (made_anew.sent == seen.received && made_anew.keys != seen.keys) ++seen.corrupt;
  seen.keys = made.keys;
  Report report(name);
  report.add("elapsed", elapsed);
  report.add({made}, {seen}, rate);
  report.add("middle", made_anew.allocation);
  report.add("middle_empty_share", seconds(passed.empty) / seconds(elapsed));
}

}  // namespace pressure
