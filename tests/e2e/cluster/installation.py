"""The operator on a node, as a user installs it: by Helm."""

from node import CHART, eventually

NAMESPACE = "backfill-system"
RELEASE = "backfill-operator"
LEADER = "backfill.dev/leader=true"


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
        flags = [word for setting in ("image.tag=dev", "worker.image.tag=dev", *settings) for word in ("--set", setting)]
        waiting = ["--wait", "--timeout", "120s"] if wait else []
        return self.node.helm("upgrade", "--install", RELEASE, CHART, "--namespace", NAMESPACE, *flags, *waiting)

    def rollback(self):
        self.node.helm("rollback", RELEASE, "--namespace", NAMESPACE, "--wait", "--timeout", "120s")

    def uninstall(self):
        return self.node.helm("uninstall", RELEASE, "--namespace", NAMESPACE, "--wait", "--timeout", "120s")

    def pods(self):
        return self.node.items("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=backfill-operator")

    def leaders(self):
        return [p["metadata"]["name"] for p in self.node.items("pods", "-n", NAMESPACE, "-l", LEADER)
                if "deletionTimestamp" not in p["metadata"]]

    def leader(self, other_than=None, within=60):
        found = eventually(self.leaders, lambda names: len(names) == 1 and names[0] != other_than, within)
        return found[0]

    def kill(self, pod):
        """At once, as when its node is lost: it is not told."""
        self.node.kubectl("delete", "pod", "-n", NAMESPACE, pod, "--grace-period=0", "--force")

    def diagnosis(self, lines=60):
        pods = self.node.kubectl("get", "pods", "-n", NAMESPACE, "--show-labels", check=False)
        return pods + self.node.kubectl("logs", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=backfill-operator", "--prefix",
                                 f"--tail={lines}", "--max-log-requests=10", check=False)
