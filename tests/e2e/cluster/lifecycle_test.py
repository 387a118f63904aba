"""The installation's life: upgrade with a run in flight, rollback, `helm test`, uninstalling and coming back. F20, F28."""

from case import ClusterTest, core, eventually, unittest
from installation import LEADER, NAMESPACE, RELEASE
from node import IMAGES


class Lifecycle(ClusterTest):
    def certificate(self):
        return self.node.get("secrets", "backfill-operator-tls", NAMESPACE).get("data")

    def crds(self):
        return sorted(o["metadata"]["name"] for o in self.node.items("customresourcedefinitions") if o["spec"]["group"] == "backfill.dev")

    def test_helm_test(self):
        self.node.helm("test", RELEASE, "-n", NAMESPACE, "--timeout", "180s")
        eventually(lambda: self.node.items("backfills", NAMESPACE), [], within=60)

    def test_one_leads_and_all_are_ready(self):
        self.installation.renew()
        self.installation.leader()
        pods = self.installation.pods()
        self.assertEqual(len(pods), 2)
        self.assertEqual(len(self.node.items("pods", NAMESPACE, LEADER)), 1)
        for pod in pods:
            self.assertTrue(all(c["ready"] for c in pod["status"]["containerStatuses"]))
            self.assertEqual([c["restartCount"] for c in pod["status"]["containerStatuses"]], [0])
            # Who follows is as ready as who leads (R40).
            self.node.fetch(f"http://{pod['status']['podIP']}:8080/readyz")
        slices = self.node.items("endpointslices", NAMESPACE, "kubernetes.io/service-name=backfill-coordinator")
        self.assertEqual(len([e for s in slices for e in s["endpoints"] or []]), 1)

    def test_an_upgrade_restarts_no_worker_and_keeps_certificate_and_image(self):  # F20
        self.a_target(30_000)
        name = self.a_backfill("upgraded", 30_000, rate=500)
        self.wait_until_under_way(name, 500)
        workers, certificate, operators = self.workers(name), self.certificate(), {p["metadata"]["uid"] for p in self.installation.pods()}
        image = self.status(name)["plan"]["workerImage"]
        self.addCleanup(self.installation.install)
        # An image that nobody has: what is under way must not ask for it.
        self.installation.install("worker.image.tag=next", "logLevel=debug")
        # Those of before give their Lease back and end in their own time.
        eventually(lambda: operators & {p["metadata"]["uid"] for p in self.installation.pods()}, set(), within=60)
        self.installation.leader()
        self.assertEqual(self.workers(name), workers)
        self.assertEqual(self.certificate(), certificate)
        self.installation.rollback()
        self.assertEqual(self.workers(name), workers)
        self.patch(name, throttle={"maxRecordsPerSecond": 5000})
        done = self.ended_well(name, 30_000)
        self.assertEqual(done["plan"]["workerImage"], image)

    def test_what_begins_under_one_version_goes_on_under_the_next_and_the_one_before(self):  # F20, with one code under two names
        self.node.load_as("next", *IMAGES[:2])
        self.a_target(30_000)
        first = self.a_backfill("first", 30_000, rate=200)
        self.wait_until_under_way(first, 200)
        self.addCleanup(self.installation.install)
        self.installation.install("image.tag=next", "worker.image.tag=next")
        self.only_operators_of("next")
        second = self.a_backfill("second", 30_000, rate=200)
        eventually(lambda: len(self.workers(second)), 2, within=60)
        workers = self.workers(first) | self.workers(second)

        self.installation.rollback()
        self.only_operators_of("dev")
        self.installation.install("image.tag=next", "worker.image.tag=next")
        self.only_operators_of("next")
        self.assertEqual(self.workers(first) | self.workers(second), workers)
        for name, tag in ((first, "dev"), (second, "next")):
            self.patch(name, throttle={"maxRecordsPerSecond": 5000})
            self.wait_for(name, "Succeeded", within=240)
            self.assertEqual(self.status(name)["plan"]["workerImage"], f"localhost/backfill/worker:{tag}")
            self.assertEqual(self.status(name)["progress"]["updated"], 30_000)
        stats = self.every_record_arrived(30_000)  # of both: each key twice
        again = sum(self.status(name)["progress"].get("redoneAtMost", 0) for name in (first, second))
        self.assertLessEqual(stats["duplicates"], 30_000 + again)

    def only_operators_of(self, tag):
        eventually(lambda: {p["spec"]["containers"][0]["image"] for p in self.installation.pods()}, {f"localhost/backfill/operator:{tag}"},
                   within=90)
        self.installation.leader()

    @core
    def test_uninstalling_leaves_definitions_data_and_certificate_and_what_was_paused_goes_on_after_it_is_back(self):
        self.a_target(5_000)
        name = self.a_backfill("kept", 5_000, rate=500)
        self.wait_until_under_way(name, 500)
        self.patch(name, paused=True)
        self.wait_for(name, "Paused")
        eventually(self.stands_still, True, within=30)
        self.uninstalled_and_back(name)
        self.sends_nothing(during=2)  # it is as paused as it was
        self.patch(name, paused=False, throttle={"maxRecordsPerSecond": 5000})
        self.ended_well(name, 5_000)

    def test_a_run_goes_on_through_uninstalling_and_installing(self):
        self.a_target(15_000)
        name = self.a_backfill("flying", 15_000, rate=500)
        self.wait_until_under_way(name, 500)
        self.uninstalled_and_back(name)
        self.patch(name, throttle={"maxRecordsPerSecond": 5000})
        self.ended_well(name, 15_000, within=300)

    def uninstalled_and_back(self, name):
        certificate, crds = self.certificate(), self.crds()
        self.assertEqual(len(crds), 2)
        self.addCleanup(self.installation.install)
        self.installation.uninstall()
        eventually(self.installation.pods, [], within=60)
        self.assertEqual(self.crds(), crds)
        self.assertIsNotNone(self.backfill(name))
        self.assertNotEqual(self.node.items("backfillledgers", self.namespace), [])
        self.assertEqual(self.certificate(), certificate)
        for kind in ("clusterroles", "clusterrolebindings"):
            self.assertFalse([o for o in self.node.items(kind) if o["metadata"]["name"].startswith("backfill-")], kind)
        self.installation.install()
        self.assertEqual(self.certificate(), certificate)

    def test_a_deletion_that_hangs_without_an_operator_has_the_way_out_of_the_notes(self):
        self.a_target(30_000)
        name = self.a_backfill("hanging", 30_000, rate=200)
        self.wait_until_under_way(name, 100)
        self.addCleanup(self.installation.install)
        self.installation.uninstall()
        self.node.kubectl("delete", "backfill", name, "-n", self.namespace, "--wait=false")
        self.assertIsNotNone(self.backfill(name))
        self.node.kubectl("delete", "jobs", "-n", self.namespace, "-l", f"backfill.dev/backfill-name={name}", timeout=120)
        eventually(lambda: self.workers(name), {}, within=60)
        self.node.kubectl("patch", "backfill", name, "-n", self.namespace, "--type", "merge", "-p", '{"metadata":{"finalizers":null}}')
        eventually(lambda: self.backfill(name), None, within=60)


if __name__ == "__main__":
    unittest.main()
