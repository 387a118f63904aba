#!/usr/bin/env python3
"""A proxy before an API server that does to watches what a bad network and a busy server do: events come twice, late, in another
order, or are lost with the connection. All else passes. What it did is written to a file, as JSON.

  unruly_proxy.py PORT CERTIFICATE KEY UPSTREAM CA COUNTS [SEED]
"""

import collections
import http.client
import json
import queue
import random
import socket
import ssl
import sys
import threading
import time

SWAP_WITHIN = 1.0  # seconds that an event waits for another to come before it


class Unruly:
    def __init__(self, upstream, authority, counts, seed):
        host, port = upstream.rsplit(":", 1)
        self._upstream = (host, int(port))
        self._tls = ssl.create_default_context(cafile=authority)
        self._counts_path, self._counts = counts, collections.Counter()
        self._random, self._lock = random.Random(seed), threading.Lock()

    def serve(self, client):
        """One request; the connection ends with its answer."""
        try:
            reader = client.makefile("rb")
            request = reader.readline(65536)
            headers = http.client.parse_headers(reader)
            body = reader.read(int(headers.get("Content-Length", 0)))
            del headers["Connection"]
            headers["Connection"] = "close"
            head = request + "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode() + b"\r\n"
            with self._tls.wrap_socket(socket.create_connection(self._upstream, 10), server_hostname=self._upstream[0]) as server:
                server.settimeout(330)
                server.sendall(head + body)
                if b"watch=true" in request or b"watch=1" in request:
                    self._watch(server, client)
                else:
                    while data := server.recv(65536):
                        client.sendall(data)
        except (OSError, ValueError):
            pass  # either end is gone; the other is told by the end of its connection
        finally:
            client.close()

    def _watch(self, server, client):
        answer = server.makefile("rb")
        status = answer.readline(65536)
        headers = http.client.parse_headers(answer)
        client.sendall(status + "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode() + b"\r\n")
        if headers.get("Transfer-Encoding") != "chunked":
            client.sendall(answer.read())
            return
        lines = queue.Queue(1000)  # None: there are no more
        threading.Thread(target=self._read, args=(answer, lines), daemon=True).start()
        held = None  # an event that another may overtake
        while True:
            try:
                line = lines.get(timeout=SWAP_WITHIN if held else None)
            except queue.Empty:
                line, held = held, None  # none came
                self._send(client, line)
                continue
            if held and line and self._other_object(held, line):
                self._did("swapped")
                self._send(client, line)
                line, held = held, None
                self._send(client, line)
                continue
            if held:
                self._send(client, held)
                held = None
            if not line:
                break
            deed = self._deed(line)
            if deed == "cut":
                return  # and this event is not delivered
            if deed == "late":
                time.sleep(1.5)
            if deed == "swapped":
                held = line
                continue
            self._send(client, line)
            if deed == "twice":
                self._send(client, line)
        client.sendall(b"0\r\n\r\n")

    @staticmethod
    def _read(answer, lines):
        """What is chunked becomes lines."""
        left = b""
        try:
            while size := int(answer.readline(1024).split(b";")[0], 16):
                left += answer.read(size)
                answer.readline(16)
                *whole, left = left.split(b"\n")
                for line in whole:
                    lines.put(line + b"\n")
        except (OSError, ValueError):
            pass
        lines.put(None)

    @staticmethod
    def _send(client, line):
        client.sendall(b"%x\r\n%s\r\n" % (len(line), line))

    @staticmethod
    def _other_object(one, other):
        def uid(line):
            event = json.loads(line)
            return None if event["type"] in ("BOOKMARK", "ERROR") else event["object"]["metadata"]["uid"]
        return None not in (uid(one), uid(other)) and uid(one) != uid(other)

    def _deed(self, line):
        if b'"type":"BOOKMARK"' in line[:40]:
            return None  # it says that all before it was sent: a promise that no server breaks
        with self._lock:
            deed = self._random.choices(["cut", "late", "swapped", "twice", None], [3, 8, 20, 25, 44])[0]
        if deed and deed != "swapped":
            self._did(deed)
        return deed

    def _did(self, what):
        with self._lock:
            self._counts[what] += 1
            with open(self._counts_path, "w", encoding="utf-8") as file:
                json.dump(self._counts, file)


def main():
    port, certificate, key, upstream, authority, counts = sys.argv[1:7]
    unruly = Unruly(upstream, authority, counts, seed=sys.argv[7] if len(sys.argv) > 7 else None)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with socket.create_server(("", int(port)), backlog=200) as listening:
        print("ready", flush=True)
        while True:
            client, _ = listening.accept()
            def begin(client=client):
                try:
                    unruly.serve(tls.wrap_socket(client, server_side=True))
                except OSError:
                    client.close()
            threading.Thread(target=begin, daemon=True).start()


if __name__ == "__main__":
    main()
