// Load: a server whose sessions outlive their threads. Each of COUNT sessions is an array of blocks; a thread replaces
// random ones for a while, starts the session's next thread itself, and ends: nobody joins, so that one thread's end
// overlaps with its successor's first frees (`threads` waits for each end). Many requests' small blocks, some bodies.
#include <latch>
#include <thread>
#include <vector>

#include "common.hpp"

namespace {

constexpr std::size_t kSlots = 5'000;
constexpr std::size_t kReplaced = 25'000;  // by one thread

struct Session {
  std::vector<loads::Block> slots{kSlots};
  loads::Checksum sum;
  std::uint64_t seed = 0;
};

std::size_t request(loads::Random& random) {
  return random.below(40) == 0 ? random.doubling(10, 14) : random.between(10, 500);
}

void serve(Session& session, std::size_t generations, std::latch& done) {
  loads::Random random(session.seed * 1'000'003 + generations);
  loads::Checksum sum;
  for (std::size_t i = 0; i < kReplaced; ++i) {
    loads::Block& slot = session.slots[random.below(kSlots)];
    slot.drop(sum);
    slot.fill(request(random), random.next());
  }
  session.sum.add(sum);
  if (generations > 1) {
    std::thread(serve, std::ref(session), generations - 1, std::ref(done)).detach();
  } else {
    done.count_down();
  }
}

}  // namespace

int main(int argc, char** argv) {
  const loads::Arguments arguments(argc, argv);
  const unsigned count = arguments.count(4);
  const std::size_t generations = arguments.scaled(500) / count + 1;
  std::vector<Session> sessions(count);
  std::latch done(count);
  // The first blocks are the main thread's, as those of a server that has read its state.
  for (unsigned i = 0; i < count; ++i) {
    sessions[i].seed = 80 + i;
    loads::Random random(sessions[i].seed);
    for (loads::Block& block : sessions[i].slots) block.fill(request(random), random.next());
  }
  for (Session& session : sessions) std::thread(serve, std::ref(session), generations, std::ref(done)).detach();
  done.wait();
  loads::Checksum sum;
  for (Session& session : sessions) {
    for (loads::Block& block : session.slots) block.drop(sum);
    sum.add(session.sum);
  }
  sum.print("server");
}
