// A doubly linked list of nodes that live inside what they link. No allocation, no ownership; the caller holds the
// lock.
#pragma once

namespace stealth {

struct ListNode {
  ListNode* previous;
  ListNode* next;
};

// Of things that derive from ListNode. Zero is the empty list, so that a zeroed object holds valid lists.
template <class T>
class List {
 public:
  [[nodiscard]] bool empty() const { return first_ == nullptr; }
  [[nodiscard]] T* front() const { return static_cast<T*>(first_); }
  [[nodiscard]] T* back() const { return static_cast<T*>(last_); }
  [[nodiscard]] static T* next(T const* item) { return static_cast<T*>(item->ListNode::next); }
  [[nodiscard]] static T* previous(T const* item) { return static_cast<T*>(item->ListNode::previous); }

  void push_front(T* item) {
    item->ListNode::previous = nullptr;
    item->ListNode::next = first_;
    (first_ != nullptr ? first_->previous : last_) = item;
    first_ = item;
  }
  void push_back(T* item) {
    item->ListNode::next = nullptr;
    item->ListNode::previous = last_;
    (last_ != nullptr ? last_->next : first_) = item;
    last_ = item;
  }
  void insert_after(T* before, T* item) {
    if (before == last_) return push_back(item);
    item->ListNode::previous = before;
    item->ListNode::next = before->ListNode::next;
    before->ListNode::next->previous = item;
    before->ListNode::next = item;
  }
  void remove(T* item) {
    ListNode* const before = item->ListNode::previous;
    ListNode* const after = item->ListNode::next;
    (before != nullptr ? before->next : first_) = after;
    (after != nullptr ? after->previous : last_) = before;
  }
  [[nodiscard]] bool has_one() const { return first_ != nullptr && first_ == last_; }

 private:
  ListNode* first_ = nullptr;
  ListNode* last_ = nullptr;
};

}  // namespace stealth
