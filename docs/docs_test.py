"""What the documents say of files, commands and each other is so. BACKFILL_BIN is the folder of the binaries.

  python3 -m unittest docs_test    (in this folder)
"""

import os
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = pathlib.Path(os.environ.get("BACKFILL_BIN", ROOT / "build/release/bin"))
FOLDERS = [d for d in ROOT.iterdir() if d.is_dir() and d.name != "build" and not d.name.startswith(".")]
PAGES = sorted(page for pages in [ROOT.glob("*.md"), *(d.rglob("*.md") for d in FOLDERS)] for page in pages)
FENCED = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def backfill(*arguments, stdin=""):
    return subprocess.run([BIN / "backfill", *arguments], input=stdin, capture_output=True, text=True, check=False)


def anchors(page):
    """The headings of a page as GitHub makes links of them."""
    headings = re.findall(r"^#+ +(.*)$", FENCED.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.strip().lower()).replace(" ", "-") for h in headings}


def shown_commands(text):
    """The command lines that a page shows: indented, in a block, or in backticks."""
    lines = re.findall(r"^(?:    |> )(?:\$ )?(.*)$", text, re.MULTILINE)
    lines += [line for kind, block in FENCED.findall(text) if kind in ("", "sh", "bash") for line in block.splitlines()]
    lines += re.findall(r"`([^`\n]+)`", FENCED.sub("", text))
    for line in lines:
        yield from re.findall(r"(?:^|[|&;] )(backfill [a-z][^|;&#]*)", line)


class Documents(unittest.TestCase):
    def test_links_lead_somewhere(self):
        for page in PAGES:
            for link in re.findall(r"\]\(([^)\s]+)\)", FENCED.sub("", page.read_text())):
                if link.startswith(("http:", "https:")):
                    continue
                with self.subTest(page=page.name, link=link):
                    path, _, anchor = link.partition("#")
                    target = page.parent / path if path else page
                    self.assertTrue(target.exists(), "there is no such file")
                    if anchor:
                        self.assertIn(anchor, anchors(target))

    def test_files_that_are_shown_are_valid(self):
        shown = 0
        for page in PAGES:
            for kind, text in FENCED.findall(page.read_text()):
                if kind != "yaml" or "kind: Backfill" not in text:
                    continue
                shown += 1
                with self.subTest(page=page.name):
                    checked = backfill("lint", "-f", "-", stdin=text)
                    self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)
        self.assertGreater(shown, 3)

    def test_the_example_of_the_runtime_is_the_one_that_runs(self):
        runtime = ROOT / "operator/kube"
        sources = [(runtime / "example" / name).read_text() for name in ("copier.h", "main.cc")]
        shown = [text for kind, text in FENCED.findall((runtime / "README.md").read_text()) if kind == "cpp"]
        self.assertEqual(len(shown), len(sources))
        for text, source in zip(shown, sources):
            self.assertIn(text, source)
        self.assertLessEqual(sum(source.count("\n") for source in sources), 60, "the README says so")

    def test_commands_and_options_exist(self):
        helps = {}
        shown = 0
        for page in PAGES:
            for command in shown_commands(page.read_text()):
                name = command.split()[1].strip("`.,:")
                if name not in helps:
                    helps[name] = backfill(name, "--help")
                shown += 1
                with self.subTest(page=page.name, command=command):
                    self.assertEqual(helps[name].returncode, 0, f"there is no command {name}")
                    for option in re.findall(r"(?<= )(--?[a-z][a-z-]*)", command):
                        self.assertRegex(helps[name].stdout, rf"(?<![\w-]){option}(?![\w-])")
        self.assertGreater(shown, 50)


if __name__ == "__main__":
    unittest.main()
