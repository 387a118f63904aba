"""What gets into an image, and that a program runs from that alone.

  python3 -m unittest stage_test    (in this folder; BACKFILL_BIN is the folder of the binaries)
"""

import os
import pathlib
import stat
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("BACKFILL_BIN", ROOT / "build/release/bin"))
LIMIT = 60_000_000


def stage(root, *programs):
    return subprocess.run([ROOT / "packaging/stage.py", "--root", root, *programs], capture_output=True, text=True, check=False)


class Stage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.root = pathlib.Path(cls.folder.name, "root")
        done = stage(cls.root, BIN / "backfill-worker")
        assert done.returncode == 0, done.stderr

    @unittest.skipUnless(os.geteuid() == 0, "only root may chroot")
    def test_a_worker_runs_from_it_and_says_what_it_lacks(self):
        done = subprocess.run(["/usr/sbin/chroot", "--userspec=65532:65532", self.root, "/usr/bin/backfill-worker"],
                              capture_output=True, text=True, check=False, timeout=20, env={})
        self.assertEqual(done.returncode, 78, done.stdout + done.stderr)
        self.assertIn("BACKFILL_COORDINATOR is not set", done.stdout + done.stderr)

    def test_nothing_but_the_program_can_be_run(self):
        runnable = {str(p.relative_to(self.root)) for p in self.root.rglob("*")
                    if p.is_file() and p.stat().st_mode & 0o111 and ".so" not in p.name}
        self.assertEqual(runnable, {"usr/bin/backfill-worker"})

    def test_nothing_gives_rights(self):
        for path in self.root.rglob("*"):
            mode = path.stat().st_mode
            self.assertFalse(mode & (stat.S_ISUID | stat.S_ISGID), path)
            if path.name != "tmp":
                self.assertFalse(mode & stat.S_IWOTH, path)

    def test_it_is_small(self):
        self.assertLess(sum(p.stat().st_size for p in self.root.rglob("*") if p.is_file()), LIMIT)

    def test_it_holds_what_tls_and_names_need(self):
        for name in ("etc/ssl/certs/ca-certificates.crt", "etc/nsswitch.conf", "etc/passwd"):
            self.assertTrue((self.root / name).is_file(), name)

    def test_staging_again_leaves_nothing_of_before(self):
        (self.root / "stray").write_text("x")
        self.assertEqual(stage(self.root, BIN / "backfill-worker").returncode, 0)
        self.assertFalse((self.root / "stray").exists())


class Refused(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def test_a_program_that_is_not_built(self):
        done = stage(self.folder / "root", self.folder / "absent")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("absent is not there: build it first", done.stderr)

    def test_a_library_that_is_missing(self):
        (self.folder / "lib.c").write_text("int f(void) { return 0; }")
        (self.folder / "main.c").write_text("int f(void); int main(void) { return f(); }")
        library, program = self.folder / "libgone.so", self.folder / "program"
        subprocess.run(["gcc", "-shared", "-o", library, self.folder / "lib.c"], check=True)
        subprocess.run(["gcc", "-o", program, self.folder / "main.c", library], check=True)
        library.unlink()
        done = stage(self.folder / "root", program)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("needs a library that is not on this machine", done.stderr)
        self.assertIn("libgone.so", done.stderr)


if __name__ == "__main__":
    unittest.main()
