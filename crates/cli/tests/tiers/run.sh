#!/usr/bin/env bash
# Moves partitions of a real server to a real S3 server: answered from there, verified, after a restart, and with S3 away.
# usage: run.sh [path of tidegate]; needs python3 with venv.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../../../.." && pwd)
tidegate=${1:-$repository/target/debug/tidegate}
server=$("$here/../s3/install.sh")

export TIDEGATE_LIBCHDB=${TIDEGATE_LIBCHDB:-$repository/lib/libchdb.so}
data=$(mktemp -d)
trap 'rm -rf "$data"' EXIT
python3 "$here/check.py" "$tidegate" "$data" "$server"
