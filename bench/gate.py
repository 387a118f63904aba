#!/usr/bin/python3
"""Counts instructions and system calls of short, fixed runs, and fails when one of them has risen: see limits.json.

Counts do not depend on how busy the machine is, as time does. The worker sends records to the target, one a request and
100 a request, and counts with all that it does (start, leases, reports); files are planned and read. Instructions are
valgrind's (callgrind), which has AVX2 and no AVX-512; system calls are strace's, without those that wait.
"""
import argparse, collections, concurrent.futures, json, os, pathlib, re, subprocess, sys, tempfile

from ground import BIN, ROOT, Target, check_complete, spec
from row_files import FIELDS, FORMAT, KEY, KINDS, row_file

LIMITS = ROOT / "bench/limits.json"
ROWS = 100_000
Run = collections.namedtuple("Run", "name records batch")
WORKER_RUNS = (Run("single", 20_000, 1), Run("batch", 200_000, 100))
INSTRUCTIONS = ["valgrind", "--tool=callgrind", "--log-file=/dev/null", "--callgrind-out-file={}"]
# How often it waits depends on how busy the machine is, so waits are left out.
SYSTEM_CALLS = ["strace", "-f", "-c", "-U", "name,calls", "-e", "trace=!epoll_wait,futex,clock_nanosleep", "-o", "{}"]


def count_instructions(folder):
    return sum(int(re.search(r"^summary: (\d+)", out.read_text(), re.MULTILINE)[1]) for out in folder.glob("counted*"))


def count_system_calls(folder):
    return int(re.search(r"^total\s+(\d+)", (folder / "counted").read_text(), re.MULTILINE)[1])


def run(command, cwd, **variables):
    done = subprocess.run(list(map(str, command)), cwd=cwd, env={**os.environ, **variables}, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
    if done.returncode != 0:
        sys.exit(f"{command[0]} failed:\n{done.stdout[-2000:]}")


def worker(tool, count, records, batch):
    """What a worker takes for a record, by this tool."""
    with Target(records) as target, tempfile.TemporaryDirectory(prefix="backfill-gate-") as name:
        folder = pathlib.Path(name)
        tool = " ".join(tool).format(folder / "counted")
        script = folder / "worker"
        script.write_text(f'#!/bin/sh\nexec {tool} {BIN / "backfill-worker"} "$@"\n')
        script.chmod(0o700)
        (folder / "gate.yaml").write_text(spec(target.url, records, batch))
        run([BIN / "backfill", "run", "-f", "gate.yaml", "--no-progress"], folder, BACKFILL_WORKER_BINARY=str(script))
        check_complete("the worker", target.stats())
        return count(folder) / records


def rows(what, kind):
    """Instructions a row of rows_bench, as in rows_contest.py."""
    keys = KEY if what == "plan" else FIELDS
    with tempfile.TemporaryDirectory(prefix="backfill-gate-") as name:
        folder = pathlib.Path(name)
        file = folder / "rows"
        file.symlink_to(row_file(kind, ROWS))
        if what == "read":
            run([BIN / "rows_bench", "plan", FORMAT[kind], file, *KEY[kind]], folder)
        tool = [part.format(folder / "counted") for part in INSTRUCTIONS]
        run([*tool, BIN / "rows_bench", what, FORMAT[kind], file, *keys[kind]], folder)
        return count_instructions(folder) / ROWS


def measurements():
    """Name: a function that counts."""
    found = {}
    for r in WORKER_RUNS:
        found[f"{r.name}: instructions a record"] = lambda r=r: worker(INSTRUCTIONS, count_instructions, r.records, r.batch)
        found[f"{r.name}: system calls a record"] = lambda r=r: worker(SYSTEM_CALLS, count_system_calls, r.records, r.batch)
    for kind in KINDS:
        for what in ("plan", "read"):
            found[f"{what} {kind}: instructions a row"] = lambda w=what, k=kind: rows(w, k)
    return found


def rounded(figure):
    return float(f"{figure:.4g}")


def judge(name, figure, limits):
    """One line of the table, and whether it is within its limit."""
    if name not in limits:
        return f"  {name:36} {figure:10,.4g} {'new':>10}", False
    limit, tolerance = limits[name]["figure"], limits[name]["tolerance"]
    change = figure / limit - 1
    text = f"  {name:36} {figure:10,.4g} {limit:10,.4g} {change:+8.1%}"
    if change > tolerance:
        return f"{text}  has risen; at most {tolerance:+.0%} is allowed", False
    return text + ("  has fallen: accept it, so that it stays" if change < -tolerance else ""), True


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--accept", action="store_true", help="write what is counted now to limits.json")
    given = options.parse_args()
    limits = json.loads(LIMITS.read_text()) if LIMITS.exists() else {}
    for kind in KINDS:
        row_file(kind, ROWS)
    work = measurements()
    with concurrent.futures.ThreadPoolExecutor(min(2, os.cpu_count())) as pool:
        counted = {name: done.result() for name, done in {n: pool.submit(f) for n, f in work.items()}.items()}
    if given.accept:
        accepted = {name: {"figure": rounded(figure), "tolerance": limits.get(name, {}).get("tolerance", 0.10)}
                    for name, figure in counted.items()}
        LIMITS.write_text("{\n" + ",\n".join(f"  {json.dumps(n)}: {json.dumps(a)}" for n, a in accepted.items()) + "\n}\n")
        limits = accepted
    print(f"  {'':36} {'now':>10} {'limit':>10}")
    lines = [judge(name, figure, limits) for name, figure in counted.items()]
    print("\n".join(text for text, _ in lines))
    if not all(within for _, within in lines):
        print("gate: more than allowed. If that is what it has to cost: bench/gate.py --accept, and say why in the commit.")
        return 1
    print("gate: nothing has risen")
    return 0


if __name__ == "__main__":
    sys.exit(main())
