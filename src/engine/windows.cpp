// When a guard's samples are drawn. To count blocks costs some hundred instructions for each list, which may be one
// block long: too much for what is always on. So small blocks are counted in windows: until so many lists have been
// counted, by all threads together. Then malloc looks at its own lists again, until a while later somebody comes to the
// slow path, where the next window opens. What is counted in a window is drawn at a rate that is worth it.
#include "engine/sampling.hpp"
#include "engine/slow.hpp"
#include "os/os.hpp"

namespace stealth {

constinit std::atomic<bool> g_window_open{false}, g_window_may_open{false};

namespace {

// A list holds 4 KiB at first: 1 MiB in the first window.
constexpr std::int32_t kListsPerWindow = 256;
constexpr std::uint32_t kFirstRestMs = 50, kLongestRestMs = 1000;
// Calls of the slow path between two looks at the clock.
constexpr std::uint8_t kCallsPerLook = 16;

constinit std::atomic<GuardSampler const*> g_guard_sampler{nullptr};
constinit std::atomic<std::int32_t> g_lists_left{0};
constinit std::atomic<std::uint32_t> g_next_ms{0};
constinit std::uint32_t g_rest_ms = kFirstRestMs;  // whose who closes the window, as the next
constinit std::uint32_t g_windows = 0;             // that have been closed

// By whoever has set g_window_may_open to false.
void open_window() noexcept {
  if (!try_publish_counting(g_window_open, true)) return g_window_may_open.store(true, std::memory_order_release);
  draw_anew();
  g_lists_left.store(kListsPerWindow, std::memory_order_release);
}

// By whoever has counted the last list.
void close_window() noexcept {
  if (!try_publish_counting(g_window_open, false)) return g_lists_left.store(1, std::memory_order_release);
  draw_anew();
  g_next_ms.store(os::coarse_ms() + g_rest_ms, std::memory_order_relaxed);
  g_rest_ms = min(g_rest_ms * 2, kLongestRestMs);
  ++g_windows;
  g_window_may_open.store(true, std::memory_order_release);
}

}  // namespace

void begin_guard_sampling(GuardSampler const& sampler) noexcept {
  g_guard_sampler.store(&sampler, std::memory_order_release);
  g_window_open.store(true, std::memory_order_relaxed);
  g_lists_left.store(kListsPerWindow, std::memory_order_relaxed);
  draw_anew();
  count_requests_below(wanted_count());
}

GuardSampler const* guard_sampler() noexcept {
  return g_window_open.load(std::memory_order_relaxed) ? g_guard_sampler.load(std::memory_order_acquire) : nullptr;
}

void note_counted_list() noexcept {
  if (g_lists_left.load(std::memory_order_relaxed) <= 0) return;
  if (g_lists_left.fetch_sub(1, std::memory_order_acq_rel) == 1) close_window();
}

void look_for_window() noexcept {
  Heap* const heap = t_thread.own;
  if (heap == nullptr || ++heap->slow_calls % kCallsPerLook != 0) return;
  auto const late = static_cast<std::int32_t>(os::coarse_ms() - g_next_ms.load(std::memory_order_relaxed));
  if (late < 0 || !g_window_may_open.exchange(false, std::memory_order_acquire)) return;
  g_guard_sampler.load(std::memory_order_acquire)->reopened(g_windows);
  open_window();
}

// Another thread may have been about to open or close one.
void windows_fork_in_child() noexcept {
  if (g_guard_sampler.load(std::memory_order_relaxed) == nullptr) return;
  g_lists_left.store(0, std::memory_order_relaxed);
  g_window_open.store(false, std::memory_order_relaxed);
  draw_anew();
  g_next_ms.store(os::coarse_ms(), std::memory_order_relaxed);
  g_rest_ms = kFirstRestMs;
  g_windows = 0;
  g_window_may_open.store(true, std::memory_order_relaxed);
}

}  // namespace stealth
