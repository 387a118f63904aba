#!/usr/bin/python3
"""F27: what kubectl wait, kstatus, Flux and Argo CD make of each state of a Backfill is what the table says.

The states are the golden files of tests/operator/reconcile/states, the table is verdicts.txt beside them. kstatus and CEL
are the modules that the tools themselves use, health.lua is run by a Lua interpreter, kubectl is the real one.

  verdicts_test.py tools      kstatus, Flux, Argo CD; ends with 77 where there is no Go or no Lua
  verdicts_test.py kubectl    kubectl wait, against the API server of BACKFILL_TEST_KUBECONFIG
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import unittest
import uuid

import yaml

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
STATES = ROOT / "tests/operator/reconcile/states"
GITOPS = ROOT / "docs/gitops"
BUILD = ROOT / "build/gitops"
SKIP = 77


def table():
    """State -> what each column says."""
    rows = {}
    for line in (STATES / "verdicts.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        state, kstatus, flux, argocd, wait = line.split()
        rows[state] = {"kstatus": kstatus, "flux": flux, "argocd": argocd,
                       "wait": set() if wait == "-" else set(wait.split(","))}
    return rows


class Loader(yaml.SafeLoader):
    """Times stay texts, as in JSON."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()}


def load(state):
    return yaml.load((STATES / f"{state}.yaml").read_text(), Loader=Loader)


def run(*command, stdin="", check=True, **more):
    done = subprocess.run([str(c) for c in command], input=stdin, capture_output=True, text=True, check=False, **more)
    if check and done.returncode != 0:
        raise AssertionError(f"{command}: {done.stdout}{done.stderr}")
    return done


def lua_of(value):
    if isinstance(value, dict):
        return "{" + ",".join(f"[{lua_of(k)}]={lua_of(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "{" + ",".join(lua_of(v) for v in value) + "}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    return json.dumps(str(value), ensure_ascii=False)


class Tools(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        BUILD.mkdir(parents=True, exist_ok=True)
        built = run(ROOT / "tests/cluster/go_build.sh", "-o", BUILD / "verdicts", ".", cwd=HERE, check=False)
        if built.returncode == SKIP:
            sys.exit(SKIP)
        assert built.returncode == 0, built.stderr
        files = [STATES / f"{state}.yaml" for state in table()]
        said = run(BUILD / "verdicts", GITOPS / "flux.yaml", *files).stdout
        cls.said = {}
        for line in said.splitlines():
            name, *verdicts = line.split()
            cls.said[name.removesuffix(".yaml")] = dict(verdict.split("=") for verdict in verdicts)

    def test_kstatus(self):
        self.assertEqual({s: v["kstatus"] for s, v in self.said.items()}, {s: r["kstatus"] for s, r in table().items()})

    def test_flux(self):
        self.assertEqual({s: v["flux"] for s, v in self.said.items()}, {s: r["flux"] for s, r in table().items()})

    def test_argo_cd(self):
        verdicts = {}
        for state in table():
            obj = load(state)
            # Argo CD's sandbox has the basic functions alone.
            script = f"""
local env = {{obj = {lua_of(obj)}, ipairs = ipairs, pairs = pairs}}
local hs = assert(loadfile({json.dumps(str(GITOPS / "health.lua"))}, "t", env))()
print(hs.status, hs.message)
"""
            verdict, message = run("lua5.4", "-", stdin=script).stdout.rstrip("\n").split("\t")
            verdicts[state] = verdict
            self.assertNotEqual(message, "", state)
        self.assertEqual(verdicts, {s: r["argocd"] for s, r in table().items()})


class KubectlWait(unittest.TestCase):
    maxDiff = None
    CONDITIONS = ["Ready", "Ready=false", "Stalled", "Succeeded", "Succeeded=false", "Paused", "Approved=false"]

    def kubectl(self, *args, stdin="", check=True):
        return run(ROOT / "build/cluster/kubectl", f"--kubeconfig={os.environ['BACKFILL_TEST_KUBECONFIG']}",
                   "--request-timeout=30s", *args, stdin=stdin, check=check)

    def setUp(self):
        self.ns = f"verdicts-{uuid.uuid4().hex[:8]}"
        for crd in sorted((ROOT / "crds").glob("*.yaml")):
            # Another test may do so at the same time.
            self.kubectl("apply", "--server-side", "--force-conflicts", "-f", crd)
        self.kubectl("wait", "--for=condition=Established", "crd/backfills.backfill.dev", "--timeout=30s")
        self.kubectl("create", "namespace", self.ns)
        self.addCleanup(self.kubectl, "delete", "namespace", self.ns, "--wait=false")

    def send(self, verb, objects):
        """Many objects cost one call."""
        if objects:
            self.kubectl(verb, "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def apply(self, *states):
        """The objects as the user applies them, then their status as the operator writes it."""
        created, edited, deleted, statuses, generations = [], [], [], {}, {}
        for state in states:
            obj = load(state)
            meta = obj["metadata"]
            statuses[state] = obj.pop("status")
            generations[state] = meta["generation"]
            obj["metadata"] = {"name": meta["name"], "namespace": self.ns}
            if "deletionTimestamp" in meta:
                obj["metadata"]["finalizers"] = meta["finalizers"]
                deleted.append(f"backfill/{state}")
            elif meta["generation"] > 1:
                edited.append(json.loads(json.dumps(obj)))
                obj["spec"]["description"] = "before it was edited"
            created.append(obj)
        self.send("create", created)
        self.send("replace", edited)
        if deleted:
            self.kubectl("-n", self.ns, "delete", "--wait=false", *deleted)
        for state, status in statuses.items():
            if status != {"observedGeneration": -1}:  # the schema's default
                self.kubectl("-n", self.ns, "patch", "backfill", state, "--subresource=status", "--type=merge", "-p",
                             json.dumps({"status": status}))
        stored = json.loads(self.kubectl("-n", self.ns, "get", "backfills", "-o", "json").stdout)["items"]
        stored = {obj["metadata"]["name"]: obj for obj in stored if obj["metadata"]["name"] in states}
        self.assertEqual({s: obj["metadata"]["generation"] for s, obj in stored.items()}, generations)
        self.assertEqual({s: obj["status"] for s, obj in stored.items()}, statuses, "the schema drops a field")

    def met(self, condition):
        """The states that `kubectl wait` does not wait for."""
        said = self.kubectl("-n", self.ns, "wait", f"--for=condition={condition}", "backfill", "--all", "--timeout=0", check=False)
        return {line.split()[0].split("/")[1] for line in said.stdout.splitlines() if line.endswith(" condition met")}

    def test_wait(self):
        rows = table()
        self.apply(*rows)
        verdicts = {state: set() for state in rows}
        for condition in self.CONDITIONS:
            for state in self.met(condition):
                verdicts[state].add(condition)
        self.assertEqual(verdicts, {state: row["wait"] for state, row in rows.items()})
        listed = self.kubectl("-n", self.ns, "get", "backfills", "-o", "wide").stdout.splitlines()
        self.assertEqual(listed[0].split(), ["NAME", "PHASE", "DRY-RUN", "PROGRESS", "FAILED", "RATE", "ETA", "AGE", "SHARDS",
                                             "WORKERS", "PLAN", "REASON"])
        running = next(line for line in listed if line.startswith("running ")).split()
        self.assertEqual(running[1:7] + running[9:], ["Running", "false", "40.0%", "0", "480/s", "(Max)", "4/10", "2/2",
                                                      "001122334455", "Running"])
        for state in ("deleting", "deleted"):
            self.kubectl("-n", self.ns, "patch", "backfill", state, "--type=json", "-p",
                         '[{"op": "remove", "path": "/metadata/finalizers"}]')
        self.kubectl("-n", self.ns, "wait", "--for=delete", "backfill/deleting", "backfill/deleted", "--timeout=10s")

    def test_an_ended_spec_is_locked_and_a_planned_source_is_fixed(self):
        self.apply("completed", "running")
        patch = '{"spec": {"description": "another"}}'
        refused = self.kubectl("-n", self.ns, "patch", "backfill", "completed", "--type=merge", "-p", patch, check=False)
        self.assertIn("its spec is locked", refused.stderr)
        self.kubectl("-n", self.ns, "patch", "backfill", "running", "--type=merge", "-p", patch)
        patch = '{"spec": {"source": {"range": {"end": 5}}}}'
        refused = self.kubectl("-n", self.ns, "patch", "backfill", "running", "--type=merge", "-p", patch, check=False)
        self.assertIn("source is fixed once planned", refused.stderr)


if __name__ == "__main__":
    suite = {"tools": Tools, "kubectl": KubectlWait}[sys.argv.pop(1)]
    if suite is Tools and (shutil.which("lua5.4") is None or shutil.which("go") is None):
        print("needs go and lua5.4 (make deps)", file=sys.stderr)
        sys.exit(SKIP)
    if suite is KubectlWait and not pathlib.Path(os.environ.get("BACKFILL_TEST_KUBECONFIG", "none")).exists():
        print("there is no API server", file=sys.stderr)
        sys.exit(SKIP)
    unittest.main(defaultTest=suite.__name__)
