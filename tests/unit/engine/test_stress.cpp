// Random calls of the whole family against a model, by one thread and by several that hand blocks to each other.
#include "engine.hpp"

namespace {

using namespace stealth;
using test::Block;
using test::census;

class Player {
 public:
  Player(std::uint64_t seed, std::size_t most) : random_(seed), most_(most) {}

  void step() {
    switch (random_.below(20)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
      case 5:
      case 6:
        return get();
      case 7:
      case 8:
      case 9:
      case 10:
      case 11:
      case 12:
        return give(take());
      case 13:
      case 14:
      case 15:
        return resize();
      case 16:
        return get_aligned();
      case 17:
        return get_zeroed();
      case 18:
        return burst();
      default:
        return look();
    }
  }

  // A block leaves, or comes from somebody else.
  Block take() {
    if (blocks_.empty()) return {};
    std::swap(blocks_[random_.below(blocks_.size())], blocks_.back());
    Block const block = blocks_.back();
    blocks_.pop_back();
    return block;
  }
  void adopt(Block const& block) { blocks_.push_back(block); }
  void give(Block const& block) {
    if (block.at == nullptr) return;
    ASSERT_TRUE(test::intact(block));
    deallocate(block.at);
  }
  void give_all() {
    while (!blocks_.empty()) give(take());
  }
  [[nodiscard]] std::size_t live() const {
    std::size_t sum = 0;
    for (Block const& block : blocks_) sum += usable_size(block.at);
    return sum;
  }
  test::Random& random() { return random_; }
  [[nodiscard]] std::size_t count() const { return blocks_.size(); }

 private:
  std::size_t size() { return random_.one_in(100) ? random_.skewed(4 * kMiB) : random_.skewed(most_); }

  void add(void* p, std::size_t size) {
    ASSERT_NE(p, nullptr) << size;
    ASSERT_TRUE(test::aligned_to(p, kMinAlignment));
    ASSERT_GE(usable_size(p), size);
    blocks_.push_back({static_cast<char*>(p), size, random_.next()});
    test::write(blocks_.back());
  }
  void get() {
    if (blocks_.size() > 1500) return give(take());
    std::size_t const bytes = size();
    add(allocate(bytes), bytes);
  }
  void get_aligned() {
    std::size_t const bytes = size();
    std::size_t const alignment = std::size_t{1} << random_.below(random_.one_in(4) ? 23 : 13);
    void* const p = allocate_aligned(bytes, alignment);
    ASSERT_TRUE(test::aligned_to(p, alignment)) << bytes << " at " << alignment;
    add(p, bytes);
  }
  void get_zeroed() {
    std::size_t const bytes = size();
    void* const p = allocate_zeroed(bytes);
    ASSERT_NE(p, nullptr);
    ASSERT_TRUE(test::all_zero(p, bytes)) << bytes;
    add(p, bytes);
  }
  void resize() {
    if (blocks_.empty()) return;
    Block& block = blocks_[random_.below(blocks_.size())];
    std::size_t const bytes = random_.one_in(3) ? block.size + random_.skewed(block.size) : size();
    auto* const at = static_cast<char*>(reallocate(block.at, bytes));
    ASSERT_NE(at, nullptr);
    block.at = at;
    ASSERT_TRUE(test::intact(block, std::min(bytes, block.size))) << block.size << " -> " << bytes;
    ASSERT_GE(usable_size(at), bytes);
    block.size = bytes;
    test::write(block);
  }
  void burst() {  // many of one size: lists overflow, slabs fill and empty
    if (!random_.one_in(8)) return get();
    std::size_t const bytes = random_.skewed(2000);
    std::vector<Block> many = test::make_blocks(300, bytes, random_.next());
    for (std::size_t i = 0; i < many.size(); ++i) {
      if (i % 7 == 0) {
        blocks_.push_back(many[i]);
      } else {
        give(many[i]);
      }
    }
  }
  void look() {
    if (random_.one_in(60)) trim();
    if (!blocks_.empty()) {
      ASSERT_TRUE(test::intact(blocks_[random_.below(blocks_.size())]));
    }
  }

  test::Random random_;
  std::size_t most_;
  std::vector<Block> blocks_;
};

class Stress : public testing::Test {
 protected:
  void SetUp() override {
    trim();
    live_ = census().all.live;
    held_ = g_budget.held();
  }
  void TearDown() override {
    trim();
    EXPECT_EQ(census().all.live, live_);
    EXPECT_LE(g_budget.held(), held_);
    test::expect_consistent();
  }
  std::uint64_t live_ = 0, held_ = 0;
};

TEST_F(Stress, OneThread) {
  for (std::size_t const most : {std::size_t{100}, std::size_t{3000}, std::size_t{60'000}}) {
    Player player(most, most);
    for (int i = 0; i < test::rounds(60'000) && !HasFatalFailure(); ++i) {
      player.step();
      if (i % 1024 == 0) {
        ASSERT_TRUE(engine_is_valid());
        ASSERT_EQ(census().all.live, live_ + player.live());
      }
    }
    player.give_all();
  }
}

TEST_F(Stress, ManyThreads) {
  constexpr int kThreads = 4;
  for (int round = 0; round < 3; ++round) {
    test::Mailbox boxes[kThreads];
    std::uint64_t kept[kThreads] = {};
    std::vector<Player> players;
    for (int i = 0; i < kThreads; ++i) players.emplace_back(1000 + 10 * round + i, round == 0 ? 500 : 20'000);
    test::in_threads(kThreads, [&](int index) {
      Player& player = players[static_cast<std::size_t>(index)];
      for (int i = 0; i < test::rounds(30'000) && !testing::Test::HasFatalFailure(); ++i) {
        player.step();
        if (i % 3 != 0) continue;
        if (Block const block = player.take(); block.at != nullptr) boxes[player.random().below(kThreads)].put(block);
        for (Block block; (boxes[index].size() > 30 || player.count() < 10) && boxes[index].take(block);)
          player.adopt(block);
      }
      kept[index] = player.live();
    });
    if (HasFatalFailure()) return;
    std::uint64_t live = live_;
    for (std::uint64_t const bytes : kept) live += bytes;
    Player rest(1, 1);
    for (auto& box : boxes) {
      for (Block block; box.take(block);) rest.adopt(block);
    }
    live += rest.live();
    trim();  // collects what was freed to others
    ASSERT_TRUE(engine_is_valid());
    ASSERT_EQ(census().all.live, live);
    rest.give_all();
    for (Player& player : players) player.give_all();  // by a thread that owns none of them
  }
}

// Threads end and begin with live blocks around.
TEST_F(Stress, Generations) {
  test::Mailbox box;
  for (int generation = 0; generation < 30; ++generation) {
    test::in_threads(3, [&](int index) {
      Player player(static_cast<std::uint64_t>(generation * 3 + index), 2000);
      for (Block block; player.count() < 300 && box.take(block);) player.adopt(block);
      for (int i = 0; i < test::rounds(3000) && !testing::Test::HasFatalFailure(); ++i) player.step();
      while (player.count() > 0) {
        Block const block = player.take();
        if (box.size() < 1000) {
          box.put(block);
        } else {
          player.give(block);
        }
      }
    });
    ASSERT_TRUE(engine_is_valid());
  }
  for (Block block; box.take(block);) {
    EXPECT_TRUE(test::intact(block));
    deallocate(block.at);
  }
}

}  // namespace
