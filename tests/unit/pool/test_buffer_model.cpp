// Random calls on several buffers against a model that is plain strings: contents, sizes and the sum agree after every
// call, what had to wait has waited and nothing else, and no buffer has moved. Time is dreamt.
#include <algorithm>

#include "../capacity/dream.hpp"
#include "buffers.hpp"
#include "fake_sys.hpp"

namespace {

using namespace buffers;
using stealth::test::Dream;
using stealth::test::Random;
namespace fake = stealth::fake;

struct Pair {
  Buffer buffer;
  std::string model;
  std::byte* at;
};

std::string_view as_text(std::vector<std::byte> const& bytes) {
  return {reinterpret_cast<char const*>(bytes.data()), bytes.size()};
}

class Model {
 public:
  Model(std::uint64_t seed, std::size_t target, std::size_t most, BufferPoolOptions const& options)
      : random_(seed), target_(target), most_(most), options_(options), pool_(target, options) {}

  void step() {
    if (pairs_.empty() || random_.one_in(12)) return get();
    std::size_t const which = random_.below(pairs_.size());
    Pair& one = pairs_[which];
    std::size_t const n = random_.one_in(20) ? 0 : random_.skewed(most_);
    std::string const text(n, static_cast<char>('a' + random_.below(26)));
    std::size_t const at = random_.below(one.model.size() + 2);
    std::error_code error;
    switch (random_.below(12)) {
      case 0:
        before(false);
        one.buffer.reset();
        one.model.clear();
        break;
      case 1:
        before(false);
        one.buffer.truncate(at, error);
        expect_range(error, at <= one.model.size());
        if (!error) one.model.resize(at);
        break;
      case 2:
        before(false);
        if (random_.one_in(2)) pool_.put(std::move(one.buffer));
        pairs_.erase(pairs_.begin() + static_cast<std::ptrdiff_t>(which));
        break;
      case 3:
      case 4: {
        bool const fits = at <= one.model.size() && at + n <= options_.max_buffer_size;
        before(fits && n != 0);
        one.buffer.write_at(text, at, error);
        expect_range(error, fits);
        if (!error) one.model.replace(at, std::min(n, one.model.size() - at), text);
        break;
      }
      case 5: {
        bool const fits = one.model.size() + n <= options_.max_buffer_size;
        before(fits && n != 0);
        std::size_t const from = one.buffer.extend(n, error);
        expect_range(error, fits);
        if (!error) {
          EXPECT_EQ(from, one.model.size());
          one.model.append(n, '\0');
        }
        break;
      }
      case 6: {
        before(false);
        std::vector<std::byte> out(std::min(n, one.model.size() + 1));
        one.buffer.read_at(out, at, error);
        expect_range(error, at + out.size() <= one.model.size());
        EXPECT_TRUE(error || one.model.compare(at, out.size(), as_text(out)) == 0);
        break;
      }
      default: {
        bool const fits = one.model.size() + n <= options_.max_buffer_size;
        before(fits && n != 0);
        one.buffer.write(text, error);
        expect_range(error, fits);
        if (!error) one.model += text;
      }
    }
    after();
  }

 private:
  [[nodiscard]] std::size_t used() const {
    std::size_t sum = 0;
    for (Pair const& one : pairs_) sum += one.model.size();
    return sum;
  }
  // `grows`: a call that waits from the target on.
  void before(bool grows) {
    dream_.sleeps.clear();
    must_wait_ = grows && options_.write_backoff && used() >= target_;
  }
  void after() {
    EXPECT_EQ(!dream_.sleeps.empty(), must_wait_);
    EXPECT_EQ(pool_.fill_ratio(), static_cast<double>(used()) / static_cast<double>(target_));
    EXPECT_EQ(pool_.stats().out, pairs_.size());
    EXPECT_LE(pool_.stats().idle, options_.max_pool_size);
    for (Pair const& one : pairs_) {
      EXPECT_EQ(one.buffer.text(), one.model);
      EXPECT_EQ(one.buffer.data(), one.at);
    }
  }
  void get() {
    dream_.sleeps.clear();
    bool const has_idle = pool_.stats().idle != 0;
    bool const is_full = used() >= target_;
    if (random_.one_in(2)) {
      must_wait_ = !has_idle && is_full;
      pairs_.push_back({pool_.get(), {}, nullptr});
    } else {
      std::string const text(random_.skewed(options_.max_buffer_size), 'x');
      must_wait_ = is_full && (!has_idle || options_.write_backoff);
      pairs_.push_back({pool_.make_buffer(text), text, nullptr});
    }
    pairs_.back().at = pairs_.back().buffer.data();
    after();
  }
  static void expect_range(std::error_code error, bool fits) {
    EXPECT_EQ(error, fits ? std::error_code() : make_error_code(errc::out_of_range));
  }

  Random random_;
  std::size_t target_, most_;
  BufferPoolOptions options_;
  fake::Fresh fresh_;
  Dream dream_;
  BufferPool pool_;
  std::vector<Pair> pairs_;
  bool must_wait_ = false;
};

void run(std::size_t target, std::size_t most, BufferPoolOptions const& options) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    {
      Model model(seed, target, most, options);
      for (int i = 0; i < rounds(1500) && !testing::Test::HasFailure(); ++i) model.step();
      ASSERT_FALSE(testing::Test::HasFailure()) << "seed " << seed;
    }
    ASSERT_EQ(held_by_pools(), 0u);
  }
}

TEST(BufferModel, Small) { run(100, 30, {.max_pool_size = 3, .max_buffer_size = 60}); }
TEST(BufferModel, SmallWithWriteBackoff) {
  run(100, 30, {.max_pool_size = 3, .write_backoff = true, .max_buffer_size = 60});
}
TEST(BufferModel, Large) { run(200000, 30000, {.max_pool_size = 5, .max_buffer_size = 100000, .wipe_on_put = true}); }
TEST(BufferModel, LargeWithWriteBackoff) {
  run(200000, 3000, {.max_pool_size = 5, .write_backoff = true, .max_buffer_size = 50000});
}
TEST(BufferModel, ManySmallWrites) {
  run(20000, 40, {.max_pool_size = 5, .write_backoff = true, .max_buffer_size = 50000});
}
TEST(BufferModel, OneIdleAtMost) { run(1000, 40, {.max_pool_size = 1, .write_backoff = true, .max_buffer_size = 900}); }

}  // namespace
