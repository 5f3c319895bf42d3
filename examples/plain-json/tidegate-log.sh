#!/bin/sh
# Sends one log entry: tidegate-log.sh LEVEL SOURCE MESSAGE...
# The server's address is in TIDEGATE_URL. Retries carry the same key, so the entry is stored once.
set -eu

url=${TIDEGATE_URL:-http://127.0.0.1:8080}
level=$1
source=$2
shift 2

# A text in JSON: backslashes, quotes, tabs and line ends escaped, other control characters left out.
quoted() {
    printf '%s' "$1" | tr -d '\000-\010\013-\037' |
        awk 'BEGIN { printf "\"" } { gsub(/\\/, "&&"); gsub(/"/, "\\\""); gsub(/\t/, "\\t"); if (NR > 1) printf "\\n"; printf "%s", $0 } END { printf "\"" }'
}

entry=$(printf '{"timestamp":"%s","level":%s,"source":%s,"message":%s,"context":{"host":%s,"pid":%d}}' \
    "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$(quoted "$level")" "$(quoted "$source")" "$(quoted "$*")" \
    "$(quoted "$(uname -n)")" "$$")

curl --silent --show-error --fail-with-body --retry 5 --retry-connrefused --max-time 30 \
    --header 'Content-Type: application/json' \
    --header "Idempotency-Key: $(uname -n)-$$-$(date +%s%N)" \
    --data-binary "$entry" \
    "$url/v1/json/logs"
echo
