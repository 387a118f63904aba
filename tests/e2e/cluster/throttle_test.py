"""A target whose capacity falls while a backfill runs, and one that nobody can look at: what is sent and said (docs/throttling)."""

from case import ClusterTest, eventually, unittest
from node import PROMETHEUS
from prometheus import Prometheus, why_none

# Those of docs/throttling, over a shorter time.
P99 = 'histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket{job="orders"}[10s])))'
FRESH = 'max(timestamp(http_request_duration_seconds_count{job="orders"}))'
QUICK = {"interval": "1s", "scrapeInterval": "1s", "delay": "1s"}
TARGET = {"serves": 1000, "foreground": 50}
RECORDS = 60_000


class Governed(ClusterTest):
    def a_governed_backfill(self, name, budget, **throttle):
        # A service that is full answers 503 at first, and each is sent again.
        return self.a_backfill(name, RECORDS, workers={"replicas": 2, "concurrency": 32}, failurePolicy={"attempts": 20},
                               throttle={"maxRecordsPerSecond": 400, "minRecordsPerSecond": 10, "initialRecordsPerSecond": 200,
                                         "budgets": [{**budget, "timing": {**QUICK, **budget.get("timing", {})}}], **throttle})

    def under_way(self, name):
        eventually(self.sent_per_second, lambda rate: rate > 150, within=120, every=0)
        self.assertEqual(self.condition(name, "Throttled"), ("False", "NotThrottled"))

    def throttled(self, name, reason, within=90):
        eventually(lambda: self.condition(name, "Throttled"), ("True", reason), within)

    def throttle(self, name):
        return self.status(name).get("throttle", {})

    def state_becomes(self, name, *states, within=60):
        eventually(lambda: self.throttle(name).get("state"), lambda state: state in states, within)

    def without_budgets_it_ends_well(self, name):
        """What was to be seen has been seen."""
        self.the_target_becomes(serves=0, foreground=0)
        self.patch(name, throttle={"maxRecordsPerSecond": 5000, "initialRecordsPerSecond": None, "budgets": None})
        done = self.ended_well(name, RECORDS)
        self.assertEqual(done["progress"].get("failed", 0), 0, done)


class ThrottledByTheTarget(Governed):
    def test_a_target_that_is_critical_gets_nothing_until_it_is_well(self):
        self.a_target(RECORDS, **TARGET)
        queue = {"url": f"http://sink.{self.namespace}/metrics", "series": "service_queue_seconds"}
        name = self.a_governed_backfill("held", {"name": "queue", "scrape": queue, "max": "0.2", "critical": "0.4",
                                                 "timing": {"window": "1s"}}, hold={"duration": "10s"})
        self.under_way(name)
        self.assertEqual(self.times_told(name, "MetricUnavailable"), 0)  # it is asked for the first time, which is no trouble

        self.the_target_becomes(serves=10)  # others alone are more than that
        self.throttled(name, "CriticalHold")
        self.assertRegex(self.message(name, "Throttled"), r"^queue [0-9.]+ over 0\.2, critical$")
        status = self.status(name)
        self.assertEqual((status["phase"], status["throttle"]["state"], status["rate"]["limitedBy"]), ("Running", "Held", "Hold"))
        self.assertEqual((status["throttle"]["bindingBudget"], status["throttle"]["holds"]), ("queue", 1), status)
        self.assertIn("heldSince", status["throttle"])
        before = status["throttle"]["rateBeforeHold"]
        eventually(self.stands_still, True, within=30)
        self.sends_nothing(during=15)  # for longer than the hold would last if it were well
        self.assertEqual(self.condition(name, "Ready"), ("True", "Running"))  # it does what it is told
        self.assertEqual(self.times_told(name, "CriticalHold"), 1)

        self.the_target_becomes(**TARGET)
        held = self.target()["requests"]
        eventually(lambda: self.target()["requests"], lambda n: n > held, within=60)
        # A quarter of the rate before, which may have risen once since.
        eventually(lambda: self.status(name)["rate"]["limit"], lambda limit: 0 < limit < 0.6 * before, within=30, every=0.2)
        eventually(lambda: self.condition(name, "Throttled"), ("False", "NotThrottled"), within=30)
        self.assertEqual((self.times_told(name, "CriticalHold"), self.times_told(name, "ThrottleReleased")), (1, 1))
        self.without_budgets_it_ends_well(name)


@unittest.skipIf(why_none(), why_none())
class ThrottledByPrometheus(Governed):
    @classmethod
    def installed(cls):
        super().installed()
        cls.node.load(PROMETHEUS)

    def setUp(self):
        super().setUp()
        self.a_target(RECORDS, **TARGET)
        self.prometheus = Prometheus(self.node, self.namespace)
        self.prometheus.begin()
        eventually(lambda: self.prometheus.value(P99), lambda seconds: seconds is not None, within=60)

    def p99(self, query=P99):
        return {"name": "p99", "max": "0.100", "critical": "1.0", "prometheus": {
            "address": self.prometheus.address, "query": query, "freshnessQuery": FRESH, "timeout": "2s"}}

    def test_a_slower_target_is_sent_less_and_one_that_is_not_seen_nothing_and_then_it_goes_on(self):
        name = self.a_governed_backfill("governed", self.p99(), missing={"landEvery": "10s", "after": "40s"})
        self.under_way(name)

        self.the_target_becomes(serves=200)
        room = 200 - TARGET["foreground"]
        self.throttled(name, "BudgetExceeded")
        self.assertRegex(self.message(name, "Throttled"), r"^p99 0\.[0-9]+ over 0\.1$")
        eventually(self.sent_per_second, lambda rate: rate < room, within=120, every=0)
        # Once its queue is gone all of its users are served as agreed, and the backfill takes what they leave.
        eventually(lambda: self.prometheus.value(P99), lambda seconds: seconds is not None and seconds < 0.1, within=60)
        rate = self.sent_per_second(during=20)
        self.tell(f"of {room} a second that others leave it sends {rate:.0f}")
        self.assertLess(rate, room)
        self.assertGreater(rate, 0)
        status = self.status(name)
        self.assertEqual((status["phase"], status["throttle"]["bindingBudget"]), ("Running", "p99"), status)
        self.assertEqual([(b["name"], b["state"]) for b in status["throttle"]["budgets"]], [("p99", "Fresh")])
        self.assertLess(status["rate"]["limit"], room)
        self.assertEqual(self.times_told(name, "BudgetExceeded"), 1)  # whatever the number of cuts

        self.prometheus.go_away()
        self.state_becomes(name, "Landing")
        self.state_becomes(name, "Held", within=90)
        self.throttled(name, "MetricUnavailable")
        self.assertRegex(self.message(name, "Throttled"), "^p99: Error: ")
        self.assertEqual(self.status(name)["rate"]["limitedBy"], "MissingMetric")
        eventually(self.stands_still, True, within=30)
        self.sends_nothing()
        self.assertEqual(self.condition(name, "Ready"), ("True", "Running"))
        self.assertIsNone(self.condition(name, "Stalled"))
        self.assertEqual(self.times_told(name, "MetricUnavailable"), 1)

        held = self.target()["requests"]
        self.prometheus.come_back()
        eventually(lambda: self.target()["requests"], lambda n: n > held, within=90)
        self.state_becomes(name, "Ramping", "Steady", "Limited", within=60)
        self.assertEqual(self.throttle(name)["budgets"][0]["state"], "Fresh")
        self.assertLess(self.sent_per_second(), room)  # with care
        self.assertEqual(self.times_told(name, "MetricUnavailable"), 1)
        self.without_budgets_it_ends_well(name)

    def test_nothing_begins_before_its_metric_is_there(self):
        name = self.a_governed_backfill("unmeasured", self.p99("sum(nobody_measures_this)"))
        eventually(lambda: self.condition(name, "Ready"), ("False", "MetricUnavailable"), within=60)
        self.assertEqual(self.status(name)["phase"], "Pending")
        eventually(lambda: self.message(name, "Ready"), lambda text: "NoData" in text, within=30)
        self.assertIn("(sum(nobody_measures_this))", self.message(name, "Ready"))
        self.assertEqual(self.workers(name), {})
        self.assertEqual(self.condition(name, "Throttled"), ("False", "NotThrottled"))
        self.sends_nothing()
        self.assertEqual(self.target()["requests"], 0)
        self.patch(name, throttle={"budgets": [{**self.p99(), "timing": QUICK}]})
        self.wait_until_under_way(name)
        self.assertEqual(self.condition(name, "Ready"), ("True", "Running"))
        self.assertEqual(self.times_told(name, "MetricUnavailable"), 1)
        self.without_budgets_it_ends_well(name)


if __name__ == "__main__":
    unittest.main()
