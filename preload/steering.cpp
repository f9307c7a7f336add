// See steering.hpp.
#include "steering.hpp"

#include "arena/arena.hpp"
#include "engine/keeper.hpp"
#include "engine/slow.hpp"
#include "next.hpp"
#include "observe/control_page.hpp"
#include "pool/live.hpp"
#include "start.hpp"

namespace stealth {

namespace {

int set(std::string_view name, std::string_view value, config::Line& why) noexcept {
  // The keeper counts as busy so that a malloc by mistake finds no heap. What a setting changes is for callers that are
  // not.
  t_thread.busy = false;
  stealth_error error = live::check(name, value, why);
  if (error == STEALTH_OK) error = live::set(name, value);
  t_thread.busy = true;
  return error;
}

void passed_on(std::uint64_t& calls, std::uint64_t& bytes) noexcept {
  next::Facts const facts = next::facts();
  calls = facts.calls;
  bytes = facts.bytes;
}

constinit observe::Surroundings g_surroundings = {
    .program = nullptr, .library = STEALTH_VERSION, .print_settings = live::print, .set = set, .passed_on = passed_on};

}  // namespace

void show_and_obey() noexcept {
  config::Control const wanted = settings().control;
  if (wanted == config::Control::off || g_arena.reserved_bytes() == 0) return;
  g_surroundings.program = program_name();
  bool const at_once = wanted == config::Control::on;
  observe::begin_control_page(g_surroundings, at_once ? 0 : observe::kHeldForPage);
  if (at_once) call_keeper();
}

}  // namespace stealth
