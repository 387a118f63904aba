"""Planning and reading a file, beside programs that only count its lines or split them."""
import pathlib, re, statistics, subprocess, sys, tempfile, time

from ground import BIN, Target, Void, measure
from row_files import FIELDS, FORMAT, KEY, KINDS, row_file

PYTHON_ROWS = 1_000_000  # of the file's front: it takes seconds for each
MAX_READER_MIB = 32

SPEC = """apiVersion: backfill.dev/v1alpha1
kind: Backfill
metadata: {{name: bench}}
spec:
  source:
    file: {{path: {file}, format: NdJson, key: id}}
  target:
    http:
      url: {url}/batch
      headers: {{Content-Type: application/json}}
      body: '{{"records":{{{{records}}}}}}'
  workers: {{replicas: 1, concurrency: 32, batchSize: 1000}}
  throttle: {{maxRecordsPerSecond: 10000000}}
  dryRun: false
  performDisruptiveBackfill: bench
"""

PYTHON = {
    "Csv": "import csv,itertools,sys\nn=b=0\nfor r in itertools.islice(csv.reader(open(sys.argv[1],newline='')),1,None):\n  n+=1;b+=len(r[0])\nprint(n,'rows')",
    "Lines": "import sys\nn=b=0\nfor l in open(sys.argv[1]):\n  n+=1;b+=len(l)\nprint(n,'rows')",
    "NdJson": "import json,sys\nn=b=0\nfor l in open(sys.argv[1]):\n  n+=1;b+=json.loads(l)['id']\nprint(n,'rows')",
}
AWK = {"Csv": ["-F,", "{ n += length($1) } END { print NR - 1, \"rows\" }"],
       "Lines": ["{ n += length($1) } END { print NR, \"rows\" }"],
       "NdJson": ["-F\"", "{ n += length($3) } END { print NR, \"rows\" }"]}


def contestants(kind, rows):
    """Name: command, and how many rows it has to see."""
    path, few = row_file(kind, rows), row_file(kind, min(rows, PYTHON_ROWS))
    format_ = FORMAT[kind]
    bench = BIN / "rows_bench"
    header = 1 if format_ == "Csv" else 0
    return {
        "memchr": ([bench, "count", format_, path], rows + header),
        "plan": ([bench, "plan", format_, path, *KEY[kind]], rows),
        "read": ([bench, "read", format_, path, *FIELDS[kind]], rows),
        "wc -l": (["wc", "-l", path], rows + header),
        "awk": (["awk", *AWK[format_], path], rows),
        "python": (["/usr/bin/python3", "-c", PYTHON[format_], few], min(rows, PYTHON_ROWS)),
    }


def rows_contest(rows, rounds):
    results = {kind: one_kind(kind, rows, rounds) for kind in KINDS}
    results["worker_rss_mib"] = worker_memory(rows)
    return results


def worker_memory(rows):
    """The most that a worker takes which sends the NdJson file, 1,000 rows a request."""
    with Target(1) as target, tempfile.TemporaryDirectory(prefix="backfill-bench-") as folder:
        pathlib.Path(folder, "bench.yaml").write_text(SPEC.format(file=row_file("NdJson", rows), url=target.url))
        run = subprocess.Popen([BIN / "backfill", "run", "-f", "bench.yaml", "--no-progress"], cwd=folder,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        peak = 0
        while run.poll() is None:
            peak = max([peak, *peaks_of_children(run.pid)])
            time.sleep(0.05)
        # The target knows keys, which whole rows are not: what is checked is that all requests came.
        if run.returncode != 0 or target.stats()["requests"] < rows / 1000:
            raise Void(f"the worker did not send {rows} rows")
    print(f"\na worker that sends the NdJson file: {peak:.1f} MiB at most")
    if peak > MAX_READER_MIB:
        sys.exit(f"that is more than the {MAX_READER_MIB} MiB that are allowed")
    return peak


def peaks_of_children(parent):
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            status = (process / "status").read_text()
        except OSError:
            continue  # it has ended
        if re.search(rf"^PPid:\t{parent}$", status, re.MULTILINE):
            yield int(re.search(r"^VmHWM:\s+(\d+)|\Z", status, re.MULTILINE)[1] or 0) / 1024


def one_kind(kind, rows, rounds):
    print(f"\n{kind}: {rows:,} rows, {rounds} rounds in turn")
    programs = contestants(kind, rows)
    runs = {name: [] for name in programs}
    with tempfile.TemporaryDirectory(prefix="backfill-bench-") as folder:
        for round_ in range(rounds + 1):  # the first one warms up
            for name, (command, expected) in programs.items():
                figures = measure(command, pathlib.Path(folder))
                printed = figures["printed"]
                if not re.search(rf"\b{expected}\b", printed):
                    raise Void(f"{name} did not see {expected} rows: {printed}")
                memory = re.search(r"(\d+) KiB", printed)
                if round_ > 0:
                    runs[name].append({"per_cpu_second": expected / figures["cpu"],
                                       "rss_mib": int(memory[1]) / 1024 if memory else None})
    return table(kind, runs)


def table(kind, runs):
    def ratios(name, other):
        return [a["per_cpu_second"] / b["per_cpu_second"] for a, b in zip(runs[name], runs[other])]

    result = {}
    print(f"  {'':8} {'rows/CPU-s':>12} {'of memchr':>10} {'from - to':>14} {'times awk':>10} {'RSS MiB':>8}")
    for name, figures in runs.items():
        of_memchr = ratios(name, "memchr")
        r = {"per_cpu_second": statistics.median(f["per_cpu_second"] for f in figures),
             "of_memchr": statistics.median(of_memchr), "lowest": min(of_memchr), "highest": max(of_memchr),
             "times_awk": statistics.median(ratios(name, "awk")), "rss_mib": max((f["rss_mib"] for f in figures if f["rss_mib"]), default=None)}
        result[name] = r
        print(f"  {name:8} {r['per_cpu_second']:12,.0f} {r['of_memchr']:10.2f} {r['lowest']:6.2f} - {r['highest']:<5.2f} "
              f"{r['times_awk']:10.1f} {'' if r['rss_mib'] is None else format(r['rss_mib'], '.1f'):>8}")
    if result["read"]["rss_mib"] > MAX_READER_MIB:
        sys.exit(f"reading {kind} takes {result['read']['rss_mib']:.0f} MiB, at most {MAX_READER_MIB} are allowed")
    return result
