// Fuzz target: any sequence of calls of a Pool, by one to four threads, by turns or at once, with forks. Every byte of
// each block is written to and watched; what may not be put is refused, counts are exact at quiet moments, and the
// alignment, the wiping and the ends are as the header says.
#include <atomic>
#include <optional>
#include <stealth/stealth.hpp>
#include <vector>

#include "blocks.hpp"
#include "crew.hpp"

namespace {

using namespace fuzz;
using stealth::Block;
using stealth::errc;
using stealth::Pool;
using stealth::PoolOptions;

constexpr std::size_t kSizes[] = {1, 7, 8, 16, 24, 48, 64, 100, 192, 512, 1000, 2048, 4096, 5000, 8192, 20000};
constexpr std::size_t kPage = 4096;

struct Held {
  Block block;
  std::uint64_t seed = 0;
};
using Table = Slots<Held, 40>;

// One input's pool and what it should say.
class Game {
 public:
  explicit Game(Script const& script) : quiet_(!script.at_once()), options_(options_of(script)), was_busy_(!quiet_) {
    most_ = 1 + script.options[1] % 48U;
    std::error_code error;
    pool_.emplace(most_, options_, error);
    made_ = !error;
    if (options_.preallocate > most_) {
      REQUIRE(error == errc::prealloc_out_of_bounds);
    } else if (!options_.lock_in_memory) {  // which has limits of the machine's
      REQUIRE(made_);
    }
  }

  [[nodiscard]] bool made() const { return made_; }

  void play(Op const& op) {
    if (op.kind == 255) return fork_now(op);
    if (op.kind % 32U == 31) return many(op);
    Held* const held = table_.lock(op.slot);
    if (held == nullptr) return;
    if (op.kind == 249) {
      close();
    } else {
      play_on(*held, op);
    }
    if (quiet_) expect_sane();
    table_.unlock(op.slot);
  }

  void end() {
    for (std::size_t i = 0; i < Table::size(); ++i) give(table_.at(i), 0);
    quiet_ = true;
    if (!closed_) {
      REQUIRE(out_ == 0);
      expect_sane();
      take_all();
    }
    pool_.reset();
    REQUIRE(stealth::stats().pools == 0);
  }

 private:
  static PoolOptions options_of(Script const& script) {
    auto const& given = script.options;
    PoolOptions options;
    options.block_size = kSizes[given[0] % 16U];
    if ((given[2] & 1U) != 0) options.preallocate = given[2] / 4U;
    if ((given[2] & 2U) != 0) options.alignment = std::size_t{1} << given[3] % 15U;
    options.wipe_on_put = (given[4] & 1U) != 0;
    options.huge_pages = (given[4] & 6U) == 6;
    options.exclude_from_core_dump = (given[4] & 24U) == 24;
    options.lock_in_memory = (given[4] & 96U) == 96;
    options.trace_every = (given[4] & 128U) != 0 ? given[3] / 32U : 0;
    return options;
  }

  [[nodiscard]] std::size_t alignment() const {
    std::size_t const size = options_.block_size;
    std::size_t const usual = size >= kPage ? kPage : size & (~size + 1);
    return std::max(usual, options_.alignment);
  }

  void expect_sane() const {
    auto const now = pool_->stats();
    if (closed_) {
      REQUIRE(now.closed == 1 && now.allocated == 0 && now.free == 0 && now.in_use == 0 && now.held == 0);
      return;
    }
    REQUIRE(now.allocated == now.free + now.in_use && now.allocated <= most_ && now.max_blocks == most_);
    REQUIRE(now.in_use == static_cast<std::uint64_t>(out_.load()));
    REQUIRE(now.in_use <= now.high_water && now.high_water >= high_ && now.high_water <= most_);
    REQUIRE(now.high_water == high_ || was_busy_);
    REQUIRE(now.alignment == alignment() && now.block_size == options_.block_size && now.waiting == 0);
  }

  void keep(Held& held, Block&& block) {
    REQUIRE(block.size() == options_.block_size && is_aligned(block.data(), alignment()));
    if (options_.wipe_on_put) REQUIRE(is_zero(block.data(), block.size()));
    REQUIRE(pool_->owns(block.data()) && pool_->owns(block.data() + block.size() - 1));
    std::uint64_t const seed = new_seed();
    fill(block.data(), block.size(), seed);
    held.block = std::move(block);
    held.seed = seed;
  }
  void count_out(int blocks) {
    auto const now = static_cast<std::uint64_t>(out_ += blocks);
    if (now > high_) high_ = now;
    REQUIRE(now <= most_);
  }

  // What a get that failed may say.
  void expect_refusal(std::error_code error, std::size_t wanted) const {
    if (closed_) {
      REQUIRE(error == errc::pool_closed);
    } else if (!options_.lock_in_memory || error == errc::pool_full || error == errc::timed_out) {
      REQUIRE(error == errc::pool_full || error == errc::timed_out);
      REQUIRE(!quiet_ || static_cast<std::size_t>(out_) + wanted > most_);
    }
  }

  void get(Held& held, bool waits) {
    std::error_code error;
    Block block = waits ? pool_->get_for(std::chrono::microseconds(20), error) : pool_->get(error);
    REQUIRE((block.data() == nullptr) == static_cast<bool>(error));
    if (error) return expect_refusal(error, 1);
    count_out(1);
    keep(held, std::move(block));
  }

  void expect_intact(Held const& held) const {
    if (!closed_ && held.block) REQUIRE(holds(held.block.data(), held.block.size(), held.seed));
  }

  void give(Held& held, unsigned way) {
    if (!held.block) return;
    expect_intact(held);
    if (closed_) return held.block.reset();  // inert
    std::error_code error;
    --out_;
    if (way == 0) {
      held.block.reset();
    } else if (way == 1) {
      pool_->put(std::move(held.block), error);
    } else {
      std::span<std::byte> const owned = held.block.release();
      pool_->put(owned, error);
      if (quiet_ && !error) {
        pool_->put(owned, error);
        REQUIRE(error == errc::invalid_block);
        REQUIRE(!pool_->owns(owned.data()));
        error.clear();
      }
    }
    REQUIRE(!error && !held.block);
  }

  // Spans that no get has given.
  void put_wrongly(Held const& held, Op const& op) {
    std::span<std::byte> const all = held.block.span();
    std::byte foreign[16] = {};
    std::error_code error;
    if (op.a % 3U == 0 || all.size() < 2) {
      pool_->put(std::span(foreign), error);
    } else if (op.a % 3U == 1) {
      pool_->put(all.first(1 + op.b % (all.size() - 1)), error);
    } else {
      pool_->put(all.subspan(1 + op.b % (all.size() - 1)), error);
    }
    REQUIRE(error == (closed_ ? errc::pool_closed : errc::invalid_block));
    REQUIRE(!pool_->owns(foreign));
    expect_intact(held);
  }

  void play_on(Held& held, Op const& op) {
    switch (op.kind % 16U) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
        if (!held.block) return get(held, false);
        return give(held, 0);
      case 5:
        if (!held.block && (quiet_ || op.b % 8U == 0)) return get(held, op.b % 8U == 0);
        [[fallthrough]];
      case 6:
      case 7:
      case 8:
        return give(held, op.kind % 16U - 5U);
      case 9:
        return put_wrongly(held, op);
      case 10:
        if (op.b % 4U == 0) return trim();
        [[fallthrough]];
      default:
        return expect_intact(held);
    }
  }

  void trim() {
    std::size_t const given_back = pool_->trim();
    REQUIRE(given_back % kPage == 0);
    bool const whole_pages = options_.block_size % kPage == 0 && !options_.huge_pages && !options_.lock_in_memory;
    if (quiet_ && whole_pages) REQUIRE(pool_->free_count() == 0);
  }

  // Up to eight slots at once.
  void many(Op const& op) {
    std::size_t const count = 1 + op.b % 8U;
    Held* mine[8] = {};
    Block blocks[8];
    std::size_t taken = 0;
    for (; taken < count; ++taken) {
      mine[taken] = table_.lock(op.slot + taken);
      if (mine[taken] == nullptr) break;
    }
    if (taken == 0) return;
    std::span<Block> const all(blocks, taken);
    std::error_code error;
    if ((op.a & 1U) != 0) {
      for (std::size_t i = 0; i < taken; ++i) give(*mine[i], 0);
      pool_->get_bulk(all, error);
      if (error) {
        expect_refusal(error, taken);
        for (Block const& block : all) REQUIRE(!block);
      } else {
        count_out(static_cast<int>(taken));
        for (std::size_t i = 0; i < taken; ++i) keep(*mine[i], std::move(blocks[i]));
      }
    } else {
      int back = 0;
      for (std::size_t i = 0; i < taken; ++i) {
        expect_intact(*mine[i]);
        back += mine[i]->block ? 1 : 0;
        blocks[i] = std::move(mine[i]->block);
      }
      out_ -= back;
      pool_->put_bulk(all, error);
      if (closed_) {
        REQUIRE(error == errc::pool_closed);
      } else {
        REQUIRE(!error);
      }
    }
    for (std::size_t i = 0; i < taken; ++i) table_.unlock(op.slot + i);
  }

  // Everything goes at once, and touching it would be a fault: only where nobody else is in the midst of that.
  void close() {
    if (!quiet_) return;
    pool_->close();
    closed_ = true;
  }

  // No more than there are, and no fewer.
  void take_all() {
    std::vector<Block> all;
    for (std::size_t i = 0; i < most_; ++i) {
      std::error_code error;
      all.push_back(pool_->get(error));
      if (options_.lock_in_memory && error) return;
      REQUIRE(!error);
    }
    std::error_code error;
    Block const more = pool_->get(error);
    REQUIRE(error == errc::pool_full);
  }

  void fork_now(Op const& op) {
    if (forks_.fetch_add(1) != 0) return;
    auto const go_on = [&](Held& held) {
      bool const had = static_cast<bool>(held.block);
      expect_intact(held);
      give(held, op.a % 3U);
      std::error_code error;
      Block block = pool_->get(error);
      if (had && !closed_) REQUIRE(block && !error);
      if (!block) return;
      count_out(1);
      std::uint64_t const seed = new_seed();
      fill(block.data(), block.size(), seed);
      REQUIRE(holds(block.data(), block.size(), seed));
      static_cast<void>(block.release());
    };
    fork_with(table_, op.b % 3U == 0 ? 0 : op.a % 2U, op.b % 3U == 0 ? 1 : 2, go_on, [&] {
      if (quiet_) expect_sane();
    });
  }

  bool quiet_;  // no other call is in flight while one looks
  PoolOptions options_;
  std::size_t most_ = 0;
  std::optional<Pool> pool_;
  bool made_ = false;
  bool closed_ = false;
  std::atomic<int> out_{0}, forks_{0};
  std::atomic<std::uint64_t> high_{0};
  bool was_busy_;  // several threads were at once in calls: what is counted here then may be less than there was
  Table table_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  Script const script(data, size);
  Game game(script);
  if (!game.made()) return 0;
  perform(script, [&](Op const& op) { game.play(op); });
  game.end();
  return 0;
}
