"""PostgreSQL as the primary of the tracing API: the same answers in every mode, and nothing lost whatever is away."""

import argparse
import hashlib
import json
import os
import pathlib
import random
import signal
import subprocess
import threading
import time
import uuid

from sides import Postgres, Tidegate, wait_for

P, D, C, OTHER = (f"00000000-0000-0000-0000-0000000000{end}" for end in ("aa", "dd", "cc", "ee"))
BEGIN = 1_769_850_000_000
TAKE = ("postgres", "--table", "public.spans", "--dataset", "ai-spans", "--time", "created_at", "--capture", "--json")
WINDOW = {"oldest": "2020-01-01T00:00:00Z", "newest": "2060-01-01T00:00:00Z"}
OF_MOMENT = {"created_at", "updated_at"}


def check(is_so, what):
    if not is_so:
        raise SystemExit(f"primary: {what}")


class Api:
    """The tracing API, asked in one project."""

    def __init__(self, tidegate, project):
        self.tidegate, self.project = tidegate, project

    def whole(self, method, path, body=None):
        sent = None if body is None else json.dumps(body).encode()
        status, text, headers = self.tidegate.ask_whole(method, path, sent, {"x-project-id": self.project})
        return status, json.loads(text), headers

    def told(self, method, path, body=None, wanted=200):
        status, answer, headers = self.whole(method, path, body)
        check(status == wanted, f"{path} in {self.project}: {status} {str(answer)[:600]}")
        return answer, headers.get("x-tidegate-read-from")

    def send(self, spans):
        return self.told("POST", "/tracing/spans/ingest", {"spans": spans}, 202)[0]

    def switch(self, mode, reads=None, force=False, wanted=200):
        asked = {"mode": mode, "force": force} | ({"reads": reads} if reads else {})
        return self.told("PUT", f"/tracing/modes/{self.project}", asked, wanted)[0]


def span(rnd, trace, number, name="step"):
    """A span; many begin at the same moment, and a few have a parent that never comes."""
    begin = BEGIN + 1_000 * (trace % 7) + rnd.choice((0, 0, 5, 40))
    tokens = {"prompt": rnd.randrange(1000), "completion": rnd.randrange(50)}
    parent = None if number == 0 or rnd.random() < 0.1 else rnd.randrange(number + (rnd.random() < 0.05))
    own = {
        "trace_id": f"{(trace + 1) * 0x9e3779b97f4a7c15f39cc0605cedc835 % 2**128:032x}", "span_id": f"{trace * 100 + number + 1:016x}",
        "parent_id": None if parent is None else f"{trace * 100 + parent + 1:016x}",
        "span_name": f"{name} {number % 3}", "span_type": rnd.choice(("chat", "tool", "task", "llm")),
        "span_kind": rnd.choice(("SPAN_KIND_INTERNAL", "SPAN_KIND_CLIENT")), "trace_type": "invocation",
        "status_code": rnd.choice(("STATUS_CODE_OK", "STATUS_CODE_ERROR")), "start_time": begin * 1_000 + number,
        "end_time": (begin + rnd.randrange(1, 900)) * 1_000, "attributes": {
            "ag": {"metrics": {"tokens": {"incremental": tokens}}, "meta": {"request": {"model": "gpt-4o"}, "größe": rnd.choice((1.5, 2, "2", None))},
                   "data": {"inputs": {"question": f"Was ist \u4e2d {number}?"}}, "tags": {"list": rnd.sample(("a", "b", "c"), 2)}},
            "n": rnd.randrange(5), "flag": rnd.random() < 0.5},
        "references": [{"id": str(trace % 3), "slug": "app", "attributes": {"key": "application"}}] if number % 2 else [],
        "events": [{"name": "exception", "timestamp": "2026-01-31T09:00:00Z", "attributes": {"message": "broken"}}] if rnd.random() < 0.2 else [],
    }
    if number == 0:
        own |= {"session_id": f"session {trace % 11}", "user_id": f"user {trace % 4}"}
    return own


def hash_of(known):
    """The id by which spans are known that refer to the same."""
    text = json.dumps(known, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return str(uuid.UUID(bytes=hashlib.blake2b(text.encode(), digest_size=16).digest()))


def requests(spans):
    """What is asked on every side."""
    on = lambda field, operator, value=None, **more: {"filter": {"conditions": [{"field": field, "operator": operator, "value": value} | more]}}
    filters = [
        {}, on("span_name", "contains", "STEP 1"), on("span_name", "is", "step 2"), on("attributes", "gte", 2, key="n"),
        on("attributes", "in", ["a"], key="ag.tags.list"), on("attributes", "is", "2", key="ag.meta.größe"),
        on("attributes", "exists", key="ag.meta.größe"), on("content", "contains", "中 3"), on("references", "has", ["1"], key="attributes.key"),
        on("references", "in", [{"id": "1"}]), on("hashes", "has", hash_of({"application": {"id": "1"}}), key="id"), on("hashes", "not_exists"),
        on("events", "exists"), on("parent_id", "not_exists"), on("session_id", "in", ["session 1", "session 7"]),
        on("status_code", "is_not", "STATUS_CODE_OK"), on("start_time", "gt", "2026-01-31T09:00:03Z"), {"rate": 0.4},
        {"filter": {"operator": "nor", "conditions": [{"field": "span_type", "operator": "in", "value": ["chat", "llm"]},
                                                      {"field": "attributes", "key": "flag", "operator": "is", "value": True}]}},
        {"oldest": BEGIN + 1_000, "newest": BEGIN + 5_040}, on("no_such_field", "is", 1), on("attributes", "like", "%Was%3?", key="ag.data.inputs.question"),
    ]
    for number, query in enumerate(filters):
        orders = ("descending", "ascending")
        yield "POST", "/spans/query", query | {"order": orders[number % 2], "limit": 90}
        yield "POST", "/traces/query", query | {"order": orders[number // 2 % 2], "limit": 20}
    yield "POST", "/tracing/spans/query", {"focus": "trace", "format": "opentelemetry", "limit": 5}
    for one in spans[:3]:
        yield "GET", f"/traces/{one['trace_id']}", None
        yield "GET", f"/spans/{one['trace_id']}/{one['span_id']}", None
    yield "GET", "/traces/ffffffffffffffffffffffffffffffff", None
    yield "GET", f"/spans/?trace_ids={spans[0]['trace_id']},{spans[-1]['trace_id']}", None
    specs = [{"type": "numeric/continuous", "path": "attributes.ag.metrics.tokens.cumulative.total", "bins": 4},
             {"type": "categorical/single", "path": "ag.meta.größe"}, {"type": "categorical/multiple", "path": "ag.tags.list"},
             {"type": "numeric/discrete", "path": "n"}, {"type": "binary", "path": "flag"}, {"type": "json", "path": "ag"}]
    for query in (WINDOW, WINDOW | {"specs": specs}, WINDOW | on("attributes", "gte", 1, key="n"), WINDOW | {"interval": 1_000_000}):
        yield "POST", "/spans/analytics/query", query
    yield "POST", "/tracing/spans/analytics", WINDOW
    for path in ("sessions", "users"):
        for realtime in (True, False):
            yield "POST", f"/spans/{path}/query", {"realtime": realtime, "limit": 3}
            yield "POST", f"/tracing/{path}/query", {"realtime": realtime, "order": "ascending"} | on("attributes", "gte", 1, key="n")


def plain(value):
    """Leaves out moments of coming in, and what doubles do not tell."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items() if name not in OF_MOMENT | {"request_id"}}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return float(f"{value:.9g}") if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def answers(api, spans, side=None, every=1):
    """Asks all of it, or every so many-th, every page to its end."""
    all_told = []
    for method, path, body in list(requests(spans))[::every]:
        pages, asked = [], body
        while True:
            status, answer, headers = api.whole(method, path, asked)
            check(status in (200, 400), f"{path} {asked} in {api.project}: {status} {str(answer)[:600]}")
            if side and status == 200:
                check(headers.get("x-tidegate-read-from") == side, f"{path} is answered from {headers.get('x-tidegate-read-from')}, not {side}")
            pages.append((status, plain(answer)))
            after = answer.get("windowing", {}).get("next") if status == 200 else None
            if not after or len(pages) > 60:
                break
            asked = body | {"next": after}
        all_told.append((method, path, body, pages))
    return all_told


def compare(what, one, other):
    for (method, path, body, mine), (*_, theirs) in zip(one, other, strict=True):
        check(mine == theirs, f"{what}: {method} {path} {json.dumps(body, ensure_ascii=False)}:\n{str(mine)[:3000]}\n{str(theirs)[:3000]}")


def primary_told(tidegate):
    return json.loads(tidegate.ask("GET", "/tracing/modes")[1])["primary"]


def level(tidegate):
    wait_for("every change in ClickHouse", lambda: primary_told(tidegate)["isWhole"] and primary_told(tidegate)["lagRows"] == 0)


def change(api, spans):
    """The same changes everywhere: late spans, others in their places, deletions."""
    rnd = random.Random(7)
    api.send([span(rnd, trace, 9, "late") for trace in range(20)] + [span(rnd, 3, 1, "twice"), span(rnd, 3, 1, "thrice")])
    for one in spans[:8]:
        again = {name: value for name, value in one.items()} | {"span_name": "changed", "attributes": {"n": 4}}
        api.told("PUT", f"/traces/{one['trace_id']}", {"spans": [again]}, 202)
    for one in spans[100:110]:
        api.told("DELETE", f"/traces/{one['trace_id']}", None, 202)
    back = dict(spans[105], span_name="back")
    api.send([back])


def copied(project, rows, trace, attributes):
    """The statement that makes further rows of a project's only one, a millisecond apart."""
    own = "lpad(to_hex(n + 1000), 16, '0')"
    return f"""INSERT INTO spans SELECT c.* FROM spans AS r, generate_series(1, {rows}) AS n, LATERAL jsonb_populate_record(r, jsonb_build_object(
        'trace_id', {trace}, 'span_id', ({own} || {own})::uuid, 'start_time', r.start_time + n * interval '1 ms', 'attributes', {attributes})) AS c
        WHERE r.project_id = '{project}'"""


def limits(postgres, tidegate):
    """A read that looks at too much is refused with what to do, and one that takes too long is a 504: never a shorter answer."""
    many, large = (Api(tidegate, f"00000000-0000-0000-0000-0000000000{end}") for end in ("b1", "b2"))
    one = span(random.Random(8), 1, 0) | {"start_time": "2026-01-31T00:00:00Z", "end_time": "2026-01-31T00:00:01Z"}
    for api in (many, large):
        api.switch("postgres", force=True)
        api.send([one])
    postgres.sql(copied(many.project, 200_000, "r.trace_id", "'{}'::jsonb"))
    postgres.sql(copied(large.project, 300, "lpad(to_hex(n), 32, '0')::uuid", "jsonb_build_object('text', repeat('x', 1 << 20))"))
    none = {"filter": {"conditions": [{"field": "span_name", "operator": "is", "value": "none"}]}}
    narrow = {"oldest": "2026-01-31T00:00:10Z", "newest": "2026-01-31T00:00:20Z"}
    refused = [(many, "GET", f"/traces/{one['trace_id']}", None), (many, "POST", "/traces/query", narrow | {"limit": 1}),
               (large, "GET", "/traces/?trace_ids=" + ",".join(f"{number:032x}" for number in range(1, 301)), None)]
    for api, method, path, body in refused:
        text = api.told(method, path, body, 400)[0]["error"]["message"]
        check("more than 200000 rows or 256 MiB" in text and "narrow the window" in text, f"{path}: {text}")
    # Looking at one row after another may take more than 15 s in a build without optimizations.
    for api in (many, large):
        status, answer, _ = api.whole("POST", "/spans/query", none)
        check(status in (400, 504) and "narrow the window" in answer["error"]["message"], f"{status} {answer}")
    check(many.told("POST", "/spans/query", none | narrow)[0]["count"] == 0, "a narrower window is too much as well")
    check(large.told("POST", "/traces/query", {"limit": 3})[0]["count"] == 3, "a short page is too much as well")
    rows = postgres.sql("SELECT count(*) FROM spans")
    lock = subprocess.Popen(postgres.psql() + ["-c", "BEGIN; LOCK TABLE spans", "-c", "SELECT pg_sleep(60)"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    held = "SELECT count(*) FROM pg_locks WHERE relation = 'spans'::regclass AND mode = 'AccessExclusiveLock' AND granted"
    wait_for("the lock", lambda: postgres.sql(held) == "1")
    began, told = time.monotonic(), []
    asked = [("POST", "/spans/query", {}), ("POST", "/traces/query", {}), ("GET", f"/traces/{one['trace_id']}", None),
             ("POST", "/spans/analytics/query", WINDOW), ("POST", "/spans/sessions/query", {}),
             ("POST", "/tracing/spans/ingest", {"spans": [span(random.Random(9), 2, 0)]}), ("DELETE", f"/traces/{one['trace_id']}", None)]
    threads = [threading.Thread(target=lambda request=request: told.append((request, *large.whole(*request)[:2]))) for request in asked]
    for each in (threading.Thread.start, threading.Thread.join):
        for thread in threads:
            each(thread)
    took = time.monotonic() - began
    postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE relation = 'spans'::regclass AND mode = 'AccessExclusiveLock'")
    lock.wait()
    check(len(told) == len(asked) and took < 20, f"{len(told)} answers after {took:.0f} s")
    for (_, path, _), status, answer in told:
        check(status == 504 and "within 15 s" in answer["error"]["message"], f"{path} under a lock: {status} {str(answer)[:300]}")
    check(postgres.sql("SELECT count(*) FROM spans") == rows, "a request that was answered with 504 was done in part")
    postgres.sql("TRUNCATE spans")
    print(f"limits: ok, {len(refused)} reads too large, {len(told)} answers of 504 after {took:.1f} s")


def modes(postgres, tidegate):
    """The same requests have the same answers in all modes."""
    rnd = random.Random(1)
    spans = [span(rnd, trace, number) for trace in range(40) for number in range(5)]
    apis = {project: Api(tidegate, project) for project in (P, D, C, OTHER)}
    text = apis[D].switch("dual", force=True, wanted=409)["error"]["message"]
    check("tidegate migrate postgres --table public.spans --dataset ai-spans" in text, text)
    text = apis[P].switch("postgres", wanted=409)["error"]["message"]
    check("force" in text, text)
    apis[P].switch("postgres", force=True)
    apis[C].switch("clickhouse")
    check(apis[P].told("POST", "/spans/query", {}) == ({"count": 0, "spans": [], "windowing": {"next": None}}, "postgres"), "an empty table is not empty")
    apis[C].send(spans)
    apis[P].send(spans)
    tidegate.migrate(*TAKE)
    apis[D].switch("dual", force=True)
    apis[OTHER].switch("dual", "clickhouse", force=True)
    for start in range(0, len(spans), 90):
        apis[D].send(spans[start:start + 90])
    apis[OTHER].send([one | {"span_name": "other's", "session_id": "other's"} for one in spans[:50]])
    for project in (P, D, C):
        change(apis[project], spans)
    from_clickhouse = answers(apis[C], spans, "clickhouse")
    check(sum(len(pages) for *_, pages in from_clickhouse) > 60, "there are few pages")
    text = json.dumps(from_clickhouse)
    hashed = [pages for _, path, body, pages in from_clickhouse if path == "/spans/query" and "hashes" in str(body) and "has'" in str(body)]
    check(len(hashed) == 1 and hashed[0][0][1]["count"] > 20, f"spans are not found by their hash: {str(hashed)[:600]}")
    check("other's" not in text and "changed" in text and "thrice" in text and "back" in text, "other spans are told than there are")
    compare("postgres", from_clickhouse, answers(apis[P], spans, "postgres"))
    compare("dual from postgres", from_clickhouse, answers(apis[D], spans, "postgres"))
    apis[D].switch("dual", "clickhouse")
    level(tidegate)
    compare("dual from clickhouse", from_clickhouse, answers(apis[D], spans, "clickhouse"))
    told, _ = apis[OTHER].told("POST", "/spans/query", {"limit": 1000})
    check(told["count"] == 50 and all(one["span_name"] == "other's" for one in told["spans"]), "spans of another project are told")
    kept = "SELECT count(*) FROM spans WHERE created_by_id IS NOT DISTINCT FROM NULL AND updated_at > created_at"
    check(int(postgres.sql(kept)) >= 2 * 8, "changed spans do not say so")
    print(f"modes: ok, {sum(len(pages) for *_, pages in from_clickhouse)} answers each are the same on four sides")
    return spans, from_clickhouse


def reads_own_writes(tidegate):
    """What was acknowledged is in the next answer, whichever side gives it."""
    api, rnd, sides = Api(tidegate, OTHER), random.Random(2), {"clickhouse": 0, "postgres": 0}
    for number in range(30):
        one = span(rnd, 1000 + number, 0, "own")
        api.send([one])
        told, side = api.told("GET", f"/spans/{one['trace_id']}/{one['span_id']}")
        check(told["count"] == 1, f"an acknowledged span is not in the next answer from {side}")
        sides[side] += 1
    check(sides["clickhouse"] >= 20, f"ClickHouse answers too few: {sides}")
    return sides


def fallback(postgres, tidegate, spans, wanted):
    """PostgreSQL answers while ClickHouse lags or is away."""
    api, rnd = Api(tidegate, D), random.Random(3)
    oid = postgres.sql("SELECT 'spans'::regclass::oid")
    postgres.sql(f"CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(3); RETURN NEW; END'; "
                 f"CREATE TRIGGER slow BEFORE UPDATE ON tidegate.changes_{oid} FOR EACH STATEMENT EXECUTE FUNCTION slow()")
    one = span(rnd, 2000, 0, "lagging")
    api.send([one])
    told, side = api.told("GET", f"/traces/{one['trace_id']}")
    check((told["count"], side) == (1, "postgres"), f"{told} is from {side}, while ClickHouse lags")
    postgres.sql(f"DROP TRIGGER slow ON tidegate.changes_{oid}")
    api.told("DELETE", f"/traces/{one['trace_id']}", None, 202)
    level(tidegate)
    engine = json.loads(tidegate.ask("GET", "/health")[1])["engine"]["pid"]
    os.kill(engine, signal.SIGSTOP)
    began = time.monotonic()
    told, side = api.told("POST", "/traces/query", {"limit": 3})
    took = time.monotonic() - began
    check((told["count"], side) == (3, "postgres"), f"{side} answers, and ClickHouse stands still")
    os.kill(engine, signal.SIGKILL)
    compare("while ClickHouse starts again", wanted[::3], answers(api, spans, every=3))
    compare("postgres without ClickHouse", wanted[::3], answers(Api(tidegate, P), spans, "postgres", every=3))
    fallbacks = [line for line in tidegate.ask("GET", "/metrics")[1].decode().splitlines() if line.startswith("tidegate_tracing_fallbacks_total")]
    check(int(fallbacks[0].split()[1]) >= 2, f"{fallbacks}")
    wait_for("ClickHouse", lambda: json.loads(tidegate.ask("GET", "/health")[1])["engine"]["ready"])
    wait_for("an answer from ClickHouse", lambda: api.told("POST", "/traces/query", {"limit": 3})[1] == "clickhouse")
    print(f"fallback: ok, {took:.1f} s to the answer while ClickHouse stands still")


class Writer(threading.Thread):
    """Writes without a pause; what is acknowledged is noted, what is not is sent again."""

    def __init__(self, api, seed):
        super().__init__(daemon=True)
        self.api, self.random, self.acked, self.refused = api, random.Random(seed), {}, 0
        self.is_over = threading.Event()

    def run(self):
        while not self.is_over.is_set():
            some = [span(self.random, self.random.randrange(5000, 5200), number, f"w{self.random.randrange(10**6)}") for number in range(3)]
            some = list({one["span_id"]: one for one in some}.values())
            while True:
                try:
                    status, answer, _ = self.api.whole("POST", "/tracing/spans/ingest", {"spans": some})
                except (OSError, ValueError):
                    status, answer = 0, ""
                if status == 202:
                    self.acked |= {(one["trace_id"], one["span_id"]): one["span_name"] for one in some}
                    break
                check(status in (0, 503, 504), f"a write is answered with {status}: {answer}")
                self.refused += 1
                time.sleep(0.1)

    def end(self):
        self.is_over.set()
        self.join()


def faults(postgres, tidegate, options):
    """Everything is killed while both sides are written to: then they are equal, row for row, and nothing acknowledged is lost."""
    rnd, kills = random.Random(options.seed), {"tidegate": 0, "engine": 0, "postgres": 0}
    writer = Writer(Api(tidegate, D), options.seed)
    writer.start()
    end = time.monotonic() + options.seconds
    while time.monotonic() < end:
        time.sleep(rnd.uniform(0.5, 1.5))
        victim = min(kills, key=lambda name: (kills[name], rnd.random()))
        if victim == "tidegate":
            tidegate.kill()
            time.sleep(rnd.uniform(0, 0.5))
            tidegate.start()
        elif victim == "postgres":
            postgres.kill()
            time.sleep(rnd.uniform(0, 0.5))
            postgres.start()
        else:
            pid = json.loads(tidegate.ask("GET", "/health")[1])["engine"]["pid"]
            if pid is None:
                continue
            os.kill(pid, signal.SIGKILL)
        kills[victim] += 1
    writer.end()
    level(tidegate)
    rows = dict(line.rsplit("|", 1) for line in postgres.sql(f"SELECT trace_id || ' ' || span_id, span_name FROM spans WHERE project_id = '{D}'").splitlines())
    lost = [key for key, name in writer.acked.items() if rows.get(" ".join(uuid_of(id_) for id_ in key)) != name]
    check(writer.acked and not lost, f"{len(lost)} of {len(writer.acked)} acknowledged spans are not in PostgreSQL as they were sent last: {lost[:3]}")
    twice = tidegate.rows("SELECT count() - uniqExact(project_id, trace_id, span_id, row_version) AS n FROM ai_spans")[0]["n"]
    check(int(twice) == 0, f"{twice} versions are here twice")
    comparison, _ = tidegate.migrate("validate", "ai-spans", "--json")
    check(comparison["equal"] and comparison["sourceRows"] == int(postgres.sql(f"SELECT count(*) FROM spans")), f"{comparison}")
    print(f"faults: ok, {len(writer.acked)} spans acknowledged, {writer.refused} requests refused, killed {kills}, "
          f"{comparison['sourceRows']} rows equal on both sides")


def uuid_of(text):
    digits = text * 2 if len(text) == 16 else text
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def away(postgres, tidegate):
    """Without PostgreSQL nothing is acknowledged for its projects; others do not notice."""
    rows = postgres.sql("SELECT count(*) FROM spans")
    postgres.stop()
    rnd = random.Random(4)
    for project, method, path, body in ((P, "POST", "/tracing/spans/ingest", {"spans": [span(rnd, 9000, 0)]}), (P, "POST", "/spans/query", {}),
                                        (D, "POST", "/traces/query", {}), (D, "DELETE", f"/traces/{span(rnd, 1, 0)['trace_id']}", None)):
        status, answer, headers = Api(tidegate, project).whole(method, path, body)
        check(status == 503 and headers.get("retry-after"), f"{path} without PostgreSQL: {status} {answer}")
    api = Api(tidegate, C)
    api.send([span(rnd, 9001, 0)])
    check(api.told("GET", f"/traces/{span(rnd, 9001, 0)['trace_id']}")[0]["count"] == 1, "ClickHouse's own project needs PostgreSQL")
    ready = lambda: json.loads(tidegate.ask("GET", "/ready")[1])
    wait_for("the news that PostgreSQL is away", lambda: ready()["tracing"]["state"] == "degraded")
    check(ready()["ready"] is True, "the server is not ready without PostgreSQL")
    postgres.start()
    wait_for("PostgreSQL in the health", lambda: ready()["tracing"]["state"] == "ok")
    check(postgres.sql("SELECT count(*) FROM spans") == rows, "something was written that was not acknowledged")
    Api(tidegate, P).told("POST", "/spans/query", {})
    api = Api(tidegate, P)
    status, answer, _ = api.whole("POST", "/tracing/spans/ingest", {"spans": [span(rnd, 9002, 0) | {"span_name": "nul \u0000"}]})
    check(status == 400 and "nothing was written" in answer["error"]["message"], f"a character that PostgreSQL cannot hold: {status} {answer}")
    print("PostgreSQL away: ok")


def switches(postgres, tidegate):
    """A project is switched to ClickHouse when that has all of it, and back only when somebody insists."""
    api, rnd = Api(tidegate, D), random.Random(5)
    before = answers(api, [span(rnd, 1, 0)], every=9)
    oid = postgres.sql("SELECT 'spans'::regclass::oid")
    postgres.sql(f"CREATE TRIGGER slow BEFORE UPDATE ON tidegate.changes_{oid} FOR EACH STATEMENT EXECUTE FUNCTION slow()")
    api.send([span(random.Random(6), 3000, 0)])
    text = api.switch("clickhouse", wanted=409)["error"]["message"]
    check("changes are not in ClickHouse yet" in text, text)
    postgres.sql(f"DROP TRIGGER slow ON tidegate.changes_{oid}")
    api.told("DELETE", f"/traces/{span(random.Random(6), 3000, 0)['trace_id']}", None, 202)
    level(tidegate)
    api.switch("clickhouse")
    compare("after the switch", before, answers(api, [span(rnd, 1, 0)], "clickhouse", every=9))
    one = span(random.Random(6), 3001, 0, "here")
    api.send([one])
    api.send([one | {"span_name": "here again"}])
    check("force" in api.switch("dual", wanted=409)["error"]["message"], "it is switched back without a word")
    newest = int(tidegate.rows(f"SELECT toString(max(row_version)) AS v FROM ai_spans WHERE project_id = '{D}'")[0]["v"])
    api.switch("dual", "clickhouse", force=True)
    api.send([one | {"span_name": "there"}])
    check(int(postgres.sql(f"SELECT last_value FROM tidegate.changes_{oid}_id_seq")) > newest, "versions are numbered from the beginning again")
    told, side = api.told("GET", f"/traces/{one['trace_id']}")
    audit = json.loads(tidegate.ask("GET", "/admin/datasets/ai-spans/audit?action=tracing.mode&limit=50")[1])
    check(len(audit["events"] if "events" in audit else audit[next(iter(audit))]) >= 8, f"{audit}")
    tidegate.kill()
    tidegate.start()
    mode = json.loads(tidegate.ask("GET", f"/tracing/modes/{D}")[1])
    check((mode["mode"], mode["reads"], mode["source"]) == ("dual", "clickhouse", "project"), f"{mode}")
    print(f"switches: ok, then {side} tells {told['count']} trace")


def commands(tidegate):
    """The command line lists modes and switches them, and says why not."""
    told, _ = tidegate.run("tracing", "modes", "--json")
    check({one["project_id"] for one in told["modes"]} >= {P, D, C, OTHER} and told["primary"]["state"] == "ok", f"{told}")
    _, text = tidegate.run("tracing", "modes")
    check(D in text and "all others" in text and "public.spans at 127.0.0.1" in text, text)
    _, text = tidegate.run("tracing", "modes", C, "postgres", fails=True)
    check("stays in mode `clickhouse`" in text and "out of sight" in text and "409" in text, text)
    told, _ = tidegate.run("tracing", "modes", D, "dual", "--reads", "postgres", "--json")
    check((told["mode"], told["reads"]) == ("dual", "postgres"), f"{told}")
    _, text = tidegate.run("tracing", "modes", D)
    check("dual" in text and "project" in text, text)
    told, _ = tidegate.run("tracing", "modes", C, "postgres", "--force", "--json")
    check(told["mode"] == "postgres", f"{told}")
    told, _ = tidegate.run("tracing", "modes", C, "clickhouse", "--force", "--json")
    check(told["mode"] == "clickhouse", f"{told}")
    print("tidegate tracing modes: ok")


def timed(step, *given):
    began = time.monotonic()
    done = step(*given)
    print(f"  {step.__name__}: {time.monotonic() - began:.0f} s", flush=True)
    return done


def main():
    parser = argparse.ArgumentParser()
    for name, kind, default in (("programs", str, None), ("data", pathlib.Path, None), ("tidegate", str, None), ("seconds", int, 8), ("seed", int, 1)):
        parser.add_argument(f"--{name}", type=kind, default=default)
    options, _ = parser.parse_known_args()
    folder = options.data / "primary"
    folder.mkdir()
    folder.chmod(0o755)
    postgres = Postgres(options.programs, folder)
    tidegate = Tidegate(options.tidegate, folder, postgres)
    try:
        timed(limits, postgres, tidegate)
        spans, wanted = timed(modes, postgres, tidegate)
        sides = timed(reads_own_writes, tidegate)
        print(f"own writes: ok, {sides}")
        timed(fallback, postgres, tidegate, spans, wanted)
        timed(faults, postgres, tidegate, options)
        timed(away, postgres, tidegate)
        timed(switches, postgres, tidegate)
        timed(commands, tidegate)
    finally:
        tidegate.stop()
        postgres.stop()


main()
