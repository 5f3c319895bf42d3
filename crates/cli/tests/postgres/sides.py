"""Both sides and the command line, started and killed."""

import json
import os
import pwd
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

WITHIN_SECONDS = 60


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def wait_for(what, is_there, within=WITHIN_SECONDS):
    end = time.monotonic() + within
    while not is_there():
        if time.monotonic() > end:
            raise SystemExit(f"postgres: {what} is not there after {within} s")
        time.sleep(0.05)


class Postgres:
    """A server of PostgreSQL with its data below a folder."""

    def __init__(self, programs, folder, more=None, prepare=None):
        self.programs, self.folder, self.port, self.more = programs, folder / "postgres", free_port(), more or {}
        self.folder.mkdir()
        self.log = (folder / "postgres.log").open("a")
        self.prefix = []
        if os.geteuid() == 0:
            names = {user.pw_name for user in pwd.getpwall()}
            name = "postgres" if "postgres" in names else "nobody"
            user = pwd.getpwnam(name)
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self.prefix = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        command = [f"{programs}/initdb", "-D", str(self.folder / "data"), "-U", "tide", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run(self.prefix + command, check=True, stdout=self.log, stderr=self.log, cwd="/")
        self.url = f"postgres://tide@127.0.0.1:{self.port}/postgres" + (prepare(self) if prepare else "")
        self.start()

    def start(self):
        settings = {"port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": self.folder}
        # What a kill leaves is in the system's cache: nothing is lost but on a loss of power.
        settings |= {"fsync": "off", "max_wal_size": "4GB", "max_connections": "50"} | self.more
        command = [f"{self.programs}/postgres", "-D", str(self.folder / "data")]
        command += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        begin = lambda: subprocess.Popen(self.prefix + command, stdout=self.log, stderr=self.log, cwd="/")
        self.process = begin()

        def is_there():
            # It refuses to start while a child of one that was killed is left.
            if self.process.poll() is not None:
                time.sleep(0.5)
                self.process = begin()
            return self.try_sql("SELECT 1").returncode == 0

        # After a kill under a million rows it reads up to 4 GB of its log again.
        wait_for("PostgreSQL", is_there, 600)

    def psql(self):
        return [f"{self.programs}/psql", "-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-d", self.url]

    def try_sql(self, sql):
        return subprocess.run(self.psql(), input=sql, text=True, capture_output=True)

    def sql(self, text):
        """Runs statements; returns what they answer."""
        done = self.try_sql(text)
        if done.returncode != 0:
            raise SystemExit(f"postgres: {done.stderr[:2000]}\n{text[:500]}")
        return done.stdout.strip()

    def kill(self):
        """Ends it as a crash does, with all of its processes."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        # Its children see that it is gone, and end; a new one refuses to start before.
        (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)
        time.sleep(0.5)

    def jump(self, transaction):
        """Makes the next transaction have this number, as if all those before had been, and freezes what is there."""
        self.stop()
        # One bit pair for each transaction, in files of 2^20 of them: none of those that were not is in any.
        segment = self.folder / "data" / "pg_xact" / f"{transaction >> 20:04X}"
        command = [f"{self.programs}/pg_resetwal", "-x", str(transaction), "-D", str(self.folder / "data")]
        subprocess.run(self.prefix + command, check=True, stdout=self.log, stderr=self.log, cwd="/")
        if not segment.exists():
            subprocess.run(self.prefix + ["dd", "if=/dev/zero", f"of={segment}", "bs=256k", "count=1", "status=none"], check=True, cwd="/")
        self.start()
        for database in ("template0", "template1", "postgres"):
            url = f"postgres://tide@127.0.0.1:{self.port}/{database}"
            subprocess.run([f"{self.programs}/psql", "-X", "-q", "-d", url, "-c", "VACUUM FREEZE"], check=True, stderr=self.log)

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)


class Tidegate:
    """The server, and its command line."""

    def __init__(self, program, folder, postgres, more=None):
        self.program, self.folder, self.postgres = program, folder, postgres
        self.begun = []
        self.ports = [free_port() for _ in range(3)]
        self.url = f"http://127.0.0.1:{self.ports[0]}"
        self.env = os.environ | {"TIDEGATE_URL": self.url, "TIDEGATE_POSTGRES": postgres.url, "TIDEGATE_TELEMETRY__OWN": "false"} | (more or {})
        self.start()

    def start(self):
        command = [self.program, "serve", "--data", str(self.folder / "tidegate"), "--http", self.url[7:]]
        command += ["--otlp-http", f"127.0.0.1:{self.ports[1]}", "--otlp-grpc", f"127.0.0.1:{self.ports[2]}"]
        log = (self.folder / "tidegate.log").open("a")
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log, env=self.env)
        wait_for("Tidegate", self.is_ready)

    def is_ready(self):
        try:
            return self.ask("GET", "/ready")[0] == 200
        except OSError:
            return False

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        for process in self.begun:
            process.kill()
        self.process.terminate()
        self.process.wait(60)

    def ask(self, method, path, body=None, headers=None):
        return self.ask_whole(method, path, body, headers)[:2]

    def ask_whole(self, method, path, body=None, headers=None):
        """Asks; returns the status, the body and the headers."""
        headers = {"content-type": "application/json"} | (headers or {})
        request = urllib.request.Request(self.url + path, data=body, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, error.read(), error.headers

    def rows(self, sql):
        body = json.dumps({"sql": sql, "format": "ndjson"}).encode()
        status, text = self.ask("POST", "/sql/read", body, {"x-tidegate-read": "target"})
        if status != 200:
            raise SystemExit(f"postgres: {sql[:300]}: {status} {text[:1000]}")
        return [json.loads(line) for line in text.splitlines() if line]

    def ingest(self, dataset, rows, instead=("", "")):
        """Sends rows; a text in them may stand for JSON that is to be sent letter by letter."""
        body = json.dumps({"rows": rows}).replace(*instead).encode()
        status, text = self.ask("POST", f"/datasets/{dataset}/ingest", body)
        if status not in (200, 201, 202) or json.loads(text)["rejected"]:
            raise SystemExit(f"postgres: rows are not taken: {status} {text[:1000]}")

    def begin(self, *words):
        """Starts `tidegate migrate …`, and does not wait for it."""
        log = (self.folder / "migrate.log").open("a")
        self.begun.append(subprocess.Popen([self.program, "migrate", *words], stdout=log, stderr=log, env=self.env))
        return self.begun[-1]

    def migrate(self, *words, fails=False):
        """Runs `tidegate migrate …`; returns what it prints as JSON, and as text."""
        return self.run("migrate", *words, fails=fails)

    def run(self, *words, fails=False):
        """Runs `tidegate …`; returns what it prints as JSON, and as text."""
        done = subprocess.run([self.program, *words], capture_output=True, text=True, env=self.env)
        if (done.returncode != 0) != fails:
            raise SystemExit(f"postgres: {' '.join(words)}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
        try:
            return json.loads(done.stdout), done.stdout + done.stderr
        except ValueError:
            return None, done.stdout + done.stderr


