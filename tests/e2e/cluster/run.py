#!/usr/bin/env python3
"""All end-to-end tests on a cluster: a node of its own, images, the chart by Helm, then every *_test.py here.

  tests/e2e/cluster/run.py [--keep] [PATTERN...]      PATTERN: part of a test's name, as "Faults" or "leader"

`make e2e` builds what is needed first. Needs root. Leaves nothing behind, unless --keep says so.
"""

import argparse
import os
import pathlib
import signal
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True

from installation import Installation  # noqa: E402
from node import CLUSTER, HELM, ROOT, Failed, Node  # noqa: E402

IMAGES = [ROOT / f"build/images/{name}.tar" for name in ("operator", "worker", "test-sink")]


class Told(unittest.TextTestResult):
    """A line a test when it begins and when it ends, and of a failure what a person would look at."""

    def startTest(self, test):
        super().startTest(test)
        self._began = time.monotonic()
        self.passed = getattr(self, "passed", 0)

    def stopTest(self, test):
        self.stream.writeln(f"      {time.monotonic() - self._began:.0f} s")
        self.stream.flush()
        super().stopTest(test)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._diagnose(test)

    def addError(self, test, err):
        super().addError(test, err)
        self._diagnose(test)

    def _diagnose(self, test):
        try:
            # What failed may be the installation, before there was a test.
            told = test.diagnosis() if hasattr(test, "diagnosis") else Installation(Node(os.environ["BACKFILL_E2E_NODE"])).diagnosis()
            self.stream.writeln(f"---- {test.id()}: what was there\n{told}\n----")
        except Exception as e:  # it is about a cluster that may be broken
            self.stream.writeln(f"---- nothing can be told of it: {e}")


def selected(suite, patterns):
    for entry in suite:
        if isinstance(entry, unittest.TestSuite):
            yield from selected(entry, patterns)
        elif not patterns or any(p in entry.id() for p in patterns):
            yield entry


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--keep", action="store_true", help="leave the node running; it is named on the last line")
    arguments.add_argument("patterns", nargs="*", metavar="PATTERN")
    given = arguments.parse_args()

    if os.geteuid() != 0:
        sys.exit("a node needs root")
    missing = [str(p.relative_to(ROOT)) for p in (CLUSTER, HELM, *IMAGES) if not p.exists()]
    if missing:
        sys.exit(f"not there: {', '.join(missing)}. `make e2e` builds them")
    tests = list(selected(unittest.defaultTestLoader.discover(str(HERE), "*_test.py"), given.patterns))
    if not tests:
        sys.exit("no test has such a name")

    # As Ctrl-C, so that the node goes down. unittest would take any other exception for a test's.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    node = Node("e2e-kept" if given.keep else f"e2e-{os.getpid()}")
    os.environ["BACKFILL_E2E_NODE"] = node.name
    began = time.monotonic()
    result = None
    try:
        node.up(owner=1 if given.keep else os.getpid())
        node.load(*IMAGES)
        result = unittest.TextTestRunner(verbosity=2, resultclass=Told, stream=sys.stderr).run(unittest.TestSuite(tests))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    except Failed as e:
        print(f"the cluster did not come up: {e}", file=sys.stderr)
    finally:
        if given.keep:
            print(f"left running: build/cluster/cluster exec --name {node.name} -- kubectl get backfills -A", file=sys.stderr)
        else:
            node.down()
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    if result is None:
        print("0 passed, 1 failed")
        return 1
    failed = len(result.failures) + len(result.errors)
    print(f"{getattr(result, 'passed', 0)} passed, {failed} failed, {len(result.skipped)} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
