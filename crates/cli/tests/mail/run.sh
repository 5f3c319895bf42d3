#!/usr/bin/env bash
# Has alerts sent by mail through a real mail server that is away at first.
# usage: run.sh [path of tidegate]; needs python3 with venv.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../../../.." && pwd)
tidegate=${1:-$repository/target/debug/tidegate}
work=$repository/target/mail
"$repository/scripts/python-packages.sh" "$here/requirements.txt" "$work"

export TIDEGATE_LIBCHDB=${TIDEGATE_LIBCHDB:-$repository/lib/libchdb.so}
data=$(mktemp -d)
trap 'rm -rf "$data"' EXIT
"$work/venv/bin/python" "$here/check.py" "$tidegate" "$data"
