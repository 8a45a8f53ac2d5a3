"""What no schema can say of our requests, told to schemathesis, and a check of our own.

Requests that are made up to be valid are adjusted before they are sent, so that the check "valid data is accepted" says
something about each of them. Requests that are made up to be wrong are left as they are.
"""

import hashlib
import json
import re

import schemathesis

# These take every amount that the schema allows; others are refused for some amounts, by currency and PSP.
CURRENCIES = ["eur", "USD", "jpy", "GBP"]
KEY = "Idempotency-Key"
LAST = "Last-Event-ID"
# What the schema's pattern says, less the host names that no parser of URLs takes.
PLAIN_URL = re.compile(r"https://[a-z]+(\.[a-z]+)*(/[!-~]*)?")


def is_valid(case, *locations):
    """Whether these parts of a request were made up to be valid."""
    return all(info.mode.is_positive for at, info in case.meta.components.items() if at.name in locations)


@schemathesis.hook
def before_call(ctx, case, kwargs):
    if case.meta is None:
        return
    if is_valid(case, "BODY"):
        adjust_body(case.body)
    if is_valid(case, "QUERY") and case.query:
        adjust_query(case.query)
    if is_valid(case, "HEADER") and case.headers and LAST in case.headers:
        # Only what this very charge has got to.
        case.headers[LAST] = "0"
    if is_valid(case, "HEADER") and case.headers and KEY in case.headers:
        case.headers[KEY] = own_key(case, case.headers[KEY])


def adjust_body(body):
    """Makes one of a valid body that is valid beyond its schema."""
    if not isinstance(body, dict):
        return
    # JSON Schema calls 7.0 an integer. We do not: whoever writes money as a decimal number computes with it as one.
    if isinstance(body.get("amount"), float):
        body["amount"] = int(body["amount"])
    if isinstance(body.get("currency"), str):
        body["currency"] = CURRENCIES[sum(map(ord, body["currency"])) % len(CURRENCIES)]
    # Their names are those of the PSP accounts that a server is configured with.
    body.pop("fallback_payment_methods", None)
    if isinstance(body.get("return_url"), str) and not PLAIN_URL.fullmatch(body["return_url"]):
        body["return_url"] = "https://shop.example/return"
    # A pattern cannot say which hosts are on the public internet.
    if isinstance(body.get("url"), str):
        body["url"] = "https://shop.example.com/hooks"


def adjust_query(query):
    """Makes one of a valid query that is valid beyond its schema."""
    if isinstance(query.get("currency"), str):
        query["currency"] = CURRENCIES[sum(map(ord, query["currency"])) % len(CURRENCIES)]
    # A page lies behind one of them or before the other.
    if "starting_after" in query:
        query.pop("ending_before", None)


def own_key(case, made_up):
    """A key of the same length for each different request: equal requests may well repeat each other."""
    path = case.operation.path + json.dumps(case.path_parameters, default=repr, sort_keys=True)
    body = json.dumps(case.body, default=repr, sort_keys=True)
    name = hashlib.sha256((path + body).encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return name + made_up[len(name) :]


@schemathesis.check
def documented_problem(ctx, response, case):
    """Every problem's code is one that the document has for this answer: examples are named after codes."""
    documented = case.operation.definition.raw.get("responses", {}).get(str(response.status_code))
    if response.status_code < 400 or documented is None:
        return
    code = response.json()["code"]
    codes = documented["content"]["application/problem+json"]["examples"]
    assert code in codes, f"{code} is not documented for {response.status_code}, only {', '.join(codes)}"
