#!/usr/bin/python3
"""Writes spec.md from the schema that the program validates with. With --check only compares."""

import argparse
import pathlib
import re
import sys
import textwrap

import yaml

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CRD = "crds/backfill.dev_backfills.yaml"
EXAMPLES = ["examples/orders/backfill.yaml", "examples/orders/backfill-batch.yaml"]

# What is shown, or says nothing to who writes a file. Another keyword ends the generator: a limit
# must not get lost on the way to the page.
SHOWN = {
    "type", "description", "title", "required", "properties", "items", "additionalProperties",
    "default", "enum", "minimum", "maximum", "minLength", "maxLength", "pattern", "minItems", "maxItems",
    "maxProperties", "x-kubernetes-validations",
}
SILENT = {
    "format", "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
    "x-kubernetes-preserve-unknown-fields",
}

INTRO = """# The file, field by field

<!-- Made by docs/reference/generate.py from {crd}: change that, then run `docs/reference/generate.py`. -->

A file declares one Backfill, in YAML or JSON. `backfill lint -f FILE` says what is wrong with it, with line and column;
unknown fields are refused. Why things are so: [concepts](../concepts.md). A first file of your own:
[first backfill](../first-backfill.md).

The column *default* shows what holds where nothing is said; *required* must be given; *none* means that it is simply absent.
"""

ENVELOPE = """
| field | value |
|---|---|
| `apiVersion` | `{api_version}` |
| `kind` | `{kind}` |
| `metadata.name` | {name} |
| `metadata.namespace` | {namespace}; `default` if neither the file nor `-n` names one |
| `metadata.labels`, `metadata.annotations` | as everywhere in Kubernetes; labels are kept by `retry` |

The other fields of `metadata`, which an API server sets, are accepted and ignored, so a printed object can be run again.
"""


def grouped(number):
    return f"{number:,}"


def code(text):
    """Placeholders, and what hangs together with them, as code."""
    return re.sub(r"[^\s`(]*\{\{[^}]*\}\}[^\s`,;.)]*", lambda m: f"`{m.group()}`", text)


def cell(text):
    return " ".join(text.split()).replace("|", "\\|")


def paragraph(text, indent=""):
    return textwrap.fill(" ".join(text.split()), 128, subsequent_indent=indent,
                         break_long_words=False, break_on_hyphens=False)


def sentence(text):
    text = " ".join(text.split())
    is_name = not text.split()[0].islower()  # such as certFile
    return (text if is_name else text[:1].upper() + text[1:]) + ("" if text.endswith(".") else ".")


def bounds(schema, low, high, unit, title=""):
    """"from 1 to 20", "at most 128 characters": what the title does not say already."""
    lowest, highest = schema.get(low), schema.get(high)
    if highest is not None and (re.search(rf"\b{highest}\b", title) or title.startswith("one ")):
        return ""
    if unit:  # that a text is not empty goes without saying
        return f"at most {grouped(highest)} {unit}" if highest is not None else ""
    if lowest is not None and highest is not None:
        return f"from {grouped(lowest)} to {grouped(highest)}"
    return f"at least {grouped(lowest)}" if lowest is not None else ""


def kind_of(schema, path):
    """What a value is, in words."""
    check_keywords(schema, path)
    kind = schema["type"]
    title = schema.get("title", "")
    if "enum" in schema:
        return "one of " + ", ".join(f"`{value}`" for value in schema["enum"])
    if kind == "string":
        if "pattern" in schema and not title:
            sys.exit(f"{path}: a pattern needs a title that says it in words")
        limit = bounds(schema, "minLength", "maxLength", "characters", title)
        return ", ".join(part for part in (code(title) or "text", limit) if part)
    if kind in ("integer", "number"):
        name = "integer" if kind == "integer" else "number"
        limit = bounds(schema, "minimum", "maximum", "", title)
        return title or (f"{name}, {limit}" if limit else name)
    if kind == "boolean":
        return "`true` or `false`"
    if kind == "array":
        limit = bounds(schema, "minItems", "maxItems", "entries")
        items = schema["items"]
        of = "objects" if "properties" in items else kind_of(items, path + "[]")
        return f"list{', ' + limit if limit else ''}; each {of}" if of != "objects" else (
            f"list of [objects]({anchor(path + '[]')}){', ' + limit if limit else ''}")
    if kind == "object" and "additionalProperties" in schema:
        limit = bounds(schema, "minProperties", "maxProperties", "entries")
        return f"map, {limit}; each {kind_of(schema['additionalProperties'], path + '.*')}"
    if kind == "object":
        return f"[object]({anchor(path)})" if "properties" in schema else title
    sys.exit(f"{path}: the generator does not know the type {kind}")


def check_keywords(schema, path):
    unknown = set(schema) - SHOWN - SILENT
    if unknown:
        sys.exit(f"{path}: the generator does not know the keywords {', '.join(sorted(unknown))}")


def anchor(path):
    return "#" + re.sub(r"[^a-z0-9-]", "", path.lower())


def default_of(name, schema, parent):
    if name in parent.get("required", []):
        return "required"
    if "default" not in schema:
        return "none"
    value = schema["default"]
    if "properties" in schema:
        return "those inside"
    if value in ("", [], {}):
        return "empty"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    needs_quotes = isinstance(value, str) and yaml.safe_load(value) != value
    return f'`"{value}"`' if needs_quotes else f"`{value}`"


def rules_of(schema):
    return schema.get("x-kubernetes-validations", [])


def rule_text(rule):
    message = sentence(rule["message"])
    field = rule.get("fieldPath", "").lstrip(".")
    return f"`{field}`: {message[:1].lower() + message[1:]}" if field else message


def meaning(schema):
    text = " ".join(schema.get("description", "").split())
    if "properties" in schema:
        return code(re.split(r"(?<=\.) ", text)[0])  # the section of the object says it all
    for rule in rules_of(schema) + rules_of(schema.get("items", {})):
        if "properties" in schema.get("items", {}):
            continue  # they stand in the section of the object
        said = rule["message"].removeprefix("must be ").lower()
        if said not in text.lower() and said not in schema.get("title", "").lower():
            text += " " + sentence(rule["message"])
    return code(text)


class Changes:
    """What the rules with oldSelf say of the fields of the spec."""

    def __init__(self, rules):
        self.rules = [rule for rule in rules if "oldSelf" in rule["rule"]]
        self.of = {rule["fieldPath"].removeprefix(".spec.").removeprefix(".spec"): rule["message"]
                   for rule in self.rules}

    def fixed(self, name):
        return "is fixed once planned" in self.of.get(name, "")

    def cell(self, name):
        if name not in self.of:
            return "yes"
        return "until planned" if self.fixed(name) else self.of[name].split(";")[0]


def table(schema, path, out, changes=None, status=False):
    columns = ["field", "value"]
    if not status:
        columns.append("default")
    if changes:
        columns.append("may change")
    columns.append("meaning")
    out.append("")
    out.append("| " + " | ".join(columns) + " |")
    out.append("|" + "---|" * len(columns))
    for name, field in schema["properties"].items():
        row = [f"`{name}`", kind_of(field, f"{path}.{name}")]
        if not status:
            row.append(default_of(name, field, schema))
        if changes:
            row.append(changes.cell(name))
        row.append(meaning(field))
        out.append("| " + " | ".join(cell(text) for text in row) + " |")


def section(schema, path, out, changes, status=False, note=""):
    """The object at `path`, then those in it."""
    check_keywords(schema, path)
    is_spec = path == "spec"
    out.append("")
    out.append(f"{'##' if path in ('spec', 'status') else '###'} {path}")
    text = " ".join(part for part in (schema.get("description", ""), note) if part)
    if text:
        out.append(paragraph(code(text)))
    table(schema, path, out, changes if is_spec else None, status)
    rules = [rule_text(rule) for rule in rules_of(schema)]
    if rules:
        out.append("")
        out.extend(f"- {code(rule)}" for rule in rules)
    for name, field in schema["properties"].items():
        inner, where = (field["items"], f"{path}.{name}[]") if field["type"] == "array" else (
            field, f"{path}.{name}")
        if "properties" not in inner:
            continue
        note = ""
        if is_spec and changes.fixed(name) and "Fixed once planned" not in field["description"]:
            note = "Fixed once planned."
        section(inner, where, out, changes, status, note)


def page():
    crd = yaml.safe_load((ROOT / CRD).read_text())["spec"]
    version = crd["versions"][0]
    root = version["schema"]["openAPIV3Schema"]
    meta = yaml.safe_load((ROOT / "operator/api/object_meta.yaml").read_text())["properties"]
    rules = rules_of(root)
    changes = Changes(rules)
    name_rule = next(r for r in rules if r.get("fieldPath") == ".metadata.name")
    out = [INTRO.format(crd=CRD).rstrip("\n"), ENVELOPE.format(
        api_version=f"{crd['group']}/{version['name']}", kind=crd["names"]["kind"],
        name="required; " + name_rule["message"].removeprefix("must be "),
        namespace=meta["namespace"]["title"]).rstrip("\n")]

    out += ["", "## Rules across fields"]
    out += [f"- {rule_text(rule)}" for rule in rules
            if rule not in changes.rules and rule is not name_rule]
    out += ["", "## What may change", paragraph(
        "Before it is planned everything may. Later, with `backfill apply -f FILE` or by running the changed "
        "file, also while it runs:")]
    out += [""] + [f"- {rule_text(rule)}" for rule in changes.rules]
    free = [f"`{name}`" for name in root["properties"]["spec"]["properties"]
            if name not in changes.of]
    out.append(paragraph(f"- Free to change until the end: {', '.join(free)}.", "  "))

    section(root["properties"]["spec"], "spec", out, changes)
    section(root["properties"]["status"], "status", out, changes, status=True, note=(
        "`backfill status NAME -o json` prints it. It is written by the program; in a file it is ignored."))

    out += ["", "## Examples"]
    for example in EXAMPLES:
        out += ["", f"[{example}](../../{example}):", "", "```yaml",
                (ROOT / example).read_text().rstrip("\n"), "```"]
    return "\n".join(out) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if spec.md is not up to date")
    check = parser.parse_args().check
    target = HERE / "spec.md"
    text = page()
    if not check:
        target.write_text(text)
    elif not target.exists() or target.read_text() != text:
        sys.exit(f"docs/reference/spec.md is not what {CRD} says: run docs/reference/generate.py")


if __name__ == "__main__":
    main()
