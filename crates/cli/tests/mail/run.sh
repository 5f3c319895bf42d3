#!/usr/bin/env bash
# Has alerts sent by mail through a real mail server that is away at first.
# usage: run.sh [path of tidegate]; needs python3 with venv.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../../../.." && pwd)
tidegate=${1:-$repository/target/debug/tidegate}
work=$repository/target/mail
mkdir -p "$work"

# What is installed is installed again only when the pinned versions change.
if ! cmp -s "$here/requirements.txt" "$work/requirements.txt"; then
    python3 -m venv --clear "$work/venv"
    "$work/venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
    cp "$here/requirements.txt" "$work/requirements.txt"
fi

export TIDEGATE_LIBCHDB=${TIDEGATE_LIBCHDB:-$repository/lib/libchdb.so}
data=$(mktemp -d)
trap 'rm -rf "$data"' EXIT
"$work/venv/bin/python" "$here/check.py" "$tidegate" "$data"
