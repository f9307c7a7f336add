#!/bin/sh
# What debian.py does in a Debian that knows nothing of libstealth: installs the packages that lie beside this script,
# uses them as their users would, and removes them.
set -eu
here=$(dirname "$0")
cd "$here"
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

step() { printf '\n--- %s\n' "$*"; }
fail() {
  printf 'FAILED: %s\n' "$*"
  exit 1
}
# wants WHAT TEXT FILE: the file must have the text.
wants() { grep -qF -e "$2" "$3" || { cat "$3"; fail "$1: no '$2'"; }; }
refuses() { if grep -F -e "$2" "$3"; then fail "$1"; fi; }
apt() { apt-get -q -y -o Dpkg::Use-Pty=0 --no-install-recommends "$@"; }

step 'install: the library and the command'
apt install ./libstealth0_*.deb ./libstealth-tools_*.deb

step 'stealth doctor'
stealth doctor -- /bin/cat

step 'stealth run'
printf 'a line\n' >line
stealth run --stats="exit:$here/figures" -- cat line >out
cmp line out
wants 'figures at exit' 'held' figures
stealth run --stats -- perl -e 'print "a line\n"' >out 2>err
cmp line out
wants 'figures at exit' 'stealth: ' err

step 'preloaded by name alone'
STEALTH_STATS="exit:json:$here/figures.json" LD_PRELOAD=libstealth.so.0 cat line >out
cmp line out
wants 'figures at exit' '"held' figures.json

step 'a profile: the unwinder is found beside the library'
stealth run --profile=4k:"$here/heap" -- sort line >out 2>err
cmp line out
refuses 'the unwinder cannot be loaded' 'cannot load' err
wants 'a profile' 'heap_v2' heap
if [ -e /proc/self/maps ]; then
  stealth profile heap >out
  wants 'who holds memory' 'live in' out
else  # a container that may not mount it: the dump has no mappings, and the command says so
  if stealth profile heap >out 2>err; then fail 'a dump without mappings was taken'; fi
  wants 'an error in one line' 'cut short' err
fi

step 'documents'
for file in man/man1/stealth.1.gz bash-completion/completions/stealth; do test -s "/usr/share/$file"; done
gzip -t /usr/share/man/man1/stealth.1.gz

step 'a program of its own'
apt install ./libstealth-dev_*.deb g++ pkgconf
gzip -t /usr/share/man/man3/libstealth.3.gz
for library in stealth stealthpool; do
  # shellcheck disable=SC2046  # words are what pkg-config gives
  c++ -std=c++20 -Wall -Wextra -Werror consumer.cpp -o consumer $(pkg-config --cflags --libs "$library")
  ./consumer
  stealth run -- ./consumer
done
c++ -std=c++20 consumer.cpp -o consumer -l:libstealthpool.a
./consumer

step 'remove'
apt purge libstealth0 libstealth-dev libstealth-tools
find /usr /etc /var -name '*stealth*' >left
if [ -s left ]; then cat left; fail 'the packages left files behind'; fi
printf '\nall of it works\n'
