// See live.hpp.
#include "pool/live.hpp"

#include <atomic>

#include "base/mutex.hpp"
#include "base/report.hpp"
#include "capacity/budget.hpp"
#include "config/load.hpp"
#include "engine/outside.hpp"

namespace stealth::live {

namespace {

constexpr std::uint32_t kAutomaticShare = 950;

constinit Mutex g_mutex;
// Two, so that a fork in another thread's set() finds one of them whole. g_current is the one in force.
constinit config::Config g_settings[2];
constinit std::atomic<std::uint32_t> g_current{0};
constinit std::atomic<bool> g_putting_in_force{false};
using ProfileEach = void(std::uint64_t interval) noexcept;
constinit ProfileEach* g_profile_each = nullptr;

config::Config const& current() noexcept { return g_settings[g_current.load(std::memory_order_relaxed)]; }

std::uint64_t share_of(std::uint64_t whole, std::uint64_t parts) { return whole / config::whole * parts; }

// Also says what the count of bytes is to be compared with: for `auto`, what all of the cgroup uses.
void choose_capacity(config::Capacity const& wanted, CapacityLimits& limits) noexcept {
  using Kind = config::Capacity::Kind;
  bool const asks_cgroup = wanted.kind == Kind::automatic || wanted.kind == Kind::share;
  std::uint64_t const limit = asks_cgroup ? g_budget.find_cgroup_limit() : os::kUnlimited;
  bool const in_cgroup = wanted.kind == Kind::automatic && limit != os::kUnlimited;
  limits.cgroup_share = in_cgroup ? kAutomaticShare : 0;
  g_budget.measure_by(in_cgroup ? Meter::Source::cgroup : Meter::Source::resident);
  switch (wanted.kind) {
    case Kind::none:
      limits.capacity = CapacityLimits::kNoCapacity;
      break;
    case Kind::bytes:
      limits.capacity = wanted.value;
      break;
    case Kind::automatic:
      limits.capacity = in_cgroup ? share_of(limit, kAutomaticShare) : CapacityLimits::kNoCapacity;
      break;
    case Kind::share:
      limits.capacity = share_of(min(limit, os::physical_memory()), wanted.value);
      break;
  }
}

void put_all_but_capacity(CapacityLimits limits) noexcept {
  config::Config const& settings = current();
  limits.soft = settings.soft;
  limits.backoff = {settings.backoff_max_wait, settings.backoff_patience, settings.backoff_max_elapsed,
                    settings.backoff_budget, settings.backoff_jitter};
  limits.on_exhausted = static_cast<OnExhausted>(settings.on_exhausted);
  limits.mode = static_cast<Mode>(settings.mode);
  g_budget.configure(limits);
  std::uint64_t const ms = settings.purge_delay / config::millisecond;
  set_purge_delay(static_cast<std::uint32_t>(min(ms, std::uint64_t{1} << 30)));
}

// A capacity that nobody named does not overrule the group's; a new group begins with it.
void join_group(CapacityLimits const& limits) noexcept {
  config::Config const& settings = current();
  if (settings.group.empty()) return;
  Group& group = g_budget.group();
  bool const named = settings.capacity.kind != config::Capacity::Kind::automatic;
  bool const none = limits.capacity == CapacityLimits::kNoCapacity;
  Group::Joined const joined = group.join(settings.group.view(), named && !none ? limits.capacity : 0);
  if (joined != Group::Joined::failed) g_budget.measure_by(Meter::Source::resident);
  if (group.joined() && group.capacity() == Group::kNoCapacity && !none) group.set_capacity(limits.capacity);
  switch (joined) {
    case Group::Joined::fine:
      break;
    case Group::Joined::other_capacity:
      report("STEALTH_GROUP='", settings.group.view(), "': its members had another capacity; ours, ",
             Bytes{group.capacity()}, ", now holds for all");
      break;
    case Group::Joined::failed:
      report("STEALTH_GROUP='", settings.group.view(), "': ", group.problem(), "; this process counts alone");
  }
}

// Applies the change to `settings`. Where it is refused they may be changed all the same, and `why` says more.
stealth_error change(config::Config& settings, std::string_view name, std::string_view value, config::Line& why) {
  config::Setting const* const setting = config::find_setting(name);
  if (setting == nullptr) {
    config::describe({config::Why::unknown_name, &config::nearest_setting(name), name, value, {}}, why);
    return STEALTH_UNKNOWN_SETTING;
  }
  if (!setting->live) {
    why.add(setting->variable).add(": is read at start only; set it in the environment of the program");
    return STEALTH_NOT_LIVE;
  }
  config::Problem problem;
  if (!config::set(settings, name, value, problem)) {
    config::describe(problem, why);
    return STEALTH_INVALID_VALUE;
  }
  bool const is_profile = setting->variable == "STEALTH_PROFILE";
  if (is_profile && g_profile_each == nullptr && settings.profile.interval != 0) {
    why.add(setting->variable)
        .add("='")
        .add_escaped(value, 96)
        .add("': no effect without libstealth.so preloaded; leave it at ");
    why.add(setting->default_value);
    return STEALTH_NOT_SUPPORTED;
  }
  return STEALTH_OK;
}

}  // namespace

void begin(config::Config const& settings) noexcept {
  g_settings[0] = settings;
  g_current.store(0, std::memory_order_relaxed);
}

void put_in_force() noexcept {
  CapacityLimits limits;
  choose_capacity(current().capacity, limits);
  join_group(limits);
  put_all_but_capacity(limits);
}

stealth_error set(std::string_view name, std::string_view value) noexcept {
  Hold hold(g_mutex);
  std::uint32_t const now = g_current.load(std::memory_order_relaxed);
  config::Config& next = g_settings[1 - now];
  next = g_settings[now];
  config::Line unread{{}};
  stealth_error const error = change(next, name, value, unread);
  if (error != STEALTH_OK) return error;

  g_putting_in_force.store(true, std::memory_order_relaxed);
  g_current.store(1 - now, std::memory_order_release);
  CapacityLimits limits = g_budget.limits();
  // Only where it was meant: another member may have set the group's since, and a cgroup's is followed as it changes.
  if (config::find_setting(name)->variable == "STEALTH_CAPACITY") {
    choose_capacity(current().capacity, limits);
    if (g_budget.group().joined()) g_budget.group().set_capacity(limits.capacity);
  }
  put_all_but_capacity(limits);
  if (config::find_setting(name)->variable == "STEALTH_PROFILE" && g_profile_each != nullptr)
    g_profile_each(current().profile.interval);
  g_putting_in_force.store(false, std::memory_order_relaxed);
  return STEALTH_OK;
}

stealth_error check(std::string_view name, std::string_view value, config::Line& why) noexcept {
  config::Config settings;
  return change(settings, name, value, why);
}

void profile_by(void (*each)(std::uint64_t) noexcept) noexcept { g_profile_each = each; }

config::Profile profile() noexcept {
  Hold hold(g_mutex);
  return current().profile;
}

void print(config::Line& into) noexcept {
  Hold hold(g_mutex);
  for (config::Setting const& setting : config::settings) {
    into.add(setting.variable).add("=");
    setting.print(current(), into);
    into.add("\n");
  }
}

void after_fork_in_child() noexcept {
  g_mutex.reset();
  if (!g_putting_in_force.exchange(false, std::memory_order_relaxed)) return;
  CapacityLimits limits = g_budget.limits();
  choose_capacity(current().capacity, limits);
  put_all_but_capacity(limits);
}

}  // namespace stealth::live
