// The engine with an unwilling kernel, at every call of each of its kinds of work. A request is served or gets ENOMEM;
// contents stay; afterwards no block is lost, nothing is charged that nobody has, nothing is resident that is not
// charged, and the same work succeeds.
#include <sys/mman.h>

#include "engine.hpp"
#include "engine/hollow.hpp"
#include "sweep.hpp"

namespace {

using namespace stealth;
using test::Block;
using test::Fault;

// Pages of ours that are in memory. What was lost to a refusal may be a hole.
std::size_t resident_bytes() {
  std::size_t pages = 0;
  unsigned char there[kPagesPerSlot];
  char* const base = g_arena.memory_of(g_arena.run_at(0));
  for (std::size_t at = 0; g_arena.contains(at); at += kSlot) {
    if (mincore(base + at, kSlot, there) != 0) continue;
    for (unsigned char const one : there) pages += one & 1u;
  }
  return pages * kPage;
}

// All blocks of a piece of work.
class Ledger {
 public:
  explicit Ledger(bool may_refuse) : may_refuse_(may_refuse) {}

  // How each block is come by.
  Block* add(std::size_t size) {
    return keep(size, [&] { return allocate(size); });
  }
  Block* add_zeroed(std::size_t size) {
    return keep(size, [&] {
      void* const p = allocate_zeroed(size);
      EXPECT_TRUE(p == nullptr || test::all_zero(p, size)) << size;
      return p;
    });
  }
  Block* add_aligned(std::size_t size, std::size_t alignment) {
    return keep(size, [&] {
      void* const p = allocate_aligned(size, alignment);
      EXPECT_TRUE(test::aligned_to(p, alignment));
      return p;
    });
  }
  void resize(std::size_t which, std::size_t size) {
    if (which >= blocks_.size()) return;
    Block& block = blocks_[which];
    errno = 0;
    auto* const at = static_cast<char*>(reallocate(block.at, size));
    if (at == nullptr) {
      refused();
      EXPECT_TRUE(test::intact(block)) << block.size;
      return;
    }
    block.at = at;
    EXPECT_TRUE(test::intact(block, std::min(size, block.size))) << block.size << " -> " << size;
    block.size = size;
    test::write(block);
  }
  // All but every `but`th, the newest first.
  void free_but(std::size_t but) {
    std::vector<Block> kept;
    for (std::size_t i = blocks_.size(); i-- > 0;) {
      EXPECT_TRUE(test::intact(blocks_[i])) << blocks_[i].size;
      if (but != 0 && i % but == 0) {
        kept.push_back(blocks_[i]);
      } else {
        deallocate(blocks_[i].at);
      }
    }
    blocks_.assign(kept.rbegin(), kept.rend());
  }
  void free_all() { free_but(0); }

 private:
  template <class Get>
  Block* keep(std::size_t size, Get get) {
    errno = 0;
    auto* const at = static_cast<char*>(get());
    if (at == nullptr) {
      refused();
      return nullptr;
    }
    blocks_.push_back({at, size, ++seed_});
    test::write(blocks_.back());
    return &blocks_.back();
  }
  void refused() const {
    EXPECT_EQ(errno, ENOMEM);
    EXPECT_TRUE(may_refuse_);
  }

  bool may_refuse_;
  std::uint64_t seed_ = 0;
  std::vector<Block> blocks_;
};

void small(Ledger& all) {
  for (std::size_t const size : {16u, 40u, 200u, 1000u, 3000u, 9000u, 30000u}) {
    for (int i = 0; i < 12; ++i) all.add(size);
    all.add_zeroed(size);
    all.add_aligned(size, 4096);
  }
  for (std::size_t i = 0; i < 70; i += 3) all.resize(i, 50 + i * 300);
  all.free_but(3);
  trim();
  for (int i = 0; i < 40; ++i) all.add(700);
}

void spans(Ledger& all) {
  for (std::size_t const size : {40'000u, 100'000u, 270'000u, 1'000'000u}) {
    all.add(size);
    all.add_zeroed(size);
    all.add_aligned(size, 65536);
  }
  all.free_but(2);
  for (int round = 0; round < 3; ++round) {
    for (std::size_t i = 0; i < 4; ++i) all.resize(i, std::size_t{60'000} << i);
    all.add_zeroed(50'000);
  }
  trim();
  all.add_zeroed(500'000);
}

// Each stands in the other's way, so pages move (mremap), come back and are mapped afresh.
void growth(Ledger& all) {
  all.add(260'000);
  all.add(270'000);
  for (std::size_t size = 400'000; size < 2'000'000; size = size * 3 / 2) {
    all.resize(0, size);
    all.resize(1, size + 20'000);
  }
  all.resize(0, 300'000);
  all.free_but(2);
  all.add_zeroed(900'000);
  all.resize(0, 1'500'000);
}

// Freed memory lies dirty where moves go to.
void growth_over_dirty(Ledger& all) {
  for (int i = 0; i < 6; ++i) all.add(500'000);
  all.free_but(3);
  growth(all);
}

void hollow(Ledger& all) {
  constexpr std::size_t kSize = 256;
  for (int round = 0; round < 2; ++round) {
    for (std::size_t i = 0; i < 1200; ++i) all.add(kSize);
    all.free_but(70);
    if (t_thread.own == nullptr) continue;
    Hold hold(t_thread.own->lock);
    t_thread.own->flush_bin(serving_class(kSize));
    t_thread.own->drain();
    static_cast<void>(t_thread.own->hollow_out(0, ~std::uint32_t{0}));
    EXPECT_LE(resident_bytes(), g_budget.held()) << "what was not given back counts";
  }
  EXPECT_TRUE(engine_is_valid());
}

// Blocks of other threads, of living and of ended ones.
void threads(Ledger& all) {
  Ledger others = all;
  std::thread([&] {
    for (std::size_t const size : {100u, 700u, 5000u, 40'000u}) {
      for (int i = 0; i < 20; ++i) others.add(size);
    }
    others.free_but(2);
  }).join();
  std::thread([&] {
    Ledger own = all;
    for (int i = 0; i < 100; ++i) own.add(100);
    others.free_but(2);
    own.free_all();
  }).join();
  for (int i = 0; i < 20; ++i) all.add(100);
  others.free_all();
}

// What the keeper does.
void aging(Ledger& all) {
  set_purge_delay(0);
  for (int i = 0; i < 30; ++i) all.add(20'000);
  for (int i = 0; i < 3; ++i) all.add(400'000);
  set_purge_delay(1u << 30);
  all.free_but(5);
  for (int tick = 0; tick < 6; ++tick) static_cast<void>(age_heaps());
  set_purge_delay(0);
  for (bool first = true, more = true; more; first = false) more = g_arena.purge_step(first).more;
  limit_reservation(64 * kMiB);
  set_purge_delay(500);
  for (int i = 0; i < 3; ++i) all.add(500'000);
}

// A capacity that is too small for two threads: waits, wake-ups, refusals.
void waits(Ledger& all) {
  test::in_threads(2, [&](int) {
    Ledger own = all;
    for (int i = 0; i < 25; ++i) {
      own.add(60'000);
      if (i == 22) own.free_but(4);  // it alone wants more than the capacity
    }
    own.free_all();
  });
}

// Of runs that are not free.
std::uint64_t used_slots() {
  std::uint64_t sum = 0;
  for (std::uint32_t slot = 0; g_arena.contains(std::size_t{slot} << kSlotShift); slot += g_arena.run_at(slot)->slots)
    sum += g_arena.run_at(slot)->state == RunState::used ? g_arena.run_at(slot)->slots : 0;
  return sum;
}

struct Figures {
  std::uint64_t held = 0, used_slots = 0;
};

// Everything is given back; nothing may be left.
void expect_all_back(Figures& without_fault, Fault const& fault, bool counts_resident) {
  trim();
  trim();
  test::expect_consistent();
  EXPECT_EQ(test::census().all.live, 0u);
  if (fault.is_none()) without_fault = {g_budget.held(), used_slots()};
  EXPECT_LE(g_budget.held(), without_fault.held) << "charged, and nobody has it";
  // Where these refuse, the addresses may be somebody else's by now: arena/purge.cpp.
  if (fault.number != SYS_mmap && fault.number != SYS_mremap) {
    EXPECT_LE(used_slots(), without_fault.used_slots) << "taken, and nobody has it";
  }
  if (counts_resident && g_arena.reserved_bytes() != 0) {
    EXPECT_LE(resident_bytes(), g_budget.held()) << "in memory, and not charged";
  }
}

struct Way {
  test::Start start{.reservation = kGiB};
  bool start_with_faults = false;  // the fault may come while the engine starts
  bool always_refuses = false;     // there is a capacity
  HugePages huge_pages = HugePages::never;
};

void sweep_engine(void (*work)(Ledger&), Way const& way = {}) {
  test::Shared<Figures> without_fault;
  bool const resident = way.huge_pages == HugePages::never;
  auto const start = [&](bool may_fail) {
    fake::capture(2);  // what it says when memory is short
    g_arena.set_huge_pages(way.huge_pages);
    g_arena.set_dumpable(way.huge_pages == HugePages::never);
    EXPECT_TRUE(test::start_engine(way.start) || may_fail);
    // The first heap is there, so that what is charged at the end can be compared.
    if (!may_fail) deallocate(allocate(1));
  };
  test::sweep(
      [&] {
        if (!way.start_with_faults) start(false);
      },
      [&](Fault const& fault) {
        if (way.start_with_faults) start(!fault.is_none());
        Ledger all(!fault.must_not_matter() || way.always_refuses);
        work(all);
        EXPECT_TRUE(engine_is_valid());
        all.free_all();
        trim();
        EXPECT_TRUE(engine_is_valid());
      },
      [&](Fault const& fault) {
        expect_all_back(*without_fault.operator->(), fault, resident);
        bool const has_memory = g_arena.reserved_bytes() >= 32 * kMiB;
        Ledger again(way.always_refuses || !has_memory);
        work(again);
        again.free_all();
        expect_all_back(*without_fault.operator->(), fault, resident);
      });
}

TEST(InjectEngine, Small) { sweep_engine(small); }
TEST(InjectEngine, SmallPurgedAtOnce) { sweep_engine(small, {.start = {.reservation = kGiB, .purge_delay_ms = 0}}); }
TEST(InjectEngine, Spans) { sweep_engine(spans); }
TEST(InjectEngine, SpansPurgedAtOnce) { sweep_engine(spans, {.start = {.reservation = kGiB, .purge_delay_ms = 0}}); }
TEST(InjectEngine, Growth) { sweep_engine(growth); }
TEST(InjectEngine, GrowthOverDirtyMemory) { sweep_engine(growth_over_dirty); }
TEST(InjectEngine, Hollow) { sweep_engine(hollow); }
TEST(InjectEngine, Threads) { sweep_engine(threads); }
TEST(InjectEngine, Aging) { sweep_engine(aging); }
TEST(InjectEngine, HugePagesAndNoDumps) { sweep_engine(growth, {.huge_pages = HugePages::always}); }
TEST(InjectEngine, Waits) {
  sweep_engine(waits, {.start = {.limits = test::capacity_of(kMiB, 1, OnExhausted::enomem), .reservation = kGiB},
                       .always_refuses = true});
}
TEST(InjectEngine, Start) { sweep_engine(small, {.start = {.reservation = kGiB}, .start_with_faults = true}); }
TEST(InjectEngine, StartWithPreallocation) {
  sweep_engine(small,
               {.start = {.classes = {test::exactly(64, 0, 100), test::steps(80, 32768), test::exactly(50'000, 0, 3)},
                          .reservation = kGiB},
                .start_with_faults = true,
                .always_refuses = true});  // what no class serves
}

}  // namespace
