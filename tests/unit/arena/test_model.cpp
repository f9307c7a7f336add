// Random calls on an arena, against a model that knows which slots are whose and what stands in them.
#include "helpers.hpp"

namespace {

using namespace stealth;
using test::OwnArena;

struct Held {
  Run* run;
  std::uint32_t first, slots;
  std::uint32_t pages;  // charged and written
  std::uint64_t seed;
  bool moved;
};

class Model {
 public:
  Model(std::size_t reservation, std::uint64_t seed, std::uint32_t purge_delay_ms, std::uint32_t most_slots)
      : own_(reservation, purge_delay_ms), random_(seed), most_slots_(most_slots), whose_(reservation >> kSlotShift) {}

  void run(int steps, int check_every) {
    for (int step = 0; step < steps && !testing::Test::HasFatalFailure(); ++step) {
      one_step();
      if (step % check_every == 0) check();
    }
    check();
  }

  // Everything goes back in random order; then nothing is held, and one run can have all there is.
  void drain() {
    while (!held_.empty()) free_one();
    check();
    own_.arena.purge(0);
    EXPECT_EQ(own_.held(), 0u);
    EXPECT_EQ(own_.arena.free_dirty_bytes(), 0u);
    EXPECT_TRUE(own_.arena.is_valid());
    EXPECT_EQ(test::resident_pages(base(), committed()), 0u);
  }

  [[nodiscard]] std::uint64_t refused() const { return refused_; }

 private:
  // What a page of a run's holds.
  static std::uint64_t mark(std::uint64_t seed, std::uint32_t page) { return seed ^ (std::uint64_t{page} + 1) << 40; }
  [[nodiscard]] char* base() const { return own_.arena.memory_of(own_.arena.run_at(0)); }
  [[nodiscard]] std::size_t committed() const {
    std::size_t end = 0;
    while (own_.arena.contains(end)) end += kSlot;
    return end;
  }

  void one_step() {
    switch (random_.below(16)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
        return allocate();
      case 5:
      case 6:
      case 7:
        return free_one();
      case 8:
      case 9:
        return extend();
      case 10:
      case 11:
        return shrink();
      case 12:
        return move();
      case 13:
        return purge();
      default:
        return touch();
    }
  }

  void claim(Held const& held) {
    ASSERT_LE(held.first + held.slots, whose_.size());
    for (std::uint32_t slot = held.first; slot < held.first + held.slots; ++slot) {
      ASSERT_EQ(whose_[slot], 0u) << "slot " << slot << " is handed out twice";
      whose_[slot] = held.seed;
    }
    used_ += held.slots;
  }
  void disclaim(std::uint32_t first, std::uint32_t slots) {
    for (std::uint32_t slot = first; slot < first + slots; ++slot) whose_[slot] = 0;
    used_ -= slots;
  }

  void allocate() {
    if (used_ > most_slots_) return free_one();
    auto const slots = static_cast<std::uint32_t>(random_.skewed(random_.one_in(20) ? most_slots_ / 4 : 20));
    std::uint32_t const align = 1u << random_.below(4);
    Zone const zone = random_.one_in(2) ? Zone::slabs : Zone::spans;
    Run* const run = own_.arena.allocate(zone, slots, align);
    if (run == nullptr) {
      ++refused_;
      return free_one();
    }
    Held const held = {run, own_.arena.slot_of(run), slots, 0, random_.next(), false};
    ASSERT_EQ(run->slots, slots);
    ASSERT_EQ(run->state, RunState::used);
    ASSERT_FALSE(run->moved);
    ASSERT_EQ(reinterpret_cast<std::uintptr_t>(own_.memory(run)) % (align * kSlot), 0u);
    claim(held);
    held_.push_back(held);
    if (random_.one_in(3)) touch_run(held_.back());
  }

  Held* any() { return held_.empty() ? nullptr : &held_[random_.below(held_.size())]; }

  void free_one() {
    Held* const held = any();
    if (held == nullptr) return;
    expect_contents(*held);
    disclaim(held->first, held->slots);
    own_.arena.free(held->run);
    *held = held_.back();
    held_.pop_back();
  }

  void extend() {
    Held* const held = any();
    if (held == nullptr || used_ > most_slots_) return;
    std::uint32_t const slots = held->slots + static_cast<std::uint32_t>(random_.skewed(12));
    if (!own_.arena.extend(held->run, slots)) {
      ASSERT_EQ(held->run->slots, held->slots);
      return;
    }
    ASSERT_EQ(held->run->slots, slots);
    disclaim(held->first, held->slots);
    held->slots = slots;
    claim(*held);
  }

  void shrink() {
    Held* const held = any();
    if (held == nullptr) return;
    auto const slots = static_cast<std::uint32_t>(1 + random_.below(held->slots));
    own_.arena.shrink(held->run, slots);
    if (held->moved) {
      ASSERT_EQ(held->run->slots, held->slots) << "a mapping of its own is not cut";
      return;
    }
    ASSERT_EQ(held->run->slots, slots);
    disclaim(held->first, held->slots);
    held->slots = slots;
    held->pages = std::min(held->pages, slots * kPagesPerSlot);
    claim(*held);
  }

  void touch() {
    if (Held* const held = any(); held != nullptr) touch_run(*held);
  }

  void touch_run(Held& held) {
    auto const most = std::min(held.slots * kPagesPerSlot, held.pages + 40);
    if (held.pages == most) return;
    std::uint32_t const to = held.pages + 1 + static_cast<std::uint32_t>(random_.below(most - held.pages));
    bool const zeroed = held.pages == 0 && random_.one_in(2);
    if (zeroed) own_.arena.zero_dirty(held.run, to);
    std::size_t const before = own_.held();
    ASSERT_TRUE(test::touch(own_, held.run, held.pages, to, random_.one_in(2) ? Level::within : Level::over));
    ASSERT_LE(own_.held() - before, (to - held.pages) * kPage);
    for (std::uint32_t page = held.pages; page < to; ++page) {
      char* const at = own_.memory(held.run) + page * kPage;
      if (zeroed) {
        for (std::size_t i = 0; i < kPage; i += 8) ASSERT_EQ(*reinterpret_cast<std::uint64_t*>(at + i), 0u);
      }
      std::uint64_t const value = mark(held.seed, page);
      std::memcpy(at, &value, 8);
      std::memcpy(at + kPage - 8, &value, 8);
    }
    held.pages = to;
  }

  void move() {
    Held* const from = any();
    if (from == nullptr || from->pages == 0 || used_ > most_slots_) return;
    std::uint32_t const slots = from->slots + static_cast<std::uint32_t>(random_.below(8));
    Run* const to = own_.arena.allocate(Zone::spans, slots, 1);
    if (to == nullptr) return;
    if (random_.one_in(2)) own_.arena.purge_from(to, 0);
    Held target = {to, own_.arena.slot_of(to), slots, from->pages, from->seed, true};
    ASSERT_EQ(own_.arena.move(from->run, to, static_cast<std::uint32_t>(divide_up(from->pages, kPagesPerSlot))),
              Moved::pages);
    disclaim(from->first, from->slots);
    claim(target);
    own_.arena.free(from->run);
    *from = target;
    expect_contents(target);
  }

  void purge() {
    std::size_t const dirty = own_.arena.free_dirty_bytes();
    std::size_t const before = own_.held();
    auto const age = static_cast<std::uint32_t>(random_.below(3) * 10);
    std::size_t const bytes = own_.arena.purge(age);
    ASSERT_EQ(before - own_.held(), bytes);
    ASSERT_EQ(dirty - own_.arena.free_dirty_bytes(), bytes);
    if (age == 0) {
      ASSERT_EQ(own_.arena.free_dirty_bytes(), 0u);
    }
  }

  void expect_contents(Held const& held) {
    for (std::uint32_t page = 0; page < held.pages; ++page) {
      char const* const at = own_.memory(held.run) + page * kPage;
      std::uint64_t first = 0, last = 0;
      std::memcpy(&first, at, 8);
      std::memcpy(&last, at + kPage - 8, 8);
      ASSERT_EQ(first, mark(held.seed, page)) << "page " << page << " of " << held.pages;
      ASSERT_EQ(last, mark(held.seed, page)) << "page " << page << " of " << held.pages;
    }
  }

  void check() {
    ASSERT_TRUE(own_.arena.is_valid());
    std::size_t written = 0;
    for (Held const& held : held_) {
      written += held.pages;
      expect_contents(held);
    }
    ASSERT_GE(own_.held(), written * kPage);
    // What the kernel keeps for us is charged; and what is charged, less what lies free, was touched by the model or
    // was dirty when it was handed out.
    ASSERT_LE(test::resident_pages(base(), committed()) * kPage, own_.held());
    if (own_.arena.purge(0) > 0) {
      ASSERT_TRUE(own_.arena.is_valid());
    }
    ASSERT_LE(test::resident_pages(base(), committed()) * kPage, own_.held());
  }

  OwnArena own_;
  test::Random random_;
  std::uint32_t most_slots_;
  std::uint32_t used_ = 0;
  std::uint64_t refused_ = 0;
  std::vector<std::uint64_t> whose_;  // by slot: the holder's seed
  std::vector<Held> held_;
};

TEST(ArenaModel, EveryStepChecked) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    Model model(256 * kMiB, seed, 1u << 30, 400);
    model.run(test::rounds(1500), 1);
    model.drain();
    EXPECT_EQ(model.refused(), 0u);
  }
}

TEST(ArenaModel, LongRuns) {
  for (std::uint64_t seed = 11; seed <= 16; ++seed) {
    Model model(kGiB, seed, 1u << 30, 4000);
    model.run(test::rounds(20'000), 512);
    model.drain();
    EXPECT_EQ(model.refused(), 0u);
  }
}

TEST(ArenaModel, PurgingAllTheTime) {
  for (std::uint32_t const delay : {0u, 1u, 20u}) {
    Model model(kGiB, 21 + delay, delay, 1000);
    model.run(test::rounds(6000), 256);
    model.drain();
  }
}

// A reservation that is used up most of the time: zones help each other out, and runs are refused.
TEST(ArenaModel, Crowded) {
  for (std::size_t const reservation : {kMiB, 4 * kMiB, 16 * kMiB}) {
    for (std::uint64_t seed = 31; seed <= 34; ++seed) {
      Model model(reservation, seed, 1u << 30, static_cast<std::uint32_t>(reservation >> kSlotShift));
      model.run(test::rounds(6000), 128);
      model.drain();
      if (reservation <= 4 * kMiB) {
        EXPECT_GT(model.refused(), 0u);
      }
    }
  }
}

}  // namespace
