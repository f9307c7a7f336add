// The loads of `tools/bench backpressure`: programs that make memory faster than they use it up, and some that do not.
//
//   load-backpressure LOAD [NAME=NUMBER …]
//
// LOAD is a name of the table below; the arguments, with the figures that hold without them, stand where each load
// begins. Sizes are in MiB, times in seconds. One line of JSON on stdout, in which lost and damaged messages are told;
// exit status 2 is for wrong usage, 3 for what went wrong in the load itself. Ends by itself after `deadline` seconds
// (180).
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <string_view>

#include "common.hpp"

namespace {

struct Load {
  const char* name;
  void (*run)(const char* name, pressure::Arguments& arguments);
};

constexpr Load kLoads[] = {
    {"queue", pressure::flow},        {"many", pressure::flow},     {"needs", pressure::flow},
    {"mutex", pressure::flow},        {"shift", pressure::flow},    {"pause", pressure::flow},
    {"sixty-four", pressure::flow},   {"steady", pressure::steady}, {"calm", pressure::steady},
    {"pipeline", pressure::pipeline}, {"leak", pressure::leak},     {"group", pressure::group},
};

char g_output[1 << 16];  // so that a load can tell what it has to where malloc gives nothing any more

}  // namespace

int main(int argc, char** argv) {
  std::setvbuf(stdout, g_output, _IOFBF, sizeof g_output);
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // whoever watches us may be killed himself
  for (const Load& load : kLoads) {
    if (argc < 2 || std::string_view(load.name) != argv[1]) continue;
    pressure::Arguments arguments(argc, argv, 2);
    alarm(arguments.count("deadline", 180));
    load.run(load.name, arguments);
    return 0;
  }
  std::fprintf(stderr, "usage: load-backpressure LOAD [NAME=NUMBER …], LOAD one of:");
  for (const Load& load : kLoads) std::fprintf(stderr, " %s", load.name);
  std::fprintf(stderr, "\n");
  return 2;
}
