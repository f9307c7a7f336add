// See pool_heads.hpp.
#include "pool/pool_heads.hpp"

#include <new>

#include "os/os.hpp"

namespace stealth {

constinit PoolTable g_pool_table;
constinit std::atomic<std::uint32_t> g_word_of_no_block{0};

namespace {
constinit Magazine g_never_open{.pool = Magazine::kClosed};
}
constinit thread_local PoolThread t_pool_thread __attribute__((tls_model("initial-exec"))) = {&g_never_open, 0, 0};
void forget_pool_thread() noexcept { t_pool_thread = {&g_never_open, 0, 0}; }

namespace {

constexpr std::uint32_t kMostPools = STEALTH_MOST_POOLS;
// So many heads are made before one is used again, and then the one that ended first: so a handle that is no longer
// good is taken for another pool's only after kFirstHeads * kHeadBytes others.
constexpr std::uint32_t kFirstHeads = 64;
constexpr std::uint32_t kNoHead = ~std::uint32_t{0};

struct Head {
  PoolCore core;
  std::uint32_t generation = 0;
  std::uint32_t next = kNoHead;  // among those that have ended
};
static_assert(sizeof(Head) <= kHeadBytes);

class Heads {
 public:
  // Null: kMostPools are there; or there is no memory.
  Head* take(stealth_error& error) noexcept {
    Hold hold(mutex_);
    if (ended_ < kFirstHeads && made_ < kMostPools) {
      if (Head* const head = make()) return head;
    }
    if (first_ended_ == kNoHead) {
      error = made_ == kMostPools ? STEALTH_TOO_MANY : STEALTH_NOT_ENOUGH_MEMORY;
      return nullptr;
    }
    Head& head = at(first_ended_);
    first_ended_ = head.next;
    --ended_;
    return &head;
  }
  void give_back(Head& head) noexcept {
    Hold hold(mutex_);
    auto const number = static_cast<std::uint32_t>(
        (reinterpret_cast<std::uintptr_t>(&head) - g_pool_table.begin.load(std::memory_order_relaxed)) / kHeadBytes);
    head.next = kNoHead;
    if (first_ended_ == kNoHead) {
      first_ended_ = number;
    } else {
      at(last_ended_).next = number;
    }
    last_ended_ = number;
    ++ended_;
  }
  template <class Action>
  void for_each(Action action) noexcept {
    for (std::uint32_t i = 0; i < made_; ++i) action(at(i).core);
  }
  Mutex& mutex() noexcept { return mutex_; }
  [[nodiscard]] std::uint32_t made() noexcept {
    Hold hold(mutex_);
    return made_;
  }
  [[nodiscard]] static Head& at(std::uint32_t number) noexcept {
    return *reinterpret_cast<Head*>(g_pool_table.begin.load(std::memory_order_relaxed) + number * kHeadBytes);
  }

 private:
  Head* make() noexcept {
    if (table_.data() == nullptr) {
      if (table_.reserve(std::size_t{kMostPools} * kHeadBytes, kHeadBytes, {}) != RegionError::none) return nullptr;
      g_pool_table.begin.store(reinterpret_cast<std::uintptr_t>(table_.data()), std::memory_order_relaxed);
    }
    if (!table_.commit((made_ + 1) * kHeadBytes)) return nullptr;
    Head* const head = new (&at(made_)) Head;
    ++made_;
    g_pool_table.bytes.store(made_ * kHeadBytes, std::memory_order_release);
    return head;
  }

  Mutex mutex_;
  Region table_;
  std::uint32_t made_ = 0, ended_ = 0;
  std::uint32_t first_ended_ = kNoHead, last_ended_ = kNoHead;
};
constinit Heads g_heads;

}  // namespace

stealth_error create_pool(std::uint64_t max_blocks, struct stealth_pool_options const& options,
                          stealth_pool*& made) noexcept {
  stealth_error error = STEALTH_OK;
  Head* const head = g_heads.take(error);
  if (head == nullptr) return error;
  std::uintptr_t const handle = reinterpret_cast<std::uintptr_t>(head) | (++head->generation & (kHeadBytes - 1));
  error = head->core.begin(max_blocks, options, handle);
  if (error == STEALTH_OK) {
    made = reinterpret_cast<stealth_pool*>(handle);
  } else {
    g_heads.give_back(*head);
  }
  return error;
}

stealth_error destroy_pool(stealth_pool* handle) noexcept {
  PoolCore* const core = core_of(handle);
  if (core == nullptr) return STEALTH_INVALID_HANDLE;
  stealth_error const error = core->end(handle);
  if (error == STEALTH_OK) g_heads.give_back(*reinterpret_cast<Head*>(core));
  return error;
}

// Without the table's mutex: heads stay where they are, and a pool that ends meanwhile is not trimmed.
std::size_t trim_pools() noexcept {
  std::size_t sum = 0;
  std::uint32_t const made = g_heads.made();
  for (std::uint32_t i = 0; i < made; ++i) {
    PoolCore& core = Heads::at(i).core;
    std::uint64_t bytes = 0;
    if (stealth_pool const* const handle = core.handle(); handle != nullptr)
      static_cast<void>(core.trim(handle, bytes));
    sum += static_cast<std::size_t>(bytes);
  }
  return sum;
}

void pools_fork_prepare() noexcept {
  g_heads.mutex().lock();
  g_heads.for_each([](PoolCore& core) { core.fork_prepare(); });
  regions_fork_prepare();
}

void pools_fork_in_parent() noexcept {
  regions_fork_in_parent();
  g_heads.for_each([](PoolCore& core) { core.fork_in_parent(); });
  g_heads.mutex().unlock();
}

std::size_t pools_fork_in_child() noexcept {
  regions_fork_in_child();
  forget_pool_thread();
  std::size_t held = 0;
  g_heads.for_each([&held](PoolCore& core) { held += core.fork_in_child(); });
  g_heads.mutex().reset();
  return held;
}

}  // namespace stealth
