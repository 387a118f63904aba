"""The operator on a node, as a user installs it: by Helm."""

import os

from node import CHART, eventually

NAMESPACE = "backfill-system"
RELEASE = "backfill-operator"
LEADER = "backfill.dev/leader=true"
# For a machine that has much else to do: what values.yaml says of slow API servers.
LONG_LEASES = [f"leaderElection.{what}" for what in ("leaseDuration=15s", "renewDeadline=10s", "retryPeriod=2s")]


class Installation:
    def __init__(self, node):
        self.node = node

    def prepare(self):
        """The namespace, as strict as there is."""
        level = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
        self.node.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": level}})

    def install(self, *settings, wait=True):
        """Installs it, or upgrades what is there."""
        self.prepare()
        leases = LONG_LEASES if os.environ.get("BACKFILL_E2E_PATIENT") else []
        flags = [word for setting in ("image.tag=dev", "worker.image.tag=dev", *leases, *settings) for word in ("--set", setting)]
        waiting = ["--wait", "--timeout", "120s"] if wait else []
        return self.node.helm("upgrade", "--install", RELEASE, CHART, "--namespace", NAMESPACE, *flags, *waiting)

    def ensure(self):
        """Installs it unless it is there already: tests that change it put it back."""
        pods = self.pods()
        if len(pods) != 2 or not all(c["ready"] for p in pods for c in p["status"].get("containerStatuses", [{"ready": False}])):
            self.install()

    def rollback(self):
        self.node.helm("rollback", RELEASE, "--namespace", NAMESPACE, "--wait", "--timeout", "120s")

    def uninstall(self):
        return self.node.helm("uninstall", RELEASE, "--namespace", NAMESPACE, "--wait", "--timeout", "120s")

    def pods(self):
        return self.node.items("pods", NAMESPACE, "app.kubernetes.io/name=backfill-operator")

    def leaders(self):
        return [p["metadata"]["name"] for p in self.node.items("pods", NAMESPACE, LEADER)
                if "deletionTimestamp" not in p["metadata"]]

    def leader(self, other_than=None, within=60):
        found = eventually(self.leaders, lambda names: len(names) == 1 and names[0] != other_than, within)
        return found[0]

    def holder(self):
        """The process that leads: another one in the same pod has another name."""
        return self.node.get("leases", RELEASE, NAMESPACE)["spec"]["holderIdentity"]

    def kill(self, pod):
        """At once, as when its node is lost: it is not told."""
        self.node.kubectl("delete", "pod", "-n", NAMESPACE, pod, "--grace-period=0", "--force")

    def kill_process(self, pod):
        """SIGKILL to the process: its container is started again in the same pod."""
        self.node.kill(self.node.get("pods", pod, NAMESPACE))

    def renew(self):
        """Other pods for those there are, which have no past: a container that ended before is started again later each time."""
        self.node.kubectl("rollout", "restart", f"deployment/{RELEASE}", "-n", NAMESPACE)
        self.node.kubectl("rollout", "status", f"deployment/{RELEASE}", "-n", NAMESPACE, "--timeout=120s", timeout=150)

    def metrics(self, pod):
        """What it shows at /metrics: its value by name and labels, as they stand there."""
        address = self.node.get("pods", pod, NAMESPACE)["status"]["podIP"]
        lines = [line.rsplit(" ", 1) for line in self.node.fetch(f"http://{address}:8080/metrics").splitlines()
                 if line and not line.startswith("#")]
        return {name: float(value) for name, value in lines}

    def logs(self):
        return self.node.kubectl("logs", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=backfill-operator", "--prefix", "--tail=-1",
                                 "--max-log-requests=10", check=False)

    def diagnosis(self, lines=60):
        pods = self.node.kubectl("get", "pods", "-n", NAMESPACE, "--show-labels", check=False)
        return pods + self.node.kubectl("logs", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=backfill-operator", "--prefix",
                                 f"--tail={lines}", "--max-log-requests=10", check=False)
