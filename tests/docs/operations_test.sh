#!/usr/bin/env bash
# Does what docs/operations.md says, all of it, in an empty folder.
# usage: operations_test.sh PAGE FOLDER-OF-THE-PROGRAMS
set -euo pipefail
page=$(realpath "$1")
PATH=$(realpath "$2"):$PATH
work=$(mktemp -d)
trap 'kill $(jobs -p) 2> /dev/null || true; wait; rm -rf "$work"' EXIT
cd "$work"
sed -n '/^```sh$/,/^```$/ { /^```/d; p }' "$page" > steps
[ "$(wc -l < steps)" -gt 50 ] || { echo "There are hardly any steps in $page"; exit 1; }
trap 'echo "Failed in line $LINENO of the steps: $BASH_COMMAND"; tail -5 tallyd.log' ERR
set -E
# shellcheck disable=SC1091  # made above
source ./steps
