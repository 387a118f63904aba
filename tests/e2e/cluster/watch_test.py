"""The operator behind a proxy whose watches repeat, delay, reorder and lose events: F2, on a real API server."""

import select
import subprocess
import tempfile

from case import ClusterTest, eventually, json, pathlib, unittest
from installation import NAMESPACE, RELEASE
from node import CLUSTER

PORT = 7443
SEED = "17"


class Watches(ClusterTest):
    @classmethod
    def installed(cls):
        super().installed()
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.counts = pathlib.Path(cls.folder.name) / "counts.json"
        state, (address, port) = cls.node.state, cls.node.api_server
        cls.proxy = subprocess.Popen(
            [CLUSTER, "exec", "--name", cls.node.name, "--", "/usr/bin/python3", "-IS", pathlib.Path(__file__).with_name("unruly_proxy.py"),
             str(PORT), state / "pki/kube-apiserver.crt", state / "pki/kube-apiserver.key", f"{address}:{port}", state / "pki/ca.crt",
             cls.counts, SEED], stdout=subprocess.PIPE, text=True)
        cls.addClassCleanup(cls.end_proxy)
        said, _, _ = select.select([cls.proxy.stdout], [], [], 60)
        if not said or cls.proxy.stdout.readline() != "ready\n":
            raise AssertionError("the proxy did not start")
        cls.through(f"KUBERNETES_SERVICE_HOST={address}", f"KUBERNETES_SERVICE_PORT={PORT}")
        cls.addClassCleanup(cls.through, "KUBERNETES_SERVICE_HOST-", "KUBERNETES_SERVICE_PORT-")
        cls.installation.leader()

    @classmethod
    def through(cls, *variables):
        cls.node.kubectl("set", "env", f"deployment/{RELEASE}", "-n", NAMESPACE, *variables)
        cls.node.kubectl("rollout", "status", f"deployment/{RELEASE}", "-n", NAMESPACE, "--timeout=150s", timeout=180)

    @classmethod
    def end_proxy(cls):
        cls.proxy.terminate()
        cls.proxy.wait(60)
        cls.proxy.stdout.close()

    def done_by_proxy(self):
        return json.loads(self.counts.read_text()) if self.counts.exists() else {}

    def test_what_is_declared_happens_all_the_same(self):  # F2
        self.a_target(20_000)
        name = self.a_backfill("unruly", 20_000, rate=400, real=False)
        # Others, so that there are events to change places with.
        others = [self.a_backfill(f"other-{i}", 200, rate=20, replicas=1, real=False) for i in range(2)]
        self.wait_for(name, "Approved=false")
        self.assertEqual(self.target()["requests"], 0)
        self.patch(name, dryRun=False, performDisruptiveBackfill=name)
        self.wait_until_under_way(name, 200)
        for replicas in (4, 1, 3):
            self.patch(name, workers={"replicas": replicas})
            eventually(lambda: len(self.workers(name)), replicas, within=60)
        self.patch(name, paused=True)
        self.wait_for(name, "Paused")
        eventually(self.stands_still, True, within=30)
        self.patch(name, paused=False, throttle={"maxRecordsPerSecond": 5000})
        self.ended_well(name, 20_000)
        for other in others:
            self.wait_for(other, "Approved=false", within=60)
        jobs = [j["metadata"]["name"] for j in self.node.items("jobs", self.namespace)]
        self.assertEqual([j for j in jobs if j.startswith(f"{name}-run")], [])
        did = self.done_by_proxy()
        for what in ("twice", "late", "swapped", "cut"):
            self.assertGreater(did.get(what, 0), 0, f"the proxy never did it; with the seed {SEED} it did {did}")
        self.tell(f"events: {did}")


if __name__ == "__main__":
    unittest.main()
