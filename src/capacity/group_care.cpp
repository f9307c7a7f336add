// Looking after the group: whoever charges or waits does it now and then. See group.hpp.
#include "base/report.hpp"
#include "capacity/group.hpp"
#include "os/os.hpp"

namespace stealth {

bool Group::sweep() noexcept {
  if (!joined()) return false;
  if (os::coarse_ms() - looked_ms_.load(std::memory_order_relaxed) < kNearMs) return false;
  return tend(kNearMs);
}

bool Group::tend(std::uint32_t interval_ms) noexcept {
  if (tending_.exchange(true, std::memory_order_acquire)) return false;
  bool came_back = false;
  GroupPage* page = page_.load(std::memory_order_acquire);
  std::uint32_t const now = os::coarse_ms();
  // A vfork child works in our memory, but is not us; nor is a child that has forked without the handlers.
  if (page != nullptr && os::process_id() == process_) {
    looked_ms_.store(now, std::memory_order_relaxed);
    page = follow(page);
    if (page != nullptr && keep_cell(*page)) {
      publish();
      std::uint32_t swept = page->swept_ms.load(std::memory_order_relaxed);
      if (now - swept >= interval_ms && page->swept_ms.compare_exchange_strong(swept, now)) {
        came_back = sweep_cells(*page, kAskedAtOnce);
      }
      bool const near = page->sum() > page->capacity.load(std::memory_order_relaxed) / 4 * 3;
      interval_ms_.store(near ? kNearMs : kFarMs, std::memory_order_relaxed);
    } else {
      report("group ", static_cast<char const*>(name_), ": ", problem(), "; this process goes on without it");
      forget();
    }
  }
  tending_.store(false, std::memory_order_release);
  if (came_back) announce();
  return came_back;
}

// Whether the process belongs to another group of this name by now: it may have become another user, or been forked
// into another namespace. What cannot be seen (any more, in a changed root) is as it was.
bool Group::is_elsewhere() noexcept {
  bool elsewhere = false;
  auto const compare = [&](auto& known, auto now) {
    if (now == 0 || now == known) return;
    known = now;
    elsewhere = true;
  };
  if (mark_.is_nobody()) {
    mark_ = os::ProcessMark::own();
    os::ProcessWorld const world = os::ProcessWorld::own();
    compare(world_.pid_namespace, world.pid_namespace);
    compare(world_.time_namespace, world.time_namespace);
  }
  std::uint32_t const user = os::real_user_id();
  elsewhere |= user != user_;
  user_ = user;
  return elsewhere;
}

// The page of the file that others would find; null where there is none to be had. The file may have lost its name:
// then there is nobody elsewhere to be together with.
GroupPage* Group::follow(GroupPage* page) noexcept {
  bool const elsewhere = is_elsewhere();
  auto const now = file_.now();
  bool const good = now != os::SharedFile::Now::cut && page->identity == GroupIdentity::of(world_);
  if (good) capacity_.store(capacity(), std::memory_order_relaxed);
  // A server that acts as another user for a moment would find that user's file.
  bool const here = now != os::SharedFile::Now::replaced || os::user_id() != user_;
  if (good && !elsewhere && here) return page;
  os::SharedFile file;
  bool found = false;
  if (moves_ == kMostMoves) {
    say("its file is replaced or damaged again and again");
  } else {
    ++moves_;
    found = open(file);
    if (!found && good && !elsewhere) return page;  // no worse than before
  }
  if (good) give_cell_back(*page);
  mine_.store(nullptr, std::memory_order_seq_cst);
  if (!found) return nullptr;
  file_ = file;
  auto* const next = static_cast<GroupPage*>(file.mapping());
  // Made by somebody who had no capacity of his own, and could not know that there was one.
  std::uint64_t none = kNoCapacity;
  next->capacity.compare_exchange_strong(none, capacity_.load(std::memory_order_relaxed));
  page_.store(next, std::memory_order_release);
  return next;
}

// Takes a cell, if there is none or it was taken away: by somebody who was wrong, or scribbled over the file.
bool Group::keep_cell(GroupPage& page) noexcept {
  if (mine_.load(std::memory_order_relaxed) != nullptr && page.owner(cell_) == mark_) return true;
  mine_.store(nullptr, std::memory_order_seq_cst);
  int cell = page.take_cell(mark_);
  if (cell < 0) {
    sweep_cells(page, GroupPage::kCells);
    cell = page.take_cell(mark_);
  }
  if (cell < 0) {
    say("it has 1024 members already");
    static_assert(GroupPage::kCells == 1024);
    return false;
  }
  cell_ = static_cast<std::uint32_t>(cell);
  mine_.store(&page.shares[cell_], std::memory_order_seq_cst);
  return true;
}

// A thread that is just publishing may still write into the cell: what it writes is taken for a dead one's, or written
// over by the next owner.
void Group::give_cell_back(GroupPage& page) noexcept {
  if (mine_.exchange(nullptr, std::memory_order_seq_cst) == nullptr) return;
  if (page.owner(cell_) == mark_) page.empty(cell_);
}

bool Group::sweep_cells(GroupPage& page, std::uint32_t most_asked) const noexcept {
  std::uint32_t cell = page.cursor.load(std::memory_order_relaxed) % GroupPage::kCells;
  std::uint32_t asked = 0;
  bool came_back = false;
  for (std::uint32_t i = 0; i < GroupPage::kCells && asked < most_asked; ++i, cell = (cell + 1) % GroupPage::kCells) {
    os::ProcessMark const owner = page.owner(cell);
    if (owner == mark_) continue;
    if (owner.is_nobody()) {
      if (page.share(cell) == 0) continue;
    } else {
      ++asked;
      if (owner.life(mark_) != os::Life::ended) continue;
    }
    if (page.take_over(cell, owner, mark_)) came_back |= page.empty(cell) != 0;
  }
  page.cursor.store(cell, std::memory_order_relaxed);
  return came_back;
}

bool Group::others_live(GroupPage const& page) const noexcept {
  for (std::uint32_t cell = 0; cell < GroupPage::kCells; ++cell) {
    os::ProcessMark const owner = page.owner(cell);
    if (owner.is_nobody() || owner == mark_) continue;
    if (owner.life(mark_) != os::Life::ended) return true;
  }
  return false;
}

}  // namespace stealth
