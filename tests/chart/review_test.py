"""Files of Backfills as a pull request has them checked without a cluster: by kubeconform and the schema in docs/reference/schemas.

  python3 -m unittest review_test    (in this folder)
"""

import subprocess
import unittest

import yaml

import chart

KUBECONFORM = chart.ROOT / "build/tools/kubeconform"
SCHEMAS = chart.ROOT / "docs/reference/schemas"


def review(text):
    # As docs/install.md says it.
    done = subprocess.run([KUBECONFORM, "-strict", "-schema-location",
                           f"{SCHEMAS}/{{{{.Group}}}}/{{{{.ResourceKind}}}}_{{{{.ResourceAPIVersion}}}}.json"],
                          input=text, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


class Review(unittest.TestCase):
    def changed(self, change):
        file = yaml.safe_load((chart.ROOT / "examples/orders/backfill.yaml").read_text())
        change(file)
        return review(yaml.safe_dump(file))

    def test_the_examples_pass(self):
        examples = sorted((chart.ROOT / "examples").rglob("backfill*.yaml"))
        self.assertGreater(len(examples), 2)
        for example in examples:
            with self.subTest(example=example.name):
                code, said = review(example.read_text())
                self.assertEqual(code, 0, said)

    def test_what_is_wrong_is_said_with_its_place(self):
        for change, words in (
                (lambda f: f["spec"].update(dryrun=False), "'dryrun' not allowed"),
                (lambda f: f["spec"]["workers"].update(replicas="2"), "/spec/workers/replicas"),
                (lambda f: f["spec"]["throttle"].update(maxRecordsPerSecond=-1), "/spec/throttle/maxRecordsPerSecond"),
                (lambda f: f["spec"].pop("source"), "missing"),
                (lambda f: f.update(kind="Backfil"), "could not find schema")):
            with self.subTest(words=words):
                code, said = self.changed(change)
                self.assertNotEqual(code, 0)
                self.assertIn(words, said)


if __name__ == "__main__":
    unittest.main()
