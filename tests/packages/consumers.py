#!/usr/bin/python3
"""Installs the build into a place of its own, and builds a small project against it, as a stranger would.

    consumers.py cmake|pkg-config BUILD CONSUMER_DIR

Every program that comes out is run, by itself and, those without malloc of their own, under the installed library.
"""
import os
import pathlib
import subprocess
import sys
import tempfile


def run(*command, **more):
    print("+", *command, flush=True)
    done = subprocess.run([str(part) for part in command], check=False, **more)
    if done.returncode != 0:
        sys.exit(f"{command[0]}: status {done.returncode}\n{done.stdout or ''}{done.stderr or ''}")
    return done


def only(files, what):
    files = list(files)
    if len(files) != 1:
        sys.exit(f"{what}: {len(files)} found, one wanted: {files}")
    return files[0]


def by_cmake(root, libraries, consumer, work):
    config = only(root.glob("**/stealthConfig.cmake"), "stealthConfig.cmake")
    configured = run("cmake", "-S", consumer, "-B", work / "build", f"-Dstealth_DIR={config.parent}",
                     "-DCMAKE_BUILD_TYPE=Release", capture_output=True, text=True)
    if f"to preload: {libraries / 'libstealth.so.0'}\n" not in configured.stdout:
        sys.exit(f"stealth_PRELOAD does not name the installed library:\n{configured.stdout}")
    run("cmake", "--build", work / "build")
    wanted = {f"consumer{kind}-{library}" for kind in ("", "-c") for library in ("pool", "pool_static", "stealth")}
    programs = [work / "build" / name for name in sorted(wanted)]
    # A version that is not there must be refused.
    other = work / "other"
    other.mkdir()
    (other / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.18)\nproject(other CXX)\nfind_package(stealth 99 REQUIRED)\n")
    refused = subprocess.run(["cmake", "-S", other, "-B", other / "build", f"-Dstealth_DIR={config.parent}"],
                             capture_output=True, text=True)
    if refused.returncode == 0 or "99" not in refused.stderr:
        sys.exit(f"version 99 was found:\n{refused.stderr}")
    return programs


def by_pkg_config(root, libraries, consumer, work):
    environment = dict(os.environ, PKG_CONFIG_SYSROOT_DIR=str(root), PKG_CONFIG_LIBDIR=str(libraries / "pkgconfig"))
    programs = []
    for library in ("stealth", "stealthpool"):
        flags = run("pkg-config", "--cflags", "--libs", library, env=environment, capture_output=True, text=True)
        for compiler, source in (("c++ -std=c++20", "consumer.cpp"), ("cc -std=c99", "consumer.c")):
            program = work / f"{source}-{library}"
            run(*compiler.split(), "-Wall", "-Wextra", "-Werror", consumer / source, "-o", program, *flags.stdout.split())
            programs.append(program)
    return programs


def main():
    way, build, consumer = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        root = work / "root"
        run("meson", "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", root)
        preload = only(root.glob("**/libstealth.so.0"), "libstealth.so.0")
        libraries = preload.parent
        programs = {"cmake": by_cmake, "pkg-config": by_pkg_config}[way](root, libraries, consumer, work)
        environment = dict(os.environ, LD_LIBRARY_PATH=str(libraries))
        for program in programs:
            run(program, env=environment)
            run(program, env=dict(environment, LD_PRELOAD=str(preload)))
    print("all of them build and run")


if __name__ == "__main__":
    main()
