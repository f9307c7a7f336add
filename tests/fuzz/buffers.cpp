// Fuzz target: any sequence of calls of a BufferPool and its buffers, by one to four threads, by turns or at once, with
// forks. Each buffer has a string as its model: contents, sizes, what is refused and the fill ratio agree with it, and
// no buffer ever moves. One buffer is written to by all threads: each record in it is whole, and in its thread's order.
// Waits are of microseconds.
#include <algorithm>
#include <atomic>
#include <optional>
#include <stealth/stealth.hpp>
#include <string>

#include "crew.hpp"

namespace {

using namespace fuzz;
using namespace std::chrono_literals;
using stealth::Buffer;
using stealth::BufferPool;
using stealth::BufferPoolOptions;
using stealth::errc;

struct Held {
  Buffer buffer;
  std::string model;
  std::byte* at = nullptr;
};
using Table = Slots<Held, 24>;

struct Record {
  std::uint32_t who, number, same, check;
};

class Game {
 public:
  explicit Game(Script const& script) : quiet_(!script.at_once()), options_(options_of(script)) {
    auto const& given = script.options;
    target_ = 1 + (std::size_t{given[1]} << given[2] % 9U);
    pool_.emplace(target_, options_);
    log_ = pool_->get();
    log_at_ = log_.data();
  }

  void play(Op const& op) {
    if (op.kind == 255) return fork_now(op);
    if (op.kind == 249) return close();
    if (op.kind % 16U == 15) return write_record(op.thread);
    Held* const held = table_.lock(op.slot);
    if (held == nullptr) return;
    if (held->buffer) {
      play_on(*held, op);
    } else {
      get(*held, op);
    }
    expect_as_modelled(*held);
    table_.unlock(op.slot);
    if (quiet_) expect_sane();
  }

  void end() {
    quiet_ = true;
    expect_records();
    expect_sane();
    for (std::size_t i = 0; i < Table::size(); ++i) {
      expect_as_modelled(table_.at(i));
      give(table_.at(i), i % 2 == 0);
    }
    log_ = {};
    if (!closed_) REQUIRE(pool_->fill_ratio() == 0 && pool_->stats().out == 0);
    pool_.reset();
    REQUIRE(stealth::stats().pools == 0);
  }

 private:
  static constexpr std::size_t kLargest = 48 << 10;

  static BufferPoolOptions options_of(Script const& script) {
    auto const& given = script.options;
    BufferPoolOptions options;
    options.max_pool_size = 1 + given[0] % 8U;
    options.initial_interval = 1us;
    options.max_elapsed_time = 5us;
    options.write_backoff = (given[0] & 16U) != 0;
    options.wipe_on_put = (given[0] & 32U) != 0;
    options.huge_pages = (given[0] & 192U) == 192;
    options.max_buffer_size = kLargest >> given[3] % 8U;
    options.trace_every = given[4] / 64U;
    return options;
  }

  void expect_as_modelled(Held const& held) const {
    if (!held.buffer) return;
    REQUIRE(held.buffer.text() == held.model);
    REQUIRE(held.buffer.data() == held.at);
  }
  void expect_sane() {
    if (closed_) return;
    std::size_t sum = log_.size(), out = 1;
    for (std::size_t i = 0; i < Table::size(); ++i) {
      Held const& held = table_.at(i);
      if (!held.buffer) continue;
      sum += held.model.size();
      ++out;
    }
    auto const now = pool_->stats();
    REQUIRE(now.used == sum && now.out == out && now.idle <= options_.max_pool_size && now.held >= sum);
    REQUIRE(pool_->fill_ratio() == static_cast<double>(sum) / static_cast<double>(target_));
  }
  void expect_code(std::error_code error, bool fits) const {
    REQUIRE(error == (closed_ ? make_error_code(errc::pool_closed)
                      : fits  ? std::error_code()
                              : make_error_code(errc::out_of_range)));
  }

  void get(Held& held, Op const& op) {
    std::error_code error;
    if (op.kind % 2U == 0) {
      held.buffer = pool_->get(error);
      expect_code(error, true);
      held.model.clear();
    } else {
      std::string const content = text_of(op);
      held.buffer = pool_->make_buffer(content, error);
      expect_code(error, content.size() <= options_.max_buffer_size);
      if (!error) held.model = content;
    }
    REQUIRE(static_cast<bool>(held.buffer) == !error);
    held.at = held.buffer.data();
    REQUIRE(error || held.at != nullptr);
  }

  void give(Held& held, bool by_put) {
    if (!held.buffer) return;
    std::error_code error;
    if (by_put) {
      pool_->put(std::move(held.buffer), error);
      REQUIRE(error == (closed_ ? make_error_code(errc::pool_closed) : std::error_code()));
    }
    held.buffer = {};
    held.model.clear();
  }

  // Up to a little more than a buffer may have.
  [[nodiscard]] std::size_t size_of(Op const& op) const {
    switch (op.b % 4U) {
      case 0:
        return op.a % 20U;
      case 1:
      case 2:
        return op.a % 600U;
      default:
        return op.a % (options_.max_buffer_size + 2);
    }
  }
  [[nodiscard]] std::string text_of(Op const& op) const {
    std::string text(size_of(op), '\0');
    for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(op.b + i * 7);
    return text;
  }

  void play_on(Held& held, Op const& op) {
    Buffer& buffer = held.buffer;
    std::string& model = held.model;
    std::size_t const n = size_of(op), place = op.who / 4U * std::size_t{op.b} % (model.size() + 2);
    std::error_code error;
    switch (op.kind % 16U) {
      case 0:
      case 1:
      case 2: {
        std::string const text = text_of(op);
        bool const grows = !text.empty();
        REQUIRE(buffer.write(text, error) == (error ? 0 : text.size()));
        if (grows) expect_code(error, model.size() + text.size() <= options_.max_buffer_size);
        if (!error) model += text;
        break;
      }
      case 3:
      case 4: {
        std::string const text = text_of(op);
        buffer.write_at(text, place, error);
        if (!text.empty()) {
          expect_code(error, place <= model.size() && place + text.size() <= options_.max_buffer_size);
        }
        if (!error) model.replace(std::min(place, model.size()), text.size(), text);
        break;
      }
      case 5:
      case 6: {
        bool const zeroed = op.kind % 16U == 5;
        std::size_t const from = zeroed ? buffer.extend(n, error) : buffer.extend_for_overwrite(n, error);
        if (n != 0) expect_code(error, model.size() + n <= options_.max_buffer_size);
        if (error) break;
        REQUIRE(from == model.size());
        if (!zeroed) std::memset(buffer.data() + from, op.b, n);
        model.append(n, zeroed ? '\0' : static_cast<char>(op.b));
        break;
      }
      case 7:
        buffer.truncate(place, error);
        REQUIRE(error == (place <= model.size() ? std::error_code() : make_error_code(errc::out_of_range)));
        if (!error) model.resize(place);
        break;
      case 8:
        buffer.reset();
        model.clear();
        break;
      case 9: {
        std::string out(n, '?');
        buffer.read_at(std::as_writable_bytes(std::span(out)), place, error);
        REQUIRE(error == (place + n <= model.size() ? std::error_code() : make_error_code(errc::out_of_range)));
        REQUIRE(error ? out == std::string(n, '?') : model.compare(place, n, out) == 0);
        break;
      }
      case 10: {
        auto const copy = buffer.slice(place, place + n, error);
        REQUIRE(error == (place + n <= model.size() ? std::error_code() : make_error_code(errc::out_of_range)));
        REQUIRE(error || (copy.size() == n && (n == 0 || std::memcmp(copy.data(), model.data() + place, n) == 0)));
        break;
      }
      case 11:
      case 12:
        return give(held, op.kind % 16U == 11);
      case 13:
        pool_->backoff(error);
        return expect_code(error, true);
      default:
        if (op.b % 4U == 0) static_cast<void>(pool_->trim());
    }
  }

  // By any thread, at any time, with no lock of ours.
  void write_record(std::uint32_t who) {
    std::uint32_t const number = numbers_[who];
    Record const record = {who, number, number, who ^ ~number};
    std::error_code error;
    log_.write(std::as_bytes(std::span(&record, 1)), error);
    if (!error) {
      ++numbers_[who];
    } else {
      REQUIRE(error == errc::out_of_range || (closed_ && error == errc::pool_closed));
    }
  }
  void expect_records() const {
    std::uint32_t seen[4] = {};
    std::string_view const all = log_.text();
    REQUIRE(log_.data() == log_at_ && all.size() % sizeof(Record) == 0);
    for (std::size_t at = 0; at < all.size(); at += sizeof(Record)) {
      Record record;
      std::memcpy(&record, all.data() + at, sizeof record);
      REQUIRE(record.who < 4 && record.number == record.same && record.check == (record.who ^ ~record.number));
      REQUIRE(record.number == seen[record.who]);
      ++seen[record.who];
    }
    REQUIRE(std::equal(seen, seen + 4, numbers_));
  }

  // What is out stays readable, and is not written to any more.
  void close() {
    if (!quiet_) return;
    pool_->close();
    closed_ = true;
  }

  void fork_now(Op const& op) {
    if (forks_.fetch_add(1) != 0) return;
    auto const go_on = [&](Held& held) {
      if (!held.buffer) return;
      expect_as_modelled(held);
      std::error_code error;
      std::size_t const size = held.buffer.size();
      held.buffer.write("of the child", error);
      REQUIRE(held.buffer.size() == (error ? size : size + 12));
      REQUIRE(!error || closed_ || size + 12 > options_.max_buffer_size);
      held.buffer.truncate(size / 2, error);
      REQUIRE(!error && held.buffer.text() == std::string_view(held.model).substr(0, size / 2));
      pool_->put(std::move(held.buffer), error);
      REQUIRE(error == (closed_ ? make_error_code(errc::pool_closed) : std::error_code()));
    };
    fork_with(table_, op.b % 3U == 0 ? 0 : op.a % 2U, op.b % 3U == 0 ? 1 : 2, go_on,
              [&] { REQUIRE(closed_ || pool_->stats().used >= log_.size()); });
  }

  bool quiet_;  // no other call is in flight while one looks
  BufferPoolOptions options_;
  std::size_t target_ = 0;
  std::optional<BufferPool> pool_;
  bool closed_ = false;
  std::atomic<int> forks_{0};
  Table table_;
  Buffer log_;
  std::byte* log_at_ = nullptr;
  std::uint32_t numbers_[4] = {};  // of each thread's next record
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  Script const script(data, size);
  Game game(script);
  perform(script, [&](Op const& op) { game.play(op); });
  game.end();
  return 0;
}
