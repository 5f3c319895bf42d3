"""Old partitions of a real server go to a real S3 server and are answered from there; without it hot rows are."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

TIDEGATE, DATA, MOTO = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
WITHIN_SECONDS = 90
HOUR_MS = 3_600_000


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


HTTP, OTLP_HTTP, OTLP_GRPC, S3 = (free_port() for _ in range(4))
URL = f"http://127.0.0.1:{HTTP}"
SETTINGS = {
    "TIDEGATE_TELEMETRY__OWN": "false",
    "TIDEGATE_BATCH__AGE_MS": "150",
    "TIDEGATE_LIFECYCLE__EVERY_SECONDS": "0",
    "TIDEGATE_LIFECYCLE__COLD_S3": "true",
    "TIDEGATE_S3__ENDPOINT": f"http://127.0.0.1:{S3}",
    "TIDEGATE_S3__BUCKET": "rows",
    "TIDEGATE_S3__PREFIX": "check",
    "TIDEGATE_S3__ACCESS_KEY_ID": "somebody",
    "TIDEGATE_S3__SECRET_ACCESS_KEY": "a key of this check",
}


def expect(is_so, what):
    if not is_so:
        raise SystemExit(f"tiers: {what}")
    print(f"tiers: ok: {what}", flush=True)


def ask(method, path, body=None):
    """Returns status and JSON."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{URL}{path}", data, {"content-type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=WITHIN_SECONDS) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"null")
    except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
        return 0, {"error": str(error)}


def eventually(what, holds):
    until = time.monotonic() + WITHIN_SECONDS
    while not holds():
        if time.monotonic() > until:
            raise SystemExit(f"tiers: {what}: not within {WITHIN_SECONDS} s")
        time.sleep(0.1)


def count(where="1"):
    status, answer = ask("POST", "/sql/read", {"sql": f"SELECT count() AS n, sum(length(text)) AS s FROM visits WHERE {where}"})
    return int(answer["data"][0]["n"]) if status == 200 and "data" in answer else (status, answer)


def start_s3(make_bucket):
    log = open(DATA / "s3.log", "ab")
    server = subprocess.Popen([MOTO, "-p", str(S3)], stdout=log, stderr=log)

    def answers():
        method = "PUT" if make_bucket else "GET"
        request = urllib.request.Request(f"http://127.0.0.1:{S3}/rows", method=method)
        try:
            urllib.request.urlopen(request, timeout=5).read()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    eventually("the S3 server answers", answers)
    return server


def start():
    flags = ["--http", f"127.0.0.1:{HTTP}", "--otlp-http", f"127.0.0.1:{OTLP_HTTP}", "--otlp-grpc", f"127.0.0.1:{OTLP_GRPC}"]
    log = open(DATA / "serve.log", "ab")
    command = [TIDEGATE, "serve", "--data", str(DATA / "data"), *flags]
    server = subprocess.Popen(command, env=os.environ | SETTINGS, stdout=log, stderr=log)
    eventually("the engine answers", lambda: ask("POST", "/sql/read", {"sql": "SELECT 1"})[0] == 200)
    return server


def send(hours_ago, rows):
    now = int(time.time() * 1000) - hours_ago * HOUR_MS
    body = {"rows": [{"timestamp": now + n, "n": n, "text": f"row {n}"} for n in range(rows)]}
    body["schema"] = {
        "fields": [
            {"name": "timestamp", "type": "timestamp"},
            {"name": "n", "type": "integer"},
            {"name": "text", "type": "string"},
        ]
    }
    return ask("POST", "/datasets/visits/ingest", body)[0]


def stored():
    tables = ask("GET", "/ledger")[1]["tables"]
    return all(table["hot"] == 0 for table in tables)


def stop(server):
    server.send_signal(signal.SIGTERM)
    server.wait(WITHIN_SECONDS)


s3 = start_s3(make_bucket=True)
server = start()
try:
    expect(send(96, 2_000) == 201 and send(0, 500) == 201, "rows are taken")
    eventually("all rows are stored", stored)
    ask("PUT", "/admin/datasets/visits/retention", {"coldStorageAfterHours": 48})
    status, told = ask("POST", "/admin/lifecycle/run", {})
    steps = told["report"]["steps"] if status == 200 else told
    expect(status == 200 and [step["outcome"] for step in steps] == ["done"], f"a partition moves: {steps}")
    tiers = {one["tier"] for one in ask("GET", "/datasets/visits/manifests")[1]["manifests"]}
    expect(tiers == {"hot", "cold"}, "manifests tell the tier")
    listed = urllib.request.urlopen(f"http://127.0.0.1:{S3}/rows?list-type=2").read().decode()
    expect("check/cold/" in listed, "objects are in the bucket, below the prefix")
    expect(count() == 2_500, "cold and hot rows are answered")
    expect(ask("POST", "/verify")[1]["exact"] is True, "verify passes")
    status, refused = ask("POST", "/sql/read", {"sql": f"SELECT * FROM s3('http://127.0.0.1:{S3}/rows/x', 'CSV')"})
    expect(400 <= status < 500, "SQL itself still reaches no network")

    server.kill()
    server.wait()
    server = start()
    expect(count() == 2_500, "cold rows survive a kill")
    expect(ask("POST", "/verify")[1]["exact"] is True, "verify passes after it")
    shard = next(one["shard"] for one in ask("GET", "/datasets/visits/manifests")[1]["manifests"] if one["tier"] == "cold")
    status, warm = ask("POST", "/admin/lifecycle/prewarm", {"datasetSlug": "visits", "fromShard": shard})
    expect(status == 200 and warm["rows"] == 2_000, f"a shard is read into the cache: {warm}")

    # Away: the same process stands still, so that its objects are there afterwards.
    s3.send_signal(signal.SIGSTOP)
    recent = "_partition = today()"
    began = time.monotonic()
    expect(count(recent) == 500, f"hot rows are served without S3 ({time.monotonic() - began:.1f} s)")
    expect(send(0, 100) == 201, "rows are taken without S3")
    eventually("they are stored without S3", stored)
    expect(count(recent) == 600, "and answered")
    expect(count("_partition < today()") == 2_000, "what is in the cache is answered from there")
    s3.send_signal(signal.SIGCONT)
    stop(server)

    # Without a cache there is nobody to answer for S3.
    SETTINGS["TIDEGATE_LIFECYCLE__COLD_CACHE_BYTES"] = "0"
    server = start()
    expect(count() == 2_600, "the cache can be taken away")
    s3.send_signal(signal.SIGSTOP)
    expect(count(recent) == 600, "hot rows are served without S3 and without a cache")
    began = time.monotonic()
    refused = count("_partition < today()")
    took = time.monotonic() - began
    expect(isinstance(refused, tuple) and refused[0] in (503, 504), f"cold rows are an error, {took:.1f} s: {refused}")
    expect(send(0, 100) == 201 and count(recent) == 700, "rows are taken and answered meanwhile")
    s3.send_signal(signal.SIGCONT)
    eventually("all rows are answered when it is back", lambda: count() == 2_700)
    expect(ask("POST", "/verify")[1]["exact"] is True, "verify passes")
finally:
    s3.send_signal(signal.SIGCONT)
    server.kill()
    s3.kill()
