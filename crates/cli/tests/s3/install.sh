#!/usr/bin/env bash
# Installs the S3 server of the tests, once; prints where its program is. Needs python3 with venv.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../../../.." && pwd)
work=$repository/target/s3
mkdir -p "$work"

# Tests of several programs may ask at once.
exec 9>"$work/lock"
flock 9

"$repository/scripts/python-packages.sh" "$here/requirements.txt" "$work"
echo "$work/venv/bin/moto_server"
