"""A handler for Python's logging that sends records to Tidegate in batches.

    import logging, tidegate_logging
    logging.getLogger().addHandler(tidegate_logging.TidegateHandler(source="shop"))
    logging.warning("disk is %d %% full", 91, extra={"context": {"disk": "sda"}})

Records wait in memory until they are sent; `flush()` and `close()` send what waits. A batch is sent again under the same
key until the server has answered, so it is stored once. Where the server stays away, the oldest records past
`records_max` go, and how many went is a record of its own.
"""

import json
import logging
import threading
import time
import urllib.error
import urllib.request
import uuid
from datetime import datetime, timezone

# What a record has of its own; anything else came by `extra`.
_OWN = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "context"}


class TidegateHandler(logging.Handler):
    def __init__(self, source, url="http://127.0.0.1:8080", agent_id=None, batch=500, every=1.0, records_max=100_000):
        super().__init__()
        self._url = url.rstrip("/") + "/v1/json/logs"
        self._origin = {"source": source, "session_id": str(uuid.uuid4())}
        if agent_id:
            self._origin["agent_id"] = agent_id
        self._batch, self._every, self._records_max = batch, every, records_max
        self._waiting, self._dropped, self._stopping = [], 0, False
        self._key, self._held = None, []
        self._changed, self._sending = threading.Condition(), threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def emit(self, record):
        try:
            entry = self._entry(record)
        except Exception:
            self.handleError(record)
            return
        with self._changed:
            self._waiting.append(entry)
            if len(self._waiting) > self._records_max:
                self._waiting.pop(0)
                self._dropped += 1
            if len(self._waiting) >= self._batch:
                self._changed.notify()

    def flush(self, timeout=10.0):
        """Sends what waits; returns whether all of it was taken in time."""
        until = time.monotonic() + timeout
        while self._send():
            if time.monotonic() >= until:
                return False
            if self._key:
                time.sleep(0.1)
        return True

    def close(self):
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(timeout=30)
        self.flush()
        super().close()

    def _entry(self, record):
        context = {"logger": record.name, "file": record.pathname, "line": record.lineno, "thread": record.threadName}
        context.update({name: value for name, value in vars(record).items() if name not in _OWN})
        context.update(getattr(record, "context", {}))
        if record.exc_info:
            context["exception.stacktrace"] = logging.Formatter().formatException(record.exc_info)
        when = datetime.fromtimestamp(record.created, timezone.utc)
        return {
            "timestamp": when.isoformat(timespec="microseconds"),
            "level": record.levelname,
            "message": record.getMessage(),
            "context": json.loads(json.dumps(context, default=str)),
            **self._origin,
        }

    def _run(self):
        while True:
            with self._changed:
                if not self._stopping and len(self._waiting) < self._batch:
                    self._changed.wait(self._every)
                if self._stopping:
                    return
            self._send()
            if self._key:
                time.sleep(self._every)

    def _send(self):
        """Sends one batch; returns whether anything is left to send."""
        with self._sending:
            with self._changed:
                if not self._held:
                    self._held, self._waiting = self._waiting[: self._batch], self._waiting[self._batch :]
                    if self._dropped:
                        lost = f"{self._dropped} records were dropped: the server was away"
                        self._held.append({"level": "WARNING", "message": lost, **self._origin})
                        self._dropped = 0
                    self._key = str(uuid.uuid4()) if self._held else None
            if not self._held:
                return False
            body = json.dumps(self._held).encode()
            headers = {"Content-Type": "application/json", "Idempotency-Key": self._key}
            request = urllib.request.Request(self._url, data=body, headers=headers)
            try:
                with urllib.request.urlopen(request, timeout=30):
                    pass
            except urllib.error.HTTPError as refused:
                # The same would be refused again, unless the server is only full, stopping or broken.
                if refused.code < 500 and refused.code not in (408, 429):
                    logging.lastResort.handle(
                        logging.makeLogRecord({"levelno": 40, "msg": f"Tidegate refused {len(self._held)} records: {refused}"})
                    )
                    self._held, self._key = [], None
                return True
            except OSError:
                return True
            self._held, self._key = [], None
            with self._changed:
                return bool(self._waiting)
