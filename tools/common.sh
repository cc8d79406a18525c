# What the shell scripts share: messages, the cache, space, hashes, a Python to fetch packages with.
# Sourced, after `set -euo pipefail`. Everything it says goes to stderr.
# shellcheck shell=bash

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
CACHE="${EXTROSPECT_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/extrospect}"
case "$CACHE" in /*) ;; *) CACHE="$PWD/$CACHE" ;; esac
# shellcheck source=tools/versions.sh
source "$ROOT/tools/versions.sh"

say() { printf '%s\n' "$*" >&2; }

# die WHAT [HINT]: ends the script with exit code 1.
die() {
  say "error: $1"
  if [[ $# -gt 1 ]]; then say "  hint: $2"; fi
  exit 1
}

# logged NAME COMMAND…: runs a command quietly; where it fails, shows the end of what it printed.
# The whole of it stays in the cache.
logged() {
  local log="$CACHE/logs/$1.log"
  shift
  mkdir -p "$CACHE/logs"
  if "$@" > "$log" 2>&1 < /dev/null; then return 0; fi
  say "This failed: $*"
  tail -n 25 "$log" | sed 's/^/  | /' >&2
  say "  (all of it: $log)"
  return 1
}

# need_space FOLDER MEBIBYTES WHAT: fails where the disk that holds FOLDER has less free.
need_space() {
  local folder="$1" free
  while [[ ! -d "$folder" ]]; do folder="$(dirname "$folder")"; done
  free="$(df -Pm "$folder" | awk 'NR == 2 { print $(NF - 2) }')"
  if [[ "$free" =~ ^[0-9]+$ ]] && (( free < $2 )); then
    die "$3 needs $2 MiB at $1, and $free MiB are free" \
      "make room, or set EXTROSPECT_CACHE to a folder on a larger disk"
  fi
}

sha256_of() { sha256sum < "$1" | cut -d ' ' -f 1; }

# need_sha256 FILE HASH: fails, and removes the file, where it is not what was pinned.
need_sha256() {
  local found
  found="$(sha256_of "$1")"
  if [[ "$found" != "$2" ]]; then
    rm -f "$1"
    die "$(basename "$1") is not the file that was pinned: expected SHA-256 $2, found $found" \
      "try again; if it happens again, the source of your packages serves another file"
  fi
}

# only_one: waits until no other script works in the cache, and holds it until this one ends.
only_one() {
  [[ -z "${EXTROSPECT_LOCKED:-}" ]] || return 0
  mkdir -p "$CACHE" || die "cannot make the folder $CACHE" "set EXTROSPECT_CACHE to one that can be"
  [[ -w "$CACHE" ]] || die "cannot write to $CACHE" "set EXTROSPECT_CACHE to a folder that can be"
  exec 9> "$CACHE/lock"
  if ! flock -n 9; then
    say "Another set-up is at work in $CACHE; waiting for it."
    flock 9
  fi
  export EXTROSPECT_LOCKED=1
}

# Prints the first Python that can make a virtual environment.
find_python() {
  local python
  for python in ${EXTROSPECT_PYTHON:+"$EXTROSPECT_PYTHON"} python3 /usr/bin/python3; do
    if "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 9))' \
        > /dev/null 2>&1; then
      command -v "$python"
      return 0
    fi
  done
  return 1
}

# A private Python that fetches packages. Sets PYTHON.
ensure_venv() {
  local base
  PYTHON="$CACHE/venv/bin/python"
  if [[ -e "$CACHE/venv/made" ]] && "$PYTHON" -c '' 2> /dev/null; then return 0; fi
  base="$(find_python)" ||
    die "no Python 3.9 or later with the venv module was found" \
      "install python3 and python3-venv, or set EXTROSPECT_PYTHON"
  say "Making a private Python environment from $base"
  need_space "$CACHE" 100 "A Python environment"
  rm -rf "$CACHE/venv"
  logged venv "$base" -m venv "$CACHE/venv" ||
    die "the Python environment could not be made" "is python3-venv installed?"
  touch "$CACHE/venv/made"
}

# pip_quietly LOG ARGUMENT…: pip of the private environment, which asks nothing.
pip_quietly() {
  local log="$1"
  shift
  logged "$log" "$PYTHON" -m pip --no-input --disable-pip-version-check --retries 2 \
    --timeout "${PIP_DEFAULT_TIMEOUT:-30}" "$@"
}

# fetch_pinned PACKAGE VERSION SHA256 FOLDER [PIP-OPTION…]: one file, checked by pip before it is
# looked at. Prints the file's path.
fetch_pinned() {
  local name="$1" version="$2" hash="$3" folder="$4"
  shift 4
  rm -rf "$folder"
  mkdir -p "$folder"
  printf '%s==%s --hash=sha256:%s\n' "$name" "$version" "$hash" > "$folder/requirements.txt"
  if ! pip_quietly "fetch-$name" download --no-deps --require-hashes "$@" \
      --dest "$folder" --requirement "$folder/requirements.txt"; then
    rm -rf "$folder"
    die "$name $version could not be fetched by pip" \
      "is there a network? pip uses its own configuration for a proxy or another index"
  fi
  rm "$folder/requirements.txt"
  find "$folder" -type f | head -n 1
}
