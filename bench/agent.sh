#!/usr/bin/env bash
# Runs a release `tidegate agent` with its host metrics, as it is without a word of configuration, against a release server,
# and prints what it takes at rest. `agent.sh SECONDS` measures so long (60), after ten seconds that nobody measures.
# TIDEGATE names the program, with tidegate-engine beside it; without it both are built.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
program=${TIDEGATE:-}
if [ -z "$program" ]; then
    cargo build --release --locked -p tidegate -p tidegate-chdb
    program=target/release/tidegate
fi
folder=$(mktemp -d)
server= agent=
trap 'kill $agent $server 2>/dev/null || true; wait; rm -rf "$folder"' EXIT
base=$((20000 + $$ % 20000))
TIDEGATE_TELEMETRY__OWN=false "$program" serve --data "$folder/server" --http "127.0.0.1:$base" \
    --otlp-http "127.0.0.1:$((base + 1))" --otlp-grpc "127.0.0.1:$((base + 2))" >"$folder/serve.log" 2>&1 &
server=$!
for _ in $(seq 600); do
    curl -fs "http://127.0.0.1:$base/ready" >/dev/null && break
    sleep 0.1
done
curl -fs "http://127.0.0.1:$base/ready" >/dev/null || { cat "$folder/serve.log"; exit 1; }
"$program" agent --data "$folder/agent" --server "http://127.0.0.1:$((base + 1))" >"$folder/agent.log" 2>&1 &
agent=$!

# User and system time of the agent, in ticks.
ticks() { sed 's/.*) //' "/proc/$agent/stat" | awk '{ print $12 + $13 }'; }
memory() { awk -v name="$1:" '$1 == name { printf "%.1f", $2 / 1024 }' "/proc/$agent/status"; }

sleep 10
before=$(ticks)
sleep "$seconds"
spent=$(($(ticks) - before))
rows=$(curl -fs "http://127.0.0.1:$base/sql/read?format=csv" -d 'SELECT count() FROM metric_samples' | tail -n 1)
echo "agent at rest, $seconds s, $rows data points stored or hot at the server"
awk -v spent="$spent" -v tick="$(getconf CLK_TCK)" -v seconds="$seconds" \
    'BEGIN { cpu = 100 * spent / tick / seconds; printf "processor: %.2f %% of a core (aim 1): %s\n", cpu, cpu < 1 ? "pass" : "MISS" }'
awk -v now="$(memory VmRSS)" -v most="$(memory VmHWM)" -v own="$(memory RssAnon)" -v code="$(memory RssFile)" \
    'BEGIN { printf "resident: %s MiB, at most %s (aim 30): %s; its own %s, pages of the program %s\n", now, most, most < 30 ? "pass" : "MISS", own, code }'
