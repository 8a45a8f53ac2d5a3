"""Signs and verifies webhooks as Stripe's own library does.

Reads orders as JSON lines and prints an answer for each:

    {"sign": {"secret": "whsec_…", "time_s": 1790000000, "body": "…"}}    -> {"header": "t=…,v1=…"}
    {"verify": {"secret": "whsec_…", "header": "t=…,v1=…", "body": "…"}}  -> {"refused": null} or {"refused": "why"}

Verifying takes the machine's clock and the library's own tolerance.
"""

import json
import sys

import stripe


def sign(secret, time_s, body):
    return {"header": stripe.WebhookSignature.generate_signature_header(body, secret, timestamp=time_s)}


def verify(secret, header, body):
    try:
        stripe.Webhook.construct_event(body.encode("utf-8"), header, secret)
    except stripe.SignatureVerificationError as refused:
        return {"refused": refused.user_message or str(refused)}
    return {"refused": None}


for line in sys.stdin:
    order = json.loads(line)
    answer = sign(**order["sign"]) if "sign" in order else verify(**order["verify"])
    print(json.dumps(answer))
