"""Says of webhooks what Adyen's own library says of each of their items. Reads JSON lines

    {"hmac_key": "hex", "body": "the webhook as it is sent"}

and answers each with {"valid": [true, …]}, one entry per item, in order.
"""

import json
import sys

from Adyen.util import is_valid_hmac_notification

for line in sys.stdin:
    order = json.loads(line)
    items = json.loads(order["body"])["notificationItems"]
    valid = [is_valid_hmac_notification(one["NotificationRequestItem"], order["hmac_key"]) is True for one in items]
    print(json.dumps({"valid": valid}))
