"""What breaks on a cluster while a backfill runs; the target counts that nothing is lost, and how much came twice."""

from case import ClusterTest, time, unittest


class Faults(ClusterTest):
    RECORDS = 30_000

    def under_way(self, name, rate=1000):
        self.a_target(self.RECORDS)
        self.a_backfill(name, self.RECORDS, rate=rate)
        self.wait_until_under_way(name, 1000)

    def test_the_leader_is_lost(self):  # F10
        self.under_way("leader")
        leader = self.installation.leader()
        self.installation.kill(leader)
        self.installation.leader(other_than=leader, within=30)
        self.ended_well("leader", self.RECORDS)

    def test_all_operators_are_lost(self):
        self.under_way("all")
        for pod in self.installation.pods():
            self.installation.kill(pod["metadata"]["name"])
        self.ended_well("all", self.RECORDS, within=300)

    def test_workers_are_lost(self):  # F12
        self.under_way("workers")
        for pod in self.workers("workers"):
            self.node.kubectl("delete", "pod", "-n", self.namespace, pod, "--grace-period=0", "--force")
        # What they held is given away after the lease time.
        self.ended_well("workers", self.RECORDS, within=300)

    def test_workers_and_operators_are_lost_together(self):
        self.under_way("both")
        for pod in self.workers("both"):
            self.node.kubectl("delete", "pod", "-n", self.namespace, pod, "--grace-period=0", "--force", "--wait=false")
        for pod in self.installation.pods():
            self.installation.kill(pod["metadata"]["name"])
        self.ended_well("both", self.RECORDS, within=300)

    def test_the_api_server_is_away_for_a_minute(self):  # F11
        self.under_way("api", rate=400)
        before = self.target()["distinct"]
        self.node.stop("kube-apiserver")
        try:
            time.sleep(60)  # leases and grants end: what cannot be written down is not sent
        finally:
            self.node.start("kube-apiserver")
        self.assertGreaterEqual(self.target()["distinct"], before)
        self.installation.leader(within=90)
        self.ended_well("api", self.RECORDS, within=300)


if __name__ == "__main__":
    unittest.main()
