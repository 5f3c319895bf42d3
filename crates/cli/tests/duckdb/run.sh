#!/usr/bin/env bash
# Reads exports, in a folder and on an S3 server, with DuckDB: every type, hot and stored rows; checks the webhook's
# signature with another program; moves a table of DuckDB with DuckDB's own program.
# usage: run.sh [path of tidegate]; needs python3 with venv.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../../../.." && pwd)
tidegate=${1:-$repository/target/debug/tidegate}
work=$repository/target/duckdb
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
s3_server=$("$repository/crates/cli/tests/s3/install.sh")
"$work/venv/bin/python" "$here/check.py" "$tidegate" "$data" "$s3_server"
"$work/venv/bin/python" "$here/migrate.py" "$tidegate" "$data" "$work/venv/bin/duckdb"
