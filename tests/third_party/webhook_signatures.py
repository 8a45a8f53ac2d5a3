"""Verifies webhooks as receivers do, with libraries of others, by the machine's clock: `standardwebhooks` is the
specification's own, `svix` that of the company that proposed it, and `cryptography` knows ed25519, which they do not.

Reads orders as JSON lines and prints an answer for each:

    {"library": "svix", "secret": "whsec_…", "headers": {"webhook-id": "…", …}, "body": "…"}
      -> {"refused": null} or {"refused": "why"}
"""

import base64
import importlib.util
import json
import pathlib
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook, WebhookVerificationError


def svix_webhook():
    """Svix' verifier without its API client, which needs a dozen packages more."""
    folder = importlib.util.find_spec("svix").submodule_search_locations[0]
    spec = importlib.util.spec_from_file_location("svix_webhooks", pathlib.Path(folder) / "webhooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Webhook


def ed25519(secret, headers, body):
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(secret.removeprefix("whpk_")))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body}".encode("utf-8")
    for signature in headers["webhook-signature"].split(" "):
        kind, _, text = signature.partition(",")
        if kind != "v1a":
            continue
        try:
            public.verify(base64.b64decode(text), signed)
        except InvalidSignature:
            continue
        return
    raise WebhookVerificationError("no signature matches")


LIBRARIES = {
    "standardwebhooks": lambda secret, headers, body: Webhook(secret).verify(body.encode("utf-8"), headers),
    "svix": lambda secret, headers, body: svix_webhook()(secret).verify(body.encode("utf-8"), headers),
    "cryptography": ed25519,
}


def verify(library, secret, headers, body):
    try:
        LIBRARIES[library](secret, headers, body)
    except WebhookVerificationError as refused:
        return {"refused": str(refused)}
    return {"refused": None}


for line in sys.stdin:
    print(json.dumps(verify(**json.loads(line))))
