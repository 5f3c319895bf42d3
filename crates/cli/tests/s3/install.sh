#!/usr/bin/env bash
# Installs the S3 server of the tests, once; prints where its program is. Needs python3 with venv.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(cd "$here/../../../.." && pwd)/target/s3
mkdir -p "$work"

# Tests of several programs may ask at once.
exec 9>"$work/lock"
flock 9

# What is installed is installed again only when the pinned versions change.
if ! cmp -s "$here/requirements.txt" "$work/requirements.txt"; then
    python3 -m venv --clear "$work/venv"
    "$work/venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt" >&2
    cp "$here/requirements.txt" "$work/requirements.txt"
fi
echo "$work/venv/bin/moto_server"
