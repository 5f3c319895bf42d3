#!/usr/bin/env bash
# Moves tables of a real PostgreSQL here, while both sides and the migration are killed, and compares them.
# Then PostgreSQL as the primary of the tracing API (primary.py), and PostgreSQL with TLS (secure.py).
# usage: run.sh [--run SCRIPT, as its first words: another script than these] [--rows N] [--corruptions N] [--seconds N] [--tidegate PATH]
# needs python3, openssl, and apt-get where PostgreSQL's programs are not installed.
set -euo pipefail
script=
if [ "${1:-}" = --run ]; then
    script=$2
    shift 2
fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../../../.." && pwd)
work=$repository/target/postgres

# Debian keeps the server's programs out of the path. The package is unpacked, not installed: it would start a server of its own.
programs=$(find /usr/lib/postgresql/*/bin/initdb 2> /dev/null | sort -V | tail -1 || true)
if [ -z "$programs" ]; then
    programs=$(find "$work/unpacked/usr/lib/postgresql"/*/bin/initdb 2> /dev/null | tail -1 || true)
    if [ -z "$programs" ]; then
        mkdir -p "$work/package"
        packages=(postgresql-15 postgresql-client-15 libpq5)
        if ! (cd "$work/package" && apt-get download --quiet "${packages[@]}" > /dev/null 2>&1); then
            apt-get update --quiet > /dev/null
            (cd "$work/package" && apt-get download --quiet "${packages[@]}" > /dev/null)
        fi
        for package in "$work/package/"*.deb; do
            dpkg-deb -x "$package" "$work/unpacked"
        done
        programs=$(find "$work/unpacked/usr/lib/postgresql"/*/bin/initdb | tail -1)
    fi
    library=$(dirname "$(find "$work/unpacked" -name 'libpq.so.5' | head -1)")
    export LD_LIBRARY_PATH=$library${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
fi

export TIDEGATE_LIBCHDB=${TIDEGATE_LIBCHDB:-$repository/lib/libchdb.so}
data=$(mktemp -d)
trap 'rm -rf "$data"' EXIT
# The server of PostgreSQL refuses to be root, and runs as somebody else then.
chmod 755 "$data"
scripts=("$here/check.py" "$here/primary.py" "$here/secure.py")
if [ -n "$script" ]; then
    scripts=("$script")
fi
for each in "${scripts[@]}"; do
    python3 "$each" --programs "$(dirname "$programs")" --data "$data" --tidegate "$repository/target/debug/tidegate" "$@"
done
