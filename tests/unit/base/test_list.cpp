// The intrusive list against std::list, by random operations.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <list>

#include "base/list.hpp"
#include "support.hpp"

namespace {

using stealth::List;

struct Item : stealth::ListNode {
  int number = 0;
};

template <class Expected>
void expect_same(List<Item> const& list, Expected const& expected) {
  Item const* item = list.front();
  for (Item const* wanted : expected) {
    ASSERT_EQ(item, wanted);
    item = List<Item>::next(item);
  }
  ASSERT_EQ(item, nullptr);
  EXPECT_EQ(list.empty(), expected.empty());
  EXPECT_EQ(list.has_one(), expected.size() == 1);
}

TEST(List, ZeroIsEmpty) {
  alignas(List<Item>) unsigned char memory[sizeof(List<Item>)];
  std::memset(memory, 0, sizeof memory);
  auto* const list = reinterpret_cast<List<Item>*>(memory);
  EXPECT_TRUE(list->empty());
  EXPECT_EQ(list->front(), nullptr);
  Item item;
  list->push_back(&item);
  EXPECT_TRUE(list->has_one());
  list->remove(&item);
  EXPECT_TRUE(list->empty());
}

TEST(List, RandomOperations) {
  stealth::test::Random random(1);
  Item items[12];
  List<Item> list;
  std::list<Item*> expected;
  for (int step = 0; step < 20'000; ++step) {
    Item* const item = &items[random.below(std::size(items))];
    auto const found = std::find(expected.begin(), expected.end(), item);
    if (found != expected.end()) {
      list.remove(item);
      expected.erase(found);
    } else if (random.one_in(2)) {
      list.push_front(item);
      expected.push_front(item);
    } else {
      list.push_back(item);
      expected.push_back(item);
    }
    ASSERT_NO_FATAL_FAILURE(expect_same(list, expected));
  }
}

}  // namespace
