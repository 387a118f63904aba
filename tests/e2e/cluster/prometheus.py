"""Prometheus in a namespace on a node, which looks at the target there each second; it can be taken away and brought back."""

import json
import urllib.parse

from node import PROMETHEUS, eventually

CONFIGURATION = """
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
- job_name: orders
  static_configs: [{targets: ["sink:80"]}]
"""


def why_none():
    """Why there can be none on a node; None if nothing is known to keep it away."""
    return None if PROMETHEUS.exists() else "there is no image of Prometheus: Debian's package could not be fetched"


class Prometheus:
    def __init__(self, node, namespace):
        self._node, self._namespace = node, namespace
        self.address = f"http://prometheus.{namespace}:9090"

    def begin(self):
        security = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        pod = {"terminationGracePeriodSeconds": 0, "automountServiceAccountToken": False,
               "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "fsGroup": 65532,
                                   "seccompProfile": {"type": "RuntimeDefault"}},
               "containers": [{"name": "prometheus", "image": "localhost/backfill/prometheus:dev", "securityContext": security,
                               "args": ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus",
                                        "--log.level=warn"],
                               "resources": {"requests": {"cpu": "10m"}},
                               "readinessProbe": {"httpGet": {"path": "/-/ready", "port": 9090}, "periodSeconds": 1},
                               "volumeMounts": [{"name": "configuration", "mountPath": "/etc/prometheus"},
                                                {"name": "data", "mountPath": "/prometheus"}]}],
               "volumes": [{"name": "configuration", "configMap": {"name": "prometheus"}}, {"name": "data", "emptyDir": {}}]}
        labels = {"app": "prometheus"}
        self._node.apply({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "prometheus"}, "data": {"prometheus.yml": CONFIGURATION}},
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "prometheus"}, "spec": {
                "replicas": 1, "strategy": {"type": "Recreate"}, "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod}}},
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "prometheus"},
             "spec": {"selector": labels, "ports": [{"port": 9090}]}}]}, self._namespace)
        self._await()

    def go_away(self):
        """With all it knows."""
        self._scale(0)
        eventually(lambda: self._node.items("pods", self._namespace, "app=prometheus"), [], within=60)

    def come_back(self):
        self._scale(1)
        self._await()

    def value(self, query):
        """None if it has none."""
        service = self._node.get("services", "prometheus", self._namespace)["spec"]["clusterIP"]
        found = json.loads(self._node.fetch(f"http://{service}:9090/api/v1/query?" + urllib.parse.urlencode({"query": query})))
        result = found["data"]["result"]
        return float(result[0]["value"][1]) if result else None

    def _scale(self, replicas):
        self._node.kubectl("scale", "deployment/prometheus", "-n", self._namespace, f"--replicas={replicas}")

    def _await(self):
        self._node.kubectl("rollout", "status", "deployment/prometheus", "-n", self._namespace, "--timeout=120s", timeout=150)
        eventually(lambda: self.value('up{job="orders"}'), 1, within=60)
