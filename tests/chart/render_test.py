"""The chart as Helm renders it: golden files, values that are refused, and what must hold whatever the values.

  python3 -m unittest render_test    (in this folder; BACKFILL_UPDATE_GOLDEN=1 rewrites the golden files)
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import yaml

import chart
from chart import ROOT

HERE = pathlib.Path(__file__).resolve().parent
VALUES = sorted((HERE / "values").glob("*.yaml"))

# --set, and what the user must read.
REFUSED = [
    ({"replicas": "3"}, "additional properties 'replicas' not allowed"),
    ({"image__name": '"x"'}, "additional properties 'name' not allowed"),
    ({"metrics__serviceMonitor__enable": "true"}, "additional properties 'enable' not allowed"),
    ({"replicaCount": "0"}, "minimum: got 0, want 1"),
    ({"replicaCount": '"2"'}, "got string, want integer"),
    ({"leaderElection__leaseDuration": "5"}, "got number, want string"),
    ({"leaderElection__leaseDuration": '"5500ms"'}, "'5500ms' does not match pattern"),
    ({"drainTimeout": '"2 minutes"'}, "'/drainTimeout': '2 minutes' does not match pattern"),
    ({"watchNamespaces": '"shop"'}, "got string, want array"),
    ({"watchNamespaces": '["shop", "shop"]'}, "items at 0 and 1 are equal"),
    ({"watchNamespaces": '["Shop"]'}, "'Shop' does not match pattern"),
    ({"image__digest": '"latest"'}, "'latest' does not match pattern"),
    ({"image__repository": '"x --flag"'}, "'x --flag' does not match pattern"),
    ({"grpc__port": "443"}, "minimum: got 443, want 1,024"),
    ({"grpc__tls__mode": '"None"'}, "value must be one of 'SelfSigned', 'CertManager', 'Secret'"),
    ({"grpc__tls__mode": '"Secret"'}, "grpc.tls.secret must name one with tls.crt, tls.key and ca.crt"),
    ({"grpc__tls__mode": '"CertManager"'}, "grpc.tls.issuerRef must name an issuer"),
    ({"metrics__serviceMonitor__enabled": "true"}, "set networkPolicy.metricsFrom"),
    ({"grpc__port": "8080"}, "grpc.port and metrics.port are both 8080"),
    ({"podLabels": '{"app.kubernetes.io/name": "x"}'}, "podLabels must not set app.kubernetes.io/name"),
    ({"podLabels": '{"backfill.dev/leader": "true"}'}, "podLabels must not set backfill.dev/leader"),
    ({"worker__resources__requests__cpu": '"lots"'}, "'lots' does not match pattern"),
    ({"worker__resources__requests__cpu": "true"}, "got boolean, want number"),
    ({"worker__resources__claims": "[]"}, "additional properties 'claims' not allowed"),
    ({"worker__idleTimeout": '"never"'}, "'never' does not match pattern"),
    ({"worker__ttlSecondsAfterFinished": "0"}, "minimum: got 0, want 60"),
    ({"grpc__maxConnectionAge": '"soon"'}, "'soon' does not match pattern"),
    ({"logLevel": '"trace"'}, "value must be one of 'debug', 'info', 'warning', 'error'"),
]


class Render(unittest.TestCase):
    def test_golden(self):
        self.assertGreater(len(VALUES), 3)
        for values in VALUES:
            with self.subTest(values=values.name):
                rendered = chart.text("--values", values)
                golden = HERE / "golden" / values.name
                if os.environ.get("BACKFILL_UPDATE_GOLDEN"):
                    golden.write_text(rendered)
                self.assertEqual(rendered, golden.read_text())

    def test_lint_finds_nothing(self):
        for values in VALUES:
            with self.subTest(values=values.name):
                done = subprocess.run([chart.HELM, "lint", "--strict", chart.CHART, "--values", values],
                                      capture_output=True, text=True, check=False)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_values_that_are_refused(self):
        for settings, message in REFUSED:
            with self.subTest(**settings):
                with self.assertRaises(chart.Refused) as refused:
                    chart.text(**settings)
                self.assertIn(message, str(refused.exception))

    def test_every_default_is_in_the_schema_and_the_other_way_round(self):
        schema = json.loads((chart.CHART / "values.schema.json").read_text())
        values = yaml.safe_load((chart.CHART / "values.yaml").read_text())

        def compare(path, value, node):
            properties = node.get("properties")
            if properties is None:
                return
            self.assertIs(node.get("additionalProperties"), False, f"{path} lets unknown keys pass")
            free = {"global"} if path == "" else set()
            if path in (".grpc.tls.issuerRef", ".resources", ".worker.resources"):
                return  # empty by default, or Kubernetes's own
            self.assertEqual(set(properties) - free, set(value), path)
            for name, below in value.items():
                compare(f"{path}.{name}", below, properties[name])

        compare("", values, schema)


class CustomResources(unittest.TestCase):
    def test_the_charts_copies_are_the_ones_that_the_programs_validate_with(self):
        ours = sorted(p.name for p in (ROOT / "crds").glob("*.yaml"))
        self.assertEqual(ours, sorted(p.name for p in (chart.CHART / "files/crds").glob("*.yaml")))
        for name in ours:
            self.assertEqual((ROOT / "crds" / name).read_text(), (chart.CHART / "files/crds" / name).read_text(),
                             "run: make generate")

    def test_uninstalling_keeps_them_unless_it_is_said(self):
        for keep in (True, False):
            rendered = [o for o in chart.objects(crds__keep=str(keep).lower()) if o["kind"] == "CustomResourceDefinition"]
            self.assertEqual(len(rendered), 2)
            for crd in rendered:
                self.assertEqual(crd["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == "keep", keep)
                # Nothing else has changed on the way.
                crd["metadata"].pop("annotations", None)
                self.assertEqual(crd, yaml.safe_load((ROOT / "crds" / self.file(crd)).read_text()))

    def test_they_can_be_installed_by_other_means(self):
        self.assertFalse([o for o in chart.objects(crds__enabled="false") if o["kind"] == "CustomResourceDefinition"])

    @staticmethod
    def file(crd):
        group, _, rest = crd["metadata"]["name"].partition(".")
        return f"{rest}_{group}.yaml"


class Promises(unittest.TestCase):
    """What holds whatever the values."""

    def each(self):
        for values in VALUES:
            yield values.name, chart.objects("--values", values)

    def test_no_rule_has_a_wildcard_or_a_right_that_gives_others(self):
        for name, rendered in self.each():
            for role in (o for o in rendered if o["kind"] in ("Role", "ClusterRole")):
                for rule in role["rules"]:
                    with self.subTest(values=name, role=role["metadata"]["name"], rule=rule):
                        words = rule["apiGroups"] + rule["resources"] + rule["verbs"]
                        self.assertNotIn("*", words)
                        self.assertFalse({"escalate", "bind", "impersonate", "deletecollection"} & set(rule["verbs"]))
                        self.assertFalse({"pods/exec", "pods/log", "nodes", "customresourcedefinitions"} & set(words))
                        if "secrets" in rule["resources"]:
                            self.assertEqual(rule["resourceNames"], ["backfill-operator-tls"])

    def test_the_secret_is_rendered_without_data_so_that_no_upgrade_empties_it(self):
        secret = chart.only(chart.objects(), "Secret")
        self.assertFalse({"data", "stringData", "immutable"} & set(secret))
        self.assertEqual(secret["metadata"]["annotations"]["helm.sh/resource-policy"], "keep")

    def test_rendering_twice_gives_the_same(self):
        for values in VALUES:
            self.assertEqual(chart.text("--values", values), chart.text("--values", values))
        for template in chart.CHART.rglob("templates/**/*"):
            if template.is_file():
                self.assertIsNone(re.search(r"\blookup\b|\brand[A-Z]|\buuidv4\b|\bnow\b|\bgenCA\b", template.read_text()),
                                  f"{template} asks for what changes")

    def test_the_operator_knows_every_option_that_it_is_given(self):
        operator = ROOT / "build/release/bin/backfill-operator"
        if not operator.exists():
            self.skipTest("build/release/bin/backfill-operator is not there: make build")
        known = subprocess.run([operator, "--help"], capture_output=True, text=True, check=True).stdout
        for name, rendered in self.each():
            given = chart.only(rendered, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"]
            for option in given:
                with self.subTest(values=name, option=option):
                    self.assertRegex(known, rf"(?<![\w-]){re.escape(option.partition('=')[0])}(?![\w-])")

    def test_an_upgrade_never_has_fewer_ready_pods(self):
        for _, rendered in self.each():
            strategy = chart.only(rendered, "Deployment")["spec"]["strategy"]
            self.assertEqual(strategy["rollingUpdate"]["maxUnavailable"], 0)

    def test_a_budget_stands_only_where_it_lets_a_node_be_drained(self):
        self.assertEqual(chart.only(chart.objects(), "PodDisruptionBudget")["spec"]["minAvailable"], 1)
        self.assertFalse([o for o in chart.objects(replicaCount="1") if o["kind"] == "PodDisruptionBudget"])

    def test_the_service_of_workers_selects_the_leader_alone(self):
        rendered = chart.objects()
        service = chart.only(rendered, "Service", "backfill-coordinator")
        self.assertEqual(service["spec"]["selector"]["backfill.dev/leader"], "true")
        pod = chart.only(rendered, "Deployment")["spec"]["template"]["metadata"]["labels"]
        self.assertNotIn("backfill.dev/leader", pod)  # the operator sets it
        others = {k: v for k, v in service["spec"]["selector"].items() if k != "backfill.dev/leader"}
        self.assertLessEqual(others.items(), pod.items())

    def test_without_the_policy_the_operator_is_not_told_to_obey(self):
        with_it, without = chart.objects(), chart.objects(rbac__breakGlassPolicy="false")

        def told(rendered):
            return "--break-glass" in chart.only(rendered, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"]
        self.assertTrue(told(with_it))
        self.assertTrue(any(o["kind"] == "ValidatingAdmissionPolicy" for o in with_it))
        self.assertFalse(told(without))
        self.assertFalse(any(o["kind"].startswith("ValidatingAdmissionPolicy") for o in without))

    def test_names_of_two_operators_in_a_cluster_do_not_meet(self):
        def names(namespace):
            rendered = chart.objects(namespace=namespace, rbac__peopleRoles="false", crds__enabled="false",
                                     watchNamespaces=f'["shop-{namespace}"]')
            return {(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in rendered}
        self.assertFalse(names("one") & names("two"))


class Monitoring(unittest.TestCase):
    def test_every_metric_that_is_asked_for_is_published(self):
        sources = "\n".join(f.read_text() for f in (ROOT / "operator").rglob("*.cc"))
        asked = [(chart.CHART / "files" / name).read_text() for name in ("alerts.yaml", "dashboard.json")]
        names = {name for text in asked
                 for name in re.findall(r"\b((?:backfill|controller_runtime|workqueue|rest_client)_[a-z_]+?)(?:_bucket|_sum|_count)?\b", text)
                 if not name.startswith("backfill_operator")}
        self.assertGreater(len(names), 15)
        for name in sorted(names):
            with self.subTest(metric=name):
                self.assertIn(f'"{name}"', sources)

    def test_the_dashboard_comes_as_it_is(self):
        rendered = chart.only(chart.objects(metrics__dashboard__enabled="true"), "ConfigMap")
        self.assertEqual(json.loads(rendered["data"]["backfills.json"]), json.loads((chart.CHART / "files/dashboard.json").read_text()))
        self.assertEqual(rendered["metadata"]["labels"]["grafana_dashboard"], "1")


class Alerts(unittest.TestCase):
    RULES = chart.CHART / "files/alerts.yaml"
    HISTORIES = HERE / "alerts_test.yaml"

    def alerts(self):
        return [rule for group in yaml.safe_load(self.RULES.read_text())["groups"] for rule in group["rules"]]

    def test_histories_fire_each_of_them(self):
        promtool = ROOT / "build/tools/promtool"
        if not promtool.exists():
            self.skipTest("build/tools/promtool is not there: make cluster-tool")
        with tempfile.TemporaryDirectory() as folder:
            for file in (self.RULES, self.HISTORIES):
                shutil.copy(file, folder)
            done = subprocess.run([promtool, "test", "rules", self.HISTORIES.name], cwd=folder, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        fired = {case["alertname"] for test in yaml.safe_load(self.HISTORIES.read_text())["tests"]
                 for case in test["alert_rule_test"] if case.get("exp_alerts")}
        self.assertEqual(fired, {rule["alert"] for rule in self.alerts()})

    def test_each_has_its_part_of_the_page_and_the_chart_links_to_it(self):
        page = (ROOT / "docs/alerts.md").read_text()
        self.assertEqual(re.findall(r"^## (Backfill\w+)$", page, re.MULTILINE), [rule["alert"] for rule in self.alerts()])
        rendered = chart.only(chart.objects("--values", HERE / "values/production.yaml"), "PrometheusRule")
        links = [rule["annotations"]["runbook_url"] for group in rendered["spec"]["groups"] for rule in group["rules"]]
        self.assertEqual(links, [f"https://wiki.example.com/backfill/alerts#{rule['alert'].lower()}" for rule in self.alerts()])


if __name__ == "__main__":
    unittest.main()
