"""Starts Tidegate with a rule, lets it fire while the mail server is away, and reads what comes when it is there."""

import email
import json
import os
import pathlib
import queue
import socket
import subprocess
import sys
import time
import urllib.request

from aiosmtpd.controller import Controller

TIDEGATE, DATA = sys.argv[1], pathlib.Path(sys.argv[2])
WITHIN_SECONDS = 60
RULE = """[{ name = 'errors', every = '1s', above = 2, severity = 'critical', summary = '{service_name} failed {value} times',
    sql = 'SELECT service_name, count() AS value FROM logs GROUP BY service_name' }]"""


class Inbox:
    def __init__(self):
        self.mails = queue.Queue()

    async def handle_DATA(self, server, session, envelope):
        self.mails.put((envelope.mail_from, envelope.rcpt_tos, email.message_from_bytes(envelope.content)))
        return "250 taken"


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def send(address, bodies):
    attribute = {"key": "service.name", "value": {"stringValue": "shop"}}
    records = [{"timeUnixNano": str(time.time_ns()), "body": {"stringValue": body}} for body in bodies]
    request = {"resourceLogs": [{"resource": {"attributes": [attribute]}, "scopeLogs": [{"logRecords": records}]}]}
    headers = {"content-type": "application/json"}
    body = json.dumps(request).encode()
    urllib.request.urlopen(urllib.request.Request(f"http://{address}/v1/logs", body, headers)).read()


def ask(address, path):
    with urllib.request.urlopen(f"http://{address}{path}") as answer:
        return json.loads(answer.read())


def until(what, holds):
    end = time.monotonic() + WITHIN_SECONDS
    while time.monotonic() < end:
        try:
            if holds():
                return
        except OSError:
            pass
        time.sleep(0.05)
    sys.exit(f"{what}: not within {WITHIN_SECONDS} s")


def main():
    http, otlp, grpc, smtp = (free_port() for _ in range(4))
    settings = {
        "TIDEGATE_ALERTS__DEFAULTS": "false",
        "TIDEGATE_ALERTS__RULES": RULE,
        "TIDEGATE_ALERTS__SMTP_SERVER": f"smtp://127.0.0.1:{smtp}",
        "TIDEGATE_ALERTS__SMTP_FROM": "Tidegate <tidegate@example.org>",
        "TIDEGATE_ALERTS__SMTP_TO": "['ops@example.org', 'night@example.org']",
        "TIDEGATE_TELEMETRY__OWN": "false",
    }
    doors = ["--http", f"127.0.0.1:{http}", "--otlp-http", f"127.0.0.1:{otlp}", "--otlp-grpc", f"127.0.0.1:{grpc}"]
    command = [TIDEGATE, "serve", "--data", str(DATA / "data"), *doors]
    with open(DATA / "log", "wb") as log:
        server = subprocess.Popen(command, env={**os.environ, **settings}, stdout=log, stderr=log)
    inbox = Inbox()
    mail = Controller(inbox, hostname="127.0.0.1", port=smtp)
    try:
        address = f"127.0.0.1:{http}"
        until("the server is ready", lambda: ask(address, "/ready"))
        send(f"127.0.0.1:{otlp}", ["one", "two", "three"])
        until("the alert fires", lambda: [one["state"] for one in ask(address, "/admin/alerts")["alerts"]] == ["firing"])
        mail.start()
        sender, receivers, message = inbox.mails.get(timeout=WITHIN_SECONDS)
        subject, text = message["subject"], message.get_payload()
        assert sender == "tidegate@example.org", sender
        assert receivers == ["ops@example.org", "night@example.org"], receivers
        assert subject == "[firing] critical: shop failed 3 times", subject
        assert "service_name = shop" in text, text
        print("mail: one alert, one mail to two people, sent when the mail server came")
    except BaseException:
        print((DATA / "log").read_text(errors="replace")[-4000:], file=sys.stderr)
        raise
    finally:
        server.terminate()
        server.wait()
        if mail.loop.is_running():
            mail.stop()


main()
