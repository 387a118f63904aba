#!/usr/bin/python3
"""What all tests came to, for tests/run.sh: FOLDER has ctest's and run.py's JUnit reports (BUILD.xml) and ctest's logs.

ctest knows a binary whose tests run in one process (backfill_test(... WHOLE)) as one test. Its own report, in
build/BUILD/reports, says which of them passed; where it ended before it wrote that, it is one that failed.
"""
import collections, pathlib, re, sys, xml.etree.ElementTree as xml

ROOT = pathlib.Path(__file__).resolve().parents[1]
OF_CTEST = {"run": "passed", "fail": "failed"}  # what else there is was not run


def tests_of(report):
    """(name, passed | failed | skipped) of each test of a binary."""
    for case in xml.parse(report).getroot().iter("testcase"):
        name = f'{case.get("classname")}.{case.get("name")}'
        if case.find("failure") is not None:
            yield name, "failed"
        elif case.get("status") != "notrun":  # else it is one that is switched off
            yield name, "skipped" if case.find("skipped") is not None else "passed"


def results(suite):
    for case in xml.parse(suite).getroot().iter("testcase"):
        name, outcome = case.get("name"), OF_CTEST.get(case.get("status"), "skipped")
        report = ROOT / "build" / suite.stem / "reports" / f"{name}.xml"
        try:
            inside = list(tests_of(report))
        except (OSError, xml.ParseError):
            inside = []
        yield from inside
        # A leak, a race, a crash or too long a run is of no test by itself.
        if not inside or (outcome == "failed" and "failed" not in (found for _, found in inside)):
            yield name, outcome


def main(folder):
    counts, failed, skipped = collections.Counter(), set(), set()
    for suite in sorted(folder.glob("*.xml")):
        for name, outcome in results(suite):
            counts[outcome] += 1
            if outcome == "failed":
                failed.add(name)
            if outcome == "skipped":
                skipped.add(name)
    logs = "".join(path.read_text(errors="replace") for path in folder.glob("*.log"))
    failed_once = set(re.findall(r"Test +#\d+: (\S.*?) \.+ *\*\*\*", logs)) | set(
        re.findall(r"^\[  FAILED  \] ([^\s,]+\.[^\s,]+)", logs, re.MULTILINE))
    for name in sorted(failed):
        print("FAILED:", name)
    for name in sorted(failed_once - failed - skipped):
        print("PASSED ONLY WHEN REPEATED:", name)
    print(f'{counts["passed"]} passed, {counts["failed"]} failed, {counts["skipped"]} skipped')
    return counts["failed"] > 0 or not counts


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
