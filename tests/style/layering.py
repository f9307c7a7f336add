#!/usr/bin/python3
"""Fails on an upward include: the rooms of src/README.md, from the ground up, are held to their order.

    layering.py ROOT          checks the tree at ROOT; one line per fault, exit status 1 where there is any
    layering.py --self-test   proves on made-up trees that every kind of fault is seen, and no other

What is looked at are the #include lines of src, preload, include and tools, active or not: a forbidden include is
one also where a macro hides it today.
"""
import os
import re
import sys
import tempfile

# Room → the rooms it may include beside itself. Written out from the order
# os < base < config < capacity < arena < engine < {guard, observe, pool} < preload.
ORDER = [["os"], ["base"], ["config"], ["capacity"], ["arena"], ["engine"], ["guard", "observe", "pool"], ["preload"]]
ALLOWED = {}
_below = set()
for _level in ORDER:
    for _room in _level:
        ALLOWED[_room] = set(_below)
    _below |= set(_level)
# The tools read the control page and files; they know settings and text, never the engine or what it stands on.
ALLOWED["tools"] = {"os", "base", "config", "observe"}
# The public headers are what programs see: nothing of ours from inside.
ALLOWED["include"] = set()

SOURCES = (".c", ".h", ".cpp", ".hpp", ".cc", ".hh", ".inc", ".S")
INCLUDE = re.compile(r'^\s*#\s*include(?:_next)?\s*(?:"([^"]+)"|<([^>]+)>)')


def room_of(path):
    """The room of a file, given its path from the root of the tree; None for what is outside of the rooms."""
    parts = path.split(os.sep)
    if parts[0] == "src":
        return parts[1] if len(parts) > 2 else "src"
    return parts[0] if parts[0] in ("preload", "tools", "include", "tests") else None


def resolve(root, includer, name, quoted):
    """The included file's path from the root of the tree, or None where it is no file of ours."""
    places = [os.path.dirname(includer)] if quoted else []
    for place in places + ["src", "include", "."]:
        path = os.path.normpath(os.path.join(place, name))
        if os.path.isfile(os.path.join(root, path)) and not path.startswith(".."):
            return path
    return None


def source_files(root):
    for top in ("src", "preload", "include", "tools"):
        for folder, _, files in os.walk(os.path.join(root, top)):
            for file in sorted(files):
                if file.endswith(SOURCES):
                    yield os.path.relpath(os.path.join(folder, file), root)


def faults_in(root, file):
    room = room_of(file)
    if room not in ALLOWED:
        yield f"{file}: lies in no known room; known are {', '.join(sorted(ALLOWED))}"
        return
    with open(os.path.join(root, file), encoding="utf-8", errors="replace") as text:
        for number, line in enumerate(text, 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            name = match[1] or match[2]
            target = resolve(root, file, name, quoted=match[1] is not None)
            if target is None:
                # Not there today (generated, or behind a macro): its name still says where it belongs.
                first = os.path.normpath(name).split(os.sep)
                first = next((part for part in first if part not in ("..", "src")), "")
                other = first if first in ALLOWED and match[1] is not None else None
            else:
                other = room_of(target)
            if other is None or other == room or other in ALLOWED[room] or (other == "include" and room != "os"):
                continue
            yield f"{file}:{number}: room {room} includes {name} of room {other}, which it may not know"


def check(root):
    files = list(source_files(root))
    faults = [fault for file in files for fault in faults_in(root, file)]
    return files, faults


def self_test():
    """(files of a tree, part of the fault expected or None)"""
    lower = {"src/os/os.hpp": "", "src/base/units.hpp": "", "src/config/config.hpp": "", "src/engine/hot.hpp": "",
             "src/guard/guard.hpp": "", "src/observe/page.hpp": "", "src/arena/arena.hpp": "", "preload/entry.hpp": "",
             "src/capacity/budget.hpp": "", "src/pool/pool.hpp": "", "include/stealth/stealth.h": ""}
    cases = [
        ({}, None),
        ({"src/engine/a.cpp": '#include "arena/arena.hpp"\n#include "hot.hpp"\n#include <vector>\n'}, None),
        ({"preload/a.cpp": '#include "engine/hot.hpp"\n#include "../src/guard/guard.hpp"\n'}, None),
        ({"src/pool/a.cpp": '#include <stealth/stealth.h>\n#include "capacity/budget.hpp"\n'}, None),
        ({"src/config/a.cpp": '#include "engine/hot.hpp"\n'}, "config includes engine/hot.hpp of room engine"),
        ({"src/config/a.cpp": '#include "../engine/hot.hpp"\n'}, "of room engine"),
        ({"src/config/a.cpp": "#  include <engine/hot.hpp>\n"}, "of room engine"),
        ({"src/config/deep/a.cpp": '#include "../../engine/hot.hpp"\n'}, "of room engine"),
        ({"src/config/a.cpp": "#if 0\n#include \"engine/hot.hpp\"\n#endif\n"}, "a.cpp:2: room config"),
        ({"src/config/a.cpp": '#include "engine/not_there.hpp"\n'}, "of room engine"),
        ({"src/os/a.cpp": '#include "base/units.hpp"\n'}, "room os includes"),
        ({"src/os/a.cpp": '#include <stealth/stealth.h>\n'}, "room os includes"),
        ({"src/base/a.cpp": '#include "config/config.hpp"\n'}, "room base includes"),
        ({"src/capacity/a.cpp": '#include "arena/arena.hpp"\n'}, "room capacity includes"),
        ({"src/arena/a.cpp": '#include "engine/hot.hpp"\n'}, "room arena includes"),
        ({"src/guard/a.cpp": '#include "observe/page.hpp"\n'}, "room guard includes"),
        ({"src/observe/a.cpp": '#include "guard/guard.hpp"\n'}, "room observe includes"),
        ({"src/engine/a.cpp": '#include "guard/guard.hpp"\n'}, "room engine includes"),
        ({"src/engine/a.cpp": '#include "../../preload/entry.hpp"\n'}, "of room preload"),
        ({"src/pool/a.cpp": '#include "preload/entry.hpp"\n'}, "of room preload"),
        ({"tools/a.cpp": '#include "engine/hot.hpp"\n'}, "room tools includes"),
        ({"include/stealth/a.h": '#include "base/units.hpp"\n'}, "room include includes"),
        ({"src/attic/a.cpp": ""}, "no known room"),
        ({"src/a.cpp": ""}, "no known room"),
    ]
    failed = 0
    for files, expected in cases:
        with tempfile.TemporaryDirectory() as root:
            for path, text in {**lower, **files}.items():
                os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
                with open(os.path.join(root, path), "w", encoding="utf-8") as out:
                    out.write(text)
            _, faults = check(root)
        good = not faults if expected is None else len(faults) == 1 and expected in faults[0]
        if not good:
            failed += 1
            print(f"self-test: {files}: expected {expected!r}, got {faults}")
    print(f"self-test: {len(cases) - failed} of {len(cases)} cases as expected")
    return 1 if failed else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    if len(sys.argv) != 2 or not os.path.isdir(os.path.join(sys.argv[1], "src")):
        print("stealth: layering.py: needs the root of the tree; say layering.py ROOT, or --self-test")
        return 2
    files, faults = check(sys.argv[1])
    print("\n".join(faults + [f"{len(files)} files looked at, {len(faults)} faults"]))
    # A check that finds nothing to look at has proven nothing.
    return 1 if faults or not files else 0


if __name__ == "__main__":
    sys.exit(main())
