"""What became of the tests: a line for each as it ends, what a person would look at when one fails, a file for who counts them."""

import os
import time
import unittest
import xml.etree.ElementTree as xml

from installation import Installation
from node import Node


class Told(unittest.TextTestResult):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.passed, self.took, self.broken = [], {}, []

    def startTest(self, test):
        super().startTest(test)
        self._began = time.monotonic()

    def stopTest(self, test):
        self.took[test.id()] = time.monotonic() - self._began
        self.stream.writeln(f"      {self.took[test.id()]:.0f} s")
        self.stream.flush()
        super().stopTest(test)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed.append(test.id())

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._broke(test, err)

    def addError(self, test, err):
        super().addError(test, err)
        self._broke(test, err)

    def _broke(self, test, err):
        self.broken.append(test)
        self.stream.writeln(self._exc_info_to_string(err, test))  # now: who interrupts the rest is not told at the end
        try:
            # What failed may be the installation, before there was a test.
            told = test.diagnosis() if hasattr(test, "diagnosis") else Installation(Node(os.environ["BACKFILL_E2E_NODE"])).diagnosis()
            self.stream.writeln(f"---- {test.id()}: what was there\n{told}\n----")
        except Exception as e:  # it is about a cluster that may be broken
            self.stream.writeln(f"---- nothing can be told of it: {e}")


class Outcome:
    """Of all tests that were asked for, whatever has become of each."""

    def __init__(self, wanted):
        self._wanted = [test.id() for test in wanted]
        self._took, self._passed, self._skipped, self.only_when_repeated = {}, set(), set(), []

    def add(self, result, repeated=False):
        if repeated:
            self.only_when_repeated = [name for name in result.passed if name not in self._passed]
        self._passed.update(result.passed)
        self._skipped.update(test.id() for test, _ in result.skipped)
        self._took.update(result.took)

    def skip_all(self):
        self._skipped.update(self._wanted)

    # What was not reached, since the node did not come up or a class's installation failed, has failed.
    @property
    def failed(self):
        return [name for name in self._wanted if name not in self._passed and name not in self._skipped]

    def __str__(self):
        lines = [f"FAILED: {name}" for name in self.failed]
        lines += [f"PASSED ONLY WHEN REPEATED: {name}" for name in self.only_when_repeated]
        return "\n".join([*lines, f"{len(self._passed)} passed, {len(self.failed)} failed, {len(self._skipped)} skipped"])

    def write_junit(self, path):
        """As ctest writes it (--output-junit), so that one reader counts both."""
        suite = xml.Element("testsuite", name="on a cluster", tests=str(len(self._wanted)), failures=str(len(self.failed)),
                            skipped=str(len(self._skipped)))
        for name in self._wanted:
            status = "fail" if name in self.failed else "notrun" if name in self._skipped else "run"
            xml.SubElement(suite, "testcase", name=name, status=status, time=f"{self._took.get(name, 0):.1f}")
        xml.ElementTree(suite).write(path, encoding="unicode", xml_declaration=True)
