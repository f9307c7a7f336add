#!/usr/bin/python3
"""Builds the Debian packages from the tree, holds them against lintian, and uses them in a fresh Debian.

    debian.py SOURCE

The fresh Debian is made by mmdebstrap from the sources that apt has here, as root or else in a user namespace, and is
gone afterwards; inside.sh is what happens in it. What has been built is then configured for another prefix.
"""
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
PACKAGES = {"libstealth0", "libstealth-dev", "libstealth-tools"}
# Everything that apt must know to reach its sources from here.
APT_OPTIONS = ("Acquire::http::Proxy", "Acquire::https::Proxy", "Acquire::Check-Valid-Until")


def run(*command, **more):
    began = time.monotonic()
    print("+", shlex.join(str(part) for part in command), flush=True)
    done = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, **more)
    print(f"  {time.monotonic() - began:.0f} s", flush=True)
    return done


def must(what, *command, **more):
    status = run(*command, **more).returncode
    if status != 0:
        sys.exit(f"FAILED: {what}: status {status}; see above")


def said(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def copy_tree(source, target):
    """What belongs to the tree: by git where it knows, else all but builds."""
    listed = subprocess.run(["git", "-C", source, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            capture_output=True, text=True)
    if listed.returncode != 0 or not listed.stdout:
        shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("build*", ".git", "__pycache__"))
        return
    for name in filter(None, listed.stdout.split("\0")):
        if os.path.lexists(source / name):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, target / name, follow_symlinks=False)


def build_packages(tree):
    jobs = len(os.sched_getaffinity(0))
    must("dpkg-buildpackage", "dpkg-buildpackage", "-us", "-uc", "-b", cwd=tree,
         env=dict(os.environ, DEB_BUILD_OPTIONS=f"parallel={jobs} noautodbgsym terse", DEB_CFLAGS_STRIP="-g",
                  DEB_CXXFLAGS_STRIP="-g"))  # debug information is what takes time, and is not looked at
    packages = {path.name.split("_")[0]: path for path in tree.parent.glob("*.deb")}
    if set(packages) != PACKAGES:
        sys.exit(f"FAILED: built were {sorted(packages)}; {sorted(PACKAGES)} was wanted")
    changes, = tree.parent.glob("*.changes")
    must("lintian", "lintian", "--fail-on", "error,warning", "--display-info", "--allow-root", "--color", "never", changes)
    return sorted(packages.values())


def sources():
    """The lines of sources.list by which this machine gets its own release."""
    with open("/etc/os-release", encoding="utf-8") as release:
        facts = dict(line.rstrip("\n").split("=", 1) for line in release if "=" in line)
    name = facts.get("VERSION_CODENAME", "").strip('"')
    known = said("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages")
    lines = sorted({f"deb {line}" for line in known.splitlines()
                    if line.split()[1:] in [[name + part, "main"] for part in ("", "-updates", "-security")]})
    if not lines:
        sys.exit(f"FAILED: no chroot can be made: apt has no source for {name!r} main here; "
                 "correct /etc/apt/sources.list.d")
    return name, lines


def use_in_chroot(packages, work):
    release, lines = sources()
    shared = work / "stealth"
    shared.mkdir()
    for file in (*packages, HERE / "inside.sh", HERE / "consumer" / "consumer.cpp"):
        shutil.copy(file, shared)
    options = []
    for name in APT_OPTIONS:
        value = said("apt-config", "dump", "--format", "%v", name)
        if value:
            options.append(f'--aptopt={name} "{value}"')
    marks = work / "marks"
    marks.mkdir()
    marks.chmod(0o777)  # root of a user namespace is somebody else here
    reached = marks / "reached"
    # Nothing is kept of it: all happens in its last hook, while /proc and the rest are mounted.
    status = run("mmdebstrap", "--variant=apt", "--format=null", "--skip=cleanup/apt", *options,
                 f"--customize-hook=touch {shlex.quote(str(reached))}",
                 f"--customize-hook=copy-in {shlex.quote(str(shared))} /opt",
                 '--customize-hook=chroot "$1" sh /opt/stealth/inside.sh',
                 release, "/dev/null", *lines).returncode
    if status != 0 and not reached.exists():
        sys.exit("FAILED: no chroot can be made: mmdebstrap says above why; run this as root, with the network at hand, "
                 "or where user namespaces are allowed")
    if status != 0:
        sys.exit("FAILED: the packages do not work in a fresh Debian; see above")


def install_elsewhere(tree):
    build, = tree.glob("obj-*")
    must("another prefix", "meson", "configure", build, "--prefix=/opt/elsewhere", "--libdir=deep/lib")
    must("another prefix: build", "ninja", "-C", build)
    must("another prefix: files", sys.executable, HERE / "installed.py", build)


def main():
    with tempfile.TemporaryDirectory(prefix="stealth-packages-") as folder:
        work = pathlib.Path(folder)
        work.chmod(0o755)  # the user namespace reads it
        tree = work / "tree"
        copy_tree(pathlib.Path(sys.argv[1]), tree)
        packages = build_packages(tree)
        use_in_chroot(packages, work)
        install_elsewhere(tree)
    print("built, checked and used")


if __name__ == "__main__":
    main()
