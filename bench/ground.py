"""What every measurement stands on: where the programs are, the target, the file of a backfill, CPU time of a process tree."""
import json, os, pathlib, subprocess, sys, time, urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = ROOT / "build/release/bin"
BUILD = ROOT / "build/bench"
CONNECTIONS = 32
TARGET_CPU, CLIENT_CPU = 1, 0


class Target:
    """The project's own target, which keeps a bitmap of the ids that it got."""

    def __init__(self, ids):
        self.process = subprocess.Popen([*pinned(TARGET_CPU), BIN / "backfill-test-sink", "--bitmap", str(ids)], stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}"

    def stats(self):
        with urllib.request.urlopen(self.url + "/stats", timeout=10) as reply:
            return json.load(reply)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def pinned(cpu):
    return ["taskset", "-c", str(cpu)] if os.cpu_count() > 1 else []


def measure(command, cwd):
    """CPU seconds of the command and all its descendants, and what it printed."""
    with open(cwd / "out", "wb") as out:
        started = time.monotonic()
        process = subprocess.Popen([*pinned(CLIENT_CPU), *map(str, command)], cwd=cwd, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
    printed = (cwd / "out").read_text()
    if status != 0:
        sys.exit(f"{command[0]} failed:\n{printed[-2000:]}")
    return {"cpu": usage.ru_utime + usage.ru_stime, "user": usage.ru_utime, "wall": wall, "rss_mib": usage.ru_maxrss / 1024,
            "printed": printed}


def spec(url, records, batch):
    if batch == 1:
        request = f"""      url: {url}/r/{{{{key}}}}
      headers: {{Content-Type: application/json}}
      body: '{{"id":{{{{key}}}},"padding":"{"x" * 40}"}}'"""
    else:
        request = f"""      url: {url}/batch
      headers: {{Content-Type: application/json}}
      body: '{{"records":{{{{records}}}}}}'"""
    return f"""apiVersion: backfill.dev/v1alpha1
kind: Backfill
metadata: {{name: bench}}
spec:
  source:
    range: {{start: 0, end: {records}}}
  target:
    http:
{request}
  workers: {{replicas: 1, concurrency: {CONNECTIONS}, batchSize: {batch}}}
  throttle: {{maxRecordsPerSecond: 10000000}}
  dryRun: false
  performDisruptiveBackfill: bench
"""


class Void(Exception):
    pass


def check_complete(name, stats):
    """Every id once, or it does not count."""
    if stats["missing"] > 0 or stats["outside"] > 0 or stats["duplicates"] > 0:
        raise Void(f"{name}: {stats}")
