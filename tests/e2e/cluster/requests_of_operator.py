"""What the operator asked of the API server, by the audit log, in the classes in which it is budgeted."""

import collections
import datetime

WRITES = ("create", "update", "patch", "delete", "deletecollection")


def when(request):
    return datetime.datetime.fromisoformat(request["requestReceivedTimestamp"]).timestamp()


def kind(request):
    """launch: what a Backfill costs once, whatever its size. Others by their name; None: no write."""
    place = request.get("objectRef", {})
    if request["verb"] not in WRITES:
        return None
    if place.get("subresource") == "status":
        return "status"
    if request["verb"].startswith("delete"):
        return "deletion"
    return {"backfillledgers": "ledger", "events": "event", "leases": "lease", "tokenreviews": "review"}.get(place["resource"], "launch")


class Requests:
    """Those of the operator within a time; `begin` before, `read` after it."""

    def __init__(self, node):
        self._node = node
        self._known = set()

    def begin(self):
        self._known = {request["auditID"] for request in self._of_operator()}
        return self

    def read(self):
        return [request for request in self._of_operator() if request["auditID"] not in self._known]

    def _of_operator(self):
        return self._node.requests("backfill-operator/")


def count(requests, *, namespace=None, name=None):
    """How many of each kind; `name`: of that object alone."""
    return collections.Counter(
        kind(r) for r in requests
        if kind(r) and (namespace is None or r["objectRef"].get("namespace") == namespace) and
        (name is None or r["objectRef"].get("name") == name))


def most_in(seconds, times):
    """How many of these fell into the fullest span of so many seconds."""
    times = sorted(times)
    most = first = 0
    for last, time in enumerate(times):
        while time - times[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most
