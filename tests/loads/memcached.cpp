// Load: memcached, an installed program, under a bounded number of sets and gets. Starts the server on a socket in the
// current folder, talks to it from one thread over a few connections, checks every answer, and ends it. Makes no call
// of malloc that counts: what is measured is the server, which is preloaded as this is, and waited for. To be compared
// by CPU time: the server takes a second of its own clock to end.
#include <csignal>
#include <string_view>

#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "common.hpp"

namespace {

constexpr std::size_t kConnections = 8;
constexpr std::size_t kKeys = 8'000;      // of each connection: its answers depend on nobody else
constexpr std::size_t kPipelined = 40;    // commands sent at once
constexpr std::size_t kMostValue = 4096;  // most values are small, a few of that order

char out[kPipelined * (kMostValue + 100)];
char in[sizeof out];
std::uint32_t sizes[kConnections][kKeys];  // what was last set, 0 for nothing

pid_t start(const char* path) {
  const pid_t parent = getpid();
  const pid_t server = fork();
  if (server < 0) loads::fail("fork");
  if (server > 0) return server;
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // it does not outlive a load that was killed
  if (getppid() != parent) _exit(1);
  const char* user = geteuid() == 0 ? "-uroot" : "-v";  // root has to be said
  execlp("memcached", "memcached", "-s", path, "-t", "2", "-m", "512", user, static_cast<char*>(nullptr));
  _exit(127);
}

int connect_to(const char* path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  for (unsigned wait = 0; wait < 10'000; ++wait) {
    const int one = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (one < 0) loads::fail("socket");
    if (connect(one, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return one;
    close(one);
    usleep(1'000);
  }
  loads::fail("memcached does not answer");
}

void send_all(int to, const char* data, std::size_t size) {
  while (size > 0) {
    const ssize_t n = write(to, data, size);
    if (n <= 0) loads::fail("write");
    data += n;
    size -= static_cast<std::size_t>(n);
  }
}

// The answers of one batch, whose size is known beforehand.
void receive(int from, std::size_t size) {
  for (std::size_t got = 0; got < size;) {
    const ssize_t n = read(from, in + got, size - got);
    if (n <= 0) loads::fail("read");
    got += static_cast<std::size_t>(n);
  }
}

std::size_t value_size(loads::Random& random) { return random.below(30) == 0 ? 4000 : random.between(10, 400); }

void set_some(int to, std::size_t connection, loads::Random& random) {
  std::size_t used = 0;
  for (std::size_t i = 0; i < kPipelined; ++i) {
    const std::size_t key = random.below(kKeys);
    const std::size_t size = value_size(random);
    used += static_cast<std::size_t>(
        std::snprintf(out + used, 100, "set key:%zu:%zu 0 0 %zu noreply\r\n", connection, key, size));
    std::memset(out + used, static_cast<int>('a' + size % 26), size);
    std::memcpy(out + used + size, "\r\n", 2);
    used += size + 2;
    sizes[connection][key] = static_cast<std::uint32_t>(size);
  }
  send_all(to, out, used);
}

void get_some(int to, std::size_t connection, loads::Random& random, loads::Checksum& sum) {
  std::size_t asked = 0;
  std::size_t expected = 0;
  for (std::size_t i = 0; i < kPipelined; ++i) {
    const std::size_t key = random.below(kKeys);
    const std::size_t size = sizes[connection][key];
    asked += static_cast<std::size_t>(std::snprintf(out + asked, 100, "get key:%zu:%zu\r\n", connection, key));
    char head[100];
    if (size > 0) {
      expected += size + 2 +
                  static_cast<std::size_t>(
                      std::snprintf(head, sizeof head, "VALUE key:%zu:%zu 0 %zu\r\n", connection, key, size));
    }
    expected += 5;
    sum.add(size + key);
  }
  send_all(to, out, asked);
  receive(to, expected);
  if (std::string_view(in, expected).substr(expected - 5) != "END\r\n") loads::fail("another answer than was due");
}

}  // namespace

int main(int argc, char** argv) {
  const loads::Arguments arguments(argc, argv);
  alarm(100);
  signal(SIGPIPE, SIG_IGN);
  char path[64];
  std::snprintf(path, sizeof path, "memcached-%d", static_cast<int>(getpid()));
  const pid_t server = start(path);
  int connections[kConnections];
  for (int& one : connections) one = connect_to(path);
  loads::Random random(19);
  loads::Checksum sum;
  for (std::size_t round = arguments.scaled(1'000); round > 0; --round) {
    for (std::size_t i = 0; i < kConnections; ++i) {
      if (random.below(2) == 0) {
        set_some(connections[i], i, random);
      } else {
        get_some(connections[i], i, random, sum);
      }
    }
  }
  // Sets have no answer: only what is asked after them tells that they are done.
  for (std::size_t i = 0; i < kConnections; ++i) get_some(connections[i], i, random, sum);
  for (const int one : connections) close(one);
  int status = 0;
  kill(server, SIGTERM);
  waitpid(server, &status, 0);
  unlink(path);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) loads::fail("memcached did not end well");
  sum.print("memcached");
}
