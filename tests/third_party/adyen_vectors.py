"""Prints webhooks of Adyen with signatures, and what Adyen's own library says of each item: JSON lines of

    {"name": "…", "hmac_key": "hex", "body": "the webhook as it is sent", "valid": [true, …]}

`valid` has one entry per item, in order. The library joins the signed fields with colons and escapes nothing, so that a
colon may move from one field into its neighbour without breaking the signature; such items are marked valid, too,
because that is what the library says.
"""

import json

from Adyen.util import generate_notification_sig, is_valid_hmac_notification

KEY = "9D0C057550C48EC2ACF6BA05644782DEF547AAA06C910C43932B1EB0C71FC68D"
OTHER_KEY = "00" * 31 + "FF"


def item(**fields):
    """An item, unsigned."""
    return {
        "pspReference": "7914073381342284",
        "originalReference": "",
        "merchantAccountCode": "TestMerchant",
        "merchantReference": "ch_019a0000000070008000000000010000",
        "amount": {"value": 1130, "currency": "EUR"},
        "eventCode": "AUTHORISATION",
        "eventDate": "2026-11-22T10:00:00+01:00",
        "paymentMethod": "visa",
        "success": "true",
        **fields,
    }


def signed(unsigned, key=KEY):
    """The item with its signature among its additional data."""
    signature = generate_notification_sig(unsigned, key).decode("ascii")
    return {**unsigned, "additionalData": {"hmacSignature": signature, "expiryDate": "12/2030"}}


def with_signature(unsigned, signature):
    return {**unsigned, "additionalData": {"hmacSignature": signature}}


def says(one):
    """What the library says; to it, an item without a signature is nothing to verify, or an error."""
    try:
        return is_valid_hmac_notification(one, KEY) is True
    except (KeyError, ValueError):
        return False


def show(name, *items):
    body = {"live": "false", "notificationItems": [{"NotificationRequestItem": one} for one in items]}
    valid = [says(one) for one in items]
    print(json.dumps({"name": name, "hmac_key": KEY, "body": json.dumps(body, ensure_ascii=False), "valid": valid}))


plain = signed(item())
without_original = item()
del without_original["originalReference"]
signature = plain["additionalData"]["hmacSignature"]

show("plain", plain)
show("no original reference at all", signed(without_original))
show("original reference", signed(item(originalReference="8313547924770610", eventCode="CAPTURE")))
show("every text empty", signed(item(pspReference="", merchantAccountCode="", merchantReference="", eventCode="", success="")))
show("colons in the merchant reference", signed(item(merchantReference="a:b::c:")))
show("backslashes in the merchant reference", signed(item(merchantReference="a\\b\\\\c\\:d\\")))
show("other letters in the merchant reference", signed(item(merchantReference="Füße 🧾 \"quoted\" 100%")))
show("zero amount", signed(item(amount={"value": 0, "currency": "EUR"})))
show("large amount", signed(item(amount={"value": 999999999999, "currency": "IDR"})))
show("failed", signed(item(success="false", reason="Refused")))
show("a colon moved between fields", with_signature(item(merchantAccountCode="TestMerchant:a", merchantReference="b"),
     signed(item(merchantAccountCode="TestMerchant", merchantReference="a:b"))["additionalData"]["hmacSignature"]))
show("fields that are not signed differ", {**plain, "reason": "changed", "paymentMethod": "mc", "eventDate": "later"})

for field, value in [
    ("pspReference", "7914073381342285"),
    ("originalReference", "7914073381342284"),
    ("merchantAccountCode", "OtherMerchant"),
    ("merchantReference", "ch_019a0000000070008000000000010001"),
    ("amount", {"value": 1131, "currency": "EUR"}),
    ("amount", {"value": 1130, "currency": "USD"}),
    ("eventCode", "CAPTURE"),
    ("success", "false"),
]:
    show(f"tampered {field} {value}", {**plain, field: value})
show("signed with another key", signed(item(), OTHER_KEY))
show("no additional data", item())
show("no signature", {**item(), "additionalData": {"expiryDate": "12/2030"}})
show("empty signature", with_signature(item(), ""))
show("signature cut short", with_signature(item(), signature[:-2]))
show("signature in other letters", with_signature(item(), signature.swapcase()))
show("signature in hexadecimal", with_signature(item(), "ab" * 32))
show("signature that is no base64", with_signature(item(), "!" * 44))

refund = signed(item(pspReference="8825408195409505", originalReference="7914073381342284", eventCode="REFUND"))
show("several items", plain, refund, signed(item(success="false")))
show("several items, the second tampered", plain, {**refund, "success": "false"}, plain)
show("several items, signatures swapped", with_signature(item(), refund["additionalData"]["hmacSignature"]),
     {**refund, "additionalData": plain["additionalData"]})
show("no items")
