// The control page of a process, as it comes, lives and goes. One way of life for each case.
#include "page.h"

#include <grp.h>
#include <pthread.h>
#include <sys/prctl.h>

#include <initializer_list>

namespace {

using page::Reader;
using page::Snapshot;

void* held[4096];

void hold(int mib) {
  static int count = 0;
  for (int i = 0; i < mib; ++i) {
    held[count] = malloc(MIB - 100);
    CHECK(held[count] != nullptr);
    memset(held[count++], 1, MIB - 100);
  }
}

void at_once() {
  Reader const reader(getpid());
  CHECK(strcmp(reader->head.program, "observe_page") == 0);
  CHECK(reader->head.user == geteuid());
}

// A keeper may be there before, for the sake of memory.
void automatic() {
  hold(10);
  for (int i = 0; i < 8; ++i) free(held[i]);
  free(malloc(5 * MIB));
  usleep(1500000);
  free(malloc(5 * MIB));
  CHECK(!page::exists(getpid()));
  hold(24);
  free(malloc(100000));
  at_once();
}

void never() {
  hold(64);
  for (int i = 0; i < 50; ++i) free(malloc(5 * MIB));
  usleep(1500000);
  free(malloc(5 * MIB));
  CHECK(!page::exists(getpid()));
}

// However short a process's life is, nothing of it is left.
void ends() {
  char const* const lives[] = {"at-once", "nothing", "a-moment"};
  for (int i = 0; i < 60; ++i) {
    pid_t const child = fork();
    if (child == 0) page::start_again(lives[i % 3]);
    page::expect_clean_end(child);
    CHECK(!page::exists(child));
  }
}

void forks() {
  Reader own(getpid());
  for (int i = 0; i < 10; ++i) {
    pid_t const child = fork();
    if (child == 0) {
      alarm(120);
      free(malloc(5 * MIB));
      Reader const mine(getpid());
      CHECK(mine->head.mark != own->head.mark);
      if (i % 2 == 0) exit(0);
      _exit(0);  // leaves its page behind
    }
    page::expect_clean_end(child);
    CHECK(page::exists(child) == (i % 2 != 0));
    CHECK(page::exists(getpid()));
    if (i % 2 == 0) continue;
    // The next process that makes a page takes away those of the dead.
    pid_t const next = fork();
    if (next == 0) page::start_again("at-once");
    page::expect_clean_end(next);
    CHECK(!page::exists(child));
  }
  std::uint64_t const number = own.read().begun;
  CHECK(own.comes([&](Snapshot const& now) { return now.begun > number; }));
}

void execs() {
  at_once();
  page::start_again("at-once");
}

void is_lost() {
  for (bool const cut : {true, false}) {
    char path[512];
    CHECK(page::soon([&] { return page::find(getpid(), path); }));
    std::uint64_t const made_ns = Reader(getpid())->head.made_ns;
    CHECK(cut ? truncate(path, 0) == 0 : unlink(path) == 0);
    for (double const until = seconds_now() + 2; seconds_now() < until;) free(malloc(100000));
    CHECK(page::soon([&] {
      struct stat facts {};
      return stat(path, &facts) == 0 && facts.st_size == sizeof(page::Page);
    }));
    CHECK(Reader(getpid())->head.made_ns > made_ns);
  }
}

void figures_move() {
  Reader reader(getpid());
  std::uint64_t const before = reader.read().figures.live;
  hold(40);
  CHECK(reader.comes([&](Snapshot const& now) {
    return now.figures.live >= before + 39 * MIB && now.figures.held >= now.figures.live;
  }));
  CHECK(reader.read().figures.large_bytes >= 39 * MIB);
  for (int i = 0; i < 40; ++i) free(held[i]);
  CHECK(reader.comes([&](Snapshot const& now) { return now.figures.live < before + 10 * MIB; }));
  CHECK(reader.comes([&](Snapshot const& now) { return now.figures.purged >= 20 * MIB; }));
  CHECK(strstr(reader.read().settings, "STEALTH_CONTROL=on\n") != nullptr);
}

int g_thread = 0;
void* wants_more(void*) {
  __atomic_store_n(&g_thread, static_cast<int>(syscall(SYS_gettid)), __ATOMIC_SEQ_CST);
  for (int i = 0; i < 60; ++i) {
    void* const p = malloc(MIB);
    CHECK(p != nullptr);
    memset(p, 1, MIB);
  }
  return nullptr;
}

// Capacity 32m: one thread waits, and is let go by a wish.
void waits() {
  Reader reader(getpid());
  timespec begin{};
  clock_gettime(CLOCK_MONOTONIC, &begin);
  pthread_t thread;
  CHECK(pthread_create(&thread, nullptr, wants_more, nullptr) == 0);
  CHECK(reader.comes([&](Snapshot const& now) {
    if (now.waiting != 1 || now.figures.waiting_now != 1) return false;
    auto const& row = now.waiting_rows[0];
    CHECK(row.thread == static_cast<std::uint64_t>(__atomic_load_n(&g_thread, __ATOMIC_SEQ_CST)));
    CHECK(row.size == 0 && row.bytes >= 4096 && row.bytes <= 2 * MIB);
    CHECK(row.since_ns >= static_cast<std::uint64_t>(begin.tv_sec) * 1000000000u && row.since_ns <= now.figures.at_ns);
    return now.figures.at_ns - row.since_ns > 1000000000u;  // it has been for a second, and time passes
  }));
  CHECK(reader.wish("set capacity=1g") == 0);
  double const answered = seconds_now();
  CHECK(pthread_join(thread, nullptr) == 0);
  CHECK(seconds_now() - answered < 30);  // of its patience of 100
  CHECK(reader.comes([](Snapshot const& now) { return now.waiting == 0 && now.figures.waits >= 1; }));
  CHECK(reader.read().figures.capacity == 1024 * MIB);
  CHECK(reader.wish("set capacity=rubbish") != 0);
  CHECK(strstr(reader->answer.text, "STEALTH_CAPACITY") != nullptr);
  CHECK(reader.wish("set nothing=1") != 0);
  CHECK(reader.wish("set classes=all") != 0);
  CHECK(reader.wish("set mode=observe") == 0);
  CHECK(reader.comes([](Snapshot const& now) { return strstr(now.settings, "STEALTH_MODE=observe\n") != nullptr; }));
}

// The page is then the new user's.
void identity() {
  at_once();
  if (getuid() != 0) return;
  pid_t const child = fork();
  if (child == 0) {
    alarm(120);
    CHECK(setgroups(0, nullptr) == 0 && setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
    CHECK(page::soon([] {
      free(malloc(5 * MIB));
      return page::exists(getpid());
    }));
    Reader const reader(getpid());
    CHECK(reader->head.user == 65534);
    exit(0);
  }
  page::expect_clean_end(child);
  CHECK(!page::exists(child, 65534));
}

// Nobody answers any more, and nothing is wrong; the file goes with the process.
void sandbox() {
  at_once();
  CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  struct stat facts {};
  CHECK(stat("/proc/self/task", &facts) == 0 && facts.st_nlink == 3);
  hold(64);
  CHECK(page::exists(getpid()));
}
void contained() {
  pid_t const child = fork();
  if (child == 0) page::start_again("sandbox");
  page::expect_clean_end(child);
  CHECK(!page::exists(child));
}

struct Life {
  char const* name;
  void (*live)();
};
constexpr Life kLives[] = {{"at-once", at_once},
                           {"automatic", automatic},
                           {"never", never},
                           {"nothing", [] {}},
                           {"a-moment", [] { usleep(300); }},
                           {"ends", ends},
                           {"forks", forks},
                           {"execs", execs},
                           {"is-lost", is_lost},
                           {"figures", figures_move},
                           {"waits", waits},
                           {"identity", identity},
                           {"sandbox", sandbox},
                           {"contained", contained}};

}  // namespace

int main(int argc, char** argv) {
  CHECK(argc == 2);
  require_stealth();
  alarm(150);
  for (Life const& life : kLives) {
    if (strcmp(life.name, argv[1]) != 0) continue;
    life.live();
    return 0;
  }
  return 2;
}
