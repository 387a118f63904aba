#!/usr/bin/env python3
"""What idle TLS connections take of a coordinator that nobody authenticates on: the resident memory a connection, and how many are
let in. bench/scale/flood.py CONNECTIONS [LIMIT], where LIMIT is of one address (300)."""
import os
import pathlib
import resource
import socket
import ssl
import subprocess
import sys
import tempfile
import time

BIN = pathlib.Path(__file__).resolve().parents[2] / "build/release/bin/scale_coordinator"


def resident_kib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def main():
    wanted = int(sys.argv[1])
    limit = sys.argv[2] if len(sys.argv) > 2 else "300"
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as state:
        crt, key = f"{state}/crt", f"{state}/key"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
                        "-out", crt, "-days", "1", "-subj", "/CN=flood"], check=True, capture_output=True)
        server = subprocess.Popen([BIN, "--listen", "127.0.0.1:0", "--certificate", crt, "--key", key, "--token", "secret",
                                   "--sqlite", f"{state}/ledger.db", "--shards", "1000", "--connections", limit],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        port = int(server.stdout.readline().split("address=")[1].split()[0].rsplit(":", 1)[1])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        before = resident_kib(server.pid)
        began = time.monotonic()
        held, refused = [], 0
        for _ in range(wanted):
            raw = socket.create_connection(("127.0.0.1", port))
            raw.settimeout(10)
            try:
                held.append(context.wrap_socket(raw))
            except OSError:
                refused += 1
        time.sleep(1)
        took = time.monotonic() - began
        after = resident_kib(server.pid)
        cpu = sum(map(int, pathlib.Path(f"/proc/{server.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]))
        print(f"{wanted} connections in {took:.1f} s: {len(held)} let in, {refused} turned away; "
              f"resident {before / 1024:.0f} -> {after / 1024:.0f} MiB, {(after - before) / max(1, len(held)):.1f} KiB each; "
              f"{cpu / os.sysconf('SC_CLK_TCK'):.1f} CPU s")
        server.kill()


main()
