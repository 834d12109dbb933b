#!/usr/bin/env bash
# Builds and runs every test; closes with ctest's line. `./test.sh PRESET` builds another preset than release
# (debug, clang, asan, tsan); `./test.sh all` runs them all, one after the other.
set -euo pipefail
cd "$(dirname "$0")"
.ci/install-packages

run() {
  echo "== $1: configure, build, test"
  local launcher=()
  if command -v ccache >/dev/null; then launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
  cmake --preset "$1" "${launcher[@]}" >/dev/null
  cmake --build --preset "$1"
  ctest --preset "$1" "${@:2}"
}

case "${1:-release}" in
  all) for preset in debug clang asan tsan release; do run "$preset"; done ;;
  *) run "${1:-release}" "${@:2}" ;;
esac
