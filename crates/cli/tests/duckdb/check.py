"""DuckDB reads what a real server exports, to a folder and to a real S3 server; the webhook's signature is checked with Python's own HMAC."""

import hashlib
import hmac
import http.server
import json
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import duckdb

TIDEGATE, DATA, S3_SERVER = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
SECRET = "a secret of this check"
ROWS = 3_000
WITHIN_SECONDS = 60
FIELDS = {
    "at": "timestamp",
    "n": "integer",
    "big": "uint64",
    "price": "decimal(18,4)",
    "ratio": "double",
    "day": "date",
    "id": "uuid",
    "ok": "boolean",
    "text": "string",
    "doc": "json",
    "list": "array(integer)",
    "tags": "map(string)",
}


def row(n):
    """Makes a row; every third has nothing in the columns that may be empty."""
    always = {"at": f"2026-11-20T10:00:00.{n:06}007Z", "n": n, "list": [n, n + 1], "tags": {"k": f"v{n}"}}
    if n % 3 == 0:
        return always
    return always | {
        "big": 2**64 - 1 - n,
        "price": f"{n}.0625",
        "ratio": n / 8,
        "day": "2026-11-20",
        "id": f"00000000-0000-0000-0000-{n:012}",
        "ok": n % 2 == 0,
        "text": f"row {n} ü",
        "doc": {"b": n, "a": []},
    }


def expect(found, wanted, what):
    if found != wanted:
        raise SystemExit(f"duckdb: {what}: found {found!r}, wanted {wanted!r}")
    print(f"duckdb: ok: {what}")


class Receiver(http.server.BaseHTTPRequestHandler):
    """Refuses two events, then takes them."""

    seen = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        message = self.headers["x-tidegate-timestamp"].encode() + b"." + body
        signature = "sha256=" + hmac.new(SECRET.encode(), message, hashlib.sha256).hexdigest()
        is_signed = hmac.compare_digest(signature, self.headers["x-tidegate-signature"])
        self.seen.append((self.headers["x-tidegate-event"], is_signed))
        self.send_response(204 if len(self.seen) > 2 else 503)
        self.end_headers()

    def log_message(self, *_):
        pass


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def ask(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def until(what, holds):
    end = time.monotonic() + WITHIN_SECONDS
    while time.monotonic() < end:
        try:
            found = holds()
            if found:
                return found
        except (urllib.error.URLError, ConnectionError):
            pass
        time.sleep(0.05)
    raise SystemExit(f"duckdb: {what}: not within {WITHIN_SECONDS} s")


def check(url, s3):
    schema = {"fields": [{"name": name, "type": kind} for name, kind in FIELDS.items()]}
    for first in range(0, ROWS, 500):
        rows = [row(n) for n in range(first, first + 500)]
        answer = ask(f"{url}/datasets/things/ingest", {"schema": schema, "rows": rows})
        expect((answer["accepted"], answer["rejected"]), (500, 0), f"rows from {first} on are taken")
    def stored():
        return next((table for table in ask(f"{url}/ledger")["tables"] if table["stored"] > 0), None)

    ledger = until("rows are stored", stored)
    expect(ledger["hot"] > 0, True, f"{ledger['stored']} rows are stored, {ledger['hot']} are hot")
    export = exported(url, {})
    first_time = export["manifest"]["files"][0]["first_time"]
    expect(first_time, "2026-11-20T10:00:00.000000007Z", "the manifest has nanoseconds")
    check_rows(str(pathlib.Path(export["folder"]) / "rows.parquet"))
    events = until("the events are taken", lambda: len(Receiver.seen) >= 4 and Receiver.seen[:4])
    kinds = ["created", "created", "created", "completed"]
    expect(events, [(f"timestore.dataset.export.{kind}", True) for kind in kinds], "events are signed and retried")
    export = exported(url, {"storageTargetId": "s3"})
    place = export["folder"].replace("s3:/", s3)
    # The test's S3 server asks for a signature, and does not look at it.
    scope = "Credential=k/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
    signed = urllib.request.Request(f"{place}/rows.parquet", headers={"Authorization": f"AWS4-HMAC-SHA256 {scope}"})
    with urllib.request.urlopen(signed) as rows:
        file = DATA / "from_s3.parquet"
        file.write_bytes(rows.read())
    told = export["manifest"]["files"][0]["sha256"]
    expect(hashlib.sha256(file.read_bytes()).hexdigest(), told, "the object on S3 has the checksum of the manifest")
    check_rows(str(file))


def exported(url, body):
    asked = ask(f"{url}/admin/datasets/things/exports", body)
    one = f"{url}/admin/datasets/things/exports/{asked['id']}"
    export = until("the export ends", lambda: (e := ask(one))["state"] in ("completed", "failed") and e)
    expect(export["error"], None, "the export is completed")
    return export


def check_rows(file):
    sql = f"FROM read_parquet('{file}')"
    found = duckdb.sql(f"SELECT count(*), count(DISTINCT _seq), min(_seq), max(_seq) {sql}").fetchone()
    expect(found, (ROWS, ROWS, 1, ROWS), "each row once")
    found = duckdb.sql(
        "SELECT n, epoch_us(\"at\"), big, price::VARCHAR, ratio, day::VARCHAR, ok, text, doc, list, tags, "
        f"id::VARCHAR {sql} ORDER BY n"
    ).fetchall()
    expect([values[0] for values in found], list(range(ROWS)), "every row")
    # DuckDB's times with a zone have microseconds; the file has nanoseconds.
    second = 1_795_168_800 * 10**6
    for n, values in enumerate(found):
        sent = row(n)
        # A document is kept letter by letter.
        doc = json.dumps(sent["doc"]) if "doc" in sent else None
        wanted = (n, second + n, *(sent.get(name) for name in ("big", "price", "ratio", "day", "ok", "text")), doc)
        if values[:9] != wanted or values[9] != sent["list"] or dict(values[10]) != sent["tags"]:
            raise SystemExit(f"duckdb: row {n}: found {values!r}, sent {sent!r}")
        if values[11] != sent.get("id"):
            raise SystemExit(f"duckdb: row {n}: its id is {values[11]}")
    print("duckdb: ok: every value of every type")


def main():
    hook = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=hook.serve_forever, daemon=True).start()
    s3_port = free_port()
    s3 = f"http://127.0.0.1:{s3_port}"
    http_port, others = free_port(), [f"127.0.0.1:{free_port()}" for _ in range(2)]
    settings = {
        "TIDEGATE_TELEMETRY__OWN": "false",
        "TIDEGATE_BATCH__ROWS": "2000",
        "TIDEGATE_BATCH__AGE_MS": "3600000",
        "TIDEGATE_EXPORTS__WEBHOOK_URL": f"http://127.0.0.1:{hook.server_port}/",
        "TIDEGATE_EXPORTS__WEBHOOK_SECRET": SECRET,
        "TIDEGATE_S3__ENDPOINT": s3,
        "TIDEGATE_S3__BUCKET": "rows",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }
    command = [TIDEGATE, "serve", "--data", str(DATA / "data"), "--http", f"127.0.0.1:{http_port}"]
    command += ["--otlp-http", others[0], "--otlp-grpc", others[1]]
    with open(DATA / "serve.log", "w") as log:
        server = subprocess.Popen(command, env=os.environ | settings, stdout=log, stderr=log)
        bucket = subprocess.Popen([S3_SERVER, "--host", "127.0.0.1", "--port", str(s3_port)], stdout=log, stderr=log)
    url = f"http://127.0.0.1:{http_port}"
    try:
        until("the server is ready", lambda: urllib.request.urlopen(f"{url}/ready").status == 200)
        made = urllib.request.Request(f"{s3}/rows", method="PUT")
        until("the bucket is made", lambda: urllib.request.urlopen(made).status == 200)
        check(url, s3)
    except BaseException:
        print((DATA / "serve.log").read_text()[-3_000:], file=sys.stderr)
        raise
    finally:
        bucket.terminate()
        bucket.wait(WITHIN_SECONDS)
        server.terminate()
        server.wait(WITHIN_SECONDS)


if __name__ == "__main__":
    main()
