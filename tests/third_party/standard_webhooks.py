"""Verifies webhooks as the library of the Standard Webhooks specification does, by the machine's clock.

Reads orders as JSON lines and prints an answer for each:

    {"secret": "whsec_…", "headers": {"webhook-id": "…", …}, "body": "…"}  -> {"refused": null} or {"refused": "why"}
"""

import json
import sys

from standardwebhooks import Webhook, WebhookVerificationError


def verify(secret, headers, body):
    try:
        Webhook(secret).verify(body.encode("utf-8"), headers)
    except WebhookVerificationError as refused:
        return {"refused": str(refused)}
    return {"refused": None}


for line in sys.stdin:
    print(json.dumps(verify(**json.loads(line))))
