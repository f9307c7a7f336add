#!/usr/bin/python3
"""Installs a build into a place of its own: exactly the files below must be there, and the command must find its library
from where it stands itself.

    installed.py BUILD
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

# What `meson install` installs, and nothing else. Those of libstealth-unwind are there where libunwind is.
EXPECTED = """
{bindir}/stealth
{includedir}/stealth/buffer_pmr.hpp
{includedir}/stealth/buffer_pool.h
{includedir}/stealth/buffer_pool.hpp
{includedir}/stealth/error.h
{includedir}/stealth/error.hpp
{includedir}/stealth/pmr.hpp
{includedir}/stealth/pool.h
{includedir}/stealth/pool.hpp
{includedir}/stealth/stealth.h
{includedir}/stealth/stealth.hpp
{includedir}/stealth/stream.hpp
{libdir}/cmake/stealth/stealthConfig.cmake
{libdir}/cmake/stealth/stealthConfigVersion.cmake
{libdir}/libstealth-unwind.so
{libdir}/libstealth-unwind.so.0
{libdir}/libstealth-unwind.so.{version}
{libdir}/libstealth.so
{libdir}/libstealth.so.0
{libdir}/libstealth.so.{version}
{libdir}/libstealthpool.a
{libdir}/libstealthpool.so
{libdir}/libstealthpool.so.0
{libdir}/libstealthpool.so.{version}
{libdir}/pkgconfig/stealth.pc
{libdir}/pkgconfig/stealthpool.pc
{datadir}/bash-completion/completions/stealth
{mandir}/man1/stealth.1
{mandir}/man3/libstealth.3
"""


def introspect(build, what):
    return json.loads(subprocess.run(["meson", "introspect", what, build], check=True, capture_output=True).stdout)


def main():
    build = sys.argv[1]
    options = {option["name"]: str(option["value"]) for option in introspect(build, "--buildoptions")}
    prefix = pathlib.PurePosixPath(options["prefix"])
    places = {name: prefix / options[name] for name in ("bindir", "includedir", "libdir", "datadir", "mandir")}
    version = introspect(build, "--projectinfo")["version"]
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        subprocess.run(["meson", "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", root], check=True)
        found = {str(path)[len(folder):] for path in root.rglob("*") if path.is_symlink() or not path.is_dir()}
        wanted = set(EXPECTED.format(version=version, **places).split())
        faults = [f"missing: {path}" for path in sorted(wanted - found)]
        faults += [f"not expected: {path}" for path in sorted(found - wanted)]
        faults += [f"leads nowhere: {path}" for path in sorted(found) if not os.path.exists(folder + path)]
        if faults:
            sys.exit("\n".join(faults))

        # The tree stands elsewhere than it was configured for, where no library is: the command must find its own.
        def inside(path):
            return root / path.relative_to("/")
        command, library = inside(places["bindir"]) / "stealth", inside(places["libdir"]) / "libstealth.so.0"
        environment = {name: value for name, value in os.environ.items()
                       if name != "LD_PRELOAD" and not name.startswith("STEALTH_")}
        ran = subprocess.run([command, "run", f"--stats=exit:{root}/figures", "--", "env"], check=True, capture_output=True, text=True,
                             env=environment)
        preloaded = [line for line in ran.stdout.splitlines() if line.startswith("LD_PRELOAD=")]
        if preloaded != [f"LD_PRELOAD={library}"]:
            sys.exit(f"{preloaded}, where {library} was to be preloaded")
        if ran.stderr or "held" not in (root / "figures").read_text():
            sys.exit(f"no figures at exit, but: {ran.stderr!r}")
    print(f"{len(wanted)} files below {prefix}, as expected; the command preloads the library beside it")


if __name__ == "__main__":
    main()
