//! Adyen's wire format: Checkout v71, authorizations answered at once, modifications by webhook.
//!
//! Sources: <https://docs.adyen.com/api-explorer/Checkout/71/overview>,
//! <https://docs.adyen.com/development-resources/api-idempotency>,
//! <https://docs.adyen.com/development-resources/refusal-reasons>,
//! <https://docs.adyen.com/development-resources/webhooks/verify-hmac-signatures>.

mod documents;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::Sha256;
use workflow::money::{Currency, Money};
use workflow::payment::FailureCategory;
use workflow::port::gateway::Operation;

use super::{Asked, Decline, Dialect, Fact, Freshness, Happened, Incoming, Inquiry, Item, News, Signed, WireAnswer};

/// Adyen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Adyen;

/// Code, reason, and what a gateway has to make of it.
const REFUSALS: &[(&str, &str, FailureCategory)] = &[
    ("12", "Not enough balance", FailureCategory::SoftDecline),
    ("2", "Refused", FailureCategory::SoftDecline),
    ("5", "Blocked Card", FailureCategory::HardDecline),
    ("6", "Expired Card", FailureCategory::HardDecline),
    ("8", "Invalid Card Number", FailureCategory::HardDecline),
    ("9", "Issuer Unavailable", FailureCategory::SoftDecline),
    ("11", "3D Not Authenticated", FailureCategory::Authentication),
    ("20", "FRAUD", FailureCategory::HardDecline),
    ("38", "Authentication required", FailureCategory::Authentication),
];

/// The longest idempotency key.
const MAX_KEY: usize = 64;
/// Items that are put into one webhook. Adyen may put more; six show that all are read.
const MAX_ITEMS: usize = 6;
/// Who sells.
pub const MERCHANT_ACCOUNT: &str = "TestkitCOM";

impl Dialect for Adyen {
    fn psp(&self) -> &'static str {
        "adyen"
    }

    fn routes(&self) -> &'static [(&'static str, Operation)] {
        &[
            ("POST /v71/payments", Operation::Authorize),
            ("POST /v71/payments/{pspReference}/captures", Operation::Capture),
            ("POST /v71/payments/{pspReference}/cancels", Operation::Void),
            ("POST /v71/payments/{pspReference}/reversals", Operation::Void),
            ("POST /v71/cancels", Operation::Void),
            ("POST /v71/payments/{pspReference}/refunds", Operation::Refund),
        ]
    }

    fn payment_method(&self) -> &'static str {
        "shopper-1/8415736344108917"
    }

    fn credentials(&self) -> &'static str {
        "x-api-key"
    }

    fn read(&self, request: &Incoming) -> Result<Asked, String> {
        // The version stands in the URL that the gateway is configured with.
        let path = request.path.strip_prefix("/v71").unwrap_or(&request.path);
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        let (operation, otherwise, id) = match (request.method.as_str(), parts.as_slice()) {
            ("POST", ["payments"]) => (Operation::Authorize, None, None),
            ("POST", ["cancels"]) => (Operation::Void, None, None),
            ("POST", ["payments", id, "captures"]) => (Operation::Capture, None, Some(*id)),
            ("POST", ["payments", id, "cancels"]) => (Operation::Void, None, Some(*id)),
            ("POST", ["payments", id, "reversals"]) => (Operation::Void, Some(Operation::Refund), Some(*id)),
            ("POST", ["payments", id, "refunds"]) => (Operation::Refund, None, Some(*id)),
            _other => return Err("Adyen has no such route".to_owned()),
        };
        let body = request.json()?;
        let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        if text("/merchantAccount").is_none() {
            return Err("every request names its merchantAccount".to_owned());
        }
        let key = request.header("idempotency-key").map(str::to_owned);
        if key.as_ref().is_some_and(|key| key.len() > MAX_KEY) {
            return Err(format!("an idempotency key has at most {MAX_KEY} characters"));
        }
        let amount_wire = body.pointer("/amount/value").and_then(Value::as_i64);
        let needs_amount = matches!(operation, Operation::Authorize | Operation::Capture | Operation::Refund);
        if needs_amount && (amount_wire.is_none() || text("/amount/currency").is_none()) {
            return Err("amount has a value (an integer) and a currency".to_owned());
        }
        let currency = text("/amount/currency").map(|code| code.parse().map_err(|_| format!("{code} is no currency")));
        let card = ["/paymentMethod/storedPaymentMethodId", "/paymentMethod/encryptedCardNumber"];
        Ok(Asked {
            operation,
            otherwise,
            psp_reference: id.map(str::to_owned),
            merchant_reference: text("/paymentReference").or_else(|| text("/reference")),
            payment_method: card.into_iter().find_map(text),
            amount_wire,
            currency: currency.transpose()?,
            key,
        })
    }

    fn answer(&self, asked: &Asked, fact: Fact<'_>) -> WireAnswer {
        let answer = match fact {
            Fact::Done { account, .. } | Fact::Declined { account, .. } | Fact::Impossible { account, .. }
                if asked.operation == Operation::Authorize =>
            {
                WireAnswer::json(200, &documents::payment(account))
            }
            // Every modification is received first; what came of it is told by webhook.
            Fact::Done { account, deed, .. }
            | Fact::Declined { account, deed, .. }
            | Fact::Impossible { account, deed } => WireAnswer::json(201, &documents::received(account, asked, deed)),
            Fact::Missing => error(422, "167", "Original pspReference required for this operation", "validation"),
            Fact::Rejected(code) => error(422, code, "Told by the mock PSP", "validation"),
            Fact::ServerError => error(500, "910", "Told by the mock PSP", "internal").with("transient-error", "true"),
            Fact::Throttled(wait) => {
                error(429, "029", "Too many requests", "security").with("retry-after", wait.as_secs())
            }
            Fact::KeyReused => error(422, "704", "request already processed or in progress", "validation"),
        };
        match &asked.key {
            Some(key) => answer.with("idempotency-key", key),
            None => answer,
        }
    }

    fn is_stored(&self, status: u16) -> bool {
        // A transient error is not stored: the same key tries again.
        status < 429 && !matches!(status, 401 | 403)
    }

    fn inquiry(&self) -> Inquiry {
        Inquiry::Replays
    }

    fn decline(&self, code: &str) -> Result<Decline, String> {
        let found = REFUSALS.iter().find(|(number, reason, _)| *number == code || reason.eq_ignore_ascii_case(code));
        let known = || REFUSALS.iter().map(|(number, reason, _)| format!("{number} ({reason})")).collect::<Vec<_>>();
        found
            .map(|(number, _, category)| Decline { code: (*number).to_owned(), category: *category })
            .ok_or_else(|| format!("{code} is no refusal the mock Adyen knows; it knows {}", known().join(", ")))
    }

    fn declines(&self) -> Vec<Decline> {
        REFUSALS.iter().filter_map(|(code, ..)| self.decline(code).ok()).collect()
    }

    fn reference(&self, number: u64, _operation: Operation) -> String {
        format!("MOCK{number:012}")
    }

    fn write_amount(&self, money: Money) -> Option<i64> {
        let minor = money.amount_minor;
        match shift(money.currency)? {
            Shift::None => Some(minor),
            Shift::Up => minor.checked_mul(100),
            Shift::Down => (minor % 100 == 0).then_some(minor / 100),
        }
    }

    fn read_amount(&self, amount: i64, currency: Currency) -> Option<Money> {
        let amount_minor = match shift(currency)? {
            Shift::None => amount,
            Shift::Up => (amount % 100 == 0).then_some(amount / 100)?,
            Shift::Down => amount.checked_mul(100)?,
        };
        Some(Money { amount_minor, currency })
    }

    fn item(&self, news: &News) -> Option<Item> {
        let (event_code, success) = match news.happened {
            Happened::Authorized => ("AUTHORISATION", true),
            Happened::Declined => ("AUTHORISATION", false),
            Happened::Captured => ("CAPTURE", true),
            Happened::Voided => ("CANCELLATION", true),
            Happened::Refunded => ("REFUND", true),
            Happened::Failed(Operation::Capture) => ("CAPTURE", false),
            Happened::Failed(Operation::Void) => ("CANCELLATION", false),
            Happened::Failed(Operation::Refund) => ("REFUND", false),
            Happened::ActionRequired | Happened::Pending | Happened::Failed(_) => return None,
        };
        let body = documents::notification(news, event_code, success);
        Some(Item { news: news.clone(), kind: event_code.to_owned(), body })
    }

    fn max_items(&self) -> usize {
        MAX_ITEMS
    }

    fn sign(&self, items: &[Item], secret: &str, _at: Timestamp) -> Signed {
        let signed: Vec<Value> = items
            .iter()
            .map(|item| {
                let mut body = item.body.clone();
                body["additionalData"]["hmacSignature"] = hmac_signature(&item.body, secret).into();
                json!({ "NotificationRequestItem": body })
            })
            .collect();
        let body = json!({"live": "false", "notificationItems": signed});
        Signed { headers: Vec::new(), body: body.to_string().into_bytes() }
    }

    fn freshness(&self) -> Freshness {
        Freshness::Timeless
    }

    fn webhook_secret(&self, number: u8) -> String {
        format!("{number:02X}{}", "4D5E6F708192A3B4C5D6E7F8091A2B3C4D5E6F708192A3B4C5D6E7F8091A2B")
    }
}

/// HMAC-SHA256 under the key's bytes, over the signed fields with colons between them, in base64.
fn hmac_signature(item: &Value, secret: &str) -> String {
    let fields = [
        "/pspReference",
        "/originalReference",
        "/merchantAccountCode",
        "/merchantReference",
        "/amount/value",
        "/amount/currency",
        "/eventCode",
        "/success",
    ];
    let text = |pointer: &&str| match item.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(_) | None => String::new(),
    };
    let signed = fields.iter().map(text).collect::<Vec<_>>().join(":");
    let key = hex::decode(secret).expect("an Adyen HMAC key is hexadecimal");
    let mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes a key of any length");
    STANDARD.encode(mac.chain_update(signed).finalize().into_bytes())
}

fn error(status: u16, code: &str, message: &str, kind: &str) -> WireAnswer {
    WireAnswer::json(status, &json!({"status": status, "errorCode": code, "message": message, "errorType": kind}))
}

/// How Adyen's decimals differ from ISO 4217: <https://docs.adyen.com/development-resources/currency-codes>.
enum Shift {
    None,
    /// Two decimals that ISO 4217 does not have.
    Up,
    /// None of the two that ISO 4217 has.
    Down,
}

fn shift(currency: Currency) -> Option<Shift> {
    match (currency.to_string().as_str(), currency.exponent()) {
        ("clp" | "isk", _) => Some(Shift::Up),
        ("cve" | "idr", _) => Some(Shift::Down),
        (_, 0..=3) => Some(Shift::None),
        _other => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Adyen's own libraries' tests.
    #[test]
    fn a_notification_is_signed_as_adyens_own_libraries_sign_it() {
        let item = json!({
            "pspReference": "7914073381342284", "originalReference": "", "merchantAccountCode": "TestMerchant",
            "merchantReference": "TestPayment-1407325143704", "amount": {"value": 1130, "currency": "EUR"},
            "eventCode": "AUTHORISATION", "success": "true",
        });
        let key = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056";
        assert_eq!(hmac_signature(&item, key), "coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0=");
    }
}
