// Random calls of the whole family against a model of what each block must hold, by one thread, and by several that
// free each other's blocks, also those of threads that have ended.
#include "guarded.hpp"

namespace {

using namespace stealth;
using test::Owned;

class Player {
 public:
  // `alone`: no other thread is at work, so that what a freed block holds can be looked at.
  Player(std::uint64_t seed, std::size_t most, bool alone) : random_(seed), most_(most), alone_(alone) {}

  void step() {
    switch (random_.below(16)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
        return get();
      case 5:
      case 6:
      case 7:
      case 8:
        return give(take());
      case 9:
      case 10:
        return resize();
      case 11:
        return get_aligned();
      case 12:
        return get_zeroed();
      case 13:
        return burst();
      default:
        return look();
    }
  }

  // A block leaves, or comes from somebody else.
  Owned take() {
    if (blocks_.empty()) return {};
    std::swap(blocks_[random_.below(blocks_.size())], blocks_.back());
    Owned const block = blocks_.back();
    blocks_.pop_back();
    return block;
  }
  void adopt(Owned const& block) { blocks_.push_back(block); }
  void give(Owned const& block) {
    if (block.at == nullptr) return;
    test::give_back(block);
    if (alone_ && is_small(block)) {
      ASSERT_TRUE(test::all_zero(block.at, block.size)) << block.size;
    }
  }
  void give_all() {
    while (!blocks_.empty()) give(take());
  }
  [[nodiscard]] std::size_t asked_for() const {
    std::size_t sum = 0;
    for (Owned const& block : blocks_) sum += block.size;
    return sum;
  }
  test::Random& random() { return random_; }
  [[nodiscard]] std::size_t count() const { return blocks_.size(); }

 private:
  // One of those whose memory stays readable when it is freed.
  static bool is_small(Owned const& block) {
    return block.size != 0 && g_arena.owner_word(g_arena.offset_of(block.at) >> kSlotShift) == kGuardedBlock;
  }
  std::size_t size() {
    if (random_.one_in(50)) return 0;
    return random_.one_in(200) ? random_.skewed(kMiB) : random_.skewed(most_);
  }

  void get() {
    if (blocks_.size() > 800) return give(take());
    blocks_.push_back(test::own_fresh(size()));
  }
  void get_aligned() {
    std::size_t const bytes = size();
    std::size_t const alignment = std::size_t{1} << random_.below(random_.one_in(8) ? 22 : 13);
    auto* const p = static_cast<char*>(allocate_aligned(bytes, alignment));
    ASSERT_TRUE(p != nullptr && test::unwritten(p, bytes, bytes)) << bytes << " at " << alignment;
    blocks_.push_back(test::own(p, bytes, alignment));
  }
  void get_zeroed() {
    std::size_t const bytes = size();
    void* const p = allocate_zeroed(bytes);
    ASSERT_TRUE(p != nullptr && test::all_zero(p, bytes)) << bytes;
    blocks_.push_back(test::own(p, bytes));
  }
  void resize() {
    if (blocks_.empty()) return;
    Owned& block = blocks_[random_.below(blocks_.size())];
    std::size_t const bytes = 1 + (random_.one_in(3) ? block.size + random_.below(100) : size());
    ASSERT_TRUE(block.holds());
    auto* const at = static_cast<char*>(reallocate(block.at, bytes));
    ASSERT_NE(at, nullptr);
    std::size_t const kept = std::min(bytes, block.size);
    ASSERT_TRUE(fuzz::holds(at, kept, block.seed)) << block.size << " -> " << bytes;
    ASSERT_TRUE(test::unwritten(at + kept, bytes - kept, bytes)) << block.size << " -> " << bytes;
    block = test::own(at, bytes);
  }
  // Many of one size: quarantine fills, slabs empty.
  void burst() {
    if (!random_.one_in(20)) return get();
    std::vector<Owned> many = test::own_many(150, random_.skewed(1000));
    for (std::size_t i = 0; i < many.size(); ++i) {
      if (i % 9 == 0) {
        blocks_.push_back(many[i]);
      } else {
        give(many[i]);
      }
    }
  }
  void look() {
    if (random_.one_in(100)) trim();
    if (alone_ && random_.one_in(300)) guard::check_everything();
    if (!blocks_.empty()) {
      ASSERT_TRUE(blocks_[random_.below(blocks_.size())].holds());
    }
  }

  test::Random random_;
  std::size_t most_;
  bool alone_;
  std::vector<Owned> blocks_;
};

using Box = test::MailboxOf<Owned>;

class GuardShadow : public testing::Test {
 protected:
  void SetUp() override { live_ = test::live(); }
  void TearDown() override {
    EXPECT_EQ(test::live(), live_);
    test::expect_sound();
  }
  std::uint64_t live_ = 0;
};

TEST_F(GuardShadow, OneThread) {
  for (std::size_t const most : {std::size_t{60}, std::size_t{3000}, std::size_t{60'000}}) {
    Player player(most, most, true);
    for (int i = 0; i < test::rounds(15'000) && !HasFailure(); ++i) {
      player.step();
      if (i % 1024 != 0) continue;
      test::expect_sound();
      EXPECT_GE(test::live(), live_ + player.asked_for());
    }
    player.give_all();
  }
}

TEST_F(GuardShadow, ThreadsFreeEachOthersBlocks) {
  constexpr int kThreads = 4;
  for (int round = 0; round < 2; ++round) {
    Box boxes[kThreads];
    std::vector<Player> players;
    for (int i = 0; i < kThreads; ++i)
      players.emplace_back(static_cast<std::uint64_t>(1000 + 10 * round + i), round == 0 ? 500 : 20'000, false);
    test::in_threads(kThreads, [&](int index) {
      Player& player = players[static_cast<std::size_t>(index)];
      for (int i = 0; i < test::rounds(8'000) && !HasFailure(); ++i) {
        player.step();
        if (i % 3 != 0) continue;
        if (Owned const block = player.take(); block.at != nullptr) boxes[player.random().below(kThreads)].put(block);
        for (Owned block; (boxes[index].size() > 30 || player.count() < 10) && boxes[index].take(block);)
          player.adopt(block);
      }
    });
    Player rest(1, 1, true);
    for (Box& box : boxes) {
      for (Owned block; box.take(block);) rest.adopt(block);
    }
    test::expect_sound();
    rest.give_all();
    for (Player& player : players) player.give_all();  // by a thread that owns none of them
  }
}

// One allocates and ends while another still frees what it had, again and again; nothing is lost on the way.
TEST_F(GuardShadow, FreedToThreadsThatEnd) {
  Box box;
  std::atomic<bool> done{false};
  std::thread consumer([&] {
    Owned block;
    while (!done || box.size() > 0) {
      if (box.take(block)) {
        test::give_back(block);
      } else {
        std::this_thread::yield();
      }
    }
  });
  for (int generation = 0; generation < test::rounds(60) && !HasFailure(); ++generation) {
    std::thread([&] {
      test::Random random(static_cast<std::uint64_t>(generation) + 1);
      for (int i = 0; i < 400; ++i) box.put(test::own_fresh(random.skewed(random.one_in(50) ? 200'000 : 3000)));
    }).join();
  }
  done = true;
  consumer.join();
}

// Threads end and begin with live blocks around.
TEST_F(GuardShadow, Generations) {
  Box box;
  for (int generation = 0; generation < 12 && !HasFailure(); ++generation) {
    test::in_threads(3, [&](int index) {
      Player player(static_cast<std::uint64_t>(generation * 3 + index), 2000, false);
      for (Owned block; player.count() < 300 && box.take(block);) player.adopt(block);
      for (int i = 0; i < test::rounds(1500) && !HasFailure(); ++i) player.step();
      while (player.count() > 0) {
        Owned const block = player.take();
        if (box.size() < 1000) {
          box.put(block);
        } else {
          player.give(block);
        }
      }
    });
    test::expect_sound();
  }
  for (Owned block; box.take(block);) test::give_back(block);
}

}  // namespace
