#!/bin/sh
# Installs a Chromium and a PostgreSQL server for the tests, where the system's package manager may.
# What cannot be installed is said in one line; the tests that need it are then listed as not run.
set -u

find_chromium() { command -v chromium || command -v chromium-browser || command -v google-chrome; }
find_postgres() { command -v initdb || ls /usr/lib/postgresql/*/bin/initdb 2>/dev/null; }

missing=""
find_chromium >/dev/null || missing="$missing chromium"
[ -n "$(find_postgres)" ] || missing="$missing postgresql"
[ -z "$missing" ] && exit 0

if ! command -v apt-get >/dev/null; then
  echo "note: no$missing here and no apt-get to install it with; tests that need it will be listed as not run"
  exit 0
fi
as_root=""
if [ "$(id -u)" -ne 0 ]; then
  if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then as_root="sudo -n"; else
    echo "note: no$missing here and no right to install it; run once: sudo apt-get install$missing"
    exit 0
  fi
fi
$as_root apt-get update -qq >/dev/null 2>&1
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 \
  || echo "note: apt-get could not install$missing; tests that need it will be listed as not run"
exit 0
