#!/usr/bin/env bash
# Moves spans from a real PostgreSQL, and asks both sides the same questions: rates, times, ratios.
# usage: spans.sh [--rows N] [--tidegate PATH]
# needs what crates/cli/tests/postgres/run.sh needs, and about 4 GiB of disk for each million spans.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/.." && pwd)
cargo build --release --locked --manifest-path "$repository/Cargo.toml" -p tidegate -p tidegate-chdb
exec "$repository/crates/cli/tests/postgres/run.sh" --run "$here/spans.py" --tidegate "$repository/target/release/tidegate" "$@"
