#!/usr/bin/env bash
# Runs the Python and JavaScript clients of ClickHouse, unchanged, against an engine of their own.
# usage: run.sh [path of tidegate-engine]; needs python3 with venv, node and npm.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../../../.." && pwd)
engine=${1:-$repository/target/debug/tidegate-engine}
work=$repository/target/clients
"$repository/scripts/python-packages.sh" "$here/requirements.txt" "$work"
# Installed again only when the pinned versions change.
mkdir -p "$work/js"
if ! cmp -s "$here/package-lock.json" "$work/js/package-lock.json"; then
    cp "$here/package.json" "$here/package-lock.json" "$work/js/"
    (cd "$work/js" && npm ci --silent --no-audit --no-fund)
fi

data=$(mktemp -d)
export ENGINE_PASSWORD="client check" TIDEGATE_LIBCHDB=${TIDEGATE_LIBCHDB:-$repository/lib/libchdb.so}
# The engine ends when its standard input does, which is when this script does.
coproc ENGINE {
    exec "$engine" --path "$data/db" --user checker --password-env ENGINE_PASSWORD --exit-with-parent --log warn
}
pid=$ENGINE_PID
trap 'kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; rm -rf "$data"' EXIT
read -r ready <&"${ENGINE[0]}" || { echo "the engine did not start" >&2; exit 1; }
address=$(python3 -c 'import json, sys; print(json.loads(sys.argv[1])["http"])' "$ready")

"$work/venv/bin/python" "$here/check.py" "$address" "$ENGINE_PASSWORD"
cp "$here/check.mjs" "$work/js/check.mjs"
node "$work/js/check.mjs" "$address" "$ENGINE_PASSWORD"
