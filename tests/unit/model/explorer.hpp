// A small model checker: every interleaving of a few threads, each a function that makes one step, over a state of some
// bytes. It knows nothing of what is modelled.
//
// Memory is that of x86 (total store order): a plain store waits in its thread's buffer, where only that thread sees
// it, until it arrives, which is a move of its own; a locked instruction has the buffer empty first. So a fence that is
// missing between a store and a later load is found, which stress on a machine finds rarely. What a compiler or a
// weaker machine may reorder beyond that is not.
//
// States that were met are remembered by 64 bits of hash: of a million states two are mixed up once in 30 million runs.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <unordered_set>
#include <vector>

namespace stealth::model {

using Byte = std::uint8_t;

template <std::size_t Variables, std::size_t Threads>
struct Memory {
  static constexpr std::size_t kDepth = 4;  // of a buffer; a store that finds it full waits for the oldest to arrive
  struct Pending {
    Byte variable, value;
  };
  Byte values[Variables];
  Byte used[Threads];
  Pending buffers[Threads][kDepth];

  [[nodiscard]] Byte load(int thread, int variable) const {
    for (int i = used[thread]; i-- > 0;) {
      if (buffers[thread][i].variable == variable) return buffers[thread][i].value;
    }
    return values[variable];
  }
  void store(int thread, int variable, int value) {
    if (used[thread] == kDepth) arrive(thread);
    buffers[thread][used[thread]++] = {static_cast<Byte>(variable), static_cast<Byte>(value)};
  }
  // The oldest store of a thread arrives. False: there is none on its way.
  bool arrive(int thread) {
    if (used[thread] == 0) return false;
    Pending* const buffer = buffers[thread];
    values[buffer[0].variable] = buffer[0].value;
    --used[thread];
    for (std::size_t i = 0; i + 1 < kDepth; ++i) buffer[i] = buffer[i + 1];
    buffer[kDepth - 1] = {};
    return true;
  }
  void fence(int thread) {
    while (arrive(thread)) {
    }
  }

  // Locked instructions.
  Byte exchange(int thread, int variable, int value) {
    fence(thread);
    Byte const before = values[variable];
    values[variable] = static_cast<Byte>(value);
    return before;
  }
  Byte add(int thread, int variable, int more) {
    return exchange(thread, variable, values_after(thread, variable) + more);
  }
  bool compare_exchange(int thread, int variable, int expected, int value) {
    fence(thread);
    if (values[variable] != expected) return false;
    values[variable] = static_cast<Byte>(value);
    return true;
  }

 private:
  int values_after(int thread, int variable) {
    fence(thread);
    return values[variable];
  }
};

struct Result {
  std::string violation;  // empty: none
  std::string path;       // that leads to it: thread@place each, thread~ where a store of its arrives
  std::size_t states = 0;
};

template <class State>
std::uint64_t hash_of(State const& state) {
  static_assert(std::has_unique_object_representations_v<State>, "padding would make equal states look different");
  unsigned char bytes[sizeof state];
  std::memcpy(bytes, &state, sizeof state);
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (unsigned char const byte : bytes) hash = (hash ^ byte) * 0x100000001b3u;
  hash = (hash ^ hash >> 32) * 0x9E3779B97F4A7C15u;
  return hash ^ hash >> 29;
}

// Model::State: bytes alone, with `memory` and `at` (where each thread is). Model has kThreads, kChoices, and
//   State start()
//   bool step(State&, int thread, int choice)   false: it cannot now, for it has ended, is blocked, or has no such
//   choice char const* broken(State const&)            what does not hold though it must at any time; null: nothing
//   char const* broken_at_end(State const&)     the same where nobody can go on
template <class Model>
Result explore(Model const& model) {
  using State = typename Model::State;
  constexpr int kMovesOfEach = Model::kChoices + 1, kMoves = Model::kThreads * kMovesOfEach;
  struct Frame {
    State state;
    int next = 0;
    bool moved = false;
  };
  Result result;
  std::unordered_set<std::uint64_t> met;
  std::vector<Frame> path;
  auto const fail = [&](char const* why) {
    result.violation = why;
    for (std::size_t i = 0; i + 1 < path.size(); ++i) {
      int const move = path[i].next - 1, thread = move / kMovesOfEach;
      bool const arrives = move % kMovesOfEach == Model::kChoices;
      result.path += std::to_string(thread);
      result.path += arrives ? "~" : "@";
      if (!arrives) result.path += std::to_string(path[i].state.at[thread]);
      result.path += ' ';
    }
  };
  auto const enter = [&](State const& state) {
    if (!met.insert(hash_of(state)).second) return true;
    path.push_back({state});
    ++result.states;
    char const* const why = model.broken(state);
    if (why != nullptr) fail(why);
    return why == nullptr;
  };
  if (!enter(model.start())) return result;
  while (!path.empty()) {
    Frame& frame = path.back();
    if (frame.next == kMoves) {
      char const* const why = frame.moved ? nullptr : model.broken_at_end(frame.state);
      if (why != nullptr) return fail(why), result;
      path.pop_back();
      continue;
    }
    int const move = frame.next++, thread = move / kMovesOfEach, choice = move % kMovesOfEach;
    State state = frame.state;
    bool const can = choice == Model::kChoices ? state.memory.arrive(thread) : model.step(state, thread, choice);
    if (!can || std::memcmp(&state, &frame.state, sizeof state) == 0) continue;
    frame.moved = true;
    if (!enter(state)) return result;
  }
  return result;
}

// Model::kMutations names the ways to get it wrong; the first is to get it right.
template <class Model>
void expect_only_mutants_fail() {
  for (std::size_t mutation = 0; mutation < std::size(Model::kMutations); ++mutation) {
    Result const result = explore(Model{static_cast<int>(mutation)});
    if (mutation == 0) {
      EXPECT_EQ(result.violation, "") << result.path;
      EXPECT_GT(result.states, 20u) << "hardly anything was tried";
    } else {
      EXPECT_NE(result.violation, "") << "not caught: " << Model::kMutations[mutation];
    }
    if (std::getenv("STEALTH_MODEL_SHOWS") != nullptr) {
      std::printf("%-40s %8zu states  %s\n", Model::kMutations[mutation], result.states, result.violation.c_str());
    }
  }
}

}  // namespace stealth::model
