#!/bin/sh
# Fetches libchdb, the embedded ClickHouse, into lib/ with the npm client: 178 MB to download, 566 MB on disk.
# The version and the hash of the library are pinned; a file that is there already is checked, not fetched again.
set -eu
cd "$(dirname "$0")/.."

version=26.7.3-stable.1
case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) package=@chdb/lib-linux-x64-gnu; sha256=36ad4e999882821ef13cf2d0f52c93f48e6ee1b4498b35a201c23ce4b8d15bf5 ;;
    *)
        echo "get-libchdb: no hash is pinned for $(uname -s) $(uname -m); Tidegate was built and tested on Linux x86_64 (glibc) only." >&2
        echo "get-libchdb: put a libchdb $version for this machine into lib/ by hand, or use STORAGE_BACKEND=clickhouse with a server." >&2
        exit 1 ;;
esac
file=lib/libchdb.so
is_right() { echo "$sha256  $1" | sha256sum --check --status 2>/dev/null; }

# The hash of 566 MB takes two seconds, so a file that passed is remembered by its size and time.
stamp="$file.checked"
[ ! -f "$file" ] || seen=$(stat -L -c '%s %Y' "$file")
if [ -f "$file" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$seen" ]; then exit 0; fi
if [ -f "$file" ] && is_right "$file"; then echo "$seen" >"$stamp"; exit 0; fi

command -v npm >/dev/null || { echo "get-libchdb: npm is not installed; install Node.js with npm, then run this again." >&2; exit 1; }
mkdir -p lib
scratch=$(mktemp -d lib/.fetch.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
echo "fetching $package $version (178 MB) ..."
(cd "$scratch" && npm pack "$package@$version" --silent >/dev/null)
tar -xzf "$scratch"/*.tgz -C "$scratch" package/libchdb.so
is_right "$scratch/package/libchdb.so" || { echo "get-libchdb: the fetched library is not the pinned one; nothing was installed." >&2; exit 1; }
mv "$scratch/package/libchdb.so" "$file"
stat -L -c '%s %Y' "$file" >"$stamp"
echo "libchdb $version is in lib/"
