// See group.hpp. Lost wake-ups: a waiter sets the mark in the word and then looks at the sum; a releaser lowers its
// share and then looks at the word (all seq_cst).
#include "capacity/group.hpp"

#include <cstring>

#include "base/report.hpp"
#include "base/units.hpp"
#include "os/os.hpp"

namespace stealth {
namespace {

constexpr std::uint32_t kWaiting = 1;  // of GroupPage::wake_word

bool is_name(std::string_view text) {
  if (text.empty() || text.size() > Group::kLongestName) return false;
  for (char const c : text) {
    bool const letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!letter && c != '.' && c != '_' && c != '-') return false;
  }
  return true;
}

bool is_usable_page(void const* mapping, void const* identity) {
  return static_cast<GroupPage const*>(mapping)->is_usable(*static_cast<GroupIdentity const*>(identity));
}

char const* what_is_wrong(os::SharedFile::Outcome outcome) {
  using Outcome = os::SharedFile::Outcome;
  switch (outcome) {
    case Outcome::foreign:
      return " belongs to another user";
    case Outcome::odd:
      return " is a link, or no plain file or directory";
    case Outcome::exposed:
      return " can be reached by other users";
    case Outcome::full:
      return " cannot be made, there is no room: error ";
    case Outcome::fine:
    case Outcome::failed:
      break;
  }
  return " cannot be made or opened: error ";
}

// Of several that announce at once, one wakes.
void announce_on(GroupPage& page) {
  std::uint32_t word = page.wake_word.load(std::memory_order_seq_cst);
  while ((word & kWaiting) != 0) {
    if (!page.wake_word.compare_exchange_weak(word, word - kWaiting + 2, std::memory_order_seq_cst)) continue;
    os::shared_futex_wake(reinterpret_cast<std::uint32_t const*>(&page.wake_word), 1 << 30);
    return;
  }
}

}  // namespace

// --- coming and going ---

void Group::say(std::string_view problem) noexcept {
  std::memset(problem_, 0, sizeof problem_);
  Text(problem_, sizeof problem_ - 1) << problem;
}

bool Group::open(os::SharedFile& file) noexcept {
  // The name has everything in it that must be equal for two processes to understand each other: those that differ have
  // groups of their own, rather than one whose file each takes for damaged.
  char name[kLongestName + 80] = {};
  Text(name, sizeof name - 1) << static_cast<char const*>(name_) << '.' << GroupIdentity::kLayout << '-' << world_.boot
                              << '-' << world_.pid_namespace << '-' << world_.time_namespace;
  struct {
    GroupIdentity identity;
    std::uint64_t capacity;
  } const head = {GroupIdentity::of(world_), capacity_.load(std::memory_order_relaxed)};
  static_assert(sizeof head == offsetof(GroupPage, capacity) + sizeof(GroupPage::capacity));
  auto const outcome = file.open({name, sizeof(GroupPage), &head, sizeof head, is_usable_page, &head.identity}, root_);
  if (outcome == os::SharedFile::Outcome::fine) return true;
  std::memset(problem_, 0, sizeof problem_);
  Text text(problem_, sizeof problem_ - 1);
  text << file.path() << what_is_wrong(outcome);
  if (outcome <= os::SharedFile::Outcome::full) text << file.error();
  return false;
}

Group::Joined Group::join(std::string_view name, std::uint64_t capacity) noexcept {
  if (!is_name(name)) {
    say("a group's name is 1 to 63 letters, digits, dots, dashes or underscores");
    return Joined::failed;
  }
  std::memset(name_, 0, sizeof name_);
  std::memcpy(name_, name.data(), name.size());
  tending_.store(true, std::memory_order_relaxed);
  process_ = os::process_id();
  mark_ = os::ProcessMark::own();
  world_ = os::ProcessWorld::own();
  user_ = os::real_user_id();
  moves_ = 0;
  forget();
  capacity_.store(capacity == 0 ? kNoCapacity : capacity, std::memory_order_relaxed);
  if (!open(file_)) return Joined::failed;
  auto* const page = static_cast<GroupPage*>(file_.mapping());
  if (!keep_cell(*page)) return Joined::failed;
  Joined result = Joined::fine;
  if (!others_live(*page)) {  // whatever stands there is of the dead
    sweep_cells(*page, GroupPage::kCells);
    page->capacity.store(capacity_.load(std::memory_order_relaxed), std::memory_order_seq_cst);
  } else if (capacity != 0 && page->capacity.exchange(capacity, std::memory_order_seq_cst) != capacity) {
    result = Joined::other_capacity;
  }
  looked_ms_.store(os::coarse_ms() - kFarMs, std::memory_order_relaxed);
  tending_.store(false, std::memory_order_relaxed);
  page_.store(page, std::memory_order_release);
  announce();
  return result;
}

void Group::leave() noexcept {
  GroupPage* const page = page_.load(std::memory_order_acquire);
  if (page == nullptr) return;
  // A thread that looks after the group is done within milliseconds, or never (it may have been ended on the way).
  for (int tries = 0; tries < 100 && tending_.exchange(true, std::memory_order_acquire); ++tries) os::yield();
  page_.store(nullptr, std::memory_order_seq_cst);
  if (file_.now() == os::SharedFile::Now::cut) return forget();
  give_cell_back(*page);
  forget();
  announce_on(*page);
  // A member that joins in this very moment finds its file nameless, and follows whoever makes the next one.
  if (os::process_id() == process_ && !others_live(*page)) file_.remove();
}

void Group::after_fork_in_child() noexcept {
  mine_.store(nullptr, std::memory_order_relaxed);
  share_.store(0, std::memory_order_relaxed);
  tending_.store(false, std::memory_order_relaxed);
  process_ = os::process_id();
  mark_ = os::ProcessMark();
}

void Group::forget() noexcept {
  page_.store(nullptr, std::memory_order_seq_cst);
  mine_.store(nullptr, std::memory_order_seq_cst);
  share_.store(0, std::memory_order_seq_cst);
}

// --- the share ---

// Copies the share into the cell. Once this is done, the cell says at least what the caller has added (or not what he
// has taken off) until he changes it himself: whoever has read an older share cannot write it any more, since the
// cell's word has changed.
void Group::publish() noexcept {
  while (true) {
    std::atomic<std::uint64_t>* const mine = mine_.load(std::memory_order_seq_cst);
    if (mine == nullptr) return;  // whoever takes the cell publishes
    std::uint64_t before = mine->load(std::memory_order_seq_cst);
    std::uint64_t const word = GroupPage::next_word(before, share_.load(std::memory_order_seq_cst));
    if (mine->compare_exchange_strong(before, word, std::memory_order_seq_cst)) return;
  }
}

void Group::charge(std::uint64_t bytes) noexcept {
  if (!joined()) return;
  share_.fetch_add(bytes, std::memory_order_seq_cst);
  publish();
  std::uint32_t const interval = interval_ms_.load(std::memory_order_relaxed);
  bool const due = os::coarse_ms() - looked_ms_.load(std::memory_order_relaxed) >= interval;
  if (due || mine_.load(std::memory_order_relaxed) == nullptr) [[unlikely]]
    tend(interval);
}

std::uint64_t Group::release(std::uint64_t bytes) noexcept {
  if (!joined()) return 0;
  std::uint64_t share = share_.load(std::memory_order_relaxed);
  while (!share_.compare_exchange_weak(share, share - min(share, bytes), std::memory_order_seq_cst)) {
  }
  publish();
  return bytes - min(share, bytes);
}

std::uint64_t Group::used() const noexcept {
  GroupPage const* const page = page_.load(std::memory_order_acquire);
  return page == nullptr ? 0 : page->sum();
}

std::uint64_t Group::capacity() const noexcept {
  GroupPage const* const page = page_.load(std::memory_order_acquire);
  return page == nullptr ? 0 : max(page->capacity.load(std::memory_order_relaxed), std::uint64_t{1});
}

void Group::set_capacity(std::uint64_t bytes) noexcept {
  GroupPage* const page = page_.load(std::memory_order_acquire);
  if (page == nullptr) return;
  capacity_.store(bytes, std::memory_order_relaxed);
  page->capacity.store(bytes, std::memory_order_seq_cst);
  announce();
}

std::uint32_t Group::members() const noexcept {
  GroupPage const* const page = page_.load(std::memory_order_acquire);
  return page == nullptr ? 0 : page->members();
}

// --- waiting ---

std::uint32_t Group::begin_wait() noexcept {
  GroupPage* const page = page_.load(std::memory_order_acquire);
  return page == nullptr ? 0 : page->wake_word.fetch_or(kWaiting, std::memory_order_seq_cst) | kWaiting;
}

std::uint32_t const* Group::word() const noexcept {
  GroupPage const* const page = page_.load(std::memory_order_acquire);
  return page == nullptr ? nullptr : reinterpret_cast<std::uint32_t const*>(&page->wake_word);
}

bool Group::has_waiters() const noexcept {
  GroupPage const* const page = page_.load(std::memory_order_acquire);
  return page != nullptr && (page->wake_word.load(std::memory_order_seq_cst) & kWaiting) != 0;
}

void Group::announce() noexcept {
  GroupPage* const page = page_.load(std::memory_order_acquire);
  if (page != nullptr) announce_on(*page);
}

}  // namespace stealth
