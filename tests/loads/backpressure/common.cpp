// See common.hpp.
#include "common.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <thread>

namespace pressure {

Arguments::Arguments(int argc, char** argv, int first) {
  for (int i = first; i < argc; ++i) {
    const std::string text = argv[i];
    const std::size_t equals = text.find('=');
    char* end = nullptr;
    const double value = equals == std::string::npos ? 0 : std::strtod(argv[i] + equals + 1, &end);
    if (end == nullptr || end == argv[i] + equals + 1 || *end != '\0' || value < 0) {
      loads::fail("arguments are NAME=NUMBER, the number not below zero");
    }
    given_.push_back({text.substr(0, equals), value});
  }
}

double Arguments::number(const char* name, double otherwise) {
  for (Given& one : given_) {
    if (one.name != name) continue;
    one.asked = true;
    return one.value;
  }
  return otherwise;
}

void Arguments::refuse_others() const {
  for (const Given& one : given_) {
    if (!one.asked) loads::fail(("no such argument here: " + one.name).c_str());
  }
}

void AllocationTime::add(const AllocationTime& other) {
  count += other.count;
  over_1ms += other.over_1ms;
  total += other.total;
  longest = std::max(longest, other.longest);
}

void Message::write(std::size_t bytes, unsigned from, std::uint64_t number) {
  key = loads::Random((std::uint64_t{from} << 40) + number).next();
  size = static_cast<std::uint32_t>(bytes);
  producer = from;
  auto* body = reinterpret_cast<char*>(this + 1);
  std::size_t left = bytes - sizeof(Message);
  for (; left >= sizeof(key); left -= sizeof(key), body += sizeof(key)) std::memcpy(body, &key, sizeof(key));
  std::memcpy(body, &key, left);
}

bool Message::is_intact() const {
  const auto* body = reinterpret_cast<const char*>(this + 1);
  std::size_t left = size - sizeof(Message);
  std::uint64_t differences = 0;
  for (; left >= sizeof(key); left -= sizeof(key), body += sizeof(key)) {
    std::uint64_t word;
    std::memcpy(&word, body, sizeof(word));
    differences |= word ^ key;
  }
  return differences == 0 && std::memcmp(body, &key, left) == 0;
}

Message* allocate(std::size_t bytes, AllocationTime& time) {
  void* const memory = time.measure([bytes] { return std::malloc(bytes); });
  if (memory == nullptr) loads::fail("no memory for a message");
  return static_cast<Message*>(memory);
}

// Sleeps end some 60 µs late, so a consumer of small messages takes half a millisecond's worth of them at a time.
void Pace::spend(std::size_t bytes) {
  const auto now = Clock::now();
  due_ = std::max(due_, now - catches_up_) + duration(static_cast<double>(bytes) / bytes_per_second_);
  if (due_ > now + std::chrono::microseconds(500)) std::this_thread::sleep_until(due_);
}

void Pace::pause(Clock::duration time) {
  due_ += time;
  std::this_thread::sleep_for(time);
}

void Consumption::add(const Consumption& other) {
  received += other.received;
  bytes += other.bytes;
  corrupt += other.corrupt;
  keys += other.keys;
  pops += other.pops;
  empty_pops += other.empty_pops;
  empty += other.empty;
  locked += other.locked;
  longest_late = std::max(longest_late, other.longest_late);
  time += other.time;
  allocation.add(other.allocation);
}

void Consumption::take(Message* message) {
  ++received;
  bytes += message->size;
  keys += message->key;
  if (!message->is_intact()) ++corrupt;
  std::free(message);
}

void Queue::push(Message* message, AllocationTime& time) {
  const std::lock_guard lock(mutex_);
  push_locked(message, time);
}

void Queue::push_locked(Message* message, AllocationTime& time) {
  time.measure([&] { messages_.push_back(message); });
  filled_.notify_one();
}

Message* Queue::pop(Pace& pace, Consumption& seen) {
  const auto came = std::max(Clock::now(), pace.due());
  std::unique_lock lock(mutex_);
  const auto entered = Clock::now();
  const bool empty = messages_.empty();
  filled_.wait(lock, [this] { return !messages_.empty() || closed_; });
  if (messages_.empty()) {  // what it waited now, it waited for nothing: not counted
    if (seen.pops != 0) seen.time = Clock::now() - seen.began;
    return nullptr;
  }
  Message* const message = messages_.front();
  messages_.pop_front();
  lock.unlock();

  if (seen.pops++ == 0) {
    pace.begin();
    seen.began = pace.due();
    return message;
  }
  if (entered > came) seen.locked += entered - came;
  const auto now = empty ? Clock::now() : entered;
  if (empty && now > came) {
    ++seen.empty_pops;
    seen.empty += now - std::max(came, entered);
  }
  seen.longest_late = std::max(seen.longest_late, now - pace.due());
  return message;
}

void Queue::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  filled_.notify_all();
}

namespace {

// Reads a small file of /proc without allocating; the text ends with a null.
template <std::size_t n>
bool read_file(const char* path, char (&text)[n]) {
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  const ssize_t length = read(file, text, n - 1);
  close(file);
  if (length <= 0) return false;
  text[length] = '\0';
  return true;
}

unsigned long long field(const char* text, const char* name) {
  const char* const at = std::strstr(text, name);
  return at == nullptr ? 0 : std::strtoull(at + std::strlen(name), nullptr, 10);
}

}  // namespace

std::size_t private_resident(int pid) {
  char path[40];
  char text[200];
  std::snprintf(path, sizeof path, "/proc/%d/statm", pid);
  unsigned long size = 0;
  unsigned long resident = 0;
  unsigned long shared = 0;
  if (!read_file(path, text) || std::sscanf(text, "%lu %lu %lu", &size, &resident, &shared) != 3) return 0;
  return resident > shared ? (resident - shared) * static_cast<std::size_t>(sysconf(_SC_PAGESIZE)) : 0;
}

Report::Report(const char* load) { std::printf("{\"load\":\"%s\"", load); }

Report::~Report() {
  char status[4096];
  if (read_file("/proc/self/status", status)) {
    add("peak_rss", std::uint64_t{field(status, "VmHWM:") * 1024});
    add("end_rss", std::uint64_t{field(status, "VmRSS:") * 1024});
  }
  timespec used;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  add("cpu", static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9);
  std::printf("}\n");
  std::fflush(stdout);
}

void Report::add(const char* name, double value) { std::printf(",\"%s\":%.6f", name, value); }

void Report::add(const char* name, std::uint64_t value) {
  std::printf(",\"%s\":%llu", name, static_cast<unsigned long long>(value));
}

void Report::add(const char* name, const std::vector<double>& values) {
  std::printf(",\"%s\":[", name);
  for (std::size_t i = 0; i < values.size(); ++i) std::printf("%s%.6g", i == 0 ? "" : ",", values[i]);
  std::printf("]");
}

void Report::add(const char* role, const AllocationTime& time) {
  std::printf(",\"%s_allocations\":{\"count\":%llu,\"over_1ms\":%llu,\"total\":%.6f,\"longest\":%.6f}", role,
              static_cast<unsigned long long>(time.count), static_cast<unsigned long long>(time.over_1ms),
              seconds(time.total), seconds(time.longest));
}

void Report::add(const std::vector<Production>& producers, const std::vector<Consumption>& consumers, double rate) {
  Production made;
  std::vector<double> bytes;
  for (const Production& one : producers) {
    made.sent += one.sent;
    made.bytes += one.bytes;
    made.keys += one.keys;
    made.allocation.add(one.allocation);
    bytes.push_back(static_cast<double>(one.bytes));
  }
  Consumption taken;
  for (const Consumption& one : consumers) taken.add(one);
  // As many as were sent, and yet others: something was overwritten by another message as a whole.
  if (made.sent == taken.received && made.keys != taken.keys) ++taken.corrupt;

  add("sent", made.sent);
  add("received", taken.received);
  add("lost", made.sent - taken.received);
  add("corrupt", taken.corrupt);
  add("bytes", taken.bytes);
  add("bytes_by_producer", bytes);
  const double mean = static_cast<double>(made.bytes) / static_cast<double>(producers.size());
  add("fairness", *std::min_element(bytes.begin(), bytes.end()) / mean);
  // One consumer's, in the mean: the time it took, and what the clock would have given it alone.
  const auto count = static_cast<double>(consumers.size());
  add("consumer_seconds", seconds(taken.time) / count);
  add("consumer_own_seconds", static_cast<double>(taken.bytes) / rate);
  add("empty_share", seconds(taken.empty) / seconds(taken.time));
  add("empty_pop_share",
      static_cast<double>(taken.empty_pops) / static_cast<double>(std::max(taken.pops, std::uint64_t{1})));
  add("locked_share", seconds(taken.locked) / seconds(taken.time));
  add("longest_late", taken.longest_late);
  add("producer", made.allocation);
  add("consumer", taken.allocation);
}

}  // namespace pressure
