#!/usr/bin/python3
"""Proves hot_path.py: small libraries, each with one fault in its `malloc`, must fail for that fault, good ones pass.

    hot_path_test.py CC [ARG…]    the C compiler
"""
import json
import os
import subprocess
import sys
import tempfile

CHECK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hot_path.py")

# A list of blocks, popped, with a miss that is out of line, as the real one has it.
START = """
#include <stddef.h>
struct block { struct block* next; };
_Thread_local struct block* list __attribute__((tls_model("initial-exec")));
long shared;
long plain;
extern void* slow(size_t size);
void* malloc(size_t size);
"""
GOOD = """
void* malloc(size_t size) {
  struct block* block = list;
  if (__builtin_expect(block == NULL, 0)) return slow(size);
  list = block->next;
  return block;
}
"""
# name, the code, the limit, what must be said (None: it must pass)
CASES = [
    ("a good one", GOOD, 12, None),
    ("a miss that is called, and goes on", """
void* malloc(size_t size) {
  struct block* block = list;
  if (__builtin_expect(block == NULL, 0)) { block = slow(size); plain++; if (block == NULL) return NULL; }
  list = block->next;
  return block;
}
""", 20, None),
    ("a cold part of its own", """
extern void cold(void) __attribute__((cold));
void* malloc(size_t size) {
  struct block* block = list;
  if (block == NULL) { cold(); plain += (long)size; cold(); return NULL; }
  list = block->next;
  return block;
}
""", 16, None),
    ("too long", GOOD, 3, "3 are allowed"),
    ("always a call", """
void* malloc(size_t size) { void* block = slow(size); plain++; return block; }
""", 20, "has no hit"),
    ("a call behind prefixes, for thread-local storage", """
_Thread_local struct block* other __attribute__((tls_model("global-dynamic")));
void* malloc(size_t size) { struct block* block = other; plain += (long)size; other = NULL; return block; }
""", 20, "has no hit"),
    ("always gone elsewhere", """
void* malloc(size_t size) { return slow(size); }
""", 20, "has no hit"),
    ("a locked instruction", """
void* malloc(size_t size) {
  struct block* block = list;
  if (__builtin_expect(block == NULL, 0)) return slow(size);
  list = block->next;
  __atomic_fetch_add(&shared, 8, __ATOMIC_RELAXED);
  return block;
}
""", 40, "locked instruction"),
    ("an exchange with memory", """
void* malloc(size_t size) {
  struct block* block = list;
  if (__builtin_expect(block == NULL, 0)) return slow(size);
  list = block->next;
  plain = __atomic_exchange_n(&shared, 1, __ATOMIC_RELAXED);
  return block;
}
""", 40, "locked instruction"),
    ("a lock on a shorter hit only", """
void* malloc(size_t size) {
  struct block* block = list;
  if (__builtin_expect(block == NULL, 0)) { __atomic_fetch_add(&shared, 1, __ATOMIC_RELAXED); return NULL; }
  list = block->next;
  plain += (long)size; block->next = NULL;
  return block;
}
""", 40, "locked instruction"),
    ("a loop", """
void* malloc(size_t size) {
  struct block* block = list;
  if (__builtin_expect(block == NULL, 0)) return slow(size);
  while (block->next) { block = block->next; __asm__ volatile(""); }
  return block;
}
""", 40, "may loop"),
    ("a loop that only its head leaves", """
void* malloc(size_t size) {
  struct block* block = list;
  for (;;) { if (__builtin_expect(block->next == NULL, 0)) return block; plain += (long)size; block = block->next; }
}
""", 40, "may loop"),
    ("not there at all", "void* calloc(size_t a, size_t b) { return slow(a * b); }\n", 20, "exports no such function"),
]


def judge(compiler, folder, code, limit):
    """hot_path.py's status and words on this code."""
    source, library, limits = (os.path.join(folder, name) for name in ("a.c", "a.so", "limits.json"))
    with open(source, "w", encoding="ascii") as out:
        out.write(START + code)
    with open(limits, "w", encoding="ascii") as out:
        json.dump({machine: {"malloc": limit} for machine in ("x86_64", "aarch64")}, out)
    subprocess.run([*compiler, "-O2", "-fPIC", "-shared", "-fno-builtin", "-o", library, source], check=True)
    done = subprocess.run([sys.executable, CHECK, library, limits], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def main():
    compiler = sys.argv[1:] or ["cc"]
    if subprocess.run([*compiler, "-dumpmachine"], capture_output=True, check=True).stdout.startswith(b"aarch64"):
        compiler.append("-mno-outline-atomics")  # or each of them is a call, and so no part of a hit
    wrong = 0
    for name, code, limit, expected in CASES:
        with tempfile.TemporaryDirectory() as folder:
            status, said = judge(compiler, folder, code, limit)
        good = status == 0 if expected is None else status == 1 and expected in said
        print(f"{'ok   ' if good else 'WRONG'} {name}" + ("" if good else f": expected {expected!r}, {status}:\n{said}"))
        wrong += not good
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
