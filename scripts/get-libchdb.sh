#!/usr/bin/env bash
# Fetches libchdb, the embedded ClickHouse, from the npm registry into lib/ (or the folder given): a download of
# about 180 MB, 570 MB on disk. Does nothing when the pinned library is there already.
set -euo pipefail

version=26.7.3-stable.1
folder=${1:-lib}

case "$(uname -s)-$(uname -m)" in
  Linux-x86_64)              package=lib-linux-x64-gnu;   file=libchdb.so
                             sha256=36ad4e999882821ef13cf2d0f52c93f48e6ee1b4498b35a201c23ce4b8d15bf5 ;;
  # For these the version is pinned, and npm compares the download with the registry's own checksum. Their files
  # have not been on a machine of ours yet, so there is no checksum of our own.
  Linux-aarch64)             package=lib-linux-arm64-gnu; file=libchdb.so;    sha256= ;;
  Darwin-arm64)              package=lib-darwin-arm64;    file=libchdb.dylib; sha256= ;;
  Darwin-x86_64)             package=lib-darwin-x64;      file=libchdb.dylib; sha256= ;;
  *) echo "libchdb exists for Linux and macOS on x86-64 and arm64; this is $(uname -sm)." >&2
     echo "Run \`tidegate serve\` against a ClickHouse server instead: docs/settings.md, section [clickhouse]." >&2
     exit 1 ;;
esac

checksum() { if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d' ' -f1; }

if [ -f "$folder/$file" ]; then
  # Reading 570 MB takes seconds: a stamp remembers which file was checked, by its size and time.
  stamp="$version $(wc -c <"$folder/$file" | tr -d ' ')"
  if [ "$(cat "$folder/.$file.checked" 2>/dev/null)" = "$stamp" ]; then exit 0; fi
  if [ -z "$sha256" ] || [ "$(checksum "$folder/$file")" = "$sha256" ]; then
    echo "$stamp" >"$folder/.$file.checked"
    exit 0
  fi
  echo "$folder/$file is not libchdb $version: fetching it again" >&2
fi

command -v npm >/dev/null || { echo "npm is missing: install Node.js (https://nodejs.org), then run this again" >&2; exit 1; }
mkdir -p "$folder"
temporary=$(mktemp -d "$folder/.fetch.XXXXXX")
trap 'rm -rf "$temporary"' EXIT
echo "fetching @chdb/$package $version (about 180 MB)" >&2
(cd "$temporary" && npm pack "@chdb/$package@$version" --silent >/dev/null)
tar -xzf "$temporary"/*.tgz -C "$temporary"
found=$(find "$temporary/package" -name 'libchdb.*' -type f | head -1)
[ -n "$found" ] || { echo "the package @chdb/$package $version holds no libchdb" >&2; exit 1; }
if [ -n "$sha256" ] && [ "$(checksum "$found")" != "$sha256" ]; then
  echo "the downloaded libchdb is not the pinned one: expected sha256 $sha256, got $(checksum "$found")" >&2
  exit 1
fi
mv "$found" "$folder/$file"
echo "$version $(wc -c <"$folder/$file" | tr -d ' ')" >"$folder/.$file.checked"
echo "libchdb is in $folder/$file" >&2
