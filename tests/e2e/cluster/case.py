"""What each test here begins with: a namespace of its own with a target that remembers every key, and verbs to read as prose."""

import json
import os
import pathlib
import sys
import time
import unittest
import uuid

from installation import Installation
from node import Node, always, eventually

RATE = 2000  # records a second; a loaded machine of two cores does more than that


def core(test):
    """It is among those that `make test` runs."""
    test.core = True
    return test


class ClusterTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Node(os.environ["BACKFILL_E2E_NODE"])
        cls.installation = Installation(cls.node)
        cls.installed()

    @classmethod
    def installed(cls):
        cls.installation.ensure()
        cls.installation.leader()

    def setUp(self):
        self.namespace = f"e2e-{uuid.uuid4().hex[:8]}"
        level = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
        self.node.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace, "labels": level}})
        self.addCleanup(self.clear)

    def clear(self):
        # What still runs goes first: in a namespace that is going a Job keeps its last pods, and they the namespace.
        self.node.kubectl("delete", "backfills", "--all", "-n", self.namespace, "--wait=false", check=False)
        self.node.kubectl("delete", "namespace", self.namespace, "--wait=false", check=False)

    # The target.
    def a_target(self, records, latency_ms=0, serves=0, foreground=0):
        """A service `sink` that counts the keys 0 to records - 1 one by one. It serves so many a second, others' among them; 0: all."""
        security = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        self.node.apply({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "sink", "labels": {"app": "sink"}}, "spec": {
                "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": False,
                "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{"name": "sink", "image": "localhost/backfill/test-sink:dev", "securityContext": security,
                                "args": ["--port", "8080", "--any-address", "1", "--bitmap", str(records),
                                         "--latency-ms", str(latency_ms), "--serves", str(serves), "--foreground", str(foreground)],
                                "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1}}]}},
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "sink"},
             "spec": {"selector": {"app": "sink"}, "ports": [{"port": 80, "targetPort": 8080}]}}]}, self.namespace)
        self.node.kubectl("wait", "-n", self.namespace, "--for=condition=Ready", "pod/sink", "--timeout=60s", timeout=90)
        service = self.node.get("services", "sink", self.namespace)
        self._target = f"http://{service['spec']['clusterIP']}"
        # That it is ready reaches the node's rules a moment later.
        eventually(lambda: bool(self.target()), True, within=30)

    def target(self):
        return json.loads(self.node.fetch(f"{self._target}/stats"))

    def the_target_becomes(self, **levers):
        """From now on it is another: what it serves a second, foreground, latency_ms, fail_every."""
        self.node.fetch(f"{self._target}/levers?" + "&".join(f"{name}={value}" for name, value in levers.items()), "POST")

    def sent_per_second(self, during=5):
        before, began = self.target()["requests"], time.monotonic()
        time.sleep(during)
        return (self.target()["requests"] - before) / (time.monotonic() - began)

    def every_record_arrived(self, records):
        stats = self.target()
        self.assertEqual((stats["missing"], stats["distinct"], stats["outside"]), (0, records, 0), stats)
        return stats

    # Backfills.
    def a_backfill(self, name, records, rate=RATE, replicas=2, real=True, **spec):
        body = {"apiVersion": "backfill.dev/v1alpha1", "kind": "Backfill", "metadata": {"name": name}, "spec": {
            "description": "An end-to-end test",
            "source": {"range": {"start": 0, "end": records}},
            "target": {"http": {"url": "http://sink/r/{{key}}", "method": "POST"}},
            "workers": {"replicas": replicas, "concurrency": 8},
            "throttle": {"maxRecordsPerSecond": rate}, **spec}}
        if real:
            body["spec"] |= {"dryRun": False, "performDisruptiveBackfill": name}
        self.node.apply(body, self.namespace)
        return name

    def patch(self, name, **spec):
        self.node.kubectl("patch", "backfill", name, "-n", self.namespace, "--type=merge", "-p", json.dumps({"spec": spec}))

    def backfill(self, name):
        return self.node.get("backfills", name, self.namespace)

    def status(self, name):
        return (self.backfill(name) or {}).get("status", {})

    def condition(self, name, kind):
        found = [c for c in self.status(name).get("conditions", []) if c["type"] == kind]
        return (found[0]["status"], found[0]["reason"]) if found else None

    def message(self, name, kind):
        return next((c["message"] for c in self.status(name).get("conditions", []) if c["type"] == kind), "")

    def wait_for(self, name, condition, within=120):
        """As scripts do: kubectl wait --for=condition=..."""
        self.node.kubectl("wait", f"backfill/{name}", "-n", self.namespace, f"--for=condition={condition}", f"--timeout={within}s",
                          timeout=within + 30)

    def wait_until_under_way(self, name, records=1, within=90):
        eventually(lambda: self.target()["distinct"], lambda n: n >= records, within)

    def workers(self, name):
        """The pods that are not on their way out, by index: name and uid."""
        return {p["metadata"]["name"]: p["metadata"]["uid"]
                for p in self.node.items("pods", self.namespace, f"backfill.dev/backfill-name={name}")
                if "deletionTimestamp" not in p["metadata"] and p["status"].get("phase") in ("Pending", "Running")}

    def ended_well(self, name, records, within=180):
        """Succeeded, and the status, the target and the report agree on every record."""
        self.wait_for(name, "Succeeded", within)
        status = self.status(name)
        progress = status["progress"]
        self.assertEqual((status["phase"], progress["records"], progress["updated"]), ("Completed", records, records), status)
        stats = self.every_record_arrived(records)
        # What came twice is what is said to have come twice, at most.
        self.assertLessEqual(stats["duplicates"], progress.get("redoneAtMost", 0), status)
        self.assertLessEqual(len(json.dumps(status)), 4096)
        return status

    def events(self, name):
        return {e["reason"] for e in self.node.items("events", self.namespace)
                if e["regarding"].get("name") == name}

    def times_told(self, name, reason):
        """How often there was such an event, those that were merged into one included."""
        return sum((e.get("series") or {}).get("count", 1) for e in self.node.items("events", self.namespace)
                   if e["regarding"].get("name") == name and e["reason"] == reason)

    def report(self, name):
        return self.node.get("configmaps", f"{name}-report", self.namespace)

    def sends_nothing(self, during=4):
        before = self.target()["requests"]
        always(lambda: self.target()["requests"], lambda n: n == before, during)

    def tell(self, figure):
        """What was measured, beside the name of the test."""
        print(f"      {figure}", file=sys.stderr, flush=True)

    def stands_still(self):
        before = self.target()["requests"]
        time.sleep(1)
        return self.target()["requests"] == before

    # Of a failure, what a person would look at first.
    def diagnosis(self):
        def shown(*arguments):
            return self.node.kubectl(*arguments, check=False)[-6000:]
        return "\n".join([
            shown("get", "backfills,jobs,pods", "-n", self.namespace, "-o", "wide"),
            shown("get", "backfills", "-n", self.namespace, "-o", "jsonpath={range .items[*]}{.status}{\"\\n\"}{end}"),
            shown("get", "events", "-n", self.namespace, "--sort-by=.lastTimestamp"),
            shown("logs", "-n", self.namespace, "-l", "app.kubernetes.io/name=backfill-worker", "--prefix", "--tail=10"),
            self.installation.diagnosis()])


__all__ = ["ClusterTest", "RATE", "always", "core", "eventually", "json", "os", "pathlib", "sys", "time", "unittest"]
