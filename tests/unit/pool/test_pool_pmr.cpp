// Pools as std::pmr resources and as allocators.
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <memory_resource>
#include <string>
#include <vector>

#include "pools.hpp"

namespace {

using namespace pools;
using stealth::PoolAllocator;
using stealth::PoolResource;

// Counts what comes through.
class Counting final : public std::pmr::memory_resource {
 public:
  int allocations = 0, live = 0;

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    ++allocations;
    ++live;
    return std::pmr::new_delete_resource()->allocate(bytes, alignment);
  }
  void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    --live;
    std::pmr::new_delete_resource()->deallocate(p, bytes, alignment);
  }
  [[nodiscard]] bool do_is_equal(memory_resource const& other) const noexcept override { return this == &other; }
};

TEST(Pmr, ServesWhatFitsAndPassesOnTheRest) {
  Pool pool(10, {.block_size = 256});
  Counting upstream;
  PoolResource resource(pool, &upstream);
  void* const small = resource.allocate(1, 1);
  void* const whole = resource.allocate(256, 256);
  EXPECT_TRUE(pool.owns(small) && pool.owns(whole));
  EXPECT_EQ(pool.in_use(), 2u);
  void* const larger = resource.allocate(257, 8);
  void* const aligned = resource.allocate(16, 4096);
  EXPECT_EQ(upstream.live, 2);
  resource.deallocate(larger, 257, 8);
  resource.deallocate(aligned, 16, 4096);
  resource.deallocate(small, 1, 1);
  resource.deallocate(whole, 256, 256);
  EXPECT_EQ(pool.in_use(), 0u);
  EXPECT_EQ(upstream.live, 0);
  EXPECT_EQ(resource.upstream_resource(), &upstream);
}

TEST(Pmr, Full) {
  Pool pool(2, {.block_size = 64});
  Counting upstream;
  PoolResource strict(pool, &upstream);
  void* const first = strict.allocate(64);
  void* const second = strict.allocate(64);
  EXPECT_THROW(static_cast<void>(strict.allocate(64)), std::bad_alloc);
  PoolResource lenient(pool, &upstream, stealth::WhenFull::use_upstream);
  void* const third = lenient.allocate(64);
  EXPECT_EQ(upstream.live, 1);
  lenient.deallocate(third, 64);
  lenient.deallocate(first, 64);
  lenient.deallocate(second, 64);
  EXPECT_EQ(upstream.live, 0);
  EXPECT_EQ(pool.in_use(), 0u);
}

// What came back before is nobody else's, and is left alone.
TEST(Pmr, DeallocatedTwice) {
  Pool pool(2, {.block_size = 64});
  Counting upstream;
  PoolResource resource(pool, &upstream);
  void* const block = resource.allocate(64);
  resource.deallocate(block, 64);
  resource.deallocate(block, 64);
  EXPECT_EQ(upstream.live, 0);
  EXPECT_EQ(pool.in_use(), 0u);
  EXPECT_EQ(pool.free_count(), 1u);
}

TEST(Pmr, Equality) {
  Pool pool(2);
  Pool other(2);
  Counting upstream;
  PoolResource const one(pool);
  PoolResource const same(pool);
  PoolResource const different(other);
  PoolResource const above_another(pool, &upstream);
  EXPECT_TRUE(one == same);
  EXPECT_FALSE(one == different);
  EXPECT_FALSE(one == above_another);
  EXPECT_FALSE(one == PoolResource(pool, std::pmr::get_default_resource(), stealth::WhenFull::use_upstream));
  EXPECT_FALSE(one == *std::pmr::new_delete_resource());
}

TEST(Pmr, PassesForStandardContainers) {
  Pool pool(5000, {.block_size = 1024});
  {
    PoolResource resource(pool);
    std::pmr::list<int> list(&resource);
    std::pmr::map<int, std::pmr::string> map(&resource);
    std::pmr::deque<long> deque(&resource);
    std::pmr::vector<int> vector(&resource);
    for (int i = 0; i < 1000; ++i) {
      list.push_back(i);
      map.emplace(i, std::string(static_cast<std::size_t>(i % 300), 'x'));
      deque.push_back(i);
      vector.push_back(i);  // grows out of the pool
    }
    int sum = 0;
    for (int const i : list) sum += i - vector[static_cast<std::size_t>(i)];
    EXPECT_EQ(sum, 0);
    EXPECT_EQ(map.at(299).size(), 299u);
    EXPECT_GT(pool.in_use(), 2000u);
    std::pmr::list<int> moved(std::move(list), &resource);
    EXPECT_EQ(moved.size(), 1000u);
  }
  EXPECT_EQ(pool.in_use(), 0u);
}

TEST(Pmr, BelowAResourceThatCutsBlocksUp) {
  Pool pool(100, {.block_size = 64 << 10});
  {
    PoolResource resource(pool);
    std::pmr::monotonic_buffer_resource arena(60 << 10, &resource);
    std::pmr::vector<std::pmr::string> words(&arena);
    for (int i = 0; i < 1000; ++i) words.emplace_back("a word that does not fit into a short string");
    EXPECT_GE(pool.in_use(), 1u);
    std::pmr::unsynchronized_pool_resource cut({.max_blocks_per_chunk = 1024, .largest_required_pool_block = 256},
                                               &resource);
    std::pmr::list<int> list(&cut);
    for (int i = 0; i < 10000; ++i) list.push_back(i);
    EXPECT_LT(pool.in_use(), 100u);
  }
  EXPECT_EQ(pool.in_use(), 0u);
}

TEST(Pmr, AfterClose) {
  in_a_child([] {
    Pool pool(4);
    PoolResource resource(pool);
    void* const block = resource.allocate(100);
    pool.close();
    resource.deallocate(block, 100);  // it has gone with the pool, not to upstream
    EXPECT_THROW(static_cast<void>(resource.allocate(100)), std::bad_alloc);
  });
}

TEST(Allocators, OfStandardContainers) {
  Pool pool(3000, {.block_size = 128});
  {
    PoolAllocator<int> const allocator(pool);
    std::list<int, PoolAllocator<int>> list(allocator);
    std::map<int, int, std::less<>, PoolAllocator<std::pair<int const, int>>> map(allocator);
    for (int i = 0; i < 1000; ++i) {
      list.push_back(i);
      map[i] = i;
    }
    EXPECT_EQ(pool.in_use(), 2000u);
    auto copy = list;
    EXPECT_EQ(pool.in_use(), 3000u);
    EXPECT_THROW(map[-1] = 1, std::bad_alloc);
    copy.clear();
    std::vector<int, PoolAllocator<int>> vector(10000, 7, allocator);  // larger than a block
    EXPECT_EQ(vector[9999], 7);
    list.swap(copy);
    auto const shared = std::allocate_shared<std::string>(allocator, "shared");
    EXPECT_EQ(*shared, "shared");
    EXPECT_TRUE(pool.owns(shared.get()));
  }
  EXPECT_EQ(pool.in_use(), 0u);
}

TEST(Allocators, Compare) {
  Pool pool(2);
  Pool other(2);
  PoolAllocator<int> const one(pool);
  PoolAllocator<long> const same(one);
  EXPECT_TRUE(one == same);
  EXPECT_FALSE(one == PoolAllocator<int>(other));
  PoolAllocator<int> allocator(pool);
  EXPECT_THROW(static_cast<void>(allocator.allocate(~std::size_t{0} / 2)), std::bad_array_new_length);
}

TEST(Allocators, OverAlignedTypes) {
  struct alignas(256) Wide {
    char bytes[256];
  };
  Pool small(10, {.block_size = 100});
  PoolAllocator<Wide> from_heap(small);
  Wide* const wide = from_heap.allocate(3);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(wide) % 256, 0u);
  EXPECT_EQ(small.in_use(), 0u);
  from_heap.deallocate(wide, 3);
  Pool fitting(10, {.block_size = 256});
  PoolAllocator<Wide> from_pool(fitting);
  Wide* const one = from_pool.allocate(1);
  EXPECT_EQ(fitting.in_use(), 1u);
  from_pool.deallocate(one, 1);
}

}  // namespace
