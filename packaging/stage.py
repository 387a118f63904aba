#!/usr/bin/env python3
"""Lays out the root file system of an image: programs, the libraries that they load, and what a process expects to find.

  packaging/stage.py --root DIR [--tree DIR]... [--file FROM=TO]... PROGRAM...

Nothing else gets into it: no shell, no package manager, nothing to log in with. A library that is missing ends it.
"""

import argparse
import pathlib
import re
import shutil
import subprocess
import sys

USER = 65532  # as the "nonroot" of other images; no account of this number is on any machine
CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
# Debian's own copies of what it can compile again, the tests of what is staged, and where this machine stands.
NOT_STAGED = shutil.ignore_patterns("localtime", "__pycache__", "test", "tests", "idlelib", "lib2to3", "ensurepip", "*.a", "config-*")
ACCOUNTS = {
    "etc/passwd": f"root:x:0:0:root:/:/nologin\nbackfill:x:{USER}:{USER}:backfill:/:/nologin\n",
    "etc/group": f"root:x:0:\nbackfill:x:{USER}:\n",
    # Without it glibc asks no files before the name server.
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}


def libraries(program):
    """What the loader would load for it: pairs of the path in the image and the file to copy."""
    answer = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        if "not a dynamic executable" in answer.stderr:
            return
        sys.exit(f"ldd {program}: {answer.stderr.strip()}")
    for line in answer.stdout.splitlines():
        if "not found" in line:
            sys.exit(f"{program} needs a library that is not on this machine:{line.rstrip()}")
        found = re.match(r"\s*(?:(\S+) => )?(/\S+) \(0x", line)
        if found is None:
            continue  # linux-vdso, which the kernel brings
        name, path = found.groups()
        # The loader stands where the program says; all others in one folder that it searches.
        yield (path if name is None else f"/usr/lib/{multiarch()}/{name}"), path


def multiarch():
    return subprocess.run(["gcc", "-print-multiarch"], capture_output=True, text=True, check=True).stdout.strip()


def put(root, source, target, mode=0o755):
    to = root / target.lstrip("/")
    if to.exists():
        return
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, to)  # follows links: what is copied is the file
    to.chmod(mode)


def strip(file):
    subprocess.run(["strip", "--strip-unneeded", str(file)], check=True)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--root", type=pathlib.Path, required=True)
    arguments.add_argument("--tree", type=pathlib.Path, action="append", default=[], help="a folder to copy as it is")
    arguments.add_argument("--file", action="append", default=[], metavar="FROM=TO")
    arguments.add_argument("programs", type=pathlib.Path, nargs="+", metavar="PROGRAM")
    given = arguments.parse_args()

    root = given.root
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    root.chmod(0o755)

    loads = []
    for program in given.programs:
        if not program.is_file():
            sys.exit(f"{program} is not there: build it first")
        staged = f"/usr/bin/{program.name}"
        put(root, program, staged)
        strip(root / staged.lstrip("/"))
        loads.append(program)
    for tree in given.tree:
        shutil.copytree(tree, root / str(tree).lstrip("/"), ignore=NOT_STAGED)
        loads += sorted(tree.rglob("*.so"))
    for pair in given.file:
        source, _, target = pair.partition("=")
        put(root, source, target)
    for loaded in loads:
        for target, source in libraries(loaded):
            put(root, source, target)

    put(root, CA_BUNDLE, CA_BUNDLE, mode=0o644)
    for name, text in ACCOUNTS.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o644)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    # What is mounted into a pod: with a read-only root nothing could make the folder.
    for mounted in ("proc", "sys", "dev", "var/run/secrets"):
        (root / mounted).mkdir(parents=True)


if __name__ == "__main__":
    main()
