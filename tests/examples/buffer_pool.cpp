// Log lines from four threads on their way to a slow file. What is not written yet lies in buffers, whose pool holds
// all of them together at a megabyte: who logs faster than the file takes is slowed down, and nothing is lost.
//
//   c++ -std=c++20 buffer_pool.cpp $(pkg-config --cflags --libs stealthpool) -pthread -o buffer_pool
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <stealth/stealth.hpp>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace {

class Queue {
 public:
  void push(stealth::Buffer full) {
    {
      std::lock_guard const hold(mutex_);
      buffers_.push_back(std::move(full));
    }
    changed_.notify_one();
  }
  // At most four of them; none: no more will come.
  std::vector<stealth::Buffer> pop() {
    std::unique_lock hold(mutex_);
    changed_.wait(hold, [this] { return !buffers_.empty() || ended_; });
    std::vector<stealth::Buffer> taken;
    while (!buffers_.empty() && taken.size() < 4) {
      taken.push_back(std::move(buffers_.front()));
      buffers_.pop_front();
    }
    return taken;
  }
  void end() {
    {
      std::lock_guard const hold(mutex_);
      ended_ = true;
    }
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<stealth::Buffer> buffers_;
  bool ended_ = false;
};

constexpr int kThreads = 4, kLines = 20'000;
constexpr std::size_t kFull = 32 << 10;

}  // namespace

int main() {
  // Idle buffers of up to 1 MiB / 16 are kept and used again. Above the megabyte a get of a new buffer and a write
  // wait: 2 ms at first, longer the further it is above, until something is put back.
  stealth::BufferPool buffers(1 << 20, {.max_pool_size = 16, .initial_interval = 2ms, .write_backoff = true});
  Queue queue;
  double highest = 0;

  std::thread writer([&] {
    int const file = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    for (std::vector<stealth::Buffer> full; !(full = queue.pop()).empty();) {
      highest = std::max(highest, buffers.fill_ratio());
      std::vector<iovec> parts;
      for (stealth::Buffer const& one : full) parts.push_back(one.as_iovec());
      if (::writev(file, parts.data(), static_cast<int>(parts.size())) < 0) std::abort();
      std::this_thread::sleep_for(1ms);  // a slow file
      for (stealth::Buffer& one : full) buffers.put(std::move(one));
    }
    ::close(file);
  });

  std::vector<std::thread> loggers;
  for (int thread = 0; thread < kThreads; ++thread) {
    loggers.emplace_back([&, thread] {
      stealth::Buffer buffer = buffers.get();
      for (int line = 0; line < kLines; ++line) {
        stealth::BufferStream out(buffer);
        out << "thread " << thread << ": line " << line << ", and what it has to say\n";
        if (!out) {
          std::fprintf(stderr, "log: %s\n", out.error().message().c_str());
          std::abort();
        }
        if (buffer.size() < kFull) continue;
        queue.push(std::move(buffer));
        buffer = buffers.get();
      }
      queue.push(std::move(buffer));
    });
  }
  for (std::thread& logger : loggers) logger.join();
  queue.end();
  writer.join();

  stealth_buffer_pool_statistics const now = buffers.stats();
  std::printf("highest fill ratio seen %.2f; %llu calls waited, %.1f ms in all; %llu idle buffers\n", highest,
              static_cast<unsigned long long>(now.waits), static_cast<double>(now.waited_ns) / 1e6,
              static_cast<unsigned long long>(now.idle));
  return now.used == 0 && now.out == 0 && highest < 4 ? 0 : 1;
}
