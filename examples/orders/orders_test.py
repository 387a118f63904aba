"""Tests of the sample service: python3 -m unittest examples/orders/orders_test.py"""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import orders  # noqa: E402  pylint: disable=wrong-import-position


class OrdersTest(unittest.TestCase):
    FAIL_EVERY, FLAKY_EVERY = 100, 50

    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)
        self.orders = orders.Orders(os.path.join(self.dir.name, "orders.db"), self.FAIL_EVERY, self.FLAKY_EVERY)
        self.addCleanup(self.orders.close)
        self.orders.create(1000)
        self.server = orders.Server(("127.0.0.1", 0), self.orders)
        thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.connection = self.connect()

    def connect(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.server_address[1], timeout=10)
        self.addCleanup(connection.close)
        return connection

    def call(self, method, path, body=None, headers=None, connection=None):
        connection = connection or self.connection
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        data = response.read()
        if response.getheader("Content-Type") == "application/json":
            data = json.loads(data)
        return response.status, data

    def reprice(self, order_id, headers=None):
        return self.call("POST", f"/v1/orders/{order_id}/reprice", headers=headers)

    def batch(self, keys, query="", headers=None):
        status, reply = self.call("POST", "/v1/orders:batchReprice" + query,
                                  json.dumps([{"key": key} for key in keys]), headers)
        self.assertEqual(status, 200)
        return reply["outcomes"]

    def total(self, order_id):
        return self.call("GET", f"/v1/orders/{order_id}")[1]["totalCents"]

    def a_changing_order(self, skip=0):
        """An order whose total the new rule changes, and which makes no trouble."""
        for order_id in range(2, 1000):
            if order_id % self.FAIL_EVERY == 0 or order_id % self.FLAKY_EVERY == 1:
                continue
            order = self.orders.get(order_id)
            if orders.new_total(order["quantity"], order["unitCents"]) != order["totalCents"]:
                if skip == 0:
                    return order_id
                skip -= 1
        raise AssertionError("no order changes")

    def test_rounds_half_to_even(self):
        # 1 x 50 x 1.19 = 59.5 -> 60, 1 x 150 x 1.19 = 178.5 -> 178, 59.49 down, 59.51 up
        self.assertEqual(orders.new_total(1, 50), 60)
        self.assertEqual(orders.new_total(1, 150), 178)
        self.assertEqual(orders.new_total(1, 10), 12)  # 11.9
        self.assertEqual(orders.new_total(1, 20), 24)  # 23.8
        self.assertEqual(orders.new_total(1, 60), 71)  # 71.4

    def test_repricing_changes_the_total_once(self):
        order_id = self.a_changing_order()
        before = self.total(order_id)
        self.assertEqual(self.reprice(order_id), (200, {"key": str(order_id), "outcome": "updated"}))
        after = self.total(order_id)
        self.assertNotEqual(after, before)
        self.assertEqual(self.reprice(order_id), (304, b""))
        self.assertEqual(self.total(order_id), after)

    def test_a_connection_serves_many_requests_also_after_304(self):
        order_id = self.a_changing_order()
        sock = None
        for expected in (200, 304, 304):
            self.assertEqual(self.reprice(order_id)[0], expected)
            sock = sock or self.connection.sock
            self.assertIs(self.connection.sock, sock)
            self.assertIsNotNone(sock)

    def test_the_same_idempotency_key_gets_the_same_answer(self):
        order_id = self.a_changing_order()
        key = {"Idempotency-Key": f"uid/{order_id}"}
        self.assertEqual(self.reprice(order_id, key)[0], 200)
        self.assertEqual(self.reprice(order_id, key)[0], 200)
        self.assertEqual(self.reprice(order_id)[0], 304)

    def test_an_idempotency_key_counts_for_its_request_only(self):
        first, second = self.a_changing_order(), self.a_changing_order(skip=1)
        key = {"Idempotency-Key": "the same"}
        self.assertEqual(self.reprice(first, key)[0], 200)
        self.assertEqual(self.reprice(second, key)[1]["key"], str(second))

    def test_some_orders_fail_for_good(self):
        for _ in range(2):
            status, reply = self.reprice(self.FAIL_EVERY)
            self.assertEqual(status, 422)
            self.assertEqual((reply["outcome"], reply["class"]), ("failed", "permanent"))

    def test_some_orders_fail_once_even_under_one_idempotency_key(self):
        key = {"Idempotency-Key": "uid/51"}
        status, reply = self.reprice(51, key)
        self.assertEqual((status, reply["class"]), (503, "transient"))
        self.assertIn(self.reprice(51, key)[0], (200, 304))

    def test_unknown_orders_and_paths(self):
        for order_id in ("0", "1001", "x", "-1", "9" * 30, "1%00", "%D9%A1", ""):
            status, reply = self.reprice(order_id)
            self.assertEqual(status, 404, order_id)
            self.assertEqual(reply.get("class", "permanent"), "permanent")
        self.assertEqual(self.call("GET", "/v1/orders/x")[0], 404)
        self.assertEqual(self.call("GET", "/v2")[0], 404)
        self.assertEqual(self.call("POST", "/v1/orders/1/refund")[0], 404)

    def test_what_is_no_url_is_refused(self):
        with socket.create_connection(("127.0.0.1", self.server.server_address[1]), timeout=10) as sock:
            sock.sendall(b"GET http://[x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            self.assertTrue(sock.recv(100).startswith(b"HTTP/1.1 400 "))

    def test_a_batch_says_what_became_of_each_record(self):
        changing = self.a_changing_order()
        outcomes = self.batch([str(changing), self.FAIL_EVERY, 51, "none"])
        self.assertEqual([o["key"] for o in outcomes], [str(changing), str(self.FAIL_EVERY), "51", "none"])
        self.assertEqual([o["outcome"] for o in outcomes], ["updated", "failed", "failed", "failed"])
        self.assertEqual([o.get("class") for o in outcomes], [None, "permanent", "transient", "permanent"])
        self.assertTrue(all(o["message"] for o in outcomes[1:]))

    def test_a_batch_with_something_to_send_again_is_not_answered_from_memory(self):
        key = {"Idempotency-Key": "uid/51..51/1"}
        self.assertEqual(self.batch([51], headers=key)[0]["class"], "transient")
        self.assertNotEqual(self.batch([51], headers=key)[0]["outcome"], "failed")

    def test_a_batch_is_remembered_under_its_idempotency_key(self):
        changing = self.a_changing_order()
        key = {"Idempotency-Key": "uid/a..b/1"}
        self.assertEqual(self.batch([changing], headers=key), self.batch([changing], headers=key))
        self.assertEqual(self.batch([changing])[0]["outcome"], "unchanged")

    def test_a_key_that_stands_twice_is_changed_once(self):
        changing = self.a_changing_order()
        self.assertEqual([o["outcome"] for o in self.batch([changing, changing])], ["updated", "unchanged"])

    def test_ndjson_works_as_an_array_does(self):
        changing = self.a_changing_order()
        status, reply = self.call("POST", "/v1/orders:batchReprice", f'{{"key": "{changing}"}}\n{{"key": 7}}\n')
        self.assertEqual(status, 200)
        self.assertEqual([o["key"] for o in reply["outcomes"]], [str(changing), "7"])

    def test_validate_only_tells_and_changes_nothing(self):
        changing = self.a_changing_order()
        before = self.total(changing)
        keys = [changing, self.FAIL_EVERY, 51]
        told = [o["outcome"] for o in self.batch(keys, "?validateOnly=true")]
        self.assertEqual(told[:2], ["updated", "failed"])
        self.assertNotEqual(told[2], "failed")
        self.assertEqual(self.call("POST", f"/v1/orders/{changing}/reprice?validateOnly=true")[0], 200)
        self.assertEqual(self.total(changing), before)
        self.assertEqual(self.reprice(51)[0], 503, "a dry run does not use up the one failure")
        self.assertIn('orders_repriced_total{outcome="updated"} 0', self.call("GET", "/metrics")[1].decode())

    def test_bad_bodies_are_refused(self):
        path = "/v1/orders:batchReprice"
        for body in ("", "{", "[", "[]", "null", "[1.5]", "[true]", "[{}]", '[{"key": null}]', '[{"key": [1]}]',
                     "[" * 100_000, b"\xff\xfe", json.dumps([1] * 10_001), "[" + "9" * 5000 + "]"):
            status, reply = self.call("POST", path, body)
            self.assertEqual(status, 400, body[:20])
            self.assertIn("error", reply)
        self.assertEqual(self.call("GET", "/healthz"), (200, b"ok\n"))

    def test_bodies_are_bounded(self):
        for headers, expected in (({"Content-Length": "99999999"}, 413), ({"Content-Length": "9" * 40}, 413),
                                  ({"Content-Length": "-1"}, 411), ({"Transfer-Encoding": "chunked"}, 411)):
            connection = self.connect()
            connection.putrequest("POST", "/v1/orders:batchReprice")
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            self.assertEqual(connection.getresponse().status, expected, headers)

    def test_many_clients_at_once_lose_nothing(self):
        def work(start):
            connection = self.connect()
            for order_id in range(start, 1001, 8):
                for _ in range(2):  # the flaky ones need a second time
                    self.call("POST", f"/v1/orders/{order_id}/reprice", connection=connection)

        threads = [threading.Thread(target=work, args=(start,)) for start in range(1, 9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for order_id in range(1, 1001):
            order = self.orders.get(order_id)
            if order_id % self.FAIL_EVERY:
                self.assertEqual(order["totalCents"], orders.new_total(order["quantity"], order["unitCents"]))

    def test_metrics_count_requests_outcomes_and_time(self):
        self.reprice(self.a_changing_order())
        self.reprice(self.FAIL_EVERY)
        text = self.call("GET", "/metrics")[1].decode()
        for line in ('orders_http_requests_total{code="200"} 1', 'orders_http_requests_total{code="422"} 1',
                     'orders_repriced_total{outcome="updated"} 1', 'orders_repriced_total{outcome="failed"} 1',
                     'orders_http_request_seconds_bucket{le="+Inf"} 2', "orders_http_request_seconds_count 2"):
            self.assertIn(line + "\n", text)
        for line in text.splitlines():
            self.assertRegex(line, r'^(# (HELP|TYPE) .+|[a-z_]+(\{[a-z]+="[^"]*"\})? [0-9.]+)$')

    def test_a_full_disk_is_503_and_heals(self):
        changing = self.a_changing_order()
        writer = self.orders._writer  # pylint: disable=protected-access
        pages = writer.execute("PRAGMA page_count").fetchone()[0]
        writer.execute(f"PRAGMA max_page_count = {pages}")
        statuses = {self.call("POST", "/v1/orders:batchReprice", json.dumps([i] * 2000),
                              {"Idempotency-Key": f"k{i}"})[0] for i in range(2, 40)}
        self.assertIn(503, statuses)
        writer.execute("PRAGMA max_page_count = 100000")
        self.assertIn(self.reprice(changing)[0], (200, 304))


@unittest.skipUnless(shutil.which("openssl"), "makes its certificate with openssl")
class TlsTest(unittest.TestCase):
    def test_speaks_https_and_a_client_that_hangs_is_alone_with_it(self):
        with tempfile.TemporaryDirectory() as folder:
            cert, key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                            "-subj", "/CN=orders", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert],
                           check=True, stderr=subprocess.DEVNULL)
            process = subprocess.Popen([sys.executable, os.path.join(HERE, "orders.py"), "--port", "0", "--orders", "10",
                                        "--db", os.path.join(folder, "orders.db"), "--tls-cert", cert, "--tls-key", key],
                                       stdout=subprocess.PIPE, text=True)
            self.addCleanup(process.stdout.close)
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
            port = int(re.fullmatch(r"listening on https://127\.0\.0\.1:(\d+)\n", process.stdout.readline()).group(1))
            with socket.create_connection(("127.0.0.1", port)):
                trusting = ssl.create_default_context(cafile=cert)
                connection = http.client.HTTPSConnection("localhost", port, timeout=10, context=trusting)
                for _ in range(2):
                    connection.request("POST", "/v1/orders/5/reprice")
                    response = connection.getresponse()
                    response.read()
                    self.assertIn(response.status, (200, 304))
                connection.close()


class ProcessTest(unittest.TestCase):
    def start(self, db):
        process = subprocess.Popen([sys.executable, os.path.join(HERE, "orders.py"), "--port", "0", "--db", db,
                                    "--orders", "5000", "--fail-every", "0", "--flaky-every", "0"],
                                   stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        port = re.fullmatch(r"listening on http://127\.0\.0\.1:(\d+)\n", process.stdout.readline())
        return process, http.client.HTTPConnection("127.0.0.1", int(port.group(1)), timeout=10)

    def test_what_was_answered_survives_kill_9(self):
        with tempfile.TemporaryDirectory() as folder:
            db = os.path.join(folder, "orders.db")
            process, connection = self.start(db)
            answered = []
            for start in range(1, 3001, 100):
                connection.request("POST", "/v1/orders:batchReprice", json.dumps(list(range(start, start + 100))))
                answered += json.loads(connection.getresponse().read())["outcomes"]
            process.send_signal(signal.SIGKILL)
            process.wait()
            connection.close()
            self.assertEqual(len(answered), 3000)
            with sqlite3.connect(db) as database:
                repriced = {row[0] for row in database.execute("SELECT id FROM orders WHERE repriced = 1")}
            database.close()
            self.assertEqual(repriced, {int(o["key"]) for o in answered if o["outcome"] == "updated"})

    def test_sigterm_ends_it_well_and_the_orders_are_kept(self):
        with tempfile.TemporaryDirectory() as folder:
            db = os.path.join(folder, "orders.db")
            for _ in range(2):
                process, connection = self.start(db)
                connection.request("GET", "/v1/orders/5000")
                self.assertEqual(connection.getresponse().status, 200)
                connection.close()
                process.send_signal(signal.SIGTERM)
                self.assertEqual(process.wait(timeout=10), 0)


if __name__ == "__main__":
    unittest.main()
