"""A Kubernetes of one node on this machine (tests/cluster), and what tests do to it."""

import json
import os
import pathlib
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
CLUSTER = ROOT / "build/cluster/cluster"
HELM = ROOT / "build/tools/helm"
CHART = ROOT / "charts/backfill-operator"
FETCH = "import sys, urllib.request; sys.stdout.write(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode())"


class Failed(AssertionError):
    """A command did not do what it was asked; the text has what it wrote."""


class Node:
    def __init__(self, name):
        self.name = name
        self._helm_home = tempfile.TemporaryDirectory(prefix="backfill-helm-")

    # Life.
    def up(self, owner):
        self._cluster("up", "--owner", str(owner), timeout=180)

    def down(self):
        self._cluster("down", timeout=120)
        self._helm_home.cleanup()

    def load(self, *archives):
        self._cluster("load", *map(str, archives), timeout=180)

    # Faults.
    def stop(self, component):
        self._cluster("stop", component)

    def start(self, component):
        self._cluster("start", component, timeout=150)

    # Commands in its network.
    def run(self, *command, stdin=None, check=True, timeout=120):
        try:
            done = subprocess.run([CLUSTER, "exec", "--name", self.name, "--", *map(str, command)], input=stdin, timeout=timeout,
                                  capture_output=True, text=True, check=False, env={**os.environ, **self._helm_environment()})
        except subprocess.TimeoutExpired as e:
            raise Failed(f"{' '.join(map(str, command))}: no end after {timeout} s") from e
        if check and done.returncode != 0:
            raise Failed(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done

    def kubectl(self, *arguments, **options):
        return self.run("kubectl", *arguments, **options).stdout

    def helm(self, *arguments, **options):
        return self.run(HELM, *arguments, **{"timeout": 240, **options}).stdout

    def apply(self, manifests, namespace=None):
        place = ["--namespace", namespace] if namespace else []
        return self.kubectl(*place, "apply", "-f", "-", stdin=manifests if isinstance(manifests, str) else json.dumps(manifests))

    def get(self, *arguments):
        """An object or a list, as Python has it; None if it is not there."""
        text = self.kubectl("get", *arguments, "-o", "json", "--ignore-not-found")
        return json.loads(text) if text.strip() else None

    def items(self, *arguments):
        found = self.get(*arguments)
        return found["items"] if found else []

    def fetch(self, url):
        # Not by Debian's busybox, whose wget crashes where it is given a time limit.
        return self.run("/usr/bin/python3", "-IS", "-c", FETCH, url).stdout

    def _cluster(self, command, *arguments, timeout=90):
        done = subprocess.run([CLUSTER, command, "--name", self.name, *arguments], capture_output=True, text=True, check=False,
                              timeout=timeout)
        if done.returncode != 0:
            raise Failed(f"cluster {command}: {done.stderr[-4000:]}")
        return done.stdout

    def _helm_environment(self):
        return {f"HELM_{what}_HOME": f"{self._helm_home.name}/{what.lower()}" for what in ("CACHE", "CONFIG", "DATA")}


def eventually(what, wanted, within=60, every=0.5):
    """Waits until `what()` is what is wanted (a value, or a predicate), and returns it."""
    end = time.monotonic() + within
    while True:
        found = what()
        if wanted(found) if callable(wanted) else found == wanted:
            return found
        if time.monotonic() > end:
            raise Failed(f"after {within} s it is still {found!r}")
        time.sleep(every)


def always(what, holds, during=5, every=0.5):
    """Looks for that long whether it holds; what never happens cannot be waited for."""
    end = time.monotonic() + during
    while time.monotonic() < end:
        found = what()
        if not holds(found):
            raise Failed(f"it became {found!r}")
        time.sleep(every)
