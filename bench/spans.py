"""Spans in PostgreSQL and in Tidegate: how fast they are moved and compared, and how long each side takes to answer."""

import argparse
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "crates/cli/tests/postgres"))

from sides import Postgres, Tidegate

PROJECT = "00000000-0000-0000-0000-000000000001"

TABLE = """
CREATE TYPE trace_kind AS ENUM ('invocation', 'annotation', 'unknown');
CREATE TYPE span_kind AS ENUM ('chat', 'tool', 'workflow', 'embedding');
CREATE TABLE spans (
    project_id uuid NOT NULL, trace_id uuid NOT NULL, span_id uuid NOT NULL, parent_id uuid,
    trace_type trace_kind, span_type span_kind, span_kind varchar NOT NULL, span_name varchar NOT NULL,
    start_time timestamptz NOT NULL, end_time timestamptz NOT NULL, status_code varchar NOT NULL, status_message varchar,
    attributes jsonb, "references" jsonb, links jsonb, hashes jsonb, events jsonb,
    created_at timestamptz NOT NULL, updated_at timestamptz, deleted_at timestamptz,
    created_by_id uuid NOT NULL, updated_by_id uuid, deleted_by_id uuid,
    session_id varchar, user_id varchar, agent_id varchar);
"""

# Ten spans a trace, five days, a hundred tenants, one text as long as a question.
FILL = """
INSERT INTO spans SELECT
    '{project}', md5('t' || n / 10)::uuid, md5('s' || n)::uuid, CASE WHEN n % 10 > 0 THEN md5('s' || n - 1)::uuid END,
    'invocation', (ARRAY['chat', 'tool', 'workflow', 'embedding'])[1 + (n % 4)::int]::span_kind, 'SPAN_KIND_INTERNAL', 'step ' || n % 50,
    '2026-01-01Z'::timestamptz + n * interval '0.144 s' * (3000000.0 / {rows}),
    '2026-01-01Z'::timestamptz + n * interval '0.144 s' * (3000000.0 / {rows}) + (n * 7919 % 100003) * interval '0.1 ms',
    CASE WHEN n % 97 = 0 THEN 'STATUS_CODE_ERROR' ELSE 'STATUS_CODE_OK' END, NULL,
    jsonb_build_object('ag', jsonb_build_object(
        'type', jsonb_build_object('trace', 'invocation', 'span', (ARRAY['chat', 'tool', 'workflow', 'embedding'])[1 + (n % 4)::int]),
        'metrics', jsonb_build_object('tokens', jsonb_build_object('incremental', jsonb_build_object('prompt', n % 1000, 'completion', n % 300))),
        'meta', jsonb_build_object('tenant', 'tenant-' || n % 100, 'region', 'eu-' || n % 3),
        'data', jsonb_build_object('inputs', jsonb_build_object('question', 'how many boats of kind ' || n || ' are in the harbour today?')))),
    NULL, NULL, NULL, NULL,
    '2026-01-01Z'::timestamptz + n * interval '0.144 s' * (3000000.0 / {rows}),
    NULL, NULL, '00000000-0000-0000-0000-0000000000aa', NULL, NULL, 'session ' || n / 100, 'user ' || n % 5000, NULL
FROM generate_series(0, {rows}::int8 - 1) AS n;
"""

INDEXES = """
ALTER TABLE spans ADD PRIMARY KEY (project_id, trace_id, span_id);
CREATE INDEX ON spans (project_id, trace_id);
CREATE INDEX ON spans (project_id, start_time);
CREATE INDEX ON spans (project_id, trace_id, created_at DESC);
CREATE INDEX ON spans USING gin (attributes);
VACUUM ANALYZE spans;
"""

# What the server of PostgreSQL gets: a quarter of a machine of 16 GiB, and both processors.
SETTINGS = {"shared_buffers": "4GB", "work_mem": "256MB", "maintenance_work_mem": "1GB", "effective_cache_size": "8GB",
            "max_parallel_workers_per_gather": "2", "jit": "on", "wal_level": "minimal", "max_wal_senders": "0"}

MILLIS = "extract(epoch FROM end_time - start_time)::float8 * 1000"
LIVE = f"project_id = '{PROJECT}' AND deleted_at IS NULL"

# name, PostgreSQL, ours (FROM … WHERE … is put for {rows}), whether PostgreSQL reads every row, the limit in ms.
QUESTIONS = [
    ("count", f"SELECT count(*) FROM spans WHERE {LIVE}", "SELECT count() {rows}", True, None),
    ("traces", f"SELECT count(DISTINCT trace_id) FROM spans WHERE {LIVE}", "SELECT uniqExact(trace_id) {rows}", True, None),
    ("average duration", f"SELECT avg({MILLIS}) FROM spans WHERE {LIVE}", "SELECT avg(duration_ms) {rows}", True, None),
    ("percentiles", f"SELECT percentile_cont(ARRAY[0.5, 0.9, 0.95, 0.99]) WITHIN GROUP (ORDER BY {MILLIS}) FROM spans WHERE {LIVE}",
     "SELECT quantilesExactInclusive(0.5, 0.9, 0.95, 0.99)(ifNull(duration_ms, 0)) {rows}", True, None),
    ("histogram", f"SELECT floor({MILLIS} / 500)::int8 AS bin, count(*) FROM spans WHERE {LIVE} GROUP BY bin ORDER BY bin",
     "SELECT toInt64(floor(duration_ms / 500)) AS bin, count() {rows} GROUP BY bin ORDER BY bin", True, None),
    ("by day", f"SELECT (created_at AT TIME ZONE 'UTC')::date AS day, count(*) FROM spans WHERE {LIVE} GROUP BY day ORDER BY day",
     "SELECT toDate(created_at) AS day, count() {rows} GROUP BY day ORDER BY day", True, None),
    ("an attribute", f"SELECT count(*) FROM spans WHERE {LIVE} AND attributes @> '{{\"ag\": {{\"meta\": {{\"tenant\": \"tenant-7\"}}}}}}'",
     "SELECT count() {rows} AND has(attribute_items, 'ag.meta.tenant=\"tenant-7\"')", False, 200),
    ("a trace", f"SELECT span_id FROM spans WHERE {LIVE} AND trace_id = md5('t{{n}}')::uuid ORDER BY span_id",
     "SELECT span_id {rows of the trace} ORDER BY toString(span_id)", False, 20),
]

ROUNDS = 7


class Session:
    """One connection of psql, whose answers are timed without its start."""

    def __init__(self, postgres):
        self.process = subprocess.Popen(postgres.psql(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def ask(self, sql):
        self.process.stdin.write(f"{sql};\n\\echo ~\n")
        self.process.stdin.flush()
        lines = iter(self.process.stdout.readline, "~\n")
        return [line.rstrip("\n") for line in lines]


def latest(scope, among=""):
    """The condition of the latest version of each span, as the program writes it."""
    further = f"FROM ai_spans WHERE `row_version` > 0 AND {scope}"
    earlier = "arrayJoin(arrayPopBack(arraySort(arrayPushFront(groupArray(`row_version`), 0))))"
    is_latest = (f"((`trace_id`, `span_id`, `row_version`) NOT IN "
                 f"(SELECT `trace_id`, `span_id`, {earlier} {further}{among} GROUP BY `trace_id`, `span_id`) "
                 "AND NOT ifNull(`row_deleted`, false))")
    return is_latest if among else f"(NOT EXISTS (SELECT 1 {further}) OR {is_latest})"


def numbers(cells):
    """What an answer says, whichever side wrote it."""
    told = []
    for cell in cells:
        for part in str(cell).replace("{", "").replace("}", "").replace("[", "").replace("]", "").split(","):
            try:
                told.append(float(f"{float(part):.9g}"))
            except ValueError:
                told.append(part.strip())
    return told


def timed(ask):
    began = time.monotonic()
    answer = ask()
    return (time.monotonic() - began) * 1000, answer


def compare(postgres, tidegate, options, when):
    session = Session(postgres)
    scope = f"`project_id` = '{PROJECT}'"
    rows_of = lambda among: f"FROM ai_spans WHERE {scope}{among} AND isNull(deleted_at) AND {latest(scope, among)}"
    print(f"{when:<34} {'PostgreSQL ms':>14} {'Tidegate ms':>12} {'ratio':>7}  bar")
    missed = []
    for name, theirs, ours, scans, limit in QUESTIONS:
        times = ([], [])
        for round_ in range(ROUNDS + 1):
            number = (round_ * 7919 + 13) % (options.rows // 10)
            trace = session.ask(f"SELECT md5('t{number}')::uuid")[0]
            asked = ours.replace("{rows}", rows_of("")).replace("{rows of the trace}", rows_of(f" AND `trace_id` = '{trace}'"))
            took, there = timed(lambda: session.ask(theirs.replace("{n}", str(number))))
            mine, here = timed(lambda: tidegate.rows(asked))
            flat = [cell for line in there for cell in line.split("|")]
            if numbers(flat) != numbers([cell for row in here for cell in row.values()]):
                raise SystemExit(f"spans: {name}: {flat[:5]} there, {here[:3]} here")
            if round_ > 0:
                times[0].append(took)
                times[1].append(mine)
        took, mine = (statistics.median(side) for side in times)
        is_met = (not scans or took / mine >= 20) and (limit is None or mine < limit)
        bar = " and ".join(filter(None, ["20 times" if scans else "", f"< {limit} ms" if limit else ""]))
        missed += [] if is_met else [name]
        print(f"{name:<34} {took:>14.1f} {mine:>12.1f} {took / mine:>7.1f}  {bar}: {'ok' if is_met else 'MISS'}")
    return missed


def main():
    options = argparse.ArgumentParser()
    for name in ("--programs", "--data", "--tidegate"):
        options.add_argument(name, required=True)
    options.add_argument("--rows", type=int, default=3_000_000)
    options = options.parse_args()
    folder = pathlib.Path(options.data)
    postgres = Postgres(options.programs, folder, SETTINGS)
    began = time.monotonic()
    postgres.sql(TABLE + FILL.format(project=PROJECT, rows=options.rows))
    postgres.sql(INDEXES)
    size = postgres.sql("SELECT pg_size_pretty(pg_total_relation_size('spans'))")
    print(f"{options.rows} spans in PostgreSQL, {size}, made in {time.monotonic() - began:.0f} s")
    copied, _ = timed(lambda: copy(postgres))
    print(f"COPY of PostgreSQL alone, to nowhere: {options.rows / copied * 1000:,.0f} rows/s")
    tidegate = Tidegate(options.tidegate, folder, postgres)
    take = ("postgres", "--table", "spans", "--dataset", "ai-spans", "--time", "created_at", "--capture", "--json")
    step("backfill, start and plan of the program counted", postgres, tidegate, take, "accepted")
    check = ("validate", "ai-spans", "--json")
    step("verify, while ClickHouse takes what was just moved", postgres, tidegate, check, "sourceRows")
    rest(tidegate)
    step("verify, when it has", postgres, tidegate, check, "sourceRows")
    missed = compare(postgres, tidegate, options, "as they were moved")
    changed = options.rows // 100
    postgres.sql(f"UPDATE spans SET status_message = 'changed', updated_at = now() WHERE span_id IN "
                 f"(SELECT md5('s' || n * 100)::uuid FROM generate_series(0, {changed} - 1) AS n)")
    took, _ = timed(lambda: level(postgres))
    postgres.sql("VACUUM ANALYZE spans")
    print(f"changes: {changed / took * 1000:,.0f} a second")
    missed += compare(postgres, tidegate, options, f"after {changed} updates")
    tidegate.stop()
    postgres.stop()
    print("missed: " + (", ".join(missed) or "none"))


def step(name, postgres, tidegate, words, rows):
    """Runs a step of the migration; prints its rate, and the processor time of each side for a row."""
    sides = {"PostgreSQL": postgres.process.pid, "serve": tidegate.process.pid}
    before, own = processor(sides), resource.getrusage(resource.RUSAGE_CHILDREN)
    took, (report, _) = timed(lambda: tidegate.migrate(*words))
    after, now = processor(sides), resource.getrusage(resource.RUSAGE_CHILDREN)
    used = {side: after[side] - before[side] for side in after}
    used["mover"] = now.ru_utime + now.ru_stime - own.ru_utime - own.ru_stime
    count = report[rows]
    shares = ", ".join(f"{side} {seconds / count * 1e6:.1f}" for side, seconds in used.items())
    total = sum(used.values()) / count * 1e6
    print(f"{name}: {count / took * 1000:,.0f} spans/s ({took / 1000:.1f} s); µs of processor a span: {total:.1f} ({shares})")
    if not report.get("equal", True):
        raise SystemExit(f"spans: both sides differ: {report}")


def processor(sides):
    """Seconds of processor that each side has used, its children with it; ClickHouse is the child of `serve`."""
    used = dict.fromkeys([*sides, "ClickHouse"], 0.0)
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parent, own, ended = int(fields[1]), sum(map(int, fields[11:13])), sum(map(int, fields[13:15]))
        for side, process in sides.items():
            if int(folder.name) == process:
                used[side] += own + (ended if side == "PostgreSQL" else 0)
            elif parent == process:
                used["ClickHouse" if side == "serve" else side] += own
    return {side: ticks / os.sysconf("SC_CLK_TCK") for side, ticks in used.items()}


def rest(tidegate):
    """Waits until ClickHouse has all rows, and has merged what it will merge."""
    sides, last = {"serve": tidegate.process.pid}, 0.0
    while True:
        time.sleep(2)
        used = sum(processor(sides).values())
        if used - last < 0.2:
            return
        last = used


def level(postgres):
    """Waits until the server, which follows by itself, has taken all changes."""
    changes = postgres.sql("SELECT 'tidegate.changes_' || oid FROM tidegate.captures")
    while int(postgres.sql(f"SELECT count(*) FROM {changes}")) > 0:
        time.sleep(0.05)


def copy(postgres):
    with open("/dev/null", "w") as nowhere:
        command = postgres.psql() + ["-c", "COPY (SELECT * FROM spans) TO STDOUT (FORMAT binary)"]
        subprocess.run(command, stdout=nowhere, check=True)


if __name__ == "__main__":
    main()
