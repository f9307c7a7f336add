#!/bin/sh
# Fails when the archive $1 needs a symbol from outside that is not on the short list: the config room runs inside
# malloc's first call, where nothing may allocate, throw or do input and output.
set -eu
nm -uP "$1" > /dev/null # fails here, not in silence, when the archive cannot be read
allowed='^(memcpy|memmove|memset|memcmp|bcmp|memchr|strlen|__mem(cpy|move|set)_chk|_GLOBAL_OFFSET_TABLE_|__stack_chk_fail)$' # bcmp: clang writes it for memcmp
foreign=$(nm -uP "$1" | awk 'NF >= 2 { print $1 }' | grep -v '^_ZN[KO]*7stealth6config' | grep -Ev "$allowed" || true)
if [ -n "$foreign" ]; then
  echo "the config room calls: $foreign"
  exit 1
fi
own=$(nm -P "$1" | grep -c ' T ')
[ "$own" -ge 20 ] || { echo "only $own functions in $1: not the room"; exit 1; }
