#!/usr/bin/python3
"""secure.py SOURCE COMPILER…: a set-uid program ignores every STEALTH_* setting, and works with the defaults.

The program is linked against a copy of the library (STEALTH_LIB) by an absolute path, as the loader ignores LD_PRELOAD
in a set-uid program, and marked set-uid (as root, or through sudo) or set-gid (anybody with a second group). The same
file without the mark is the control: it must heed the settings, or the test proves nothing. All files are in a folder
of the test's own, which is removed at the end.
"""
import grp
import os
import pwd
import shutil
import subprocess
import sys
import tempfile

HEEDED = "exit:json:{folder}/open/{name}.json"


def folder_that_allows_set_uid():
    for parent in (tempfile.gettempdir(), "/var/tmp", os.path.expanduser("~"), "/dev/shm"):
        if os.path.isdir(parent) and not os.statvfs(parent).f_flag & os.ST_NOSUID:
            return tempfile.mkdtemp(prefix="stealth-secure-", dir=parent)
    sys.exit("FAULT: every folder that could be used is mounted nosuid")


def mark(path):
    """Gives the file an identity that the caller of run_as() has not; returns how to run it."""
    if os.geteuid() == 0:
        os.chown(path, pwd.getpwnam("daemon").pw_uid, 0)
        os.chmod(path, 0o4755)
        nobody = pwd.getpwnam("nobody")
        return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    others = [group for group in os.getgroups() if group != os.getegid()]
    if others:
        os.chown(path, -1, others[0])
        os.chmod(path, 0o2755)
        return {}
    for command in (["chown", "daemon", path], ["chmod", "4755", path]):
        if subprocess.run(["sudo", "-n"] + command, check=False).returncode != 0:
            sys.exit("FAULT: needs root, sudo, or a second group (" + grp.getgrgid(os.getegid()).gr_name +
                     " is the only one) to make a program set-uid")
    return {}


def run(path, name, folder, identity):
    environment = {"PATH": os.environ["PATH"], "STEALTH_CLASSES": "none", "STEALTH_CAPACITY": "nonsense",
                   "STEALTH_SURELY_UNKNOWN": "1", "STEALTH_STATS": HEEDED.format(folder=folder, name=name)}
    done = subprocess.run([path], env=environment, cwd="/", text=True, capture_output=True, timeout=120, check=False,
                          **identity)
    written = os.path.exists(os.path.join(folder, "open", name + ".json"))
    return done.returncode, done.stdout.strip(), done.stderr, written


def build(folder, source, compiler):
    library = os.path.join(folder, "libstealth.so.0")  # its soname, by which the program looks for it
    shutil.copy(os.path.realpath(os.environ["STEALTH_LIB"]), library)
    os.chmod(library, 0o755)
    program = os.path.join(folder, "control")
    subprocess.run(compiler + ["-D_GNU_SOURCE", "-fno-builtin", "-O1", source, "-o", program, "-Wl,--no-as-needed",
                               library, f"-Wl,-rpath,{folder}"], check=True)
    shutil.copy(program, os.path.join(folder, "marked"))
    return program, os.path.join(folder, "marked")


def judge(control, secure):
    faults = []
    code, output, errors, written = control
    if code != 0 or output != "ordinary libc" or not written or "STEALTH_CAPACITY" not in errors:
        faults.append(f"the control does not heed its settings: {control}")
    code, output, errors, written = secure
    if code != 0 or not output.startswith("secure "):
        faults.append(f"the kernel did not run the program as a secure one, or it failed: {secure}")
    if not output.endswith(" ours"):
        faults.append("STEALTH_CLASSES=none was heeded in a set-uid program")
    if written:
        faults.append("STEALTH_STATS was heeded in a set-uid program: it wrote a file")
    if errors:
        faults.append(f"a set-uid program wrote about settings that it must not even read: {errors!r}")
    return faults


def main():
    folder = folder_that_allows_set_uid()
    try:
        os.chmod(folder, 0o755)
        os.mkdir(os.path.join(folder, "open"))
        os.chmod(os.path.join(folder, "open"), 0o777)  # the program's user may write here: only it must not want to
        plain, marked = build(folder, sys.argv[1], sys.argv[2:])
        identity = mark(marked)
        faults = judge(run(plain, "control", folder, identity), run(marked, "marked", folder, identity))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if faults:
        sys.exit("\n".join("FAULT: " + fault for fault in faults))


if __name__ == "__main__":
    main()
