"""What a user declares is what happens: dry run, real run, pause, scale, deletion. Fault F29 where it says so."""

from case import ClusterTest, core, eventually, json, unittest
from node import ROOT, Failed


class Declared(ClusterTest):
    @core
    def test_a_dry_run_plans_and_counts_and_sends_nothing_and_the_same_plan_then_runs(self):
        self.a_target(2000)
        name = self.a_backfill("reprice", 2000, real=False)
        self.wait_for(name, "Approved=false")
        self.assertEqual(self.target()["requests"], 0)
        dry = self.status(name)
        self.assertEqual(dry["dryRun"]["records"], 2000)
        self.assertEqual(self.condition(name, "Succeeded")[0], "Unknown")
        self.assertIsNone(self.report(name))

        self.patch(name, dryRun=False, performDisruptiveBackfill=name)
        done = self.ended_well(name, 2000)
        self.assertEqual(done["plan"]["hash"], dry["plan"]["hash"])
        self.assertEqual(self.report(name)["metadata"].get("ownerReferences"), None)  # it outlives its Backfill

    def test_what_kubectl_shows(self):
        self.a_target(500)
        name = self.a_backfill("shown", 500)
        self.ended_well(name, 500)
        header, line = self.node.kubectl("get", "bf", "-n", self.namespace).splitlines()
        self.assertEqual(header.split(), ["NAME", "PHASE", "DRY-RUN", "PROGRESS", "FAILED", "RATE", "ETA", "AGE"])
        self.assertEqual(line.split()[:4], ["shown", "Completed", "false", "100.0%"])
        eventually(lambda: {"PlanComputed", "RunStarted", "Completed"} - self.events(name), set(), within=30)
        self.assertEqual(self.condition(name, "Ready"), ("True", "Completed"))

    def test_a_copy_under_another_name_does_not_run(self):
        self.a_target(10)
        with self.assertRaisesRegex(AssertionError, "performDisruptiveBackfill must repeat the name"):
            self.a_backfill("copied", 10, performDisruptiveBackfill="original", dryRun=False, real=False)

    def test_a_backfill_that_has_run_does_not_run_again_when_it_is_made_again(self):
        self.a_target(200)
        name = self.a_backfill("once", 200)
        self.ended_well(name, 200)
        self.node.kubectl("delete", "backfill", name, "-n", self.namespace, "--timeout=60s", timeout=90)
        self.a_backfill("once", 200)
        self.wait_for(name, "Stalled")
        self.assertEqual(self.condition(name, "Stalled")[1], "AlreadyRan")
        self.sends_nothing()
        self.assertEqual(self.target()["duplicates"], 0)

    @core
    def test_pause_stops_within_seconds_and_resume_goes_on(self):
        self.a_target(20_000)
        name = self.a_backfill("paused", 20_000, rate=500)
        self.wait_until_under_way(name, 500)
        self.patch(name, paused=True)
        self.wait_for(name, "Paused", within=25)  # sooner than rates that were granted would end by themselves
        eventually(self.stands_still, True, within=20)
        self.sends_nothing()
        self.assertEqual(self.condition(name, "Ready")[0], "True")  # it does what it is told
        self.patch(name, paused=False, throttle={"maxRecordsPerSecond": 5000})
        self.ended_well(name, 20_000)

    def test_pause_by_annotation_is_not_undone_by_who_applies_the_file(self):
        self.a_target(20_000)
        name = self.a_backfill("annotated", 20_000, rate=500)
        self.wait_until_under_way(name, 100)
        self.node.kubectl("annotate", "backfill", name, "-n", self.namespace, "backfill.dev/paused=errors at the target")
        self.wait_for(name, "Paused")
        self.assertEqual(self.condition(name, "Paused")[1], "AnnotationPaused")
        self.a_backfill("annotated", 20_000, rate=500)  # as a GitOps tool does
        self.assertEqual(self.condition(name, "Paused")[1], "AnnotationPaused")
        self.node.kubectl("annotate", "backfill", name, "-n", self.namespace, "backfill.dev/paused-")
        self.patch(name, throttle={"maxRecordsPerSecond": 5000})
        self.ended_well(name, 20_000)

    def test_workers_come_and_go_while_it_runs(self):
        self.a_target(20_000)
        name = self.a_backfill("scaled", 20_000, rate=500, replicas=1)
        self.wait_until_under_way(name, 100)
        for replicas in (4, 2):
            self.patch(name, workers={"replicas": replicas})
            eventually(lambda: len(self.workers(name)), replicas, within=60)
        self.patch(name, throttle={"maxRecordsPerSecond": 5000})
        self.ended_well(name, 20_000)

    @core
    def test_deleted_half_way_it_stops_and_leaves_its_report(self):
        self.a_target(50_000)
        name = self.a_backfill("deleted", 50_000, rate=500)
        self.wait_until_under_way(name, 500)
        self.node.kubectl("delete", "backfill", name, "-n", self.namespace, "--timeout=150s", timeout=170)
        self.assertEqual(self.workers(name), {})
        self.sends_nothing()
        self.assertIn("Cancelled", json.dumps(self.report(name)["data"]))
        eventually(lambda: self.node.items("backfillledgers", self.namespace), [], within=60)

    def test_the_command_line_shows_it_pauses_it_and_waits_for_it(self):
        self.a_target(10_000)
        name = self.a_backfill("commanded", 10_000, rate=500)
        self.wait_until_under_way(name, 100)
        self.assertIn("commanded", self.cli("status").stdout)
        self.cli("pause", name, "--reason", "looking")
        self.wait_for(name, "Paused")
        self.assertIn("looking", self.cli("status", name).stdout)
        self.cli("resume", name)
        self.patch(name, throttle={"maxRecordsPerSecond": 5000})
        self.assertEqual(self.cli("status", name, "--wait", timeout=180).returncode, 0)
        self.ended_well(name, 10_000)
        self.assertEqual(json.loads(self.cli("status", name, "-o", "json").stdout)["status"]["phase"], "Completed")
        self.assertNotIn("pending", self.cli("shards", name).stdout)

    def cli(self, command, *arguments, **options):
        return self.node.run(ROOT / "build/release/bin/backfill", command, *arguments, "--cluster", "-n", self.namespace, **options)

    def test_a_quota_that_lets_no_worker_start_is_said_and_heals(self):  # F9
        self.a_target(200)
        self.node.kubectl("create", "quota", "full", "-n", self.namespace, "--hard=pods=1")  # the sink has that one
        name = self.a_backfill("quota", 200)
        eventually(lambda: self.condition(name, "Ready")[0] if self.condition(name, "Ready") else None, "False", within=60)
        self.node.kubectl("delete", "quota", "full", "-n", self.namespace)
        self.ended_well(name, 200)

    def test_a_quota_counts_backfills(self):  # as docs/install.md has it
        self.node.kubectl("create", "quota", "one", "-n", self.namespace, "--hard=count/backfills.backfill.dev=1")
        def taken():
            try:
                return self.a_backfill("first", 10, paused=True)
            except Failed as e:  # a new quota admits nothing until its use has been counted
                return str(e)
        eventually(taken, "first", within=60)
        with self.assertRaisesRegex(AssertionError, "exceeded quota: one"):
            self.a_backfill("second", 10, paused=True)


if __name__ == "__main__":
    unittest.main()
