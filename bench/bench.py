#!/usr/bin/python3
"""Measures what a record costs, beside other programs that send the same records to the same target.

The contestants take turns, so that a machine whose speed drifts is fair to all. What counts is records per second of CPU
time of the whole process tree (runner and worker together, with ledger, leases, pacing, reports). A run is void unless the
target has seen every record. See README.md beside this file; gate.py counts what does not drift.
"""
import argparse, json, os, pathlib, platform, shutil, socket, statistics, subprocess, sys, tempfile, time

from ground import BIN, BUILD, CLIENT_CPU, CONNECTIONS, ROOT, TARGET_CPU, Target, Void, check_complete, measure, spec
from rows_contest import rows_contest

PARTS = ["single", "batch", "rows", "start"]

def run_backfill(target, records, batch, cwd):
    (cwd / "bench.yaml").write_text(spec(target.url, records, batch))
    return [BIN / "backfill", "run", "-f", "bench.yaml", "--no-progress"]


def run_go(target, records, batch, cwd):
    return [BUILD / "post", "-url", target.url, "-n", str(records), "-c", str(CONNECTIONS), "-batch", str(batch)]


def run_wrk(target, records, batch, cwd):
    # wrk stops by time, not by count.
    return ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(2, round(records / 100_000))}s", "-s", ROOT / "bench/peers/post.lua", target.url]


def run_h2load(target, records, batch, cwd):
    # It repeats one request: it says nothing about ids, and renders nothing.
    (cwd / "body").write_text('{"id":0,"padding":"' + "x" * 40 + '"}')
    return ["h2load", "--h1", "-t1", "-m1", "-n", str(records), "-c", str(CONNECTIONS), "-d", "body", "-H", "Content-Type: application/json", target.url + "/r/0"]


def check(name, stats, records):
    if name == "wrk":
        # What was in flight when its time was over is the only thing that may be missing or unanswered.
        if stats["distinct"] + stats["outside"] < stats["records"] - CONNECTIONS or stats["duplicates"] > 0:
            raise Void(f"wrk sent ids twice: {stats}")
    elif name == "h2load":
        if stats["records"] != records:
            raise Void(f"h2load sent {stats['records']} of {records}")
    else:
        check_complete(name, stats)


def once(name, start, records, batch):
    with Target(records) as target, tempfile.TemporaryDirectory(prefix="backfill-bench-") as folder:
        cwd = pathlib.Path(folder)
        figures = measure(start(target, records, batch, cwd), cwd)
        del figures["printed"]
        stats = target.stats()
        check(name, stats, records)
        return {**figures, "records": stats["records"], "per_cpu_second": stats["records"] / figures["cpu"]}


def contest(title, contestants, records, batch, rounds):
    print(f"\n{title}: {records:,} records, {CONNECTIONS} connections, {rounds} rounds in turn")
    runs = {name: [] for name in contestants}
    for round_ in range(rounds + 1):  # the first one warms up
        for name, start in contestants.items():
            figures = once(name, start, records, batch)
            if round_ > 0:
                runs[name].append(figures)
    rows = {}
    for name, figures in runs.items():
        ratios = [b["per_cpu_second"] / f["per_cpu_second"] for b, f in zip(runs["backfill"], figures)]
        rows[name] = {"per_cpu_second": statistics.median(f["per_cpu_second"] for f in figures),
                      "backfill_to_it": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios),
                      "user_share": statistics.median(f["user"] / f["cpu"] for f in figures),
                      "wall": statistics.median(f["wall"] for f in figures), "rss_mib": max(f["rss_mib"] for f in figures)}
    print(f"  {'':10} {'records/CPU-s':>14} {'backfill to it':>15} {'from - to':>14} {'user':>6} {'wall s':>7} {'RSS MiB':>8}")
    for name, r in rows.items():
        print(f"  {name:10} {r['per_cpu_second']:14,.0f} {r['backfill_to_it']:15.2f} {r['lowest']:6.2f} - {r['highest']:<5.2f} "
              f"{r['user_share']:6.0%} {r['wall']:7.2f} {r['rss_mib']:8.0f}")
    return rows


def first_record(rounds):
    """From the start of the command to the first byte of the first request at the target, in milliseconds."""
    times = []
    for _ in range(rounds + 1):
        with socket.create_server(("127.0.0.1", 0)) as server, tempfile.TemporaryDirectory(prefix="backfill-bench-") as folder:
            cwd = pathlib.Path(folder)
            (cwd / "bench.yaml").write_text(spec(f"http://127.0.0.1:{server.getsockname()[1]}", 1, 1))
            server.settimeout(20)
            started = time.monotonic()
            process = subprocess.Popen([BIN / "backfill", "run", "-f", "bench.yaml", "--no-progress"], cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            connection, _ = server.accept()
            connection.recv(1)
            times.append((time.monotonic() - started) * 1000)
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            connection.close()
            process.wait(timeout=30)
    median = statistics.median(times[1:])
    print(f"\nstart to first record at the target: {median:.0f} ms (from {min(times[1:]):.0f} to {max(times[1:]):.0f})")
    return {"median_ms": median, "lowest_ms": min(times[1:]), "highest_ms": max(times[1:])}


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--records", type=int, default=1_000_000, help="of the contest with one record a request; of few, the start of the command is what is measured")
    options.add_argument("--only", nargs="*", default=PARTS, choices=PARTS)
    options.add_argument("--rows", type=int, default=10_000_000, help="of the files that are planned and read")
    options.add_argument("--json", type=pathlib.Path, default=BUILD / "results.json")
    given = options.parse_args()
    for tool in ("wrk", "h2load", "taskset"):
        if shutil.which(tool) is None:
            sys.exit(f"{tool} is missing: run make bench, which installs it")
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, Linux {platform.release()}; client on CPU {CLIENT_CPU}, target on CPU {TARGET_CPU}")
    results = {}
    if "single" in given.only:
        results["single"] = contest("one record a POST", {"backfill": run_backfill, "wrk": run_wrk, "h2load": run_h2load, "go": run_go},
                                    given.records, 1, given.rounds)
    if "batch" in given.only:
        for batch in (100, 1000):
            results[f"batch{batch}"] = contest(f"{batch} records a POST", {"backfill": run_backfill, "go": run_go}, 10 * given.records, batch, given.rounds)
    if "rows" in given.only:
        results["rows"] = rows_contest(given.rows, given.rounds)
    if "start" in given.only:
        results["start"] = first_record(given.rounds)
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps(results, indent=2) + "\n")
    print(f"\n{given.json}")


if __name__ == "__main__":
    main()
