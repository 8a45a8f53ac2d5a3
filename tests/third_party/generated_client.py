"""Generates a client from the document that a server serves, and takes a payment with it from request to refund.

Reads {"url": …, "key": …} on standard input, and prints what it was told on the way as one JSON object.
"""

import importlib
import json
import pathlib
import subprocess
import sys
import tempfile
import uuid


def generate(url, folder):
    config = folder / "config.yaml"
    # What is generated is run, not read: nobody needs it formatted.
    config.write_text("post_hooks: []\n", encoding="utf-8")
    program = pathlib.Path(sys.executable).with_name("openapi-python-client")
    command = [program, "generate", "--url", f"{url}/openapi.json", "--meta", "none", "--config", config]
    command += ["--output-path", folder / "client", "--fail-on-warning"]
    subprocess.run(command, check=True, stdout=sys.stderr)
    sys.path.insert(0, str(folder))


def operation(tag, name):
    return importlib.import_module(f"client.api.{tag}.{name}")


def take_a_payment(url, key):
    models = importlib.import_module("client.models")
    client = importlib.import_module("client").AuthenticatedClient(
        base_url=url, token=key, raise_on_unexpected_status=True
    )

    def new_key():
        return str(uuid.uuid4())

    asked = models.ChargeRequest(
        amount=1999,
        currency="eur",
        payment_method="pm_card_visa",
        capture_method=models.CaptureMethod.MANUAL,
        metadata=models.Metadata.from_dict({"order": "7"}),
    )
    same = new_key()
    create = operation("charges", "create_charge")
    created = create.sync_detailed(client=client, body=asked, idempotency_key=same)
    again = create.sync_detailed(client=client, body=asked, idempotency_key=same)
    charge = created.parsed
    told = {"created": int(created.status_code), "status": charge.status.value, "version": created.headers["FinCore-Version"]}
    told["replayed"] = [again.headers.get("Idempotency-Replayed"), again.parsed.id == charge.id]

    retrieve = operation("charges", "retrieve_charge")
    waited = retrieve.sync(charge.id, client=client, wait=30)
    told["waited"] = [waited.status.value, waited.amount_authorized, waited.metadata.to_dict()]

    part = models.CaptureRequest(amount=1500)
    operation("charges", "capture_charge").sync(charge.id, client=client, body=part, idempotency_key=new_key())
    captured = retrieve.sync(charge.id, client=client, wait=30, expand=[models.Expansion.HISTORY])
    told["captured"] = [captured.status.value, captured.amount_captured]
    told["history"] = [captured.history.data[0].event.value, captured.history.data[-1].to.value]

    listed = operation("charges", "list_charges").sync(client=client, limit=1)
    told["listed"] = [one.id for one in listed.data] == [charge.id]
    missing = retrieve.sync("ch_0197f3c2a1b47c6e8d5f00112233aaba", client=client)
    told["missing"] = [type(missing).__name__, missing.code, missing.status]
    told["refunded"] = refund(client, models, charge.id, new_key)
    return told


def refund(client, models, charge_id, new_key):
    """Gives a part back."""
    part = models.RefundRequest(amount=500, reason=models.RefundReason.REQUESTED_BY_CUSTOMER)
    create = operation("refunds", "create_refund")
    created = create.sync(charge_id, client=client, body=part, idempotency_key=new_key())
    refunded = operation("refunds", "retrieve_refund").sync(created.id, client=client, wait=30)
    return [refunded.status.value, refunded.amount, refunded.charge == charge_id]


def main():
    order = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as folder:
        generate(order["url"], pathlib.Path(folder))
        print(json.dumps(take_a_payment(**order)))


main()
