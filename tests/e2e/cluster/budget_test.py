"""What a Backfill costs the API server, by the audit log: section 7 of the design's budgets."""

from case import ClusterTest, eventually, time, unittest
from requests_of_operator import Requests, count, kind, most_in, when

STATUS_A_MINUTE = 12
LEDGER_A_SECOND = 10


class Budgets(ClusterTest):
    def status_writes(self, requests, name):
        return [when(r) for r in requests if kind(r) == "status" and r["objectRef"].get("namespace") == self.namespace and
                r["objectRef"].get("name") == name]

    def ledger_writes(self, requests):
        return [when(r) for r in requests if kind(r) == "ledger"]

    def test_a_launch_takes_five_writes_whatever_its_shards(self):
        self.a_target(20_000)
        for name, size in (("few", 10_000), ("many", 10)):  # 2 and 2,000 shards
            requests = Requests(self.node).begin()
            self.a_backfill(name, 20_000, sharding={"recordsPerShard": size}, rate=5000)
            self.wait_for(name, "Succeeded", within=180)
            found = count(requests.read(), namespace=self.namespace)
            self.tell(f"{name}: {dict(found)}")
            # Finalizer, Job, report begun and finished; of the first one in a namespace also the CA bundle.
            self.assertLessEqual(found["launch"], 5, found)
            self.assertLessEqual(found["deletion"], 1, found)  # of the Job, at the end

    def test_several_that_run_for_minutes_keep_to_their_budgets(self):
        names = [f"steady-{i}" for i in range(4)]
        self.a_target(1_000_000)
        for name in names:
            self.a_backfill(name, 1_000_000, rate=500, replicas=1, sharding={"recordsPerShard": 1000})
        for name in names:
            eventually(lambda n=name: self.status(n).get("phase"), "Running", within=120)
        requests = Requests(self.node).begin()
        time.sleep(120)
        seen = requests.read()
        for name in names:
            writes = self.status_writes(seen, name)
            self.assertGreater(len(writes), 0)
            self.assertLessEqual(most_in(60, writes), STATUS_A_MINUTE, name)
        ledger = self.ledger_writes(seen)
        self.assertGreater(len(ledger), 0)
        self.assertLessEqual(len(ledger) / 120, LEDGER_A_SECOND)
        found = count(seen, namespace=self.namespace)
        self.assertEqual(found["launch"], 0, found)
        self.tell(f"4 in 2 min: {dict(found)}; status {[most_in(60, self.status_writes(seen, n)) for n in names]} in the fullest minute, "
                  f"ledger {most_in(1, ledger)} in the fullest second")

        # Paused they cost nothing.
        for name in names:
            self.patch(name, paused=True)
        for name in names:
            self.wait_for(name, "Paused", within=60)
        time.sleep(15)  # what was under way is written down
        requests = Requests(self.node).begin()
        time.sleep(45)
        found = count(requests.read(), namespace=self.namespace)
        self.assertEqual(sum(found.values()), 0, found)

    def test_fifty_at_once(self):
        names = [f"one-of-{i:02}" for i in range(50)]
        records = 600
        self.a_target(records)
        requests = Requests(self.node).begin()
        began = time.monotonic()
        # The node has two cores: it is told that they need next to none.
        small = {"spec": {"containers": [{"name": "worker", "resources": {"requests": {"cpu": "1m", "memory": "16Mi"}}}]}}
        for name in names:
            self.a_backfill(name, records, rate=10, workers={"replicas": 1, "concurrency": 2, "template": small})
        def ended():
            return sum(b.get("status", {}).get("phase") == "Completed" for b in self.node.items("backfills", self.namespace))
        eventually(ended, 50, within=900, every=3)
        took = time.monotonic() - began
        seen = requests.read()
        found = count(seen, namespace=self.namespace)
        writes = [when(r) for r in seen if kind(r) and kind(r) != "lease"]
        self.tell(f"50 in {took:.0f} s: {dict(found)}; at most {most_in(60, writes) / 60:.1f} writes a second over a minute")
        self.assertEqual(self.target()["distinct"], records)
        self.assertGreaterEqual(self.target()["requests"], 50 * records)
        self.assertLessEqual(found["launch"], 50 * 4 + 1, found)
        for name in names:
            self.assertLessEqual(most_in(60, self.status_writes(seen, name)), STATUS_A_MINUTE, name)
        self.assertLessEqual(most_in(60, self.ledger_writes(seen)) / 60, 15)


if __name__ == "__main__":
    unittest.main()
