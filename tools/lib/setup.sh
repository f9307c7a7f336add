# shellcheck shell=bash
# What tools/run, tools/test and .ci/run share: install what is missing, configure, build. To be sourced; the caller
# has `set -euo pipefail` and has put the root of the tree into $root. Everything said here goes to stderr, because
# stdout belongs to the program that is run afterwards, and nothing is said of a step that takes less than a second.

build=${root:?}/build
logs=$build/log
as_root=() # what goes before a command that needs root
running='' # the process id of the step under way
patient=0  # 1: that step must not be cut short

say() { printf 'stealth: %s\n' "$*" >&2; }

# fail STATUS WHAT…: the one line of an error (`what: why; what to do`), then the end.
fail() {
  local status=$1
  shift
  say "$*"
  exit "$status"
}

# interrupted SIGNAL: ends the step under way, which, being in the background, has not heard of the signal, and then
# ourselves by the same signal, so that whoever called sees it. An installation is waited for instead: half of one
# leaves a machine that somebody has to repair.
interrupted() {
  end_step_display
  if [[ -n $running ]]; then
    if ((patient)); then say 'waiting for apt-get, so that it ends cleanly …'; else kill -TERM "$running" || true; fi
    wait "$running" || true
  fi
  trap - "$1" EXIT
  allow_servers
  kill -s "$1" $$
}
trap 'interrupted INT' INT
trap 'interrupted TERM' TERM
trap 'interrupted HUP' HUP

on_terminal=0
columns=80
if [[ -t 2 && ${TERM:-dumb} != dumb ]]; then
  on_terminal=1
  columns=$(tput cols 2>/dev/null) || columns=80
fi

# The line that shows a running step; it is rewritten on a terminal, and comes every ten seconds elsewhere.
show_step() {
  local what=$1 seconds=$2 log=$3 last
  last=$(tail -n 1 "$log" 2>/dev/null | tr '\t\r' '  ' | tr -d '\000-\037' || true)
  if ((on_terminal)); then
    local line="stealth: $what, $seconds s: $last"
    printf '\r\033[K%s' "${line:0:$((columns - 1))}" >&2
  elif ((seconds >= shown + 10)); then
    shown=$seconds
    say "$what, $seconds s: ${last:0:100}"
  fi
}
end_step_display() { if ((on_terminal)); then printf '\r\033[K' >&2; fi; }

# step WHAT LOG COMMAND…: runs the command with its output in LOG, showing that it runs; gives its status.
step() {
  local what=$1 log=$2 status=0 ticks=0 shown=0 began=$SECONDS
  shift 2
  "$@" >"$log" 2>&1 </dev/null {lock}<&- &
  running=$!
  while kill -0 "$running" 2>/dev/null; do
    # Twenty ticks a second. A quick step is over before it is ever shown.
    if ((ticks == 20)) && ((!on_terminal)); then say "$what …"; fi
    if ((ticks >= 20 && ticks % 20 == 0)); then show_step "$what" $((SECONDS - began)) "$log"; fi
    sleep 0.05
    ticks=$((ticks + 1))
  done
  wait "$running" || status=$?
  running=''
  if ((ticks >= 20)); then
    end_step_display
    if ((status == 0)); then say "$what: done in $((SECONDS - began)) s"; fi
  fi
  return "$status"
}

# What a log says of a failure, for an error that the line itself cannot explain: from the first step that failed on,
# as ninja names it, else its end.
show_failure() {
  local lines
  lines=$(awk '/^FAILED/ { found = 1 } found && count++ < 25' "$1")
  printf '%s\n' "${lines:-$(tail -n 25 "$1")}" | sed 's/^/  | /' >&2
}

# A package that brings a server would also start it, here and now, on the user's machine. While we install, Debian's
# own hook for that says no; it is removed again, and one that was there before is left alone.
policy=/usr/sbin/policy-rc.d
policy_made=0
forbid_servers() {
  if [[ -e $policy ]]; then return 0; fi
  policy_made=1
  printf '#!/bin/sh\n# made by libstealth while it installs packages; may be removed\nexit 101\n' |
    "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod 755 "$policy"
}
allow_servers() {
  if ((policy_made)); then
    "${as_root[@]}" rm -f "$policy"
    policy_made=0
  fi
}
trap allow_servers EXIT

# missing_packages PACKAGE…: those that dpkg does not know as installed.
missing_packages() {
  local have package
  have=" $(dpkg-query -W -f '${db:Status-Status}:${Package} ' "$@" 2>/dev/null || true)"
  for package in "$@"; do
    if [[ $have != *" installed:$package "* ]]; then printf '%s\n' "$package"; fi
  done
}

# need_commands COMMAND=PACKAGE…: installs the package of every command that is not there.
need_commands() {
  local pair packages=()
  for pair in "$@"; do
    if ! command -v "${pair%%=*}" >/dev/null; then packages+=("${pair#*=}"); fi
  done
  if ((${#packages[@]})); then install_packages "${packages[@]}"; fi
}

# need_packages PACKAGE…: installs those that are missing. For libraries, which no command shows.
need_packages() {
  local packages
  if ! command -v dpkg-query >/dev/null; then
    fail 1 "cannot see whether $* are installed: no dpkg-query here; use a Debian machine, or meson by itself"
  fi
  mapfile -t packages < <(missing_packages "$@" | sort -u)
  if ((${#packages[@]})); then install_packages "${packages[@]}"; fi
}

# want_packages PACKAGE…: the same for those that one can go without: what cannot be had is told, and is no end.
# Together first, which takes one look at the sources; then, where that failed, each by itself. In a shell of its own,
# because the failure of an installation is the end of a shell.
want_packages() {
  local package missing=()
  mapfile -t missing < <(missing_packages "$@" | sort -u)
  if ((${#missing[@]} == 0)) || wanted_installed "${missing[@]}"; then return 0; fi
  if ((${#missing[@]} == 1)); then return 0; fi
  for package in "${missing[@]}"; do wanted_installed "$package" || true; done
}
wanted_installed() (
  trap allow_servers EXIT
  trap 'interrupted INT' INT
  trap 'interrupted TERM' TERM
  trap 'interrupted HUP' HUP
  install_packages "$@"
)

refreshed=0
install_packages() {
  local log=$logs/apt.log why
  command -v apt-get >/dev/null ||
    fail 1 "$* missing: no apt-get here to install them; install them by hand, then try again"
  if ((EUID != 0)); then
    command -v sudo >/dev/null ||
      fail 1 "$* missing: neither root nor sudo here; run once as root: apt-get install $*"
    sudo -v || fail 1 "$* missing: sudo refused; run once as root: apt-get install $*"
    as_root=(sudo)
  fi
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 apt-get -q -y
    -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 -o Acquire::Retries=3)
  # One source that does not answer is no reason to stop: what we need may come from another, or from the cache.
  if ((!refreshed)); then
    step 'refreshing the lists of packages (apt-get update)' "$log" "${apt[@]}" update ||
      say 'apt-get update met errors, going on with the lists at hand'
    refreshed=1
  fi
  forbid_servers
  patient=1
  if ! step "installing $* (apt-get)" "$log" "${apt[@]}" install --no-install-recommends "$@"; then
    allow_servers
    why=$(grep -m 1 '^E: ' "$log" || tail -n 1 "$log")
    fail 1 "cannot install $*: ${why#E: }; see $log, check the network and the sources of apt, then try again"
  fi
  patient=0
  allow_servers
}

# open_build_dir: makes it, and locks the tree, so that two calls at once do not build into each other's feet.
open_build_dir() {
  if ! mkdir -p "$logs" 2>/dev/null || ! [[ -w $build && -w $logs ]]; then
    fail 1 "$build: not writable for $(id -un); make it so, or remove it and try again"
  fi
  exec {lock}<"$root"
  if ! flock -n "$lock"; then
    say 'waiting for another build in the same tree …'
    flock "$lock"
  fi
}
close_build_dir() { exec {lock}<&-; }

# configure once|again: a release build in build/, if there is none; again: anew, after something was installed that changes it.
# A build directory that came along with a copy of the tree belongs to the other place, and is made anew too.
# BUILD_OPTIONS: more options for meson.
configure() {
  local again=() options
  read -ra options <<<"${BUILD_OPTIONS:-}"
  if [[ -e $build/build.ninja ]]; then
    if ! grep -qF "\"source\": \"$root\"" "$build/meson-info/meson-info.json" 2>/dev/null; then
      again=(--wipe)
    elif [[ $1 == again ]]; then
      again=(--reconfigure)
    else
      return 0
    fi
  fi
  # --wipe empties the directory, logs included, so this one is written elsewhere first.
  local log
  log=$(mktemp)
  if ! step 'configuring' "$log" meson setup "${again[@]}" --buildtype=release "${options[@]}" "$build" "$root"; then
    show_failure "$log"
    fail 1 "cannot configure $build: meson failed, see above; if the directory is stale, remove it and try again"
  fi
  mkdir -p "$logs"
  mv "$log" "$logs/configure.log"
}

# compile TARGET…: `all`, or others that meson.build files name
compile() {
  if ! step 'building' "$logs/build.log" ninja -C "$build" "$@"; then
    show_failure "$logs/build.log"
    fail 1 "the build is broken: see above or $logs/build.log; mend it, or remove $build and try again"
  fi
}

# What every build needs. (python3 comes with meson.)
need_build_tools() { need_commands c++=g++ cc=gcc meson=meson ninja=ninja-build; }
