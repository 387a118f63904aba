"""What Helm makes of the chart, for the tests."""

import pathlib
import subprocess

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
HELM = ROOT / "build/tools/helm"
CHART = ROOT / "charts/backfill-operator"
NAMESPACE = "backfill-system"


class Refused(Exception):
    """Helm did not render it; the text is what a user reads."""


def text(*arguments, namespace=NAMESPACE, **settings):
    """`helm template` with --set NAME=VALUE for each of the settings; a dot in a name is written as __."""
    flags = [word for name, value in settings.items() for word in ("--set-json", f"{name.replace('__', '.')}={value}")]
    done = subprocess.run(
        [HELM, "template", "backfill-operator", CHART, "--namespace", namespace, *arguments, *flags],
        capture_output=True, text=True, check=False, timeout=60)
    if done.returncode != 0:
        raise Refused(done.stderr)
    return done.stdout


def objects(*arguments, **settings):
    return [o for o in yaml.safe_load_all(text(*arguments, **settings)) if o is not None]


def installed(*arguments, **settings):
    """Without what `helm test` brings for a moment."""
    return [o for o in objects(*arguments, **settings) if "helm.sh/hook" not in o["metadata"].get("annotations", {})]


def only(rendered, kind, name=None):
    found = [o for o in rendered if o["kind"] == kind and name in (None, o["metadata"]["name"])]
    if len(found) != 1:
        raise AssertionError(f"{len(found)} of kind {kind} {name or ''}")
    return found[0]
