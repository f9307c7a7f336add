// See steering.hpp.
#include "steering.hpp"

#include "arena/arena.hpp"
#include "engine/keeper.hpp"
#include "engine/slow.hpp"
#include "next.hpp"
#include "observe/control_page.hpp"
#include "os/task.hpp"
#include "pool/live.hpp"
#include "start.hpp"
#include "statistics.hpp"

namespace stealth {

namespace {

constinit bool g_own_files = false;

int set(std::string_view name, std::string_view value, config::Line& why) noexcept {
  // The keeper counts as busy so that a malloc by mistake finds no heap. What a setting changes is for callers that are
  // not.
  os::BorrowedStderr const for_its_lines(g_own_files);
  t_thread.busy = false;
  stealth_error error = live::check(name, value, why);
  if (error == STEALTH_OK) error = live::set(name, value);
  t_thread.busy = true;
  return error;
}

std::uint64_t profile_wanted() noexcept { return live::profile().interval; }

void passed_on(std::uint64_t& calls, std::uint64_t& bytes) noexcept {
  next::Facts const facts = next::facts();
  calls = facts.calls;
  bytes = facts.bytes;
}

constinit observe::Surroundings g_surroundings = {.program = nullptr,
                                                  .library = STEALTH_VERSION,
                                                  .print_settings = live::print,
                                                  .set = set,
                                                  .profile_wanted = profile_wanted,
                                                  .passed_on = passed_on};

std::uint64_t run(bool own_files) noexcept {
  g_own_files = own_files;
  std::uint64_t const page = observe::tend_control_page(own_files);
  std::uint64_t const statistics = write_statistics_when_due(own_files);
  return page == 0 ? statistics : statistics == 0 ? page : min(page, statistics);
}

constinit Errand const g_both = {run, observe::rest_at_control_page, observe::ring_control_page};
constinit std::uint64_t g_from = kNeverWanted;

}  // namespace

void begin_errands() noexcept {
  config::Control const control = settings().control;
  if (g_arena.reserved_bytes() == 0) return;
  g_surroundings.program = program_name();
  std::uint64_t const for_page = control == config::Control::off  ? kNeverWanted
                                 : control == config::Control::on ? 0
                                                                  : observe::kHeldForPage;
  if (for_page != kNeverWanted) observe::begin_control_page(g_surroundings, for_page);
  g_from = settings().stats.when == config::Stats::When::interval ? 0 : for_page;
  if (g_from == kNeverWanted) return;
  g_errand = &g_both;
  g_errand_from.store(g_from, std::memory_order_relaxed);
  if (g_from == 0) call_keeper();
}

void errands_fork_in_child() noexcept {
  observe::control_page_fork_in_child();
  g_errand_from.store(g_from, std::memory_order_relaxed);
}

}  // namespace stealth
