// STEALTH_GROUP: the processes of one user (and PID namespace) that bear the same group name share one capacity.
//
// Each member says in a cell of a shared file (group_page.hpp) what it holds; what the group uses is the sum. A member
// that ends, however it ends, is noticed by the others: whoever charges or waits looks after the group now and then,
// and takes back what the dead held.
//
// Beside the cell each member keeps its share in its own memory, and the cell is only ever a copy of it. So nothing
// that happens to the file can confuse a member about itself, and it can move to another file at any time. It does when
// the file's name leads to another one (it was removed, or found damaged and made anew by somebody), when it has become
// another user, and when the file itself is damaged; so members that were separated find together again.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "capacity/group_page.hpp"
#include "os/process_mark.hpp"
#include "os/shared_file.hpp"

namespace stealth {

// One of these is a process's membership. Not joined, and after the group has been given up: every call returns at
// once, and every figure is 0. For any thread at any time where nothing else is said; no call waits, allocates or
// locks.
class Group {
 public:
  static constexpr std::uint64_t kNoCapacity = ~std::uint64_t{0};
  static constexpr std::size_t kLongestName = 63;
  // How often a waiting member, or one that charges near the capacity, looks after the group; elsewhere kFarMs.
  static constexpr std::uint32_t kNearMs = 100, kFarMs = 500;

  constexpr Group() = default;
  // The file's only place, for tests; the string must outlive the group.
  constexpr explicit Group(char const* root) : root_(root) {}

  enum class Joined : std::uint8_t {
    fine,
    other_capacity,  // living members had another capacity; ours, the last one, now holds for all
    failed,          // problem() says why
  };
  // Before other threads use it, and not joined. `name`: 1 to 63 of [A-Za-z0-9._-]. `capacity` in bytes; 0 takes the
  // group's, and means none for a group that is not there yet. Some twenty system calls.
  [[nodiscard]] Joined join(std::string_view name, std::uint64_t capacity) noexcept;
  // Why join() failed, for a line of its own; without the group's name.
  [[nodiscard]] std::string_view problem() const noexcept { return problem_; }
  [[nodiscard]] bool joined() const noexcept { return page_.load(std::memory_order_acquire) != nullptr; }
  // At exit: gives the share back, and takes the file away where nobody else lives. No charge counts afterwards.
  void leave() noexcept;
  // In a forked child, before its first charge: it is to be a member of its own with the share 0, and takes its cell
  // with its first charge. What it inherited is the parent's share for ever.
  void after_fork_in_child() noexcept;

  // This process holds so much more or less. A charge may look after the group: see sweep(). What was charged by
  // others, or before the process was a member, is not taken off: the share never falls below 0.
  void charge(std::uint64_t bytes) noexcept;
  // The bytes that were not taken off.
  std::uint64_t release(std::uint64_t bytes) noexcept;

  // Bytes that all members hold, those of the dead included until they are noticed. A member that charges and then asks
  // sees its own bytes and, of two that do so at once, at least one sees both.
  [[nodiscard]] std::uint64_t used() const noexcept;
  // What this process holds of it.
  [[nodiscard]] std::uint64_t share() const noexcept { return share_.load(std::memory_order_relaxed); }
  // Never 0 while joined. The last value set by any member holds for all; setting it wakes all waiters.
  [[nodiscard]] std::uint64_t capacity() const noexcept;
  void set_capacity(std::uint64_t bytes) noexcept;
  // Processes with a cell; a forked child before its first charge has none.
  [[nodiscard]] std::uint32_t members() const noexcept;

  // Waiting across processes. A waiter calls begin_wait(), looks once more whether there is room now, and sleeps on
  // word() (os::shared_futex_wait) while it has the value that begin_wait() gave; all of it again for each sleep,
  // because an announcement takes the mark away that tells of waiters. Nothing needs to be undone afterwards. Whoever
  // releases something calls announce(), which costs a load where nobody waits. word() may change with every call.
  [[nodiscard]] std::uint32_t begin_wait() noexcept;
  [[nodiscard]] std::uint32_t const* word() const noexcept;
  [[nodiscard]] bool has_waiters() const noexcept;
  void announce() noexcept;

  // Looks after the group, at most every kNearMs: takes back what members held that have ended, moves to another file
  // where that is due. Called by waiters; true, and announced, if anything came back. Costs up to 2 ms, since it asks
  // for up to 128 members whether they live; all members together do so at most every kNearMs.
  bool sweep() noexcept;

  // Where the file is; for messages. Not while other threads use the group.
  [[nodiscard]] std::string_view path() const noexcept { return file_.path(); }

 private:
  static constexpr std::uint32_t kAskedAtOnce = 128;
  static constexpr std::uint32_t kMostMoves = 64;  // each leaves a mapping behind

  void publish() noexcept;
  bool tend(std::uint32_t interval_ms) noexcept;
  // The following ones only by the thread that has set tending_. False or null: it cannot be, and problem_ says why.
  GroupPage* follow(GroupPage* page) noexcept;
  bool is_elsewhere() noexcept;
  bool keep_cell(GroupPage& page) noexcept;
  void give_cell_back(GroupPage& page) noexcept;
  bool sweep_cells(GroupPage& page, std::uint32_t most_asked) const noexcept;
  [[nodiscard]] bool others_live(GroupPage const& page) const noexcept;
  bool open(os::SharedFile& file) noexcept;
  void forget() noexcept;
  void say(std::string_view problem) noexcept;

  std::atomic<GroupPage*> page_{nullptr};  // null: no member. What it once pointed to stays mapped
  // The own cell's share; null before the first charge of a forked child. It says what share_ says, but for charges and
  // releases that are under way and will write it
  std::atomic<std::atomic<std::uint64_t>*> mine_{nullptr};
  std::atomic<std::uint64_t> share_{0};
  std::atomic<std::uint32_t> looked_ms_{0};  // when this process last looked after the group
  std::atomic<std::uint32_t> interval_ms_{kFarMs};
  std::atomic<bool> tending_{false};                  // a thread looks after the group; the others do without
  std::atomic<std::uint64_t> capacity_{kNoCapacity};  // the last one seen: a file that is made anew gets it
  std::uint32_t cell_ = 0;                            // mine_ == &page_->shares[cell_], unless it is null
  int process_ = 0;
  os::ProcessMark mark_;  // nobody: a forked child that has not asked yet
  os::ProcessWorld world_{};
  std::uint32_t user_ = 0;  // the real one: the effective one may change to and fro
  std::uint32_t moves_ = 0;
  os::SharedFile file_;
  char const* root_ = nullptr;
  char name_[kLongestName + 1] = {};
  char problem_[320] = {};
};

}  // namespace stealth
