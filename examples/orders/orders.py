#!/usr/bin/env python3
"""A small orders service to try backfills on. Python's standard library only.

  POST /v1/orders/{id}/reprice       recomputes one order's total with the new rounding rule
  POST /v1/orders:batchReprice       the same for a JSON array or NDJSON of {"key": id}
  GET  /v1/orders/{id}               one order
  GET  /metrics  /healthz            Prometheus text; alive

With ?validateOnly=true the two POSTs say what they would do and change nothing. What was answered is in the database
before the answer leaves. An Idempotency-Key is honoured: a request that is repeated under it gets the first answer again.

Some orders make trouble, as in real life: every --fail-every-th has a currency without a rounding rule and fails for
good (422), every --flaky-every-th fails once with 503 and works when it is sent again.
"""

import argparse
import hashlib
import json
import signal
import socket
import sqlite3
import ssl
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MAX_BODY_BYTES = 8 * 1024 * 1024
MAX_BATCH = 10_000
MAX_IDEMPOTENCY_KEY = 1024
MAX_REMEMBERED = 1_000_000  # idempotency keys; the oldest are forgotten first
LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
  id INTEGER PRIMARY KEY,
  quantity INTEGER NOT NULL,
  unit_cents INTEGER NOT NULL,
  total_cents INTEGER NOT NULL,
  repriced INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS answers (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL,
  request TEXT NOT NULL,
  outcomes TEXT NOT NULL,
  UNIQUE (key, request)
) STRICT;
"""
# 19 % tax, rounded down: the old rule. About half of the totals change under the new one.
CREATE_ORDERS = """
WITH RECURSIVE n(id) AS (SELECT ? UNION ALL SELECT id + 1 FROM n WHERE id < ?)
INSERT INTO orders (id, quantity, unit_cents, total_cents)
SELECT id, id % 7 + 1, id * 7919 % 9973 + 1, (id % 7 + 1) * (id * 7919 % 9973 + 1) * 119 / 100 FROM n WHERE id <= ?
"""


def new_total(quantity, unit_cents):
    """The new rule: half a cent goes to the even neighbour."""
    hundredths = quantity * unit_cents * 119
    total, rest = divmod(hundredths, 100)
    return total + (rest > 50 or (rest == 50 and total % 2 == 1))


class Group:
    """Writes that are committed together. Who waits for `done` learns whether they are on the disk."""

    def __init__(self):
        self.done = threading.Event()
        self.error = None


class Orders:
    """The orders in SQLite. One connection writes, one reads; commits are shared by all who wait for one."""

    def __init__(self, path, fail_every=0, flaky_every=0):
        self.fail_every = fail_every
        self.flaky_every = flaky_every
        self._failed_once = set()
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._writer = self._connect(path)
        self._writer.executescript(SCHEMA)
        self._reader = self._connect(path)
        self._group = Group()
        self._work = threading.Event()
        self._stopping = False
        self._committer = threading.Thread(target=self._commit_groups, name="committer", daemon=True)
        self._committer.start()

    @staticmethod
    def _connect(path):
        connection = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    def close(self):
        self._stopping = True
        self._work.set()
        self._committer.join()
        self._writer.close()
        self._reader.close()

    def create(self, count):
        """Makes the orders 1..count that are not there yet."""
        with self._write_lock:
            highest = self._writer.execute("SELECT coalesce(max(id), 0) FROM orders").fetchone()[0]
            if highest < count:
                self._writer.execute(CREATE_ORDERS, (highest + 1, count, count))

    def get(self, order_id):
        with self._read_lock:
            row = self._reader.execute(
                "SELECT id, quantity, unit_cents, total_cents, repriced FROM orders WHERE id = ?", (order_id,)).fetchone()
        if row is None:
            return None
        return dict(zip(("id", "quantity", "unitCents", "totalCents", "repriced"), row))

    def validate(self, keys):
        """What reprice() would answer. Changes nothing."""
        with self._read_lock:
            return self._decide(self._reader, keys, may_be_flaky=False)[0]

    def reprice(self, keys, idempotency_key="", request=""):
        """One outcome per key, in order. Returns when the changes are on the disk."""
        with self._write_lock:
            outcomes = self._answered(idempotency_key, request)
            if outcomes is not None:
                return outcomes
            group = self._group
            if not self._writer.in_transaction:
                self._writer.execute("BEGIN")
            outcomes, changes = self._decide(self._writer, keys, may_be_flaky=True)
            self._writer.executemany("UPDATE orders SET total_cents = ?, repriced = 1 WHERE id = ?", changes)
            # What is to be sent again must not be answered from memory.
            if idempotency_key and not any(o.get("class") == "transient" for o in outcomes):
                self._remember(idempotency_key, request, outcomes)
        self._work.set()
        group.done.wait()
        if group.error is not None:
            raise group.error
        return outcomes

    def _decide(self, connection, keys, may_be_flaky):
        ids = [parse_id(key) for key in keys]
        known = {}
        wanted = [i for i in ids if i is not None]
        for start in range(0, len(wanted), 500):
            part = wanted[start:start + 500]
            marks = ",".join("?" * len(part))
            for row in connection.execute(
                    f"SELECT id, quantity, unit_cents, total_cents FROM orders WHERE id IN ({marks})", part):
                known[row[0]] = row
        outcomes, changes = [], []
        for key, order_id in zip(keys, ids):
            row = known.get(order_id)
            if row is None:
                outcome = failed(key, "permanent", "there is no such order")
            elif self.fail_every and order_id % self.fail_every == 0:
                outcome = failed(key, "permanent", "the currency XTS has no rounding rule")
            elif may_be_flaky and self._fails_this_time(order_id):
                outcome = failed(key, "transient", "the price list is being reloaded")
            else:
                total = new_total(row[1], row[2])
                outcome = {"key": key, "outcome": "unchanged" if total == row[3] else "updated"}
                if total != row[3]:
                    changes.append((total, order_id))
                    known[order_id] = (*row[:3], total)  # the key may stand in the batch twice
            outcomes.append(outcome)
        return outcomes, changes

    def _fails_this_time(self, order_id):
        if not self.flaky_every or order_id % self.flaky_every != 1 or order_id in self._failed_once:
            return False
        self._failed_once.add(order_id)
        return True

    def _answered(self, idempotency_key, request):
        if not idempotency_key:
            return None
        row = self._writer.execute("SELECT outcomes FROM answers WHERE key = ? AND request = ?",
                                   (idempotency_key, request)).fetchone()
        return None if row is None else json.loads(row[0])

    def _remember(self, idempotency_key, request, outcomes):
        row_id = self._writer.execute("INSERT INTO answers (key, request, outcomes) VALUES (?, ?, ?)",
                                      (idempotency_key, request, json.dumps(outcomes))).lastrowid
        if row_id > MAX_REMEMBERED:
            self._writer.execute("DELETE FROM answers WHERE id = ?", (row_id - MAX_REMEMBERED,))

    def _commit_groups(self):
        stopping = False
        while not stopping:
            self._work.wait()
            self._work.clear()
            stopping = self._stopping  # before the commit, so that what came earlier is in it
            with self._write_lock:
                group, self._group = self._group, Group()
                try:
                    if self._writer.in_transaction:
                        self._writer.execute("COMMIT")
                except sqlite3.Error as error:
                    group.error = error
                    if self._writer.in_transaction:
                        self._writer.execute("ROLLBACK")
            group.done.set()


def failed(key, failure_class, message):
    return {"key": key, "outcome": "failed", "class": failure_class, "message": message}


def parse_id(key):
    """An order's number, or None for what cannot be one."""
    if len(key) > 19 or not (key.isascii() and key.isdigit()):
        return None
    number = int(key)
    return number if number < 2**63 else None


class Metrics:
    def __init__(self):
        self._lock = threading.Lock()
        self._requests = {}
        self._outcomes = {"updated": 0, "unchanged": 0, "failed": 0}
        self._buckets = [0] * (len(LATENCY_BUCKETS) + 1)
        self._seconds = 0.0

    def request(self, code, seconds, outcomes):
        slot = next((i for i, bound in enumerate(LATENCY_BUCKETS) if seconds <= bound), len(LATENCY_BUCKETS))
        with self._lock:
            self._requests[code] = self._requests.get(code, 0) + 1
            self._buckets[slot] += 1
            self._seconds += seconds
            for outcome in outcomes:
                self._outcomes[outcome["outcome"]] += 1

    def text(self):
        with self._lock:
            lines = ["# HELP orders_http_requests_total Requests by status code.",
                     "# TYPE orders_http_requests_total counter"]
            lines += [f'orders_http_requests_total{{code="{code}"}} {n}' for code, n in sorted(self._requests.items())]
            lines += ["# HELP orders_http_request_seconds Time to answer a request.",
                      "# TYPE orders_http_request_seconds histogram"]
            total = 0
            for bound, n in zip((*LATENCY_BUCKETS, "+Inf"), self._buckets):
                total += n
                lines.append(f'orders_http_request_seconds_bucket{{le="{bound}"}} {total}')
            lines += [f"orders_http_request_seconds_sum {self._seconds:.6f}",
                      f"orders_http_request_seconds_count {total}",
                      "# HELP orders_repriced_total Orders that were asked to be repriced, by outcome.",
                      "# TYPE orders_repriced_total counter"]
            lines += [f'orders_repriced_total{{outcome="{name}"}} {n}' for name, n in self._outcomes.items()]
            return "\n".join(lines) + "\n"


class BadRequest(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def parse_batch(body):
    """The keys of a JSON array or of NDJSON: [{"key": "1"}, ..] or one such object a line."""
    try:
        text = body.decode("utf-8").strip()
        if text.startswith("["):
            records = json.loads(text)
        else:
            records = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError) as error:
        raise BadRequest(400, "the body is neither a JSON array nor NDJSON") from error
    if not records or len(records) > MAX_BATCH:
        raise BadRequest(400, f"a batch has 1 to {MAX_BATCH} records")
    keys = []
    for record in records:
        key = record.get("key") if isinstance(record, dict) else record
        if isinstance(key, bool) or not isinstance(key, (int, str)):
            raise BadRequest(400, 'each record is a key, or an object with a "key"')
        keys.append(str(key))
    return keys


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body of an answer in one write
    timeout = 60  # of an idle connection
    server_version = "orders"

    def do_GET(self):
        self.answer(self.get)

    def do_POST(self):
        self.answer(self.post)

    def answer(self, handle):
        began = time.perf_counter()
        outcomes = []
        try:
            code, body, outcomes = handle(self.split_path())
        except BadRequest as error:
            code, body = error.code, {"error": str(error)}
        except sqlite3.Error as error:
            code, body = 503, {"error": f"the database says: {error}"}
        self.reply(code, body)
        self.server.metrics.request(code, time.perf_counter() - began, outcomes)

    def split_path(self):
        try:
            return urllib.parse.urlsplit(self.path)
        except ValueError as error:
            raise BadRequest(400, "this is no URL") from error

    def reply(self, code, body):
        data = body.encode() if isinstance(body, str) else json.dumps(body, separators=(",", ":")).encode()
        self.send_response_only(code)
        if code != 304:  # has no body, not even an empty one
            self.send_header("Content-Type", "text/plain" if isinstance(body, str) else "application/json")
            self.send_header("Content-Length", str(len(data)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if code != 304:
            self.wfile.write(data)
        self.wfile.flush()

    def get(self, url):
        if url.path == "/healthz":
            return 200, "ok\n", []
        if url.path == "/metrics":
            return 200, self.server.metrics.text(), []
        parts = url.path.split("/")
        if len(parts) == 4 and parts[1:3] == ["v1", "orders"]:
            order_id = parse_id(urllib.parse.unquote(parts[3]))
            order = None if order_id is None else self.server.orders.get(order_id)
            if order is not None:
                return 200, order, []
        return 404, {"error": "there is nothing here"}, []

    def post(self, url):
        body = self.read_body()
        if self.server.latency > 0:
            time.sleep(self.server.latency)
        parts = url.path.split("/")
        validate_only = urllib.parse.parse_qs(url.query).get("validateOnly") == ["true"]
        if url.path == "/v1/orders:batchReprice":
            outcomes = self.reprice(parse_batch(body), body, validate_only)
            return 200, {"outcomes": outcomes}, [] if validate_only else outcomes
        if len(parts) == 5 and parts[1:3] == ["v1", "orders"] and parts[4] == "reprice":
            outcome = self.reprice([urllib.parse.unquote(parts[3])], body, validate_only)[0]
            return self.code_of(outcome), outcome, [] if validate_only else [outcome]
        return 404, {"error": "there is nothing here"}, []

    def reprice(self, keys, body, validate_only):
        if validate_only:
            return self.server.orders.validate(keys)
        idempotency_key = self.headers.get("Idempotency-Key", "")
        if len(idempotency_key) > MAX_IDEMPOTENCY_KEY:
            raise BadRequest(400, "the Idempotency-Key is too long")
        request = hashlib.sha256(self.path.encode("utf-8", "replace") + b"\n" + body).hexdigest()
        return self.server.orders.reprice(keys, idempotency_key, request)

    @staticmethod
    def code_of(outcome):
        if outcome["outcome"] == "updated":
            return 200
        if outcome["outcome"] == "unchanged":
            return 304
        if outcome["class"] == "transient":
            return 503
        return 404 if "no such order" in outcome["message"] else 422

    def read_body(self):
        length = self.headers.get("Content-Length", "0" if "Transfer-Encoding" not in self.headers else "")
        if not (length.isascii() and length.isdigit()):
            self.close_connection = True
            raise BadRequest(411, "a body needs a Content-Length")
        if len(length) > 18 or int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            raise BadRequest(413, f"a body has at most {MAX_BODY_BYTES} bytes")
        return self.rfile.read(int(length))

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        pass  # one line a request would be the slowest part of the service


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, address, orders, latency=0.0, tls=None):
        self.orders = orders
        self.tls = tls
        self.latency = latency
        self.metrics = Metrics()
        super().__init__(address, Handler)

    def get_request(self):
        request, address = super().get_request()
        if self.tls:  # the handshake is left to the connection's thread: a client that hangs is alone with it
            request = self.tls.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
        return request, address

    def handle_error(self, request, client_address):
        error = sys.exc_info()[1]
        if not isinstance(error, (ConnectionError, socket.timeout, ssl.SSLError)):  # clients come and go
            super().handle_error(request, client_address)


def main():
    parser = argparse.ArgumentParser(description="A small orders service to try backfills on.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="0 takes a free one and prints it (%(default)s)")
    parser.add_argument("--db", default="orders.db", help="SQLite file (%(default)s)")
    parser.add_argument("--orders", type=int, default=0, metavar="N", help="create the orders 1..N that are missing")
    parser.add_argument("--fail-every", type=int, default=20_000, metavar="N",
                        help="every N-th order fails for good; 0: none (%(default)s)")
    parser.add_argument("--flaky-every", type=int, default=5_000, metavar="N",
                        help="every N-th order fails once; 0: none (%(default)s)")
    parser.add_argument("--latency", type=float, default=0, metavar="MS", help="added to each reprice (%(default)s)")
    parser.add_argument("--tls-cert", metavar="PEM", help="certificate; with it the service speaks https")
    parser.add_argument("--tls-key", metavar="PEM", help="its private key, if it is not in the same file")
    options = parser.parse_args()
    tls = None
    if options.tls_cert:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(options.tls_cert, options.tls_key)

    orders = Orders(options.db, options.fail_every, options.flaky_every)
    orders.create(options.orders)
    server = Server((options.host, options.port), orders, options.latency / 1000, tls)

    def stop(*_):  # shutdown() waits for the loop, which runs in this very thread
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    print(f"listening on {'https' if tls else 'http'}://{options.host}:{server.server_address[1]}", flush=True)
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    orders.close()


if __name__ == "__main__":
    main()
