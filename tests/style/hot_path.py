#!/usr/bin/python3
"""Pins the hot path: disassembles functions of the built library and follows what they do on a hit.

    hot_path.py LIBRARY LIMITS.json    one line per function, exit status 1 where one is not as it should be

A hit is every way from the function's entry to its `ret` that calls nothing and never leaves the function (a jump to
another function, as to a slow path, leaves). There must be such a way; none of them may hold a loop, nor a locked
instruction, nor an exchange with memory (which locks by itself); and the longest may have at most as many instructions
as LIMITS.json says for this machine: {"x86_64": {"malloc": 20}}. All hits are searched for locks, not only the longest.
hot_path_test.py proves that each fault is seen. For a library of another machine, the variable OBJDUMP names the
program that can read it.
"""
import json
import os
import re
import subprocess
import sys
from collections import namedtuple

Instruction = namedtuple("Instruction", "address text next_address")
Fault = type("Fault", (Exception,), {})

# What ends or bends the way, by the machine's mnemonics. Whatever is not named here just goes on to the next one.
X86_CALL = re.compile(r"^l?call")
X86_RETURN = re.compile(r"^l?ret")
X86_JUMP = re.compile(r"^l?jmp")
X86_BRANCH = re.compile(r"^(j[a-z]+|loop\w*)(,p[nt])? ")
X86_LOCKED = re.compile(r"^lock |^xchg.*\(")
X86_STOP = re.compile(r"^(ud2|ud1|hlt|int3|syscall|sysenter)")
ARM_CALL = re.compile(r"^blr?\s")
ARM_RETURN = re.compile(r"^ret")
ARM_JUMP = re.compile(r"^br?\s")
ARM_BRANCH = re.compile(r"^(b\.\w+|cbn?z|tbn?z)\s")
ARM_LOCKED = re.compile(r"^(ld|st)a?l?xr|^(ld|st)l?a?xp|^(cas|swp|ld(add|clr|eor|set|[su]max|[su]min)|"
                        r"st(add|clr|eor|set|[su]max|[su]min))[albhp]*\s|^bl\s+.*__aarch64_(cas|swp|ld)")
ARM_STOP = re.compile(r"^(udf|brk|svc|hlt)")
Machine = namedtuple("Machine", "call ret jump branch locked stop")
MACHINES = {
    "x86_64": Machine(X86_CALL, X86_RETURN, X86_JUMP, X86_BRANCH, X86_LOCKED, X86_STOP),
    "aarch64": Machine(ARM_CALL, ARM_RETURN, ARM_JUMP, ARM_BRANCH, ARM_LOCKED, ARM_STOP),
}
ELF_MACHINES = {"Advanced Micro Devices X86-64": "x86_64", "AArch64": "aarch64"}
COMMENT = re.compile(r"\s(#|//)\s.*")
# Prefixes that change nothing here, as of the call that reads thread-local storage: `data16 rex.W call __tls_get_addr`.
PREFIXES = re.compile(r"^((data16|data32|addr32|rex(\.[WRXB]+)?|bnd|notrack|repn?[ze]?|xacquire|xrelease|[cdefgs]s) )+")
TARGET = re.compile(r"\b([0-9a-f]+) <")


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    if done.returncode != 0:
        raise Fault(f"{' '.join(command)}: {done.stderr.strip() or 'failed'}")
    return done.stdout


def machine_of(library):
    said = re.search(r"^\s*Machine:\s*(.*?)\s*$", run("readelf", "-h", library), re.M)
    name = ELF_MACHINES.get(said[1]) if said else None
    if name is None:
        raise Fault(f"{library}: made for a machine that this test does not know; teach it")
    return name


def find_function(library, name):
    """(address, size) of a function that the library exports."""
    for line in run("readelf", "-W", "--dyn-syms", library).splitlines():
        fields = line.split()
        if len(fields) >= 8 and fields[7].split("@")[0] == name and fields[6] != "UND":
            if fields[3] != "FUNC":
                raise Fault(f"{name}: is no plain function but {fields[3]}")
            return int(fields[1], 16), int(fields[2], 0)
    raise Fault(f"{name}: the library exports no such function")


def disassemble(library, address, size):
    """The function's instructions by address."""
    text = run(os.environ.get("OBJDUMP", "objdump"), "-d", "--no-show-raw-insn", f"--start-address={address:#x}",
               f"--stop-address={address + size:#x}", library)
    lines = [(int(found[1], 16), PREFIXES.sub("", COMMENT.sub("", found[2]).strip()))
             for found in re.finditer(r"^\s+([0-9a-f]+):\t(.*)$", text, re.M)]
    ends = [at for at, _ in lines[1:]] + [address + size]
    return {at: Instruction(at, code, end) for (at, code), end in zip(lines, ends)}


def ways_on(machine, instruction, inside):
    """Where a hit can go on from here: (addresses inside, whether it returns here)."""
    text = instruction.text
    if machine.ret.match(text):
        return [], True
    if machine.call.match(text) or machine.stop.match(text):
        return [], False
    found = TARGET.search(text)
    target = [int(found[1], 16)] if found else []
    if machine.jump.match(text):
        following = target  # one through a register leaves, as far as anybody can see
    elif machine.branch.match(text):
        following = target + [instruction.next_address]
    else:
        following = [instruction.next_address]
    return [address for address in following if address in inside], False


def spread(start, edges):
    """All addresses that the edges lead to from `start`, which is included."""
    seen, todo = set(), list(start)
    while todo:
        address = todo.pop()
        if address not in seen:
            seen.add(address)
            todo += edges[address]
    return seen


def hit_instructions(machine, code, entry):
    """(edges between instructions, addresses of all that lie on any hit)."""
    forward, back, returns = {}, {address: [] for address in code}, []
    for address, instruction in code.items():
        forward[address], is_return = ways_on(machine, instruction, code)
        if is_return:
            returns.append(address)
        for there in forward[address]:
            back[there].append(address)
    return forward, spread([entry], forward) & spread(returns, back)


def longest_hit(name, code, entry, forward, on_hits):
    """The longest hit, instruction by instruction; Fault where one may loop."""
    longest, open_now = {}, set()

    def visit(address):
        """The longest way from here to a ret."""
        if address in open_now:
            raise Fault(f"{name}: a hit may loop: {address:x}: {code[address].text}")
        if address not in longest:
            open_now.add(address)
            rest = max((visit(there) for there in forward[address] if there in on_hits), key=len, default=[])
            open_now.remove(address)
            longest[address] = [code[address]] + rest
        return longest[address]

    return visit(entry)


def check(library, name, limit, machine):
    """(how many instructions the longest hit has, a text of it); Fault where the function is not as it should be."""
    entry, size = find_function(library, name)
    code = disassemble(library, entry, size)
    if entry not in code:
        raise Fault(f"{name}: could not be disassembled")
    forward, on_hits = hit_instructions(machine, code, entry)
    if entry not in on_hits:
        raise Fault(f"{name}: has no hit: every way through it calls or leaves")
    for address in sorted(on_hits):
        if machine.locked.match(code[address].text):
            raise Fault(f"{name}: locked instruction on a hit: {address:x}: {code[address].text}")
    way = longest_hit(name, code, entry, forward, on_hits)
    shown = "\n".join(f"    {one.address:x}: {one.text}" for one in way)
    if len(way) > limit:
        raise Fault(f"{name}: {len(way)} instructions on the longest hit, {limit} are allowed:\n{shown}")
    return len(way), shown


def main():
    if len(sys.argv) != 3:
        print("stealth: hot_path.py: two arguments are needed; say hot_path.py LIBRARY LIMITS.json")
        return 2
    library, limits_file = sys.argv[1:]
    sys.setrecursionlimit(100000)
    try:
        name_of_machine = machine_of(library)
        with open(limits_file, encoding="utf-8") as text:
            limits = json.load(text).get(name_of_machine)
        if not limits:
            raise Fault(f"{limits_file}: has no limits for {name_of_machine}; measure, and commit them")
    except (Fault, OSError, ValueError) as fault:
        print(f"FAULT {fault}")
        return 1
    faults = 0
    for function, limit in limits.items():
        try:
            count, shown = check(library, function, limit, MACHINES[name_of_machine])
            print(f"{function}: {count} instructions on the longest hit, {limit} allowed\n{shown}")
        except Fault as fault:
            faults += 1
            print(f"FAULT {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
