// A thread that does what it is told, and nothing in between: so that tests say who does what, and in which order.
#pragma once

#include <functional>
#include <semaphore>
#include <thread>

#include "capacity/flow.hpp"

namespace stealth::test {

class Puppet {
 public:
  Puppet() {
    act([this] { tag_ = this_thread(); });
  }
  ~Puppet() {
    act_ = nullptr;
    go_.release();
    thread_.join();
  }
  Puppet(Puppet const&) = delete;
  Puppet& operator=(Puppet const&) = delete;
  void act(std::function<void()> what) {
    act_ = std::move(what);
    go_.release();
    done_.acquire();
  }
  [[nodiscard]] ThreadTag tag() const { return tag_; }

 private:
  std::function<void()> act_;
  std::binary_semaphore go_{0}, done_{0};
  ThreadTag tag_ = nullptr;
  std::thread thread_{[this] {
    for (go_.acquire(); act_; go_.acquire()) {
      act_();
      done_.release();
    }
  }};
};

}  // namespace stealth::test
