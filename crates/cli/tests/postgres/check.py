"""Moves tables of a real PostgreSQL, kills everything meanwhile, plants corruptions, and switches reads."""

import argparse
import hashlib
import hmac
import json
import pathlib
import random
import subprocess
import threading
import time
import uuid

from sides import Postgres, Tidegate, wait_for

SPANS = """
CREATE TYPE trace_kind AS ENUM ('invocation', 'annotation', 'unknown');
CREATE TYPE status AS ENUM ('STATUS_CODE_UNSET', 'STATUS_CODE_OK', 'STATUS_CODE_ERROR');
CREATE TABLE spans (
    project_id uuid NOT NULL, trace_id uuid NOT NULL, span_id uuid NOT NULL, parent_id uuid,
    trace_type trace_kind, span_type varchar, span_kind varchar NOT NULL, span_name varchar NOT NULL,
    start_time timestamptz NOT NULL, end_time timestamptz NOT NULL, status_code status NOT NULL, status_message varchar,
    attributes jsonb, "references" jsonb, links jsonb, hashes jsonb, events jsonb,
    created_at timestamptz NOT NULL, updated_at timestamptz, deleted_at timestamptz,
    created_by_id uuid NOT NULL, updated_by_id uuid, deleted_by_id uuid,
    session_id varchar, user_id varchar, agent_id varchar,
    PRIMARY KEY (project_id, trace_id, span_id));
CREATE INDEX ON spans (project_id, trace_id, created_at DESC);
"""

# Two moments for all of them: nothing may hang on times being different.
FILL = """
INSERT INTO spans SELECT
    '00000000-0000-0000-0000-000000000001', md5('t' || n / 10)::uuid, md5('s' || n)::uuid, md5('s' || n - 1)::uuid,
    'invocation', 'chat', 'SPAN_KIND_INTERNAL', 'span ' || n % 50, '2026-01-01Z'::timestamptz + n * interval '1 ms',
    '2026-01-01Z'::timestamptz + n * interval '1 ms' + interval '250 ms', 'STATUS_CODE_OK', NULL,
    jsonb_build_object('ag', jsonb_build_object('metrics', jsonb_build_object('tokens', n % 1000, 'cost', n / 7.0),
        'data', jsonb_build_object('inputs', repeat('question ' || n || ' ', 10), 'größe', 1.50))),
    NULL, '[]', NULL, NULL,
    CASE n % 2 WHEN 0 THEN '2026-01-02 03:04:05.678901Z'::timestamptz ELSE '2026-01-02 03:04:05.678902Z' END,
    NULL, NULL, '00000000-0000-0000-0000-0000000000aa', NULL, NULL, 'session ' || n / 100, NULL, NULL
FROM generate_series(1, {rows}) AS n;
"""

TYPES = """
CREATE TABLE kinds (
    a int4, b text, flag bool, small int2, big int8, real4 float4, real8 float8, price numeric(18, 4), free numeric, day date,
    at timestamp, id uuid, raw bytea, doc json, docb jsonb, tags text[], numbers int8[], moments timestamptz[], span interval,
    "Odd Name" varchar(20), fixed char(5), PRIMARY KEY (a, b));
INSERT INTO kinds VALUES
    (1, 'x', true, -32768, 9223372036854775807, 1.5, 'NaN', 12345678901234.5678, 1e30, '2026-02-28', '2026-02-28 23:59:59.999999',
     'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '\\xdeadbeef', '{"b": 1,  "a": [1.50, 1e3]}', '{"b": 1, "a": [1.50, 1e3]}',
     '{a,NULL,"c d"}', '{1,NULL,-3}', '{2026-01-01 00:00:00+00}', '1 day 2 hours', 'ö"''\\ ', 'ab'),
    (2, 'x', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-01-01', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (3, '', false, 0, -9223372036854775808, -0.0, 'Infinity', -0.0001, 'NaN', '1970-01-01', '1969-12-31 23:59:59', NULL, '', 'null',
     'null', '{}', '{}', '{}', '-1 mons', '', ''),
    (4, 'refused', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'infinity', '2026-01-01', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (5, 'refused', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '1066-10-14', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (6, 'refused', NULL, NULL, NULL, NULL, NULL, 'NaN', NULL, NULL, '2026-01-01', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
"""


def check(is_so, what):
    if not is_so:
        raise SystemExit(f"postgres: {what}")


class Writer(threading.Thread):
    """Writes to the spans without a pause, also while PostgreSQL is away."""

    def __init__(self, postgres, rows, seed):
        super().__init__(daemon=True)
        self.postgres, self.rows, self.random = postgres, rows, random.Random(seed)
        self.is_over, self.written, self.failed = threading.Event(), 0, 0

    def some(self):
        return f"md5('s' || {self.random.randrange(1, self.rows)})::uuid"

    def statement(self):
        where = f"span_id = {self.some()}"
        fresh = f"md5('w' || {self.random.randrange(self.rows)})::uuid"
        copied = f"INSERT INTO spans SELECT * FROM spans WHERE {where}"
        return self.random.choice((
            f"UPDATE spans SET status_message = 'changed', updated_at = now() WHERE {where}",
            f"UPDATE spans SET attributes = attributes || '{{\"more\": {self.random.random()}}}' WHERE {where}",
            f"DELETE FROM spans WHERE {where}",
            # Deleted and back, in one transaction, with another value.
            f"CREATE TEMP TABLE t ON COMMIT DROP AS SELECT * FROM spans WHERE {where}; DELETE FROM spans WHERE {where}; "
            "UPDATE t SET span_name = 'back'; INSERT INTO spans SELECT * FROM t",
            # Another key.
            f"UPDATE spans SET span_id = {fresh} WHERE {where} AND NOT EXISTS (SELECT FROM spans WHERE span_id = {fresh})",
            f"CREATE TEMP TABLE t ON COMMIT DROP AS SELECT * FROM spans WHERE {where}; UPDATE t SET span_id = {fresh}; "
            "INSERT INTO spans SELECT * FROM t ON CONFLICT DO NOTHING",
            # A transaction that comes to nothing, and half of one.
            f"{copied.replace('SELECT *', 'SELECT *')} ON CONFLICT (project_id, trace_id, span_id) DO UPDATE SET span_name = 'again'",
            f"DELETE FROM spans WHERE {where}; ROLLBACK; BEGIN",
            f"SAVEPOINT s; DELETE FROM spans WHERE {where}; ROLLBACK TO s; UPDATE spans SET user_id = 'u' WHERE span_id = {self.some()}",
        ))

    def run(self):
        while not self.is_over.is_set():
            level = self.random.choice(("READ COMMITTED", "READ COMMITTED", "REPEATABLE READ"))
            batch = "".join(f"BEGIN ISOLATION LEVEL {level}; {self.statement()}; COMMIT;\n" for _ in range(20))
            if self.postgres.try_sql(batch).returncode == 0:
                self.written += 20
            else:
                self.failed += 1
                time.sleep(0.1)

    def end(self):
        self.is_over.set()
        self.join()


def types(postgres, tidegate):
    """Values of every type arrive; what cannot is told, and reads are switched."""
    postgres.sql(TYPES)
    take = ("postgres", "--table", "public.kinds", "--dataset", "kinds", "--rename", "Odd Name=odd", "--json")
    plan, _ = tidegate.migrate(*take, "--plan")
    kinds = {column["name"]: column["becomes"] for column in plan["columns"]}
    expected = {"a": "integer", "price": "decimal(18,4)", "free": "string", "raw": "string", "docb": "json", "tags": "array(string)"}
    check({name: kinds[name] for name in expected} == expected and len(plan["refused"]) == 3, f"the plan is {plan}")
    check(plan["rows"] == 6 and plan["isCounted"] and plan["key"] == ["a", "b"], f"the plan is {plan}")
    report, _ = tidegate.migrate(*take, fails=True)
    check((report["accepted"], report["rejected"]) == (3, 3), f"{report}")
    rows = tidegate.rows("SELECT * FROM kinds ORDER BY a")
    first = rows[0]
    told = {"odd": "ö\"'\\ ", "raw": "deadbeef", "doc": '{"b": 1,  "a": [1.50, 1e3]}', "tags": ["a", None, "c d"], "span": "1 day 02:00:00"}
    check({name: first[name] for name in told} == told, f"{first}")
    check(len(rows) == 3 and all(row["row_version"] in (0, "0") and row["row_deleted"] is False for row in rows), f"{rows}")
    again, _ = tidegate.migrate(*take)
    check((again["sent"], again["accepted"]) == (0, 0), f"taken twice: {again}")
    comparison, _ = tidegate.migrate("validate", "kinds", "--json")
    check(comparison["equal"] and comparison["rejected"] == 3 and comparison["spotChecks"] >= 1, f"{comparison}")
    _, text = tidegate.migrate("cutover", "kinds", fails=True)
    check("refused" in text, f"rows that were refused do not keep reads from being switched: {text}")
    report = tidegate.folder / "report.json"
    key = tidegate.folder / "key"
    key.write_text("a key that nobody guesses\n")
    tidegate.migrate("cutover", "kinds", "--accept-rejected", "3", "--report", str(report), "--sign-key-file", str(key))
    signed = json.loads(report.read_text())
    text = signed["comparison"].encode()
    check(signed["sha256"] == hashlib.sha256(text).hexdigest(), "the report's hash is another")
    check(signed["hmacSha256"] == hmac.new(key.read_bytes().strip(), text, "sha256").hexdigest(), "the report's signature is another")
    tidegate.migrate("rollback", "kinds", "--force")
    print("types: ok")


def faults(postgres, tidegate, options):
    """Rows change, and everything is killed, while they are taken: then both sides are equal."""
    rnd = random.Random(options.seed)
    postgres.sql(SPANS)
    postgres.sql(FILL.format(rows=options.rows))
    # This one has its number, and that of a part of it, before changes are captured, and writes after.
    session = threading.Thread(target=postgres.sql, args=(
        "CREATE TABLE other (n int); BEGIN; INSERT INTO other VALUES (1); SAVEPOINT s; INSERT INTO other VALUES (2); "
        "SELECT pg_sleep(4); INSERT INTO spans SELECT * FROM (SELECT * FROM spans LIMIT 3) AS three "
        "ON CONFLICT (project_id, trace_id, span_id) DO UPDATE SET span_name = 'old transaction'; "
        "DELETE FROM spans WHERE span_id IN (SELECT span_id FROM spans ORDER BY span_id LIMIT 3); COMMIT;",))
    session.start()
    writer = Writer(postgres, options.rows, options.seed)
    writer.start()
    take = ("postgres", "--table", "spans", "--dataset", "app-spans", "--time", "created_at", "--capture", "--json")
    kills = {"migrator": 0, "tidegate": 0, "postgres": 0, "follower": 0}
    end = time.monotonic() + options.seconds
    moving, following, begun = tidegate.begin(*take), None, 0
    while time.monotonic() < end or moving.poll() is None:
        time.sleep(rnd.uniform(0.3, 1.5))
        if moving.poll() is not None and moving.returncode != 0:
            moving, begun = tidegate.begin(*take), begun + 1
            check(begun < 200, f"it is not taken: {(tidegate.folder / 'migrate.log').read_text()[-2000:]}")
        if moving.poll() == 0 and (following is None or following.poll() is not None):
            following = tidegate.begin("follow", "app-spans", "--every-ms", "50")
        if time.monotonic() > end:
            continue
        # The old transaction is to come to its end.
        victims = [name for name in kills if name != "postgres" or not session.is_alive()]
        victim = min(victims, key=lambda name: (kills[name], rnd.random()))
        kills[victim] += 1
        if victim == "migrator" and moving.poll() is None:
            moving.kill()
            moving.wait()
        elif victim == "follower" and following is not None:
            following.kill()
            following.wait()
        elif victim == "tidegate":
            tidegate.kill()
            tidegate.start()
        elif victim == "postgres":
            postgres.kill()
            postgres.start()
    session.join()
    oid = postgres.sql("SELECT 'spans'::regclass::oid")
    check(int(postgres.sql(f"SELECT count(*) FROM tidegate.grey_{oid}")) > 0,
          "the transaction from before did not write behind the trigger")
    writer.end()
    tidegate.migrate(*take)
    if following is not None:
        following.kill()
        following.wait()
    lag, _ = tidegate.migrate("follow", "app-spans", "--once")
    check(lag["lagRows"] == 0, f"changes are left: {lag}")
    rows = int(postgres.sql("SELECT count(*) FROM spans"))
    comparison, _ = tidegate.migrate("validate", "app-spans", "--json")
    check(comparison["sourceRows"] == rows and comparison["targetRows"] == rows, f"{rows} rows: {comparison}")
    check(comparison["equal"] and comparison["rangesDiffer"] == 0, f"{comparison}")
    versions = tidegate.rows("SELECT toString(count()) AS n, toString(countIf(row_version > 0)) AS later FROM app_spans")[0]
    print(f"faults: ok, {rows} rows, {versions['n']} versions, {versions['later']} later ones; {writer.written} transactions "
          f"({writer.failed} scripts failed); killed {kills}; compared at {comparison['rowsPerSecond']} rows/s")


def corruptions(postgres, tidegate, options):
    """Each of so many corruptions is found, and what only looks like one is not."""
    rnd = random.Random(options.seed)
    postgres.sql("ALTER TABLE spans DISABLE TRIGGER tidegate_capture")
    keys = postgres.sql(f"SELECT span_id FROM spans ORDER BY md5(span_id::text) LIMIT {options.corruptions + 1}").split()
    alike = keys.pop()
    planted = set()
    for span in keys:
        where = f"WHERE span_id = '{span}'"
        kind = rnd.randrange(6)
        if kind == 0:
            postgres.sql(f"UPDATE spans SET span_name = span_name || '!' {where}")
        elif kind == 1:
            postgres.sql(f"UPDATE spans SET attributes = jsonb_set(attributes, '{{ag,metrics,cost}}', '0.10000000000000001') {where}")
        elif kind == 2:
            postgres.sql(f"UPDATE spans SET end_time = end_time + interval '1 us' {where}")
        elif kind == 3:
            postgres.sql(f"DELETE FROM spans {where}")
        else:
            row = json.loads(postgres.sql(f"SELECT row_to_json(spans) FROM spans {where}"))
            changed = version(row, row_deleted=kind == 4)
            if kind == 5:
                changed |= {"span_id": str(uuid.UUID(int=rnd.getrandbits(128)))}
            tidegate.ingest("app-spans", [changed])
            span = changed["span_id"]
        planted.add(span)
    row = json.loads(postgres.sql(f"SELECT row_to_json(spans) FROM spans WHERE span_id = '{alike}'"))
    # Python's numbers would lose digits, and that is a difference.
    pretty = postgres.sql(f"SELECT jsonb_pretty(attributes) FROM spans WHERE span_id = '{alike}'")
    tidegate.ingest("app-spans", [version(row) | {"attributes": "PRETTY"}], ('"PRETTY"', pretty))
    comparison, _ = tidegate.migrate("validate", "app-spans", "--json", fails=True)
    found = {difference["key"]["span_id"] for difference in comparison["differences"]}
    extra = [difference for difference in comparison["differences"] if difference["key"]["span_id"] not in planted]
    check(not extra, f"nothing was planted in {extra}")
    check(comparison["rowsDiffer"] == len(planted) and not comparison["equal"], f"{len(planted)} were planted: {comparison}")
    check(found <= planted and len(found) == min(len(planted), 100), f"{planted ^ found}")
    check(comparison["jsonWrittenOtherwise"] == 1, f"{comparison}")
    _, text = tidegate.migrate("cutover", "app-spans", fails=True)
    check("differ" in text, f"{text}")
    print(f"corruptions: ok, {len(planted)} planted, {comparison['rowsDiffer']} found, at {comparison['rowsPerSecond']} rows/s")


def version(row, **more):
    """A later version of a row."""
    row = {name: value for name, value in row.items() if value is not None}
    return row | {"row_version": 10**12, "row_deleted": False} | more


MAPPED = """
CREATE TABLE mapped (id int8 PRIMARY KEY, at timestamptz NOT NULL, status text, price numeric(10, 2), code int4, flag bool, tags text[], big int8[], moment timestamptz);
INSERT INTO mapped SELECT n, '2026-01-31Z', 'state ' || n % 3, n / 8.0, n, n % 2 = 0, ARRAY['t' || n % 2], ARRAY[n, NULL], '2026-01-01 00:00:00.5Z'
FROM generate_series(1, 500) AS n;
"""


def mapped(postgres, tidegate):
    """Columns get the types that a map names, now and as they change; types that some value does not fit are refused."""
    postgres.sql(MAPPED)
    file = tidegate.folder / "map.toml"
    take = ("postgres", "--table", "mapped", "--dataset", "mapped", "--time", "at", "--map", str(file), "--json")
    file.write_text('[types]\nid = "double"\nprice = "decimal(9,2)"\nnone = "string"\n')
    _, text = tidegate.migrate(*take, "--plan", fails=True)
    for told in ("`id` cannot be double: not every integer is a double; it may be integer, a decimal", "not every decimal(10,2) is a decimal(9,2)",
                 "the table has no column `none`"):
        check(told in text, text)
    file.write_text('[types]\nid = "text"\n')
    check("`text` is no type of a column: use timestamp, string" in tidegate.migrate(*take, "--plan", fails=True)[1], "an unknown type is taken")
    types = {"status": "keyword", "price": "decimal(20,4)", "code": "double", "flag": "string", "tags": "array(keyword)", "big": "string", "moment": "keyword"}
    file.write_text('[rename]\nstatus = "state"\n[types]\n' + "".join(f'{name} = "{kind}"\n' for name, kind in types.items()))
    tidegate.migrate(*take, "--capture")
    stored = tidegate.rows("SELECT toTypeName(state) AS state, toTypeName(price) AS price, toTypeName(tags) AS tags FROM mapped LIMIT 1")[0]
    check("LowCardinality" in stored["state"] and "Decimal(20, 4)" in stored["price"] and "LowCardinality" in stored["tags"], f"{stored}")
    postgres.sql("UPDATE mapped SET status = 'changed', big = '{7,8}' WHERE id = 1; DELETE FROM mapped WHERE id = 2")
    tidegate.migrate("follow", "mapped", "--once")
    row = tidegate.rows("SELECT state, toString(price) AS price, code, flag, tags, big, moment FROM mapped WHERE id = 1 AND row_version > 0")[0]
    told = {"state": "changed", "price": "0.13", "code": 1, "flag": "false", "tags": ["t1"], "big": "{7,8}", "moment": "2026-01-01 00:00:00.5+00"}
    check(row == told, f"{row}")
    comparison, _ = tidegate.migrate("validate", "mapped", "--json")
    check(comparison["equal"] and comparison["sourceRows"] == 499, f"{comparison}")
    tidegate.migrate("abandon", "mapped")
    print("types of a map: ok")


def spans_of_applications(postgres, tidegate):
    """Spans get what is worked out of them, those that were there and those that change."""
    postgres.sql("CREATE TABLE few (LIKE spans, PRIMARY KEY (span_id)); INSERT INTO few SELECT * FROM spans WHERE attributes IS NOT NULL LIMIT 100")
    tidegate.migrate("postgres", "--table", "few", "--dataset", "ai-spans", "--time", "created_at", "--capture")
    postgres.sql("""UPDATE few SET start_time = '2026-01-01Z', end_time = '2026-01-01 00:00:01.5Z', events = '[{"name": "exception"}, {"name": "log"}]',
        attributes = '{"ag": {"meta": {"tenant": "a=b", "request": {"model": "m"}}, "metrics": {"tokens": {"incremental": {"prompt": 3, "completion": 4}}}}, "x.y": 1}'
        WHERE span_id = (SELECT min(span_id::text)::uuid FROM few)""")
    tidegate.migrate("follow", "ai-spans", "--once")
    comparison, _ = tidegate.migrate("validate", "ai-spans", "--json")
    check(comparison["equal"] and comparison["sourceRows"] == 100, f"{comparison}")
    first = tidegate.rows("SELECT count() AS n, min(length(attribute_items)) AS items FROM ai_spans WHERE row_version = 0 AND isNotNull(duration_ms)")[0]
    check(int(first["n"]) == 100 and int(first["items"]) >= 3, f"{first}")
    later = tidegate.rows("SELECT duration_ms, tokens_prompt, tokens_total, errors, model, attribute_items FROM ai_spans WHERE row_version > 0")
    items = ['ag.meta.request.model="m"', 'ag.meta.tenant="a=b"', "ag.metrics.tokens.incremental.completion=4", "ag.metrics.tokens.incremental.prompt=3"]
    told = {"duration_ms": 1500, "tokens_prompt": 3, "tokens_total": 7, "errors": 1, "model": "m", "attribute_items": items}
    check(len(later) == 1 and {name: int(value) if name == "errors" else value for name, value in later[0].items()} == told, f"{later}")
    tidegate.migrate("abandon", "ai-spans")
    print("spans of applications: ok")


def cut_over(postgres, tidegate):
    """A table that was captured is switched, and nothing of ours is left in PostgreSQL."""
    postgres.sql("CREATE TABLE small (id int8 PRIMARY KEY, at timestamptz, note text); "
                 "INSERT INTO small SELECT n, now(), 'note ' || n FROM generate_series(1, 1000) n")
    tidegate.migrate("postgres", "--table", "small", "--dataset", "small", "--capture")
    postgres.sql("UPDATE small SET note = 'later' WHERE id <= 10; TRUNCATE small; INSERT INTO small VALUES (5, now(), 'again'), (2000, now(), 'new')")
    tidegate.migrate("validate", "small", fails=True)
    # Somebody else may take the changes.
    following = tidegate.begin("follow", "small")
    tidegate.migrate("cutover", "small")
    following.kill()
    following.wait()
    left = tidegate.rows("SELECT id, note, toString(row_version) AS version FROM small WHERE (id, row_version) IN "
                         "(SELECT id, max(row_version) FROM small GROUP BY id) AND NOT row_deleted ORDER BY id")
    check([(int(row["id"]), row["note"]) for row in left] == [(5, "again"), (2000, "new")], f"{left}")
    check(left[0]["version"] != "0" and left[1]["version"] == "0", f"{left}")
    # After the switch changes still come.
    postgres.sql("DELETE FROM small WHERE id = 5")
    done, _ = tidegate.migrate("follow", "small", "--once")
    check(done["changes"] == 1, f"{done}")
    tidegate.migrate("cleanup", "small", "--yes")
    tidegate.migrate("abandon", "app-spans")
    check(postgres.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'tidegate'") == "0", "something is left in PostgreSQL")
    check(postgres.sql("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'tidegate%'") == "0", "a trigger is left")
    print("cut-over: ok")


def partitions(postgres, tidegate):
    """A table in partitions, with a key of its own and columns by a file; rows go from one partition to another."""
    postgres.sql("""CREATE TABLE parts (day date NOT NULL, id int8 NOT NULL, note text, secret text, at timestamptz NOT NULL, UNIQUE (day, id))
        PARTITION BY RANGE (day); CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
        CREATE TABLE parts_2 (at timestamptz NOT NULL, secret text, id int8 NOT NULL, day date NOT NULL, note text);
        ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
        INSERT INTO parts SELECT '2026-01-01'::date + n % 59, n, 'note ' || n, 'secret', now() FROM generate_series(1, 500) AS n""")
    chosen = tidegate.folder / "map.toml"
    chosen.write_text('leaveOut = ["secret"]\n[rename]\nnote = "told"\n')
    take = ("postgres", "--table", "public.parts", "--dataset", "parts", "--key", "day,id", "--map", str(chosen), "--capture", "--json")
    report, _ = tidegate.migrate(*take)
    check(report["accepted"] == 500, f"{report}")
    postgres.sql("UPDATE parts SET day = '2026-02-28' WHERE id <= 20; UPDATE parts SET secret = 'other', note = 'later' WHERE id = 30; "
                 "TRUNCATE parts_1; INSERT INTO parts VALUES ('2026-01-05', 4, 'back', 's', now())")
    tidegate.migrate("follow", "parts", "--once")
    comparison, _ = tidegate.migrate("validate", "parts", "--json")
    check(comparison["equal"] and comparison["sourceRows"] == int(postgres.sql("SELECT count(*) FROM parts")), f"{comparison}")
    check("secret" not in tidegate.rows("SELECT * FROM parts LIMIT 1")[0], "a column that is left out is here")
    tidegate.migrate("abandon", "parts")
    print("partitions: ok")


def swept(postgres, tidegate):
    """Without a trigger changes are found by the application's columns, each once; a delete is found by comparing."""
    postgres.sql("CREATE TABLE notes (id int8 PRIMARY KEY, note text, created_at timestamptz NOT NULL, updated_at timestamptz); "
                 "INSERT INTO notes SELECT n, 'note ' || n, now() - interval '1 day', NULL FROM generate_series(1, 500) n; "
                 "UPDATE notes SET updated_at = now() - interval '1 hour' WHERE id % 5 = 0")
    # It was there before, and writes after: the backfill must not have what it leaves.
    session = subprocess.Popen(postgres.psql(), stdin=subprocess.PIPE, text=True)
    session.stdin.write("BEGIN; UPDATE notes SET note = 'while', updated_at = clock_timestamp() WHERE id IN (1, 2);\n")
    session.stdin.flush()
    wait_for("the open transaction", lambda: postgres.sql("SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'") == "1")
    take = ("postgres", "--table", "notes", "--dataset", "notes", "--sweep", "updated_at,created_at", "--json")
    check(tidegate.migrate(*take)[0]["accepted"] == 500, "the rows are not taken")
    session.communicate("COMMIT;\n")
    postgres.sql("INSERT INTO notes SELECT n, 'new ' || n, clock_timestamp() FROM generate_series(1001, 1100) n; "
                 "UPDATE notes SET note = 'later', updated_at = clock_timestamp() WHERE id <= 20 OR id > 1090")
    first, _ = tidegate.migrate("follow", "notes", "--once")
    again, _ = tidegate.migrate("follow", "notes", "--once")
    check((first["changes"], again["changes"]) == (120, 0), f"{first} {again}")
    comparison, _ = tidegate.migrate("validate", "notes", "--json")
    check(comparison["equal"] and comparison["targetRows"] == 600, f"{comparison}")
    postgres.sql("DELETE FROM notes WHERE id = 77")
    comparison, _ = tidegate.migrate("validate", "notes", "--json", fails=True)
    check((comparison["onlyTarget"], comparison["rowsDiffer"]) == (1, 1), f"{comparison}")
    check(comparison["differences"][0]["key"] == {"id": 77} or comparison["differences"][0]["key"] == {"id": "77"}, f"{comparison}")
    tidegate.migrate("abandon", "notes")
    print("sweep: ok")


def turned(programs, folder):
    """A server whose numbers of transactions are about to turn around."""
    folder = folder / "turned"
    folder.mkdir()
    folder.chmod(0o755)
    postgres = Postgres(programs, folder)
    postgres.sql("UPDATE pg_database SET datallowconn = true; CREATE TABLE ages (id int8 PRIMARY KEY, note text); "
                 "INSERT INTO ages SELECT n, 'first' FROM generate_series(1, 500) n")
    # In steps that a real server could have made: nothing may be older than two thousand million transactions.
    for number in (1_500_000_000, 3_000_000_000, 2**32 - 1_000):
        postgres.jump(number)
    return postgres


def wraparound(programs, folder, program):
    """Old rows, frozen long ago, and those from before and after the turn are told apart."""
    postgres = turned(programs, folder)
    tidegate = Tidegate(program, folder / "turned", postgres)
    try:
        # Some not frozen, in front of the boundary.
        postgres.sql("INSERT INTO ages SELECT n, 'second' FROM generate_series(501, 600) n")
        take = ("postgres", "--table", "ages", "--dataset", "ages", "--capture", "--json")
        before = int(postgres.sql("SELECT pg_current_xact_id()"))
        # Somebody is at work, so nothing is read when the trigger is there.
        busy = subprocess.Popen(postgres.psql() + ["-c", "SELECT pg_sleep(100)"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        moving = tidegate.begin(*take, "--max-load", "1")
        wait_for("the trigger", lambda: postgres.try_sql("SELECT migration FROM tidegate.captures").stdout.strip())
        postgres.sql("".join(f"UPDATE ages SET note = 'third {n}' WHERE id = {n % 550 + 1};\nINSERT INTO ages VALUES ({n + 1000}, 'new');\n"
                             for n in range(700)))
        check(moving.poll() is None and tidegate.rows("SELECT count() AS n FROM ages")[0]["n"] in (0, "0"), "rows are read while others are at work")
        busy.kill()
        postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'")
        check(moving.wait(60) == 0, "the rows are not taken")
        after = int(postgres.sql("SELECT pg_current_xact_id()"))
        check(before < 2**32 < after, f"transactions did not turn: {before}, {after}")
        tidegate.migrate("follow", "ages", "--once")
        comparison, _ = tidegate.migrate("validate", "ages", "--json")
        check(comparison["equal"] and comparison["sourceRows"] == 1300, f"{comparison}")
        print(f"transactions that turn: ok, from {before} to {after}")
    finally:
        tidegate.stop()
        postgres.stop()


def main():
    parser = argparse.ArgumentParser()
    for name, kind, default in (("programs", str, None), ("data", pathlib.Path, None), ("tidegate", str, None),
                                ("rows", int, 20_000), ("corruptions", int, 40), ("seconds", int, 15), ("seed", int, 1)):
        parser.add_argument(f"--{name}", type=kind, default=default)
    options = parser.parse_args()
    postgres = Postgres(options.programs, options.data)
    tidegate = Tidegate(options.tidegate, options.data, postgres)
    try:
        types(postgres, tidegate)
        mapped(postgres, tidegate)
        partitions(postgres, tidegate)
        swept(postgres, tidegate)
        faults(postgres, tidegate, options)
        corruptions(postgres, tidegate, options)
        spans_of_applications(postgres, tidegate)
        cut_over(postgres, tidegate)
        wraparound(options.programs, options.data, options.tidegate)
    finally:
        tidegate.stop()
        postgres.stop()


main()
