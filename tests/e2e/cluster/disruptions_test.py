"""What people do to the objects and the node while a backfill runs: drain, a wrong image, a ledger deleted by hand."""

from case import ClusterTest, eventually, json, unittest
from installation import LEADER


class Disruptions(ClusterTest):
    RECORDS = 30_000

    def drain(self, selector, within=60, **options):
        # The target stays: it is elsewhere, so to speak, on this cluster of one node.
        return self.node.run("kubectl", "drain", self.node_name(), f"--pod-selector={selector}", "--delete-emptydir-data", "--force",
                             f"--timeout={within}s", timeout=within + 30, **options)

    def node_name(self):
        return self.node.items("nodes")[0]["metadata"]["name"]

    def ready(self, name):
        return self.condition(name, "Ready")

    def test_a_drained_node_takes_its_workers_and_one_operator_and_the_run_goes_on_when_it_is_back(self):  # F12
        self.a_target(self.RECORDS)
        name = self.a_backfill("drained", self.RECORDS, rate=1000)
        self.wait_until_under_way(name, 1000)
        drained, leader = set(self.workers(name).values()), self.installation.leader()
        self.addCleanup(self.installation.renew)
        self.addCleanup(self.node.kubectl, "uncordon", self.node_name())
        self.drain(f"backfill.dev/backfill-name={name}")
        # Told to end, they end what they have begun and give the rest back: nothing comes twice.
        self.assertEqual(self.target()["duplicates"], 0)
        eventually(lambda: self.ready(name), ("False", "WorkersUnavailable"), within=120)
        job = self.node.get("jobs", f"{name}-run", self.namespace)
        self.assertEqual(job["status"].get("failed", 0), 0, "what was drained has not failed")
        self.assertFalse(drained & set(self.workers(name).values()))
        self.sends_nothing()

        # The leader goes, too, and the other takes over; that one is kept by the disruption budget, as there is no third.
        self.drain(LEADER)
        self.installation.leader(other_than=leader)
        refused = self.drain(LEADER, within=5, check=False)
        self.assertIn("disruption budget", refused.stderr)

        self.node.kubectl("uncordon", self.node_name())
        self.patch(name, throttle={"maxRecordsPerSecond": 5000})
        done = self.ended_well(name, self.RECORDS)
        self.assertEqual(done["progress"].get("redoneAtMost", 0), 0, done)

    def test_an_image_that_nobody_has_is_said_and_mended_by_an_edit(self):  # F9
        self.a_target(2000)
        def workers(image):
            return {"replicas": 2, "concurrency": 8, "template": {"spec": {"containers": [{"name": "worker", "image": image}]}}}
        name = self.a_backfill("imageless", 2000, workers=workers("localhost/backfill/worker:nobody-has-it"))
        eventually(lambda: self.ready(name), ("False", "ImagePullError"), within=120)
        message = [c["message"] for c in self.status(name)["conditions"] if c["type"] == "Ready"][0]
        self.assertIn("localhost/backfill/worker:nobody-has-it", message)
        self.assertEqual(self.target()["requests"], 0)
        self.patch(name, workers=workers("localhost/backfill/worker:dev"))
        done = self.ended_well(name, 2000)
        self.assertEqual(done["progress"].get("redoneAtMost", 0), 0, done)

    def ledgers(self):
        return self.node.items("backfillledgers", self.namespace)

    def test_a_ledger_deleted_by_hand_stops_the_run_and_put_back_it_goes_on(self):
        self.a_target(self.RECORDS)
        name = self.a_backfill("bereft", self.RECORDS, rate=500)
        self.wait_until_under_way(name, 500)
        # As a backup tool has it: an earlier state than that of the end.
        backup = self.ledgers()
        self.wait_until_under_way(name, self.target()["distinct"] + 1000)
        self.node.kubectl("delete", "backfillledgers", "--all", "-n", self.namespace)

        # It is not taken for new work, by this operator or another: what is done is not known any more.
        eventually(lambda: self.condition(name, "Stalled"), ("True", "LedgerCorrupt"), within=90)
        eventually(lambda: self.workers(name), {}, within=90)
        self.assertEqual(self.ledgers(), [])
        self.sends_nothing()
        leader = self.installation.leader()
        self.installation.kill(leader)
        self.installation.leader(other_than=leader)
        self.sends_nothing()
        self.assertEqual(self.condition(name, "Stalled"), ("True", "LedgerCorrupt"))

        for ledger in backup:
            for field in ("resourceVersion", "uid", "creationTimestamp", "managedFields"):
                ledger["metadata"].pop(field, None)
        self.node.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": backup}))
        self.node.kubectl("annotate", "backfill", name, "-n", self.namespace, "backfill.dev/reconcile-at=put-back")
        self.patch(name, throttle={"maxRecordsPerSecond": 5000})
        self.wait_for(name, "Succeeded", within=180)
        self.assertIsNone(self.condition(name, "Stalled"))
        stats = self.every_record_arrived(self.RECORDS)
        # What was done after the backup came twice: nobody can know of it but the target.
        self.tell(f"{stats['duplicates']} of {self.RECORDS} records came twice, {self.status(name)['progress'].get('redoneAtMost', 0)} "
                  "of them reported")

    def test_a_backfill_without_its_ledger_can_be_deleted_and_its_change_made_under_a_new_name(self):
        self.a_target(5000)
        name = self.a_backfill("lost", 5000, rate=200)
        self.wait_until_under_way(name, 100)
        self.node.kubectl("delete", "backfillledgers", "--all", "-n", self.namespace)
        eventually(lambda: self.condition(name, "Stalled"), ("True", "LedgerCorrupt"), within=90)
        self.node.kubectl("delete", "backfill", name, "-n", self.namespace, "--timeout=150s", timeout=170)
        self.assertIn("Cancelled", json.dumps(self.report(name)["data"]))
        again = self.a_backfill("again", 5000)
        self.wait_for(again, "Succeeded")
        self.every_record_arrived(5000)


if __name__ == "__main__":
    unittest.main()
