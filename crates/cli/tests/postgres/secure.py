"""PostgreSQL that takes connections with TLS only: moved, and the primary of the tracing API."""

import argparse
import json
import pathlib
import shutil
import subprocess
import time

from sides import Postgres, Tidegate

PROJECT = "00000000-0000-0000-0000-0000000000aa"
TABLE = """
CREATE TABLE notes (id int8 PRIMARY KEY, made timestamptz NOT NULL, body text);
INSERT INTO notes SELECT n, '2026-01-31Z'::timestamptz + n * interval '1 s', repeat('note ' || n, 20) FROM generate_series(1, 5000) AS n;
CREATE ROLE certified LOGIN SUPERUSER;
"""
PLAN = ("postgres", "--table", "public.notes", "--dataset", "notes", "--time", "made", "--json")


def check(is_so, what):
    if not is_so:
        raise SystemExit(f"secure: {what}")


class Certificates:
    """Authorities, and what they sign."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        folder.chmod(0o755)

    def openssl(self, *words):
        done = subprocess.run(["openssl", *words], cwd=self.folder, text=True, capture_output=True)
        check(done.returncode == 0, f"openssl {' '.join(words)}: {done.stderr}")

    def key(self, name, *more):
        self.openssl("req", *more, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key",
                     "-subj", f"/CN={name}", "-out", f"{name}.crt" if more else f"{name}.csr")

    def authority(self, name):
        self.key(name, "-x509", "-days", "2")

    def sign(self, name, authority, use):
        self.key(name)
        (self.folder / "use").write_text(use)
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.crt", "-CAkey", f"{authority}.key", "-CAcreateserial",
                     "-days", "2", "-extfile", "use", "-out", f"{name}.crt")

    def path(self, name):
        return self.folder / name


def only_secure(certificates):
    """Returns what lets PostgreSQL take connections with TLS only, and says what the address of one is."""

    def prepare(postgres):
        data = postgres.folder / "data"
        for name in ("server.key", "server.crt", "authority.crt"):
            shutil.copy(certificates.path(name), data / name)
            shutil.chown(data / name, data.owner(), data.group())
            (data / name).chmod(0o600)
        lines = ("hostssl all certified 127.0.0.1/32 cert", "hostssl all all 127.0.0.1/32 trust")
        (data / "pg_hba.conf").write_text("\n".join(lines) + "\n")
        return f"?sslmode=verify-full&sslrootcert={certificates.path('authority.crt')}"

    return prepare


def plain(url):
    return url.split("?")[0]


def modes(postgres, tidegate, certificates):
    """Each mode does what PostgreSQL says of it; what does not fit is told at once, with what to do."""
    there, root = plain(postgres.url), certificates.path("authority.crt")
    local = there.replace("127.0.0.1", "localhost")
    client = f"sslcert={certificates.path('certified.crt')}&sslkey={certificates.path('certified.key')}"
    for url in (there, f"{there}?sslmode=require", f"{there}?sslmode=allow", f"{local}?sslmode=verify-ca&sslrootcert={root}",
                f"{there.replace('tide@', 'certified@')}?sslmode=verify-full&sslrootcert={root}&{client}"):
        plan, _ = tidegate.migrate(*PLAN, "--plan", "--from", url)
        check(plan["rows"] == 5000, f"{url}: {plan}")
    refused = (
        (f"{there}?sslmode=disable", "sslmode=verify-full"),
        (f"{there}?sslmode=verify-full", "sslrootcert="),
        (f"{there}?sslmode=verify-ca&sslrootcert={certificates.path('stranger.crt')}", "sslrootcert="),
        (f"{there}?sslmode=require&sslrootcert={certificates.path('stranger.crt')}", "sslrootcert="),
        (f"{there}?sslmode=verify-full&sslrootcert={certificates.path('none.crt')}", "there is no file"),
        (f"{there}?sslrootcert=system", "sslrootcert="),
        (f"{local}?sslmode=verify-full&sslrootcert={root}", "for another name"),
        (there.replace("tide@", "certified@"), "`sslcert` and `sslkey`"),
    )
    for url, wanted in refused:
        began = time.monotonic()
        _, text = tidegate.migrate(*PLAN, "--plan", "--from", url, fails=True)
        took = time.monotonic() - began
        check(wanted in text and took < 5, f"{url}: after {took:.1f} s {text}")
    print(f"modes of TLS: ok, {len(refused)} connections refused with a reason")


def moved(postgres, tidegate):
    """A table is moved, and changes follow, all of it through TLS."""
    report, _ = tidegate.migrate(*PLAN, "--capture")
    check(report["accepted"] == 5000, f"{report}")
    postgres.sql("UPDATE notes SET body = 'changed' WHERE id <= 10; DELETE FROM notes WHERE id = 11")
    tidegate.migrate("follow", "notes", "--once")
    comparison, _ = tidegate.migrate("validate", "notes", "--json")
    check(comparison["equal"] and comparison["sourceRows"] == 4999, f"{comparison}")
    print(f"moved: ok, {comparison['sourceRows']} rows are equal")


def span(number):
    return {"trace_id": f"{number:032x}", "span_id": f"{number:016x}", "span_name": "asked", "start_time": "2026-01-31T09:00:00Z",
            "end_time": "2026-01-31T09:00:01Z"}


def primary(postgres, tidegate, certificates):
    """Spans are written and read through TLS; with another's certificate nothing is, and it is told why."""

    def ask(method, path, body=None):
        status, text = tidegate.ask(method, path, json.dumps(body).encode() if body else None, {"x-project-id": PROJECT})
        return status, json.loads(text)

    status, told = ask("PUT", f"/tracing/modes/{PROJECT}", {"mode": "postgres", "force": True})
    check(status == 200, f"{status} {told}")
    status, told = ask("POST", "/tracing/spans/ingest", {"spans": [span(1)]})
    check((status, told["count"]) == (202, 1), f"{status} {told}")
    status, told = ask("GET", f"/traces/{span(1)['trace_id']}")
    check((status, told["count"]) == (200, 1), f"{status} {told}")
    ours = "FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name LIKE 'tidegate%'"
    check(postgres.sql(f"SELECT count(*) > 0 AND bool_and(ssl) {ours}") == "t", postgres.sql(f"SELECT application_name, ssl {ours}"))
    right = tidegate.env["TIDEGATE_POSTGRES"]
    tidegate.stop()
    tidegate.env["TIDEGATE_POSTGRES"] = f"{plain(postgres.url)}?sslmode=verify-full&sslrootcert={certificates.path('stranger.crt')}"
    tidegate.start()
    for method, path, body in (("POST", "/tracing/spans/ingest", {"spans": [span(2)]}), ("GET", f"/traces/{span(1)['trace_id']}", None)):
        status, told = ask(method, path, body)
        check(status == 503 and "sslrootcert=" in told["error"]["message"], f"{path} with another's certificate: {status} {told}")
    tidegate.stop()
    tidegate.env["TIDEGATE_POSTGRES"] = right
    tidegate.start()
    status, told = ask("POST", "/spans/query", {})
    check((status, told["count"]) == (200, 1), f"{status} {told}")
    print("primary: ok, every connection of it has TLS")


def main():
    parser = argparse.ArgumentParser()
    for name, kind in (("programs", str), ("data", pathlib.Path), ("tidegate", str)):
        parser.add_argument(f"--{name}", type=kind)
    options, _ = parser.parse_known_args()
    folder = options.data / "secure"
    folder.mkdir()
    folder.chmod(0o755)
    certificates = Certificates(folder / "certificates")
    certificates.authority("authority")
    certificates.authority("stranger")
    certificates.sign("server", "authority", "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
    certificates.sign("certified", "authority", "extendedKeyUsage=clientAuth\n")
    settings = {"ssl": "on", "ssl_cert_file": "server.crt", "ssl_key_file": "server.key", "ssl_ca_file": "authority.crt"}
    postgres = Postgres(options.programs, folder, settings, only_secure(certificates))
    postgres.sql(TABLE)
    tidegate = Tidegate(options.tidegate, folder, postgres)
    try:
        modes(postgres, tidegate, certificates)
        moved(postgres, tidegate)
        primary(postgres, tidegate, certificates)
    finally:
        tidegate.stop()
        postgres.stop()


main()
