#!/usr/bin/python3
"""Writes the reference part of steadynat.yaml(5): the schema says what each key means, to editors and here.

    keys.py SCHEMA TEMPLATE >PAGE     the line @KEYS@ of the template becomes the entries of all keys
"""
import json
import sys


def resolve(schema, node):
    """The node with what it refers to; what stands in the node itself goes first."""
    while "$ref" in node:
        target = schema
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    return node


def keys(schema, node=None, path=()):
    """(path, node, required) of every key, in the order of the schema. Names of a person's choice stand in capitals."""
    node = resolve(schema, schema if node is None else node)
    for name, child in node.get("properties", {}).items():
        child = resolve(schema, child)
        yield (*path, name), child, name in node.get("required", [])
        yield from keys(schema, child, (*path, name))
    more = node.get("additionalProperties")
    if isinstance(more, dict):
        yield from keys(schema, more, (*path, node["x-name"]))
    if isinstance(node.get("items"), dict):
        yield from keys(schema, node["items"], (*path[:-1], path[-1] + "[]") if path else path)
    for form in node.get("anyOf", []):
        yield from keys(schema, form, path)


def is_section(schema, node):
    """True when the keys below it say it all; false where a plain value may stand instead of them."""
    plain = any("properties" not in resolve(schema, form) for form in node.get("anyOf", []))
    return not plain and any(True for _ in keys(schema, node, ("x",)))


def kind(schema, node):
    """The type as a person calls it."""
    node = resolve(schema, node)
    if "title" in node:
        return node["title"]
    if "const" in node:
        return str(node["const"])
    if "enum" in node:
        words = [str(word) for word in node["enum"]]
        return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]
    if "anyOf" in node:
        return ", or ".join(kind(schema, form) for form in node["anyOf"])
    if node["type"] == "array":
        return "list of: " + kind(schema, node["items"])
    if node["type"] == "object":
        more = node.get("additionalProperties")
        return f"map of {node['x-name']}: {kind(schema, more)}" if isinstance(more, dict) else "map"
    return {"boolean": "true or false"}.get(node["type"], node["type"])


def yaml(value):
    """In one line, as it stands in a file."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(yaml(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key}: {yaml(item)}" for key, item in value.items()) + " }"
    return str(value)


def escape(text):
    """For scdoc, in which these begin something."""
    return "".join("\\" + c if c in "\\_*`[]#<>|" else c for c in text)


def entry(schema, path, node, required):
    lines = ["*" + escape(".".join(path)) + "*"]
    if not is_section(schema, node):
        facts = [escape(kind(schema, node))]
        if required:
            facts.append("required")
        elif "default" in node:
            facts.append("default " + escape(yaml(node["default"])))
        elif "x-default" in node:
            facts.append("default: " + escape(node["x-default"]))
        else:
            facts.append("default: none")
        lines[0] += " (" + "; ".join(facts) + ")"
    elif required:
        lines[0] += " (required)"
    lines.append("\t" + escape(node["description"]))
    if not is_section(schema, node):
        lines += ["", "\tExample: " + escape(f"{path[-1]}: {yaml(node['examples'][0])}")]
    return "\n".join(lines) + "\n"


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        schema = json.load(file)
    with open(sys.argv[2], encoding="utf-8") as file:
        template = file.read()
    entries = "\n".join(entry(schema, *key) for key in keys(schema))
    sys.stdout.write(template.replace("@KEYS@\n", entries))


if __name__ == "__main__":
    main()
