"""What breaks on a cluster while a backfill runs; the target counts that nothing is lost, and how much came twice."""

from case import ClusterTest, core, eventually, time, unittest


class Faults(ClusterTest):
    RECORDS = 30_000

    def under_way(self, name, rate=1000, **spec):
        self.a_target(self.RECORDS)
        self.a_backfill(name, self.RECORDS, rate=rate, **spec)
        self.wait_until_under_way(name, 1000)

    def faster(self, name):
        """What was to be seen has been seen."""
        self.patch(name, throttle={"maxRecordsPerSecond": 5000})

    @core
    def test_a_worker_and_then_the_leader_are_killed(self):  # F10, F12
        # Of many shards: what is reserved when a leader is lost waits for a lease time, the others are leased at once.
        self.a_target(self.RECORDS)
        name = self.a_backfill("killed", self.RECORDS, rate=1000, sharding={"recordsPerShard": 500})
        self.wait_until_under_way(name, 1000)
        pod, uid = next(iter(self.workers(name).items()))
        self.node.kill(self.node.get("pods", pod, self.namespace))
        eventually(lambda: (uid in self.workers(name).values(), len(self.workers(name))), (False, 2), within=60)

        workers, holder = self.workers(name), self.installation.holder()
        self.addCleanup(self.installation.renew)
        self.installation.kill_process(self.installation.leader())
        # The other one, or the one that was started again in that pod.
        eventually(self.installation.holder, lambda now: now not in ("", holder), within=60)
        before = self.target()["distinct"]
        eventually(lambda: self.target()["distinct"], lambda n: n > before + 500, within=60)
        # Workers went on with what they held, and went to whoever leads now.
        self.assertEqual(self.workers(name), workers)
        self.faster(name)
        self.ended_well(name, self.RECORDS)

    def test_all_operators_are_killed_while_they_write(self):  # F1, as far as a real process can be stopped anywhere
        self.a_target(self.RECORDS)
        # 600 shards: there is a write under way at any time.
        self.a_backfill("written", self.RECORDS, rate=1000, sharding={"recordsPerShard": 50})
        self.wait_until_under_way("written", 1000)
        self.addCleanup(self.installation.renew)
        for after in (0.3, 1.1, 0.7):
            time.sleep(after)
            before = self.target()["distinct"]
            for pod in self.installation.pods():
                self.installation.kill_process(pod["metadata"]["name"])
            # Containers are started again after 10, 20, 40 s; pods that are new at once.
            self.installation.renew()
            eventually(lambda: self.target()["distinct"], lambda n: n > before + 100, within=120)
        self.ended_well("written", self.RECORDS, within=300)

    def test_the_leader_is_lost(self):  # F10
        self.under_way("leader")
        leader = self.installation.leader()
        self.installation.kill(leader)
        self.installation.leader(other_than=leader)
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
        # Of many shards: a new leader lets those that were leased or reserved stand for a lease time, and begins with others.
        self.under_way("api", rate=300, sharding={"recordsPerShard": 500})
        self.addCleanup(self.installation.renew)
        self.node.stop("kube-apiserver")
        try:
            time.sleep(60)  # leases and grants end: what cannot be written down is not sent
            held = self.target()["distinct"]
            self.sends_nothing()
        finally:
            self.node.start("kube-apiserver")
        back = time.monotonic()
        eventually(lambda: self.target()["distinct"], lambda n: n > held, within=60)
        self.tell(f"work goes on {time.monotonic() - back:.0f} s after the API server has come back")
        self.faster("api")
        self.ended_well("api", self.RECORDS)


if __name__ == "__main__":
    unittest.main()
