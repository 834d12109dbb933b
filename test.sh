#!/usr/bin/env bash
# Builds and runs every test; closes with ctest's line. `./test.sh PRESET` builds another preset than release
# (debug, clang, asan, tsan); `./test.sh all` runs them all, one after the other.
# Without an argument, the ledger's own tests run under the preset clang first: another compiler and another
# build must come to the same digests.
set -euo pipefail
cd "$(dirname "$0")"
.ci/install-packages

# run PRESET [TARGET...]: of the tests, those with the targets' names; without a target, all.
run() {
  local preset=$1 launcher=() targets=() tests=()
  shift
  if command -v ccache >/dev/null; then launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
  if [ $# -gt 0 ]; then
    targets=(--target "$@")
    tests=(--tests-regex "^($(IFS='|'; echo "$*"))\$")
  fi
  echo "== $preset: configure, build, test"
  cmake --preset "$preset" "${launcher[@]}" >/dev/null
  cmake --build --preset "$preset" "${targets[@]}"
  ctest --preset "$preset" "${tests[@]}"
}

case "${1:-}" in
  '')
    run clang ledger_test ledger_model_test
    run release
    ;;
  all) for preset in debug clang asan tsan release; do run "$preset"; done ;;
  *) run "$1" ;;
esac
