#!/usr/bin/env bash
# Installs pinned Python packages into a folder's own environment, once; again only when the pinned versions change.
# usage: python-packages.sh requirements.txt folder; needs python3 with venv.
set -euo pipefail
requirements=$1 folder=$2
mkdir -p "$folder"
if ! cmp -s "$requirements" "$folder/requirements.txt"; then
    python3 -m venv --clear "$folder/venv"
    "$folder/venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements" >&2
    cp "$requirements" "$folder/requirements.txt"
fi
