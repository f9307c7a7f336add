/* close_all_then_exec PROGRAM: closes every file descriptor and becomes the program, as some daemons' starters do. */
#include <unistd.h>

int main(int argc, char** argv) {
  if (argc < 2 || close_range(0, ~0U, 0) != 0) {
    return 97;
  }
  execv(argv[1], argv + 1);
  return 98;
}
