// See flow.hpp.
#include "capacity/flow.hpp"

namespace stealth {

namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kLeastAverage = 1'000'000;    // shorter times are not averaged
constexpr std::uint64_t kKnownNs = kLawWindowNs / 8;  // an average over less says little

thread_local char t_tag __attribute__((tls_model("initial-exec")));

std::uint64_t since(std::uint64_t then, std::uint64_t now) { return now > then ? now - then : 0; }

// rate x time without overflow, for rates up to 2^50 and times up to a second
std::uint64_t filled(std::uint64_t rate, std::uint64_t ns) { return rate / 1000 * (min(ns, kSecond) / 1000) / 1000; }

}  // namespace

ThreadTag this_thread() noexcept { return &t_tag; }

void Flow::note_freed(std::uint64_t bytes, std::uint64_t now) noexcept {
  reusable_.total.fetch_add(bytes, std::memory_order_relaxed);
  // Races between releasers cost a moment's exactness, no more.
  ThreadTag const who = this_thread();
  std::uint64_t const last = last_ns_.exchange(now, std::memory_order_relaxed);
  if (last_by_.load(std::memory_order_relaxed) != who) {
    last_other_ns_.store(last, std::memory_order_relaxed);
    last_by_.store(who, std::memory_order_relaxed);
  }
  releases_.fetch_add(1, std::memory_order_seq_cst);
}

bool Flow::feeds(ThreadTag who, std::uint64_t now) const noexcept {
  bool const mine = last_by_.load(std::memory_order_relaxed) == who;
  std::uint64_t const last = (mine ? last_other_ns_ : last_ns_).load(std::memory_order_relaxed);
  return last != 0 && since(last, now) < kSecond;
}

bool Flow::only_by(ThreadTag who, std::uint64_t now) const noexcept {
  std::uint64_t const last = last_ns_.load(std::memory_order_relaxed);
  return last_by_.load(std::memory_order_relaxed) == who && last != 0 && since(last, now) < kSecond && !feeds(who, now);
}

void Flow::Average::begin() noexcept {
  seen = total.load(std::memory_order_relaxed);
  per_s = {};
}

void Flow::Average::update(std::uint64_t ns, std::uint64_t span) noexcept {
  std::uint64_t const now = total.load(std::memory_order_relaxed);
  auto const more = static_cast<std::int64_t>(now - seen);
  std::uint64_t const current = more < 0 ? 0 : static_cast<std::uint64_t>(more) * 1000 / (ns / 1000) * 1000;
  seen = now;
  auto const share = static_cast<std::int64_t>(min(ns, span) * 1024 / span);
  auto const step = (static_cast<std::int64_t>(current) - static_cast<std::int64_t>(per_s.now)) * share / 1024;
  per_s.now = static_cast<std::uint64_t>(static_cast<std::int64_t>(per_s.now) + step);
  per_s.most -= filled(per_s.most, ns);
  if (span >= kKnownNs) per_s.most = max(per_s.now, per_s.most);
}

Flow::Rates Flow::rates(std::uint64_t now) noexcept {
  Hold hold(mutex_);
  std::uint64_t const passed = since(averaged_ns_, now);
  if (passed >= kSecond) {  // what was then says nothing about now
    pages_.begin();
    reusable_.begin();
    averaged_ns_ = averaged_since_ns_ = now;
  } else if (passed >= kLeastAverage) {
    std::uint64_t const span = max(passed, min(since(averaged_since_ns_, now), kLawWindowNs));
    pages_.update(passed, span);
    reusable_.update(passed, span);
    averaged_ns_ = now;
  }
  return {pages_.per_s, reusable_.per_s, since(averaged_since_ns_, now) >= kKnownNs};
}

// The caller holds the mutex.
void Flow::add_debt(std::uint64_t bytes, Terms const& terms, std::uint64_t now) noexcept {
  auto const paid = static_cast<std::int64_t>(filled(terms.rate, since(debt_ns_, now)));
  debt_ = max(debt_ - paid, -static_cast<std::int64_t>(terms.quantum));
  debt_ns_ = max(debt_ns_, now);
  debt_ += static_cast<std::int64_t>(min(bytes, std::uint64_t{1} << 40));
}

std::uint64_t Flow::book(std::uint64_t bytes, Terms const& terms, std::uint64_t now) noexcept {
  Hold hold(mutex_);
  add_debt(bytes, terms, now);
  if (debt_ < static_cast<std::int64_t>(terms.quantum)) return 0;
  auto const taken = static_cast<std::uint64_t>(debt_);
  debt_ = 0;
  return taken;
}

void Flow::book_for_others(std::uint64_t bytes, Terms const& terms, std::uint64_t now) noexcept {
  Hold hold(mutex_);
  add_debt(bytes, terms, now);
  debt_ = min(debt_, static_cast<std::int64_t>(max(filled(terms.rate, kLawWindowNs), terms.quantum)));
}

std::uint64_t Flow::queue_up(std::uint64_t own_ns, std::uint64_t most_ns, std::uint64_t now) noexcept {
  Hold hold(mutex_);
  slept_for_until_ns_ = min(max(slept_for_until_ns_, now) + own_ns, now + most_ns);
  debt_ns_ = max(debt_ns_, slept_for_until_ns_);  // until then the rate pays what is slept for, and nothing else
  return slept_for_until_ns_ - now;
}

void Flow::after_fork_in_child() noexcept {
  mutex_.reset();
  last_by_.store(nullptr, std::memory_order_relaxed);
  last_ns_.store(0, std::memory_order_relaxed);
  last_other_ns_.store(0, std::memory_order_relaxed);
  debt_ = 0;
  slept_for_until_ns_ = 0;
  askers_ = askers_before_ = 1;
}

std::uint32_t Flow::count_asker(std::uint64_t& seen, std::uint64_t now) noexcept {
  Hold hold(mutex_);
  if (since(askers_ns_, now) >= kLawWindowNs) {
    askers_before_ = max(askers_, 1u);
    askers_ = 0;
    askers_ns_ = now;
  }
  if (seen < askers_ns_ || seen > now) ++askers_;
  seen = now;
  return max(askers_, askers_before_);
}

}  // namespace stealth
