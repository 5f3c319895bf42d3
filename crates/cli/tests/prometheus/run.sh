#!/usr/bin/env bash
# Compares PromQL answers with those of the real Prometheus (Debian's package) over the same samples, function by function.
# usage: run.sh [path of tidegate]; needs python3, and apt-get where `prometheus` is not installed.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../../../.." && pwd)
tidegate=${1:-$repository/target/debug/tidegate}
work=$repository/target/prometheus

# The package is unpacked, not installed: its service would start a server of its own.
prometheus=$(command -v prometheus || true)
if [ -z "$prometheus" ]; then
    prometheus=$work/unpacked/usr/bin/prometheus
    if [ ! -x "$prometheus" ]; then
        mkdir -p "$work/package"
        if ! (cd "$work/package" && apt-get download --quiet prometheus > /dev/null 2>&1); then
            apt-get update --quiet > /dev/null
            (cd "$work/package" && apt-get download --quiet prometheus > /dev/null)
        fi
        dpkg-deb -x "$work/package/"prometheus_*.deb "$work/unpacked"
    fi
fi

export TIDEGATE_LIBCHDB=${TIDEGATE_LIBCHDB:-$repository/lib/libchdb.so}
data=$(mktemp -d)
trap 'rm -rf "$data"' EXIT
python3 "$here/check.py" "$tidegate" "$prometheus" "$data"
