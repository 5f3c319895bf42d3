"""Writes the same random samples to the real Prometheus and to Tidegate, and compares what both answer."""

import concurrent.futures
import json
import math
import os
import pathlib
import random
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

from expressions import EXPRESSIONS, ORDERED

TIDEGATE, PROMETHEUS, DATA = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
TOLERANCE = 1e-9
WITHIN_SECONDS = 60
SEED = int(os.environ.get("PROMQL_SEED", "1"))
STALE = struct.pack("<Q", 0x7FF0000000000002)
MINUTES = 90


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def varint(number):
    out = b""
    number &= (1 << 64) - 1
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def snappy(content):
    """Packs into literals only: every reader of snappy takes them."""
    out = varint(len(content))
    for at in range(0, len(content), 60_000):
        piece = content[at : at + 60_000]
        out += bytes([61 << 2]) + struct.pack("<H", len(piece) - 1) + piece
    return out


def write_request(series):
    """Makes a WriteRequest of labels and samples (milliseconds, eight bytes of a double)."""
    out = b""
    for labels, samples in series:
        own = b"".join(field(1, field(1, k.encode()) + field(2, v.encode())) for k, v in sorted(labels.items()))
        own += b"".join(field(2, b"\x09" + value + b"\x10" + varint(at)) for at, value in samples)
        out += field(1, own)
    return snappy(out)


def double(value):
    return struct.pack("<d", value)


def moments(rnd, start, every=15_000, jitter=700, gaps=0.02):
    """Scrapes every so often, a little late; some are missing, some for minutes.

    Their times are even and those of questions odd, and none is at a step of a subquery: so no sample is at the very
    beginning of a window, where Prometheus 3, whose rule holds here, and Debian's Prometheus 2 differ.
    """
    at = start + rnd.randrange(every)
    while at < start + MINUTES * 60_000:
        if rnd.random() < gaps:
            at += every * rnd.choice((1, 2, 30))
        late = at + rnd.randrange(jitter)
        late -= late % 2
        yield late + (2 if late % 500 == 0 else 0)
        at += every


def counter(rnd, start, step):
    value = rnd.random() * 100
    for at in moments(rnd, start):
        value = rnd.random() * step if rnd.random() < 0.01 else value + rnd.choice((0, rnd.random() * step))
        yield at, double(value)


def gauge(rnd, start):
    value = 20.0
    for at in moments(rnd, start):
        value += rnd.gauss(0, 1)
        yield at, double(value if rnd.random() > 0.005 else rnd.choice((math.nan, math.inf, -math.inf)))


def ended(rnd, start):
    """Ends with a marker for some minutes, again and again."""
    is_there = True
    for at in moments(rnd, start, gaps=0):
        if rnd.random() < 0.03:
            if is_there:
                yield at, STALE
            is_there = not is_there
            continue
        if is_there:
            yield at, double(rnd.random())


def histogram(rnd, start, labels):
    bounds = ["0.05", "0.1", "0.25", "0.5", "1", "2.5", "+Inf"]
    counts, total, rows = [0] * len(bounds), 0.0, {name: [] for name in (*bounds, "sum", "count")}
    for at in moments(rnd, start):
        for at_bound in range(len(bounds)):
            counts[at_bound] += rnd.randrange(4)
        total += rnd.random() * 5
        for at_bound, bound in enumerate(bounds):
            rows[bound].append((at, double(float(sum(counts[: at_bound + 1])))))
        rows["sum"].append((at, double(total)))
        rows["count"].append((at, double(float(sum(counts)))))
    for bound in bounds:
        yield {"__name__": "latency_seconds_bucket", "le": bound} | labels, rows[bound]
    for end in ("sum", "count"):
        yield {"__name__": f"latency_seconds_{end}"} | labels, rows[end]


def series(rnd, start):
    for job in ("api", "web"):
        for instance in ("i0", "i1", "i2"):
            own = {"job": job, "instance": f"{instance}" if job == "api" else f"w{instance}"}
            for code in ("200", "404", "500"):
                yield {"__name__": "requests_total", "code": code} | own, list(counter(rnd, start, 7))
            for room in ("a", "b"):
                yield {"__name__": "temperature", "room": room} | own, list(gauge(rnd, start))
            yield {"__name__": "up"} | own, [(at, double(float(rnd.random() > 0.1))) for at in moments(rnd, start)]
            limit = rnd.choice((12.5, 20.0, 25.0))
            yield {"__name__": "limit"} | own, [(at, double(limit)) for at in moments(rnd, start)]
            info = {"__name__": "build_info", "version": rnd.choice(("1.2", "1.3"))}
            yield info | own, [(at, double(1.0)) for at in moments(rnd, start)]
            yield {"__name__": "ended"} | own, list(ended(rnd, start))
            yield {"__name__": "sparse"} | own, [(at, double(float(at % 977))) for at in moments(rnd, start, every=420_000)]
        yield from histogram(rnd, start, {"job": job})


def ask(url, **more):
    request = urllib.request.Request(url, **more)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def wait_for(what, is_so):
    until = time.monotonic() + WITHIN_SECONDS
    while True:
        try:
            if is_so():
                return
        except OSError:
            pass
        if time.monotonic() > until:
            raise SystemExit(f"promql: {what} did not come within {WITHIN_SECONDS} s")
        time.sleep(0.05)


class Prometheus:
    def __init__(self):
        self.base = f"http://127.0.0.1:{free_port()}"
        config = DATA / "prometheus.yml"
        config.write_text("global: {evaluation_interval: 1m}\n")
        command = [PROMETHEUS, f"--config.file={config}", f"--storage.tsdb.path={DATA / 'tsdb'}", "--web.enable-remote-write-receiver"]
        command += [f"--web.listen-address={self.base[7:]}", "--log.level=error", "--query.max-concurrency=4"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=(DATA / "prometheus.log").open("w"))
        wait_for("Prometheus", lambda: ask(self.base + "/-/ready")[0] == 200)

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


class Tidegate:
    """A server whose rows stay hot, or go into ClickHouse at once."""

    def __init__(self, is_eager):
        ports = [free_port() for _ in range(3)]
        self.root = f"http://127.0.0.1:{ports[0]}"
        self.base = self.root + "/prometheus"
        command = [TIDEGATE, "serve", "--data", str(DATA / "tidegate"), "--http", self.root[7:]]
        command += ["--otlp-http", f"127.0.0.1:{ports[1]}", "--otlp-grpc", f"127.0.0.1:{ports[2]}"]
        env = os.environ | {"TIDEGATE_BATCH__AGE_MS": "100" if is_eager else "3600000"}
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=(DATA / "tidegate.log").open("a"), env=env)
        wait_for("Tidegate", lambda: ask(self.root + "/ready")[0] == 200 and ask(self.base + "/api/v1/labels")[0] == 200)

    def rows(self, name):
        tables = json.loads(ask(self.root + "/ledger")[1])["tables"]
        return sum(table[name] for table in tables if table["table"] == "metric_samples")

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


def send(servers, parts):
    body = write_request(parts)
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "0.1.0"}
    for server in servers:
        status, text = ask(server.base + "/api/v1/write", data=body, headers=headers, method="POST")
        if status not in (200, 204):
            raise SystemExit(f"promql: {server.base} answers a write with {status}: {text[:500]}")


def cut(all_series, begin, end):
    parts = [(labels, [sample for sample in samples if begin <= sample[0] < end]) for labels, samples in all_series]
    return [(labels, samples) for labels, samples in parts if samples]


def number(text):
    return float(text.replace("Inf", "inf"))


def near(a, b):
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b), 0.0
    if math.isinf(a) or math.isinf(b):
        return a == b, 0.0
    apart = abs(a - b) / max(abs(a), abs(b), 1e-3)
    return apart <= TOLERANCE, apart


def values(data):
    """Turns a result into {labels: [(time, value)]}."""
    kind, result = data["resultType"], data["result"]
    if kind == "string":
        return {"": [tuple(result)]}
    if kind == "scalar":
        return {"": [(result[0], number(result[1]))]}
    out = {}
    for one in result:
        labels = json.dumps(one["metric"], sort_keys=True)
        points = one["values"] if "values" in one else [one["value"]]
        out[labels] = [(at, number(value)) for at, value in points]
    return out


class Row:
    """A line of the table."""

    def __init__(self):
        self.queries = self.values = self.errors = 0
        self.apart = 0.0
        self.differences = []


def compare(row, what, expression, theirs, ours):
    row.queries += 1
    (their_status, their_text), (our_status, our_text) = theirs, ours
    theirs, ours = json.loads(their_text), json.loads(our_text)
    if "error" in (theirs["status"], ours["status"]):
        row.errors += 1
        said = [(status, answer.get("errorType")) for status, answer in ((their_status, theirs), (our_status, ours))]
        if said[0] != said[1]:
            row.differences.append(f"{what}: {said[0]} {theirs.get('error')!r}, ours {said[1]} {ours.get('error')!r}")
        return
    if theirs["data"]["resultType"] != ours["data"]["resultType"]:
        row.differences.append(f"{what}: types {theirs['data']['resultType']}, ours {ours['data']['resultType']}")
        return
    wanted, found = values(theirs["data"]), values(ours["data"])
    if wanted.keys() != found.keys():
        row.differences.append(f"{what}: lacks {sorted(wanted.keys() - found.keys())[:3]}, has {sorted(found.keys() - wanted.keys())[:3]}")
        return
    if what.startswith("at") and expression.startswith(ORDERED) and list(wanted) != list(found):
        row.differences.append(f"{what}: order {list(wanted)[:4]}, ours {list(found)[:4]}")
    for labels, points in wanted.items():
        if [at for at, _ in points] != [at for at, _ in found[labels]]:
            row.differences.append(f"{what}: {labels}: {len(points)} values, ours {len(found[labels])}")
            continue
        for (at, a), (_, b) in zip(points, found[labels]):
            row.values += 1
            is_near, apart = (a == b, 0.0) if isinstance(a, str) else near(a, b)
            row.apart = max(row.apart, apart)
            if not is_near:
                row.differences.append(f"{what}: {labels} at {at}: {a!r}, ours {b!r}")
                break


def questions(start, is_whole):
    """Moments and ranges, none of which meets a sample or a bound of a window exactly."""
    minute = 60_000
    instants = [start + 47 * minute + 136, start + 71 * minute + 10_410]
    ranges = [(start + 20 * minute + 210, start + 80 * minute + 210, 97_000), (start - 3 * minute + 76, start + 30 * minute, 23_000)]
    if not is_whole:
        instants, ranges = instants[:1], ranges[:1]
    for at in instants:
        yield f"at {at}", "/api/v1/query", {"time": at / 1000}
    for begin, end, step in ranges:
        yield f"range of {step} ms", "/api/v1/query_range", {"start": begin / 1000, "end": end / 1000, "step": step / 1000}


def asked(servers, path, parameters):
    body = urllib.parse.urlencode(parameters).encode()
    return [ask(server.base + path, data=body, method="POST") for server in servers]


def compare_all(table, phase, servers, start, is_whole):
    jobs = []
    for name, expressions in EXPRESSIONS.items():
        for expression in (text.replace("AT", str((start + 60_000 * 33) / 1000)) for text in expressions):
            for what, path, parameters in questions(start, is_whole):
                jobs.append((name, f"{what}, {phase}: {expression}", expression, path, parameters | {"query": expression}))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda job: asked(servers, job[3], job[4]), jobs)
        for (name, what, expression, _, _), (theirs, ours) in zip(jobs, answers):
            compare(table.setdefault(name, Row()), what, expression, theirs, ours)


def compare_lists(table, phase, servers, start):
    window = {"start": (start - 60_000) / 1000, "end": (start + MINUTES * 60_000) / 1000}
    lists = [("labels", "/labels", {}), ("labels", "/labels", {"match[]": "temperature"})]
    lists += [("label values", f"/label/{name}/values", {}) for name in ("__name__", "job", "code", "nothing")]
    lists += [("label values", "/label/instance/values", {"match[]": 'up{job="web"}'})]
    lists += [("series", "/series", {"match[]": match}) for match in ("up", '{job="api",__name__=~"temp.*"}', "latency_seconds_bucket")]
    for name, path, parameters in lists:
        row = table.setdefault(name, Row())
        url = "/api/v1" + path + "?" + urllib.parse.urlencode(window | parameters)
        theirs, ours = (json.loads(ask(server.base + url)[1])["data"] for server in servers)
        row.queries += 1
        row.values += len(theirs)
        wanted, found = (sorted(json.dumps(item, sort_keys=True) for item in items) for items in (theirs, ours))
        if wanted != found:
            row.differences.append(f"{phase}: {path} {parameters}: {wanted[:3]}…, ours {found[:3]}…")


def print_table(table, began):
    print(f"{'function':<22} {'queries':>8} {'refused':>8} {'values':>9} {'apart':>9}")
    for name, row in table.items():
        verdict = "" if not row.differences else f"  {len(row.differences)} DIFFER"
        print(f"{name:<22} {row.queries:>8} {row.errors:>8} {row.values:>9} {row.apart:>9.1e}{verdict}")
    for name, row in table.items():
        for difference in row.differences[:4]:
            print(f"promql: {name}: {difference}")
    queries, compared = sum(row.queries for row in table.values()), sum(row.values for row in table.values())
    bad = sum(len(row.differences) for row in table.values())
    print(f"promql: {queries} answers, {compared} values, tolerance {TOLERANCE} of the value (or of 0.001), {time.monotonic() - began:.0f} s")
    if bad:
        raise SystemExit(f"promql: {bad} answers differ from Prometheus'")


def main():
    began, rnd = time.monotonic(), random.Random(SEED)
    # Both count from the hour, so that a run tells what another did; Prometheus takes no samples that are much too old.
    start = int(time.time() // 3600) * 3_600_000 - 2 * 3_600_000 + 123
    all_series, middle = list(series(rnd, start)), start + MINUTES * 30_000
    table, prometheus, tidegate = {}, Prometheus(), Tidegate(False)
    try:
        send((prometheus, tidegate), cut(all_series, 0, middle))
        compare_all(table, "hot", (prometheus, tidegate), start, False)
        assert tidegate.rows("stored") == 0, "rows were stored too early"
        tidegate.stop()
        tidegate = Tidegate(True)
        wait_for("the first batch", lambda: tidegate.rows("hot") == 0)
        tidegate.stop()
        tidegate = Tidegate(False)
        second = cut(all_series, middle, start + 2 * MINUTES * 60_000)
        send((prometheus, tidegate), second)
        # The same bytes again are a retry: were they rows again, the sums of windows would be twice as high.
        send((tidegate,), second)
        assert tidegate.rows("stored") > 0 and tidegate.rows("hot") > 0, "rows are not on both sides"
        compare_all(table, "half stored", (prometheus, tidegate), start, True)
        compare_lists(table, "half stored", (prometheus, tidegate), start)
        tidegate.stop()
        tidegate = Tidegate(True)
        wait_for("the second batch", lambda: tidegate.rows("hot") == 0)
        compare_all(table, "stored", (prometheus, tidegate), start, False)
        sent = sum(len(samples) for _, samples in cut(all_series, 0, start + 2 * MINUTES * 60_000))
        assert tidegate.rows("stored") == sent, f"{tidegate.rows('stored')} rows are stored, {sent} were sent"
    finally:
        prometheus.stop()
        tidegate.stop()
    print_table(table, began)


if __name__ == "__main__":
    main()
