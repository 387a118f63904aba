"""The images on a node, in a namespace that takes restricted pods alone."""

from case import ClusterTest, eventually, unittest


class Images(ClusterTest):
    @classmethod
    def installed(cls):
        pass  # what is looked at needs no operator

    def pod(self, name, image, **container):
        security = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        self.node.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {
            "restartPolicy": "Never", "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": name, "image": image, "securityContext": security, **container}]}}, self.namespace)

    def end_of(self, name):
        def terminated():
            statuses = self.node.get("pods", name, self.namespace)["status"].get("containerStatuses", [])
            return statuses[0]["state"].get("terminated") if statuses else None
        return eventually(terminated, lambda state: state is not None)["exitCode"]

    def logs(self, name):
        return self.node.kubectl("logs", name, "-n", self.namespace)

    def test_a_worker_without_its_environment_says_so_in_a_way_that_no_retry_heals(self):
        self.pod("worker", "localhost/backfill/worker:dev")
        self.assertEqual(self.end_of("worker"), 78)
        self.assertIn("BACKFILL_COORDINATOR is not set", self.logs("worker"))

    def test_the_operator_tells_its_options(self):
        self.pod("operator", "localhost/backfill/operator:dev", args=["--help"])
        self.assertEqual(self.end_of("operator"), 0)
        text = self.logs("operator")
        for flag in ("--watch-namespaces", "--worker-image", "--coordinator-address", "--tls-mode", "--lease-duration"):
            self.assertIn(flag, text)

    def test_the_command_line_is_beside_the_operator(self):
        self.pod("cli", "localhost/backfill/operator:dev", command=["/usr/bin/backfill"], args=["--help"])
        self.assertEqual(self.end_of("cli"), 0)
        self.assertIn("status", self.logs("cli"))

    def test_the_target_counts(self):
        self.a_target(10)
        self.assertEqual(self.target()["missing"], 10)


if __name__ == "__main__":
    unittest.main()
