"""Requests to a real API server as somebody: by impersonation, so that what is allowed is what a token of theirs would be."""

import base64
import http.client
import json
import os
import pathlib
import ssl
import subprocess
import tempfile
import urllib.parse

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
KUBECTL = ROOT / "build/cluster/kubectl"


class ApiServer:
    def __init__(self, kubeconfig=None):
        self.kubeconfig = kubeconfig or os.environ["BACKFILL_TEST_KUBECONFIG"]
        config = yaml.safe_load(pathlib.Path(self.kubeconfig).read_text())
        url = urllib.parse.urlparse(config["clusters"][0]["cluster"]["server"])
        self._host, self._port = url.hostname, url.port
        self._tls = ssl.create_default_context(cadata=self._pem(config["clusters"][0]["cluster"], "certificate-authority"))
        user = config["users"][0]["user"]
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "client.pem")
            file.write_text(self._pem(user, "client-certificate") + self._pem(user, "client-key"))
            self._tls.load_cert_chain(file)
        self._connection = None

    @staticmethod
    def _pem(node, name):
        if f"{name}-data" in node:
            return base64.b64decode(node[f"{name}-data"]).decode()
        return pathlib.Path(node[name]).read_text()

    def request(self, method, path, body=None, user=None, groups=(), content_type="application/json"):
        """Status code and body (parsed if it is JSON)."""
        headers = {"Content-Type": content_type}
        if user:
            headers["Impersonate-User"] = user
        if self._connection is None:
            self._connection = http.client.HTTPSConnection(self._host, self._port, context=self._tls, timeout=30)
        connection = self._connection
        connection.putrequest(method, path)
        data = json.dumps(body).encode() if body is not None else b""
        for name, value in headers.items():
            connection.putheader(name, value)
        for group in groups:
            connection.putheader("Impersonate-Group", group)
        connection.putheader("Content-Length", str(len(data)))
        connection.endheaders(data)
        answer = connection.getresponse()
        text = answer.read().decode()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text

    def close(self):
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def kubectl(self, *arguments, stdin=None, check=True):
        done = subprocess.run([KUBECTL, *arguments], input=stdin, capture_output=True, text=True, check=False, timeout=60,
                              env={**os.environ, "KUBECONFIG": str(self.kubeconfig)})
        if check and done.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(map(str, arguments))}: {done.stderr}")
        return done

    def apply(self, objects):
        # Another test may make the same at the same time.
        return self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump_all(objects))


class Somebody:
    """A service account, with the groups that its token would carry."""

    def __init__(self, server, namespace, name):
        self.server = server
        self.user = f"system:serviceaccount:{namespace}:{name}"
        self.groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")

    def request(self, method, path, body=None, **options):
        return self.server.request(method, path, body, user=self.user, groups=self.groups, **options)

    def rights(self, namespace):
        """(group, resource, name or "", verb) of all that it may do in the namespace."""
        status, answer = self.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
                                      {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
                                       "spec": {"namespace": namespace}})
        assert status == 201 and not answer["status"]["incomplete"], answer
        return {(group, resource, name, verb)
                for rule in answer["status"]["resourceRules"]
                for group in rule["apiGroups"] for resource in rule["resources"]
                for name in rule.get("resourceNames") or [""] for verb in rule["verbs"]}
