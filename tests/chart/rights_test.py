"""The operator's rights, on a real API server: exactly the table in docs/security.md; each row is needed, and is enough.

  BACKFILL_TEST_KUBECONFIG=... python3 -m unittest rights_test    (in this folder)
"""

import re
import time
import unittest
import uuid

import yaml

import api_server
import chart

OWN, WATCHED, OTHER = (f"rights-{word}-{uuid.uuid4().hex[:8]}" for word in ("own", "watched", "other"))
LEASE, SECRET = "backfill-operator", "backfill-operator-tls"

# (group, resource, name or "", verbs): where there are Backfills.
WATCHED_ROWS = [
    ("backfill.dev", "backfills", "", "get list watch patch"),
    ("backfill.dev", "backfills/status", "", "patch"),
    ("backfill.dev", "backfills/finalizers", "", "update"),
    ("backfill.dev", "backfillledgers", "", "get list watch create update"),
    ("batch", "jobs", "", "get list watch create patch delete"),
    ("", "pods", "", "get list watch"),
    ("", "configmaps", "", "get create update"),
    ("events.k8s.io", "events", "", "create patch"),
]
OWN_ROWS = [
    ("coordination.k8s.io", "leases", "", "create"),
    ("coordination.k8s.io", "leases", LEASE, "get watch update"),
    ("", "pods", "", "get list patch"),
    ("", "secrets", SECRET, "get watch update"),
]
CLUSTER_ROWS = [("authentication.k8s.io", "tokenreviews", "", "create")]


def rights(rows):
    return {(group, resource, name, verb) for group, resource, name, verbs in rows for verb in verbs.split()}


def backfill(name):
    return {"apiVersion": "backfill.dev/v1alpha1", "kind": "Backfill", "metadata": {"name": name},
            "spec": {"source": {"range": {"start": 0, "end": 10}}, "target": {"http": {"url": "http://127.0.0.1:9/{{key}}"}}}}


def job(name):
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
            "spec": {"suspend": True, "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}]}}}}


def pod(name):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "x"}]}}


def ledger(name):
    return {"apiVersion": "backfill.dev/v1alpha1", "kind": "BackfillLedger", "metadata": {"name": name},
            "epoch": 1, "seq": 1, "chunks": 1, "writer": "test", "data": ""}


def event(name):
    return {"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": name, "namespace": "{namespace}"},
            "eventTime": "2026-01-01T00:00:00.000000Z", "type": "Normal", "reason": "Completed", "action": "Reconcile",
            "note": "done", "reportingController": "backfill.dev/operator", "reportingInstance": "test",
            "regarding": {"apiVersion": "backfill.dev/v1alpha1", "kind": "Backfill", "name": "it", "namespace": "{namespace}"}}


NEW = {
    "backfillledgers": ledger, "jobs": job, "events": event,
    "configmaps": lambda name: {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "b"}},
    "leases": lambda name: {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name},
                            "spec": {"holderIdentity": "a"}},
    "tokenreviews": lambda name: {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
                                  "spec": {"token": "x", "audiences": ["backfill-operator"]}},
}


def collection(group, resource, namespace):
    base = f"/apis/{group}/{'v1alpha1' if group == 'backfill.dev' else 'v1'}" if group else "/api/v1"
    place = f"/namespaces/{namespace}" if namespace else ""
    return f"{base}{place}/{resource.partition('/')[0]}"


def bound(namespace, who, role):
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": f"{who}-{role}", "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": f"backfill-{role}-{namespace}"},
            "subjects": [{"kind": "ServiceAccount", "name": who, "namespace": namespace}]}


def setUpModule():
    server = api_server.ApiServer()
    server.apply([o for o in chart.objects() if o["kind"] == "CustomResourceDefinition"])
    server.kubectl("wait", "--for=condition=Established", "crd/backfills.backfill.dev", "crd/backfillledgers.backfill.dev")
    server.close()


class Rights(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = api_server.ApiServer()
        cls.addClassCleanup(cls.server.close)
        rendered = chart.installed(namespace=OWN, rbac__peopleRoles="false", watchNamespaces=f'["{WATCHED}"]')
        cls.cluster_names = [o["metadata"]["name"] for o in rendered if o["kind"] == "ClusterRole"]
        cls.server.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": n}} for n in (OWN, WATCHED, OTHER)])
        cls.addClassCleanup(cls.remove)
        rbac = ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "ServiceAccount", "Secret")
        cls.server.apply([o for o in rendered if o["kind"] in rbac])
        cls.rbac = [o for o in rendered if o["kind"].endswith(("Role", "RoleBinding"))]
        cls.operator = api_server.Somebody(cls.server, OWN, "backfill-operator")
        # What the requests below are about.
        for namespace in (OWN, WATCHED):
            for resource, new in (("backfills", backfill), ("backfillledgers", ledger), ("jobs", job), ("pods", pod),
                                  ("configmaps", NEW["configmaps"]), ("events", event)):
                group = next(g for g, r, _, _ in WATCHED_ROWS if r == resource)
                cls.create(collection(group, resource, namespace), cls.placed(new("it"), namespace))
        cls.create(collection("coordination.k8s.io", "leases", OWN), NEW["leases"](LEASE))

    @classmethod
    def create(cls, path, body):
        # A new kind is served a moment after it is established; a service account comes a moment after its namespace.
        for _ in range(50):
            status, answer = cls.server.request("POST", path, body)
            if status == 201:
                return
            time.sleep(0.1)
        raise AssertionError(f"{path}: {status} {answer}")

    @classmethod
    def remove(cls):
        cls.server.kubectl("delete", "namespace", "--wait=false", OWN, WATCHED, OTHER)
        names = [*cls.cluster_names]
        cls.server.kubectl("delete", "--ignore-not-found", "clusterrolebinding", *names, f"less-{OWN}", f"all-{OWN}")
        cls.server.kubectl("delete", "--ignore-not-found", "clusterrole", *names, f"all-{OWN}", f"less-{OWN}")

    @staticmethod
    def placed(body, namespace):
        return yaml.safe_load(yaml.safe_dump(body).replace("{namespace}", namespace))

    def attempt(self, who, namespace, row, verb):
        """The answer to a real request that the row is about; nothing is changed."""
        group, resource, name, _ = row
        path = collection(group, resource, "" if row in CLUSTER_ROWS else namespace)
        kind, _, below = resource.partition("/")
        item = f"{path}/{name or 'it'}"
        if verb == "get":
            return who.request("GET", item)
        if verb == "list":
            return who.request("GET", f"{path}?limit=1")
        if verb == "watch":
            only = f"&fieldSelector=metadata.name%3D{name}" if name else ""
            return who.request("GET", f"{path}?watch=1&timeoutSeconds=1{only}")
        if verb == "create":
            dry = "" if kind == "tokenreviews" else "?dryRun=All"
            return who.request("POST", path + dry, self.placed(NEW[kind]("other"), namespace))
        if verb == "delete":
            return who.request("DELETE", f"{item}?dryRun=All")
        if verb == "patch":
            body = {"status": {"observedGeneration": 0}} if below == "status" else {"metadata": {"labels": {"a": "b"}}}
            if kind == "events":
                body = {"series": {"count": 2, "lastObservedTime": "2026-01-01T00:00:01.000000Z"}}
            return who.request("PATCH", f"{item}{'/' + below if below else ''}?dryRun=All", body,
                               content_type="application/merge-patch+json")
        if verb == "update" and below == "finalizers":
            # It is not served: what is asked is whether one may block the deletion of an owner.
            status, answer = who.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {
                "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": {"group": group, "resource": kind, "subresource": below, "verb": verb,
                                                "namespace": namespace, "name": "it"}}})
            return (200 if answer["status"]["allowed"] else 403), answer
        if verb == "update":
            status, found = self.server.request("GET", item)
            self.assertEqual(status, 200, found)
            return who.request("PUT", f"{item}?dryRun=All", found)
        raise AssertionError(verb)

    def eventually(self, code, what):
        """The API server learns of a new role from a watch."""
        for _ in range(50):
            status, answer = what()
            if status == code or (code == 200 and status == 201):
                return
            time.sleep(0.1)
        self.fail(f"{status}, not {code}: {answer}")

    def places(self):
        for row in WATCHED_ROWS:
            yield WATCHED, row
        for row in OWN_ROWS:
            yield OWN, row
        for row in CLUSTER_ROWS:
            yield "", row

    def without(self, row):
        """A service account that has all rights but this row's, by copies of the chart's roles."""
        name = f"less-{uuid.uuid4().hex[:8]}"
        group, resource, only, verbs = row
        copies = [{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": OWN}}]
        for source in self.rbac:
            copy = yaml.safe_load(yaml.safe_dump(source))
            cluster = copy["kind"].startswith("Cluster")
            own = copy["metadata"].get("namespace") == OWN
            copy["metadata"] = {"name": f"less-{OWN}" if cluster else name + ("-own" if own else ""),
                                **({} if cluster else {"namespace": copy["metadata"]["namespace"]})}
            if "rules" in copy:
                # The operator reads pods in its own namespace by two rows: each place is looked at by itself.
                copy["rules"] = [r for r in copy["rules"]
                                 if not (r["apiGroups"] == [group] and r["resources"] == [resource]
                                         and (r.get("resourceNames") or [""]) == [only] and r["verbs"] == verbs.split())]
            else:
                copy["roleRef"]["name"] = copy["metadata"]["name"]
                copy["subjects"][0]["name"] = name
            copies.append(copy)
        self.server.apply(copies)
        return api_server.Somebody(self.server, OWN, name)

    def test_what_it_may_do_is_the_table_and_nothing_else(self):
        self.server.apply([{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "nobody", "namespace": OWN}}])
        anyone = api_server.Somebody(self.server, OWN, "nobody")
        cluster = rights(CLUSTER_ROWS)
        for namespace, rows in ((WATCHED, WATCHED_ROWS), (OWN, OWN_ROWS), (OTHER, [])):
            with self.subTest(namespace=namespace):
                self.assertEqual(self.operator.rights(namespace) - anyone.rights(namespace), rights(rows) | cluster)

    def test_each_row_is_enough(self):
        for namespace, row in self.places():
            for verb in row[3].split():
                with self.subTest(row=row[:3], verb=verb):
                    self.eventually(200, lambda: self.attempt(self.operator, namespace, row, verb))

    def test_each_row_is_needed(self):
        for namespace, row in self.places():
            less = self.without(row)
            # Until the others hold, a refusal says nothing.
            place, other = next((n, r) for n, r in self.places() if r is not row and n == (namespace or WATCHED))
            with self.subTest(row=row[:3]):
                self.eventually(200, lambda: self.attempt(less, place, other, other[3].split()[0]))
                for verb in row[3].split():
                    self.eventually(403, lambda: self.attempt(less, namespace, row, verb))

    def test_what_it_must_not_do_is_refused(self):
        self.server.kubectl("-n", OWN, "create", "secret", "generic", "foreign")
        v1, watched = "/api/v1/namespaces", f"/api/v1/namespaces/{WATCHED}"
        for method, path in (
                ("GET", f"{v1}/{OWN}/secrets/foreign"), ("GET", f"{v1}/{OWN}/secrets"), ("GET", f"{watched}/secrets"),
                ("GET", f"{v1}/{OWN}/secrets?watch=1"), ("GET", "/api/v1/secrets"), ("POST", f"{watched}/pods/it/exec?command=id"),
                ("GET", f"{watched}/pods/it/log"), ("GET", f"{watched}/configmaps"), ("GET", "/api/v1/nodes"),
                ("GET", "/api/v1/namespaces"), ("DELETE", f"{watched}/pods/it"), ("DELETE", f"{watched}/configmaps/it"),
                ("GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"),
                ("GET", f"/api/v1/namespaces/{OTHER}/pods"), ("GET", "/api/v1/pods"),
                ("POST", f"{v1}/{OWN}/serviceaccounts/backfill-operator/token"),
                ("DELETE", f"/apis/backfill.dev/v1alpha1/namespaces/{WATCHED}/backfills/it"),
                ("DELETE", f"/apis/backfill.dev/v1alpha1/namespaces/{WATCHED}/backfillledgers/it"),
                ("PUT", f"/apis/backfill.dev/v1alpha1/namespaces/{WATCHED}/backfills/it"),
                ("DELETE", f"/apis/coordination.k8s.io/v1/namespaces/{OWN}/leases/{LEASE}")):
            with self.subTest(method=method, path=path):
                status, answer = self.operator.request(method, path)
                self.assertEqual(status, 403, answer)

    def test_in_all_namespaces_it_has_the_same_rows(self):
        rendered = chart.objects(namespace=OWN, rbac__peopleRoles="false")
        name = f"all-{OWN}"
        role = chart.only(rendered, "ClusterRole")
        self.server.apply([
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "everywhere", "namespace": OWN}},
            {**role, "metadata": {"name": name}},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
             "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
             "subjects": [{"kind": "ServiceAccount", "name": "everywhere", "namespace": OWN}]},
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "nobody", "namespace": OWN}}])
        everywhere, anyone = (api_server.Somebody(self.server, OWN, n) for n in ("everywhere", "nobody"))
        wanted = rights(WATCHED_ROWS) | rights(CLUSTER_ROWS)
        for _ in range(50):
            found = everywhere.rights(OTHER) - anyone.rights(OTHER)
            if found == wanted:
                break
            time.sleep(0.1)
        self.assertEqual(found, wanted)

    def test_the_page_shows_the_table(self):
        page = (chart.ROOT / "docs/security.md").read_text()
        shown = {tuple(re.sub(r"[`*]", "", cell).strip() for cell in line.split("|")[1:4])
                 for line in page.splitlines() if line.startswith("|")}
        places = {WATCHED: "watched namespaces", OWN: "own namespace", "": "cluster"}
        for namespace, (_, resource, name, verbs) in self.places():
            self.assertIn((places[namespace], resource + (f" {name}" if name else ""), verbs), shown)


class People(unittest.TestCase):
    """Roles for people, which come with Kubernetes's own `view` and `edit`."""

    def test_viewer_and_editor_are_aggregated_and_nobody_may_approve_by_that(self):
        server = api_server.ApiServer()
        self.addCleanup(server.close)
        roles = [o for o in chart.objects() if o["kind"] == "ClusterRole" and o["metadata"]["name"].startswith("backfill-")
                 and ":" not in o["metadata"]["name"]]
        self.assertEqual(sorted(r["metadata"]["name"] for r in roles), ["backfill-approver", "backfill-breakglass", "backfill-editor", "backfill-viewer"])
        server.apply(roles)

        def verbs(role, resource):
            _, answer = server.request("GET", f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{role}")
            return {v for rule in answer.get("rules") or [] for v in rule["verbs"]
                    if "backfill.dev" in rule.get("apiGroups", []) and resource in rule.get("resources", [])}

        read, write = {"get", "list", "watch"}, {"get", "list", "watch", "create", "update", "patch", "delete"}
        wanted = {("view", "backfills"): read, ("view", "backfillledgers"): read, ("edit", "backfills"): write,
                  ("edit", "backfillledgers"): read, ("admin", "backfills"): write}
        for _ in range(100):
            found = {key: verbs(*key) for key in wanted}
            if found == wanted:
                break
            time.sleep(0.1)
        self.assertEqual(found, wanted)
        self.assertIn("approve", verbs("backfill-approver", "backfills"))
        self.assertIn("breakglass", verbs("backfill-breakglass", "backfills"))


class Approval(unittest.TestCase):
    """The sample policy: who may turn a dry run into a real run."""

    def test_an_editor_writes_dry_runs_and_only_an_approver_makes_one_real(self):
        server = api_server.ApiServer()
        self.addCleanup(server.close)
        namespace = f"approve-{uuid.uuid4().hex[:8]}"
        policy, binding = yaml.safe_load_all((chart.ROOT / "examples/policies/approve.yaml").read_text())
        for each in (policy, binding):  # others use this API server at the same time
            each["metadata"]["name"] = namespace
        binding["spec"] |= {"policyName": namespace, "matchResources": {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}}
        roles = [{**o, "metadata": {"name": f"{o['metadata']['name']}-{namespace}"}} for o in chart.installed()
                 if o["metadata"]["name"] in ("backfill-editor", "backfill-approver") and o["kind"] == "ClusterRole"]
        server.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}, policy, binding, *roles,
                      *(bound(namespace, who, role) for who, role in
                        (("editor", "editor"), ("both", "editor"), ("both", "approver")))])
        self.addCleanup(server.kubectl, "delete", "namespace", "--wait=false", namespace)
        self.addCleanup(server.kubectl, "delete", "clusterrole", *(r["metadata"]["name"] for r in roles))
        self.addCleanup(server.kubectl, "delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", namespace)
        editor, both = (api_server.Somebody(server, namespace, who) for who in ("editor", "both"))

        real = backfill("real")
        real["spec"] |= {"dryRun": False, "performDisruptiveBackfill": "real", "throttle": {"maxRecordsPerSecond": 10}}
        path = collection("backfill.dev", "backfills", namespace)
        for _ in range(100):  # the policy is in force a moment after it was made
            status, answer = editor.request("POST", f"{path}?dryRun=All", real)
            if status == 403 and "asks for the verb" in answer["message"]:
                break
            time.sleep(0.1)
        self.assertIn('the verb "approve"', answer["message"])
        status, answer = editor.request("POST", path, backfill("real"))
        self.assertEqual(status, 201, answer)
        turned = {"spec": {k: real["spec"][k] for k in ("dryRun", "performDisruptiveBackfill", "throttle")}}

        def patch(who, body):
            return who.request("PATCH", f"{path}/real", body, content_type="application/merge-patch+json")
        status, answer = patch(editor, turned)
        self.assertEqual(status, 403, answer)
        status, answer = patch(both, turned)
        self.assertEqual(status, 200, answer)
        status, answer = patch(editor, {"spec": {"paused": True}})  # what is approved can be stopped by anybody
        self.assertEqual(status, 200, answer)


class BreakGlass(unittest.TestCase):
    """The chart's policy: who may have a Pin pass what is critical."""

    UNTIL = "2099-01-01T00:00:00Z"

    @classmethod
    def setUpClass(cls):
        cls.server = api_server.ApiServer()
        cls.addClassCleanup(cls.server.close)
        cls.namespace = f"glass-{uuid.uuid4().hex[:8]}"  # names are of it: others use this API server at the same time
        rendered = chart.installed(namespace=cls.namespace, watchNamespaces=f'["{cls.namespace}"]')
        policies = [o for o in rendered if o["kind"].startswith("ValidatingAdmissionPolicy")]
        assert len(policies) == 2, policies
        roles = [{**o, "metadata": {"name": f"{o['metadata']['name']}-{cls.namespace}"}} for o in rendered
                 if o["metadata"]["name"] in ("backfill-editor", "backfill-breakglass") and o["kind"] == "ClusterRole"]
        assert len(roles) == 2, roles
        cls.server.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": cls.namespace}}, *policies, *roles,
                          *(bound(cls.namespace, who, role) for who, role in
                            (("editor", "editor"), ("both", "editor"), ("both", "breakglass")))])
        names = [r["metadata"]["name"] for r in roles]
        cls.addClassCleanup(cls.server.kubectl, "delete", "namespace", "--wait=false", cls.namespace)
        cls.addClassCleanup(cls.server.kubectl, "delete", "clusterrole", *names)
        cls.addClassCleanup(cls.server.kubectl, "delete", "validatingadmissionpolicy,validatingadmissionpolicybinding",
                            policies[0]["metadata"]["name"])
        cls.editor, cls.both = (api_server.Somebody(cls.server, cls.namespace, who) for who in ("editor", "both"))
        cls.path = collection("backfill.dev", "backfills", cls.namespace)
        for _ in range(100):  # the policy is in force a moment after it was made
            status, answer = cls.editor.request("POST", f"{cls.path}?dryRun=All", cls.broken("first"))
            if status == 403 and "asks for the verb" in answer["message"]:
                return
            time.sleep(0.1)
        raise AssertionError(f"{status}: {answer}")

    @classmethod
    def override(cls, **more):
        return {"type": "Pin", "recordsPerSecond": 100, "until": cls.UNTIL, "reason": "incident", **more}

    @classmethod
    def broken(cls, name):
        return cls.pinned(name, breakGlass=True)

    @classmethod
    def pinned(cls, name, **more):
        made = backfill(name)
        made["spec"]["throttle"] = {"maxRecordsPerSecond": 1000, "override": cls.override(**more)}
        return made

    def make(self, who, made):
        return who.request("POST", self.path, made)

    def patch(self, who, name, spec):
        return who.request("PATCH", f"{self.path}/{name}", {"spec": spec}, content_type="application/merge-patch+json")

    def assert_refused(self, answered):
        status, answer = answered
        self.assertEqual(status, 403, answer)
        self.assertIn('the verb "breakglass"', answer["message"])

    def assert_taken(self, answered):
        status, answer = answered
        self.assertIn(status, (200, 201), answer)

    def test_only_who_has_the_verb_may_make_one_with_broken_glass(self):
        self.assert_refused(self.make(self.editor, self.broken("made")))
        self.assert_taken(self.make(self.both, self.broken("made")))

    def test_only_who_has_the_verb_may_break_the_glass_of_one_that_is_there(self):
        self.assert_taken(self.make(self.editor, backfill("there")))
        self.assert_taken(self.patch(self.editor, "there", {"throttle": {"override": self.override()}}))
        self.assert_refused(self.patch(self.editor, "there", {"throttle": {"override": {"breakGlass": True}}}))
        self.assert_taken(self.patch(self.both, "there", {"throttle": {"override": {"breakGlass": True}}}))

    def test_who_has_not_the_verb_may_not_make_more_of_it(self):
        self.assert_taken(self.make(self.both, self.broken("more")))
        for override in ({"recordsPerSecond": 101}, {"until": "2099-01-01T00:30:00Z"}, {"reason": "mine"}):
            with self.subTest(**override):
                self.assert_refused(self.patch(self.editor, "more", {"throttle": {"override": override}}))
        self.assert_refused(self.patch(self.editor, "more", {"throttle": {"maxRecordsPerSecond": 1001}}))

    def test_who_has_not_the_verb_may_stop_it_and_look_after_it(self):
        self.assert_taken(self.make(self.both, self.broken("stopped")))
        self.assert_taken(self.patch(self.editor, "stopped", {"paused": True}))
        self.assert_taken(self.patch(self.editor, "stopped", {"throttle": {"maxRecordsPerSecond": 5}}))
        self.assert_taken(self.editor.request("PATCH", f"{self.path}/stopped", {"metadata": {"finalizers": []}},
                                              content_type="application/merge-patch+json"))
        self.assert_taken(self.patch(self.editor, "stopped", {"throttle": {"override": None}}))
        self.assert_refused(self.patch(self.editor, "stopped", {"throttle": {"override": self.override(breakGlass=True)}}))

    def test_it_is_of_a_pin_alone(self):
        status, answer = self.make(self.both, self.pinned("cap", breakGlass=True, type="Cap"))
        self.assertEqual(status, 422, answer)
        self.assertIn("is of type Pin alone", answer["message"])


class Admission(unittest.TestCase):
    """What is rendered is taken by a real API server, whose strict validation knows every field, and by `restricted`."""

    def test_every_object_is_accepted_and_pods_are_restricted(self):
        server = api_server.ApiServer()
        self.addCleanup(server.close)
        namespace = f"restricted-{uuid.uuid4().hex[:8]}"
        level = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
        server.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": level}},
                      *({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": n}} for n in ("shop", "billing"))])
        self.addCleanup(server.kubectl, "delete", "namespace", "--wait=false", namespace)
        for values in sorted((chart.ROOT / "tests/chart/values").glob("*.yaml")):
            with self.subTest(values=values.name):
                rendered = [o for o in chart.objects("--values", values, namespace=namespace)
                            if o["apiVersion"].split("/")[0] not in ("monitoring.coreos.com", "cert-manager.io")]
                done = server.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-",
                                      stdin=yaml.safe_dump_all([o for o in rendered if o["kind"] != "Pod"]))
                self.assertNotIn("Warning", done.stderr)
                pods = [chart.only(rendered, "Deployment")["spec"]["template"], chart.only(rendered, "Pod")]
                for number, template in enumerate(pods):
                    for name in ("serviceAccountName", "priorityClassName"):  # they are not there in a dry run
                        template["spec"].pop(name, None)
                    server.kubectl("-n", namespace, "create", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(
                        {"apiVersion": "v1", "kind": "Pod", "spec": template["spec"],
                         "metadata": {"name": f"it-{number}", "labels": template["metadata"]["labels"]}}))

    def test_it_would_notice(self):
        server = api_server.ApiServer()
        self.addCleanup(server.close)
        namespace = f"restricted-{uuid.uuid4().hex[:8]}"
        server.apply([{"apiVersion": "v1", "kind": "Namespace",
                       "metadata": {"name": namespace, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}])
        self.addCleanup(server.kubectl, "delete", "namespace", "--wait=false", namespace)
        refused = server.kubectl("-n", namespace, "create", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(pod("it")), check=False)
        self.assertIn("violates PodSecurity", refused.stderr)


if __name__ == "__main__":
    unittest.main()
