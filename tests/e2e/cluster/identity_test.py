"""Who is no worker of a Backfill gets no work, whatever token it shows: F18, on a real API server."""

import base64
import subprocess
import tempfile

from case import ClusterTest, eventually, json, pathlib, time, unittest
from installation import NAMESPACE

IDENTITY = "backfill-identity"
AUDIENCE = "backfill-operator"


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(claims, header, key):
    """A token that is signed as the API server signs its own (ES256)."""
    text = f"{base64url(json.dumps(header).encode())}.{base64url(json.dumps(claims).encode())}"
    der = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key], input=text.encode(), capture_output=True, check=True).stdout
    # SEQUENCE { INTEGER r, INTEGER s }, each 32 bytes without the sign's.
    r_end = 4 + der[3]
    r, s = der[4:r_end], der[r_end + 2:]
    return f"{text}.{base64url(b''.join(number[-32:].rjust(32, bytes(1)) for number in (r, s)))}"


class Identity(ClusterTest):
    RECORDS = 20_000

    def token_of(self, pod, uid):
        return self.node.kubectl("create", "token", "default", "-n", self.namespace, "--audience", AUDIENCE, "--bound-object-kind", "Pod",
                                 "--bound-object-name", pod, "--bound-object-uid", uid).strip()

    def intruder(self, name, job, sources):
        """A pod that differs from a worker in nothing but in who made it and in the token that it shows."""
        spec = json.loads(json.dumps(job["spec"]["template"]["spec"]))
        authority = {"configMap": {"name": "backfill-operator-ca", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}
        for volume in spec["volumes"]:
            if volume["name"] == IDENTITY:
                volume["projected"]["sources"] = [*sources, authority]
        spec["containers"][0]["env"].append({"name": "JOB_COMPLETION_INDEX", "value": "0"})
        self.node.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "intruder"}}, "spec": spec},
                        self.namespace)

    def shows(self, name, job, token):
        self.node.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"token": token}}, self.namespace)
        self.intruder(name, job, [{"secret": {"name": name, "items": [{"key": "token", "path": "token"}]}}])

    def refused(self, intruders):
        """Why, by the log of who leads; it knows them by their address."""
        address = {p["status"].get("podIP"): p["metadata"]["name"] for p in self.node.items("pods", self.namespace, "app=intruder")}
        log = self.node.kubectl("logs", "-n", NAMESPACE, self.installation.leader(), "--tail=-1")
        lines = [json.loads(line) for line in log.splitlines()]
        return {address.get(line["peer"].split(":")[1]): line["reason"] for line in lines
                if line["message"] == "a worker was not accepted"}.items() & intruders.items()

    def counted(self):
        found = self.installation.metrics(self.installation.leader())
        return sum(count for name, count in found.items() if name.startswith("backfill_auth_failures_total"))

    def test_tokens_that_are_expired_forged_foreign_or_of_the_dead_get_nothing(self):  # F18
        self.a_target(self.RECORDS)
        name = self.a_backfill("guarded", self.RECORDS, rate=200)
        self.wait_until_under_way(name, 100)
        job, counted = self.node.get("jobs", f"{name}-run", self.namespace), self.counted()
        workers = self.workers(name)
        pod, uid = next(iter(workers.items()))
        good = self.token_of(pod, uid)
        header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in good.split(".")[:2])
        now = int(time.time())
        claims |= {"iat": now - 7200, "nbf": now - 7200, "exp": now - 3600}
        self.shows("expired", job, signed(claims, header, self.node.state / "pki/service-accounts.key"))
        with tempfile.TemporaryDirectory() as folder:
            key = pathlib.Path(folder) / "other.key"
            subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key], check=True)
            self.shows("forged", job, signed(claims | {"exp": now + 3600}, header, key))
        self.intruder("elsewhere", job, [{"serviceAccountToken": {"audience": "vault", "path": "token"}}])
        self.intruder("stranger", job, [{"serviceAccountToken": {"audience": AUDIENCE, "path": "token"}}])
        # Of a worker that has been: the token outlives its pod in the hand of who took it.
        self.node.kubectl("delete", "pod", pod, "-n", self.namespace, "--timeout=60s", timeout=90)
        self.shows("late", job, good)
        intruders = {"expired": "not_authenticated", "forged": "not_authenticated", "elsewhere": "not_authenticated",
                     "late": "not_authenticated", "stranger": "not_our_worker"}
        eventually(lambda: dict(self.refused(intruders)), intruders, within=120, every=3)
        self.assertGreaterEqual(self.counted() - counted, len(intruders))

        self.patch(name, throttle={"maxRecordsPerSecond": 5000})
        done = self.ended_well(name, self.RECORDS)
        self.assertEqual(done["progress"].get("redoneAtMost", 0), 0, "a worker that was deleted gave back what it held; none was disturbed")
        logs = self.node.kubectl("logs", "-n", self.namespace, "-l", "app=intruder", "--tail=-1", check=False) + self.installation.logs()
        for secret in (good, good.rsplit(".", 1)[1], good.split(".")[1]):
            self.assertNotIn(secret, logs)


if __name__ == "__main__":
    unittest.main()
