"""A Kubernetes of one node on this machine (tests/cluster), and what tests do to it."""

import io
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time

from reads import Reads, Unreachable

ROOT = pathlib.Path(__file__).resolve().parents[3]
CLUSTER = ROOT / "build/cluster/cluster"
HELM = ROOT / "build/tools/helm"
CHART = ROOT / "charts/backfill-operator"
IMAGES = [ROOT / f"build/images/{name}.tar" for name in ("operator", "worker", "test-sink")]
PROMETHEUS = ROOT / "build/images/prometheus.tar"  # not there where Debian's package could not be fetched


class Failed(AssertionError):
    """A command did not do what it was asked; the text has what it wrote."""


def why_no_node():
    """What keeps a node from being started on this machine, in words; None if nothing is known to."""
    if os.geteuid() != 0:
        return "a node needs root"
    for program in ("unshare", "runc", "iptables", "ip"):
        if not shutil.which(program):
            return f"there is no program {program}; `make e2e` installs it"
    groups = pathlib.Path("/sys/fs/cgroup")
    roots = [groups] if (groups / "cgroup.controllers").exists() else [file.parent for file in groups.glob("*/cgroup.procs")]
    if not roots or not all(os.access(root, os.W_OK) for root in roots):
        return "cgroups cannot be made in /sys/fs/cgroup"
    # In a namespace of its own: there the module's settings are what the node will see.
    try:
        found = subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "test", "-e", "/proc/sys/net/bridge"],
                               capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as e:
        return f"namespaces cannot be made: {e}"
    if found.stderr:
        return f"namespaces cannot be made: {found.stderr.strip()}"
    return "the kernel module br_netfilter is missing: modprobe br_netfilter" if found.returncode else None


class Node:
    def __init__(self, name):
        self.name = name
        self._state = self._reader = None
        self._helm_home = tempfile.TemporaryDirectory(prefix="backfill-helm-")

    # Life.
    def up(self, owner):
        self._cluster("up", "--owner", str(owner), timeout=180)

    def is_up(self):
        return subprocess.run([CLUSTER, "status", "--name", self.name], capture_output=True, timeout=30, check=False).returncode == 0

    def down(self):
        if self._reader:
            self._reader.close()
        self._cluster("down", timeout=120)
        self._helm_home.cleanup()

    def load(self, *archives):
        self._cluster("load", *map(str, archives), timeout=180)

    def load_as(self, tag, *archives):
        """The same images under another tag, as if they were of another version."""
        with tempfile.TemporaryDirectory() as folder:
            others = []
            for archive in archives:
                others.append(pathlib.Path(folder) / archive.name)
                with tarfile.open(archive) as old, tarfile.open(others[-1], "w") as new:
                    for member in old:
                        data = old.extractfile(member).read() if member.isfile() else b""
                        if member.name.removeprefix("./") == "index.json":
                            data = data.replace(b":dev", f":{tag}".encode())
                            member.size = len(data)
                        new.addfile(member, io.BytesIO(data))
            self.load(*others)

    # Faults.
    def stop(self, component):
        self._cluster("stop", component)

    def start(self, component):
        self._cluster("start", component, timeout=150)

    def kill(self, pod):
        """SIGKILL to the processes of a pod, given as its object: its kubelet sees them end, and nothing else is told."""
        killed = 0
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                # Of this pod's containers by their cgroup, which has its uid; but for what holds its namespaces.
                if f"pod{pod['metadata']['uid']}" in (process / "cgroup").read_text() and \
                        not (process / "cmdline").read_bytes().startswith(b"/pause"):
                    os.kill(int(process.name), signal.SIGKILL)
                    killed += 1
            except (FileNotFoundError, ProcessLookupError):
                pass  # it ends by itself
        if not killed:
            raise Failed(f"no process of pod {pod['metadata']['name']} was found")

    # What its API server wrote down.
    @property
    def state(self):
        if not self._state:
            self._state = pathlib.Path(self._cluster("kubeconfig").strip()).parent
        return self._state

    @property
    def api_server(self):
        """Address and port, as in its network."""
        return self._reads().api_server

    def requests(self, user_agent):
        """Each request of who calls itself so, as the audit log has it, in order."""
        with (self.state / "log/audit.log").open() as log:
            for line in log:
                if f'"userAgent":"{user_agent}' in line and line.endswith("\n"):
                    yield json.loads(line)

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

    # Reads: objects as Python has them.
    def get(self, kind, name, namespace=None):
        return self._reads().object_of(kind, name, namespace)

    def items(self, kind, namespace=None, selector=None):
        return self._reads().objects_of(kind, namespace, selector)

    def fetch(self, url, method="GET"):
        return self._reads().fetch(url, method)

    def _reads(self):
        if not self._reader:
            self._reader = Reads(self.state / "kubeconfig", json.loads((self.state / "cluster.json").read_text())["Supervisor"]["PID"])
        return self._reader

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
        try:
            found = what()
            if wanted(found) if callable(wanted) else found == wanted:
                return found
        except Unreachable as e:
            found = e
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
