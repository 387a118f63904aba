"""Reads from within a node's network without a process for each: one of kubectl takes a quarter of a second of a core, and tests
that wait ask all the time."""

import base64
import contextlib
import ctypes
import http.client
import json
import os
import re
import socket
import ssl
import tempfile
import urllib.parse

NEW_NETWORK = 0x40000000  # CLONE_NEWNET

CORE = "api/v1"
BACKFILLS = "apis/backfill.dev/v1alpha1"
GROUPS = {
    "backfills": BACKFILLS, "backfillledgers": BACKFILLS, "jobs": "apis/batch/v1", "events": "apis/events.k8s.io/v1",
    "leases": "apis/coordination.k8s.io/v1", "pods": CORE, "services": CORE, "secrets": CORE, "configmaps": CORE, "nodes": CORE,
    "endpointslices": "apis/discovery.k8s.io/v1", "clusterroles": "apis/rbac.authorization.k8s.io/v1",
    "clusterrolebindings": "apis/rbac.authorization.k8s.io/v1", "customresourcedefinitions": "apis/apiextensions.k8s.io/v1",
}


class Unreachable(Exception):
    """There was no answer, or none that says what was asked for."""


class Reads:
    """Of one thread: it goes into the node's network and back for each connection."""

    def __init__(self, kubeconfig, process):
        """`process`: one that is in that network."""
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._there = os.open(f"/proc/{process}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        text = kubeconfig.read_text()
        server = urllib.parse.urlsplit(re.search(r"server: (\S+)", text)[1])
        self.api_server = (server.hostname, server.port)
        def data(name):
            return base64.b64decode(re.search(rf"{name}-data: (\S+)", text)[1])
        self._tls = ssl.create_default_context(cadata=data("certificate-authority").decode())
        with tempfile.NamedTemporaryFile() as pair:
            pair.write(data("client-certificate") + b"\n" + data("client-key"))
            pair.flush()
            self._tls.load_cert_chain(pair.name)
        self._api = None

    def close(self):
        self._hang_up()
        for namespace in (self._home, self._there):
            os.close(namespace)

    def object_of(self, kind, name, namespace=None):
        """None if it is not there."""
        return self._of_api(f"{self._path(kind, namespace)}/{name}")

    def objects_of(self, kind, namespace=None, selector=None):
        """Those of all namespaces if none is named; none of a kind that is not there."""
        query = "?" + urllib.parse.urlencode({"labelSelector": selector}) if selector else ""
        return (self._of_api(self._path(kind, namespace) + query) or {}).get("items", [])

    def fetch(self, url, method="GET"):
        there = urllib.parse.urlsplit(url)
        connection = http.client.HTTPConnection(there.hostname, there.port or 80, timeout=10)
        try:
            connection.sock = self._connect((there.hostname, there.port or 80))
            connection.request(method, urllib.parse.urlunsplit(("", "", there.path or "/", there.query, "")))
            answer = connection.getresponse()
            body = answer.read().decode()
        except (OSError, http.client.HTTPException) as e:
            raise Unreachable(f"{url}: {e!r}") from e
        finally:
            connection.close()
        if answer.status != 200:
            raise Unreachable(f"{url}: {answer.status} {body[:200]}")
        return body

    @staticmethod
    def _path(kind, namespace):
        return f"/{GROUPS[kind]}/" + (f"namespaces/{namespace}/{kind}" if namespace else kind)

    def _of_api(self, path):
        for last in (False, True):  # a connection that was kept may be closed by now
            try:
                if not self._api:
                    self._api = http.client.HTTPSConnection(*self.api_server, context=self._tls, timeout=30)
                    self._api.sock = self._tls.wrap_socket(self._connect(self.api_server), server_hostname=self.api_server[0])
                self._api.request("GET", path)
                answer = self._api.getresponse()
                body = answer.read()
                break
            except (OSError, http.client.HTTPException) as e:
                self._hang_up()
                if last:
                    raise Unreachable(f"{path}: {e!r}") from e
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise Unreachable(f"{path}: {answer.status} {body[:200]!r}")
        return json.loads(body)

    def _hang_up(self):
        if self._api:
            self._api.close()
        self._api = None

    def _connect(self, address):
        with self._in_network():
            return socket.create_connection(address, timeout=10)

    @contextlib.contextmanager
    def _in_network(self):
        self._enter(self._there)
        try:
            yield
        finally:
            self._enter(self._home)

    @staticmethod
    def _enter(namespace):
        if ctypes.CDLL(None, use_errno=True).setns(namespace, NEW_NETWORK) != 0:
            raise OSError(ctypes.get_errno(), "entering a network")
