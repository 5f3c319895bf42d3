#!/usr/bin/env bash
# Reads exports, in a folder and on an S3 server, with DuckDB: every type, hot and stored rows; checks the webhook's
# signature with another program; moves a table of DuckDB with DuckDB's own program.
# usage: run.sh [path of tidegate]; needs python3 with venv.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../../../.." && pwd)
tidegate=${1:-$repository/target/debug/tidegate}
work=$repository/target/duckdb
"$repository/scripts/python-packages.sh" "$here/requirements.txt" "$work"

export TIDEGATE_LIBCHDB=${TIDEGATE_LIBCHDB:-$repository/lib/libchdb.so}
data=$(mktemp -d)
trap 'rm -rf "$data"' EXIT
s3_server=$("$repository/crates/cli/tests/s3/install.sh")
"$work/venv/bin/python" "$here/check.py" "$tidegate" "$data" "$s3_server"
"$work/venv/bin/python" "$here/migrate.py" "$tidegate" "$data" "$work/venv/bin/duckdb"
