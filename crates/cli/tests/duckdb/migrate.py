"""A table of DuckDB is moved by the user's own DuckDB, goes on growing, is compared, cut over, and gets new rows back."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import duckdb
from check import ask, expect, free_port, until

TIDEGATE, DATA, PROGRAM = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
WITHIN_SECONDS = 60
ROWS = 20_000
OLD = DATA / "old.duckdb"
QUERIES = """-- name: by kind
-- source:
SELECT kind, count(*) AS n, sum(price) AS price FROM visits GROUP BY kind ORDER BY kind
-- target:
SELECT kind, count() AS n, sum(price) AS price FROM visits GROUP BY kind ORDER BY kind
-- name: the last day
SELECT max(ts) AS last, count(*) AS n FROM visits
"""


def fill(first, rows):
    """Adds rows; every tenth is there twice."""
    with duckdb.connect(str(OLD)) as old:
        old.execute(
            f"""INSERT INTO visits SELECT TIMESTAMP '2026-01-01' + i * INTERVAL 7 SECOND, i, i / 8, i::HUGEINT * 10**18::HUGEINT,
                CASE i % 3 WHEN 0 THEN NULL ELSE 'row ' || i END, (i / 16)::DECIMAL(18, 4), ['a', 'b'][1 + i % 2],
                {{'a': i, 'b': [i]}}, [i, i + 1], MAP {{'k': i}}, DATE '2026-01-01' + (i % 99)::INTEGER,
                ('00000000-0000-0000-0000-' || lpad(i::VARCHAR, 12, '0'))::UUID, 'x'::BLOB, i % 2 = 0
                FROM range({first}, {first + rows}) t(i), range(CASE WHEN i % 10 = 0 THEN 2 ELSE 1 END) s(j)"""
        )
        return old.execute("SELECT count(*) FROM visits").fetchone()[0]


def migrate(url, *words, fails=False, wait=True):
    command = [TIDEGATE, "migrate", *words, "--url", url, "--duckdb", PROGRAM]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=DATA)
    if not wait:
        return child
    out, err = child.communicate()
    if (child.returncode != 0) != fails:
        raise SystemExit(f"duckdb: {words}: {out}{err}")
    return err if fails else out


def check(url):
    rows = fill(0, ROWS)
    own = ["duckdb", "--from", str(OLD), "--dataset", "visits", "--ask", str(OLD)]
    plan = migrate(url, *own, "--plan")
    expect(f"{rows} rows" in plan and "as JSON" in plan and "as decimal of 38 digits" in plan, True, "the plan")
    child = migrate(url, *own, wait=False)
    until("some rows are taken", lambda: child.poll() is not None or seen(url) > 0)
    child.send_signal(signal.SIGKILL)
    child.wait()
    expect(json.loads(migrate(url, *own, "--json"))["accepted"], rows, "a run that was killed goes on to the last row")

    migrate(url, "mirror", "visits", "--applied")
    ask(f"{url}/datasets/visits/ingest", {"rows": [{"ts": "2026-11-21T00:00:00Z", "i": 10**6 + n} for n in range(50)]})
    until("the mirror is level", lambda: state(url)["mirror"]["lagRows"] == 0)
    for loaded in (50, 0):
        told = json.loads(migrate(url, "apply", "visits", "--json"))
        expect(told["loaded"], loaded, f"{loaded} rows are loaded into DuckDB")
    # Rows that DuckDB got since are taken, those that it got from here are not.
    grown = fill(ROWS, 500)
    expect(grown, rows + 550 + 50, "DuckDB has its rows and ours")
    (DATA / "queries.sql").write_text(QUERIES)
    # The queries see all rows on both sides.
    told = migrate(url, "cutover", "visits", "--queries", "queries.sql")
    expect("both are equal" in told and "query `by kind`: equal in 3 rows" in told, True, "both engines answer alike")
    found = ask(f"{url}/sql/read?format=json", {"sql": "SELECT toString(count()) AS n FROM visits"})
    expect(found["data"][0]["n"], str(grown), "all rows are read here")
    sql = "SELECT h, s, list, map['k'] AS k, hex AS b, toString(day) AS day FROM (SELECT *, blob AS hex FROM visits) WHERE i = 7"
    row = ask(f"{url}/sql/read?format=json", {"sql": sql})["data"][0]
    expect(row["s"].replace(" ", ""), '{"a":7,"b":[7]}', "a struct is JSON")
    expect((row["b"], row["day"]), ("78", "2026-01-08"), "bytes and days")

    with duckdb.connect(str(OLD)) as old:
        old.execute("DELETE FROM visits WHERE i = 5")
    said = migrate(url, "validate", "visits", fails=True)
    expect("changed or removed" in said, True, "a row that was removed there is noticed")


def state(url):
    return ask(f"{url}/admin/migrations")["migrations"][0]


def seen(url):
    try:
        return state(url)["seen"]
    except IndexError:
        return 0


def main():
    with duckdb.connect(str(OLD)) as old:
        old.execute(
            """CREATE TABLE visits (ts TIMESTAMP, i INTEGER, ratio DOUBLE, h HUGEINT, text VARCHAR, price DECIMAL(18, 4),
               kind ENUM('a', 'b'), s STRUCT(a INTEGER, b INTEGER[]), list INTEGER[], map MAP(VARCHAR, INTEGER),
               day DATE, id UUID, blob BLOB, ok BOOLEAN)"""
        )
    ports = [free_port() for _ in range(3)]
    command = [TIDEGATE, "serve", "--data", str(DATA / "moved"), "--http", f"127.0.0.1:{ports[0]}"]
    command += ["--otlp-http", f"127.0.0.1:{ports[1]}", "--otlp-grpc", f"127.0.0.1:{ports[2]}"]
    with open(DATA / "moved.log", "w") as log:
        settings = {"TIDEGATE_TELEMETRY__OWN": "false", "TIDEGATE_BATCH__AGE_MS": "500"}
        server = subprocess.Popen(command, env=os.environ | settings, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{ports[0]}"
    try:
        until("the server is ready", lambda: urllib.request.urlopen(f"{url}/ready").status == 200)
        check(url)
    except BaseException:
        print((DATA / "moved.log").read_text()[-3_000:], file=sys.stderr)
        raise
    finally:
        server.terminate()
        server.wait(WITHIN_SECONDS)


if __name__ == "__main__":
    main()
