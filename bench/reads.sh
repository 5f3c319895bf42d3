#!/usr/bin/env bash
# Runs one load of README.md; the arguments are those of `cargo xtask bench`.
set -euo pipefail
cd "$(dirname "$0")/.."
exec cargo xtask bench --only load-reads "$@"
