#!/usr/bin/python3
"""Writes the JSON Schema of a Backfill for tools that review files without a cluster (kubeconform, editors). --check only compares.

It says what the definition says in JSON Schema's words, and refuses unknown fields, as `kubectl apply` does. Rules in CEL are not in it:
`backfill lint` knows those as well.
"""

import json
import pathlib
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CRD = ROOT / "crds/backfill.dev_backfills.yaml"
FOLDER = pathlib.Path(__file__).resolve().parent / "schemas"


def converted(node):
    out = {}
    for key, value in node.items():
        if key.startswith("x-kubernetes-"):
            continue
        if key == "properties":
            out[key] = {name: converted(below) for name, below in value.items()}
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            out[key] = converted(value)
        else:
            out[key] = value
    if "properties" in out and not node.get("x-kubernetes-preserve-unknown-fields"):
        out.setdefault("additionalProperties", False)
    return out


def main():
    crd = yaml.safe_load(CRD.read_text())["spec"]
    (version,) = crd["versions"]
    schema = converted(version["schema"]["openAPIV3Schema"])
    schema["properties"] |= {
        "apiVersion": {"const": f"{crd['group']}/{version['name']}"},
        "kind": {"const": crd["names"]["kind"]},
        "metadata": {"type": "object"},  # Kubernetes's own
    }
    schema["required"] = sorted({*schema.get("required", []), "apiVersion", "kind", "metadata"})
    text = json.dumps({"$schema": "http://json-schema.org/draft-07/schema#", **schema}, indent=1) + "\n"
    file = FOLDER / crd["group"] / f"{crd['names']['singular']}_{version['name']}.json"
    if sys.argv[1:] == ["--check"]:
        if not file.exists() or file.read_text() != text:
            sys.exit(f"{file.relative_to(ROOT)} is not what {CRD.relative_to(ROOT)} makes: make generate")
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


if __name__ == "__main__":
    main()
