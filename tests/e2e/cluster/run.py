#!/usr/bin/env python3
"""End-to-end tests on a cluster: a node of its own, images, the chart by Helm, then every *_test.py here.

  tests/e2e/cluster/run.py [--core] [--patient] [--keep] [--junit FILE] [PATTERN...]
      PATTERN: part of a test's name, as "Faults" or "leader"
  tests/e2e/cluster/run.py --can-run
      whether this machine can be a node; if not, why

`make e2e` builds what is needed first. Needs root. Leaves nothing behind, unless --keep says so. `--core` is what `make test` runs
beside the other tests: those that say @core. It is skipped, with a word on why, where no node can be; what fails is run once more.
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

from node import CLUSTER, HELM, IMAGES, ROOT, Failed, Node, why_no_node  # noqa: E402
from outcome import Outcome, Told  # noqa: E402


def selected(suite, given):
    for entry in suite:
        if isinstance(entry, unittest.TestSuite):
            yield from selected(entry, given)
        elif (not given.patterns or any(p in entry.id() for p in given.patterns)) and (not given.core or is_core(entry)):
            yield entry


def is_core(test):
    # A module that cannot be loaded is told as a test that fails: it is not left out.
    return isinstance(test, unittest.loader._FailedTest) or getattr(getattr(test, test._testMethodName), "core", False)


def run(tests, outcome, repeated=False):
    made = []

    def told(*arguments, **options):
        made.append(Told(*arguments, **options))
        return made[-1]
    try:
        unittest.TextTestRunner(verbosity=2, resultclass=told, stream=sys.stderr).run(unittest.TestSuite(tests))
    finally:
        for result in made:
            outcome.add(result, repeated)  # of one that was interrupted, what was told until then
    return made[0]


def run_on_node(tests, given, outcome):
    node = Node("e2e-kept" if given.keep else f"e2e-{os.getpid()}")
    os.environ["BACKFILL_E2E_NODE"] = node.name
    if given.patient or given.core:
        os.environ["BACKFILL_E2E_PATIENT"] = "1"
    began = time.monotonic()
    try:
        if not (given.keep and node.is_up()):
            node.up(owner=1 if given.keep else os.getpid())
        node.load(*IMAGES)
        print(f"the node is up after {time.monotonic() - began:.0f} s", file=sys.stderr)
        first = run(tests, outcome)
        again = [type(t)(t._testMethodName) for t in first.broken if t in tests]
        if given.core and again:
            run(again, outcome, repeated=True)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    except Failed as e:
        print(f"the cluster did not come up: {e}", file=sys.stderr)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)  # it is on its way already
        if given.keep:
            print(f"left running: build/cluster/cluster exec --name {node.name} -- kubectl get backfills -A", file=sys.stderr)
        else:
            node.down()
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--core", action="store_true", help="the tests that say @core; skipped where no node can be")
    arguments.add_argument("--patient", action="store_true", help="the machine has much else to do: leases are long; so it is with --core")
    arguments.add_argument("--keep", action="store_true", help="leave the node running, and use one that was left")
    arguments.add_argument("--junit", metavar="FILE", help="write the outcome there, as ctest does")
    arguments.add_argument("--can-run", action="store_true", help="only say whether this machine can be a node")
    arguments.add_argument("patterns", nargs="*", metavar="PATTERN")
    given = arguments.parse_args()

    if given.can_run:
        why = why_no_node()
        print(f"the tests on a node will be skipped: {why}" if why else "this machine can be a node")
        return 1 if why else 0

    tests = list(selected(unittest.defaultTestLoader.discover(str(HERE), "*_test.py"), given))
    if not tests:
        sys.exit("no test has such a name")
    outcome = Outcome(tests)
    missing = [str(p.relative_to(ROOT)) for p in (CLUSTER, HELM, *IMAGES) if not p.exists()]
    why = why_no_node() or (f"not there: {', '.join(missing)}; `make e2e` builds them" if missing else None)
    if why and not given.core:
        sys.exit(why)
    # The node goes down. unittest would take any other exception for a test's. A shell lets what it starts beside it ignore Ctrl-C.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    if why:
        outcome.skip_all()
        print(f"SKIPPED: the tests on a node: {why}")
    else:
        run_on_node(tests, given, outcome)
    if given.junit:
        outcome.write_junit(given.junit)
    print(outcome)
    return 1 if outcome.failed else 0


if __name__ == "__main__":
    sys.exit(main())
