//! Stripe's wire format: PaymentIntents that are created, confirmed and captured in three calls.
//!
//! Sources: <https://docs.stripe.com/api/payment_intents>, <https://docs.stripe.com/api/errors>,
//! <https://docs.stripe.com/api/idempotent_requests>, <https://docs.stripe.com/webhooks/signature>.

mod documents;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde_json::json;
use sha2::Sha256;
use workflow::money::{Currency, Money};
use workflow::payment::FailureCategory;
use workflow::port::gateway::Operation;

use super::{Asked, Decline, Dialect, Fact, Freshness, Happened, Incoming, Inquiry, Item, News, Signed, WireAnswer};

/// Stripe.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stripe;

/// Decline codes by kind: <https://docs.stripe.com/declines/codes>. Any other is taken for a soft one.
const SOFT: &[&str] = &[
    "insufficient_funds",
    "generic_decline",
    "do_not_honor",
    "processing_error",
    "try_again_later",
    "card_velocity_exceeded",
    "issuer_not_available",
];
const HARD: &[&str] = &[
    "stolen_card",
    "lost_card",
    "pickup_card",
    "fraudulent",
    "expired_card",
    "incorrect_number",
    "card_not_supported",
    "currency_not_supported",
    "invalid_account",
    "transaction_not_allowed",
];
const AUTHENTICATION: &[&str] = &["authentication_required", "authentication_not_handled"];

const INTENTS: &str = "/v1/payment_intents";

impl Dialect for Stripe {
    fn psp(&self) -> &'static str {
        "stripe"
    }

    fn routes(&self) -> &'static [(&'static str, Operation)] {
        &[
            ("POST /v1/payment_intents", Operation::Register),
            ("POST /v1/payment_intents/{id}/confirm", Operation::Authorize),
            ("POST /v1/payment_intents/{id}/capture", Operation::Capture),
            ("POST /v1/payment_intents/{id}/cancel", Operation::Void),
            ("POST /v1/refunds", Operation::Refund),
            ("GET /v1/payment_intents/{id}", Operation::Inquire),
        ]
    }

    fn credentials(&self) -> &'static str {
        "authorization"
    }

    fn read(&self, request: &Incoming) -> Result<Asked, String> {
        let rest = request.path.strip_prefix(INTENTS);
        let parts: Option<Vec<&str>> = rest.map(|rest| rest.split('/').skip(1).collect());
        let (operation, id) = match (request.method.as_str(), parts.as_deref()) {
            ("POST", Some([])) => (Operation::Register, None),
            ("POST", Some([id, "confirm"])) => (Operation::Authorize, Some(*id)),
            ("POST", Some([id, "capture"])) => (Operation::Capture, Some(*id)),
            ("POST", Some([id, "cancel"])) => (Operation::Void, Some(*id)),
            ("GET", Some([id])) => (Operation::Inquire, Some(*id)),
            ("POST", None) if request.path == "/v1/refunds" => (Operation::Refund, None),
            _other => return Err("Stripe has no such route".to_owned()),
        };
        if operation != Operation::Inquire && !request.body.is_empty() {
            let kind = request.header("content-type").unwrap_or("none");
            if !kind.starts_with("application/x-www-form-urlencoded") {
                return Err(format!("Stripe takes forms, and the content type is {kind}"));
            }
        }
        let form = request.form();
        let field = |name: &str| form.get(name).cloned();
        let amount = field("amount").or_else(|| field("amount_to_capture"));
        if operation == Operation::Register && (amount.is_none() || !form.contains_key("currency")) {
            return Err("an intent needs an amount and a currency".to_owned());
        }
        Ok(Asked {
            operation,
            otherwise: None,
            psp_reference: id.map(str::to_owned).or_else(|| field("payment_intent")),
            merchant_reference: field("metadata[fincore_payment]"),
            payment_method: field("payment_method"),
            amount_wire: amount
                .map(|text| text.parse().map_err(|_| format!("the amount {text} is no integer")))
                .transpose()?,
            currency: field("currency")
                .map(|code| code.parse().map_err(|_| format!("{code} is no currency")))
                .transpose()?,
            key: request.header("idempotency-key").map(str::to_owned),
        })
    }

    fn answer(&self, asked: &Asked, fact: Fact<'_>) -> WireAnswer {
        let is_expanded = asked.operation == Operation::Inquire;
        match fact {
            Fact::Done { account, deed, money } if asked.operation == Operation::Refund => {
                WireAnswer::json(200, &documents::refund(account, deed, money))
            }
            Fact::Done { account, .. } if is_expanded => WireAnswer::json(200, &documents::expanded(account)),
            Fact::Done { account, .. } => WireAnswer::json(200, &documents::intent(account)),
            Fact::Declined { account, decline, .. } => {
                let (code, decline_code) = documents::codes(decline);
                let intent = documents::intent(account);
                error(402, "card_error", code, &json!({"decline_code": decline_code, "payment_intent": intent}))
            }
            Fact::Impossible { account, .. } => {
                let more = json!({ "payment_intent": documents::intent(account) });
                error(400, "invalid_request_error", "payment_intent_unexpected_state", &more)
            }
            Fact::Missing => error(404, "invalid_request_error", "resource_missing", &json!({})),
            Fact::Rejected(code) => error(400, "invalid_request_error", code, &json!({})),
            Fact::ServerError => error(500, "api_error", "", &json!({})),
            Fact::Throttled(wait) => {
                let answer = error(429, "invalid_request_error", "rate_limit", &json!({}));
                answer.with("retry-after", wait.as_secs())
            }
            Fact::KeyReused => error(400, "idempotency_error", "", &json!({})),
        }
    }

    fn is_stored(&self, status: u16) -> bool {
        // What began to be executed is stored, a server error included; what was turned away before is not.
        !matches!(status, 401 | 403 | 409 | 429)
    }

    fn inquiry(&self) -> Inquiry {
        Inquiry::Asks
    }

    fn decline(&self, code: &str) -> Result<Decline, String> {
        let is_code = !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        if !is_code {
            return Err(format!("{code} is no decline code; Stripe's look like insufficient_funds or expired_card"));
        }
        let category = match code {
            code if HARD.contains(&code) => FailureCategory::HardDecline,
            code if AUTHENTICATION.contains(&code) => FailureCategory::Authentication,
            _other => FailureCategory::SoftDecline,
        };
        Ok(Decline { code: code.to_owned(), category })
    }

    fn declines(&self) -> Vec<Decline> {
        let all = SOFT.iter().chain(HARD).chain(AUTHENTICATION);
        all.filter_map(|code| self.decline(code).ok()).collect()
    }

    fn reference(&self, number: u64, operation: Operation) -> String {
        let prefix = if operation == Operation::Refund { "re" } else { "pi" };
        format!("{prefix}_mock{number:08}")
    }

    fn write_amount(&self, money: Money) -> Option<i64> {
        units(money.currency)?.write_amount(money.amount_minor)
    }

    fn read_amount(&self, amount: i64, currency: Currency) -> Option<Money> {
        let amount_minor = units(currency)?.read_amount(amount)?;
        Some(Money { amount_minor, currency })
    }

    fn item(&self, news: &News) -> Option<Item> {
        let kind = match news.happened {
            Happened::Authorized => "payment_intent.amount_capturable_updated",
            Happened::Declined => "payment_intent.payment_failed",
            Happened::ActionRequired => "payment_intent.requires_action",
            Happened::Pending => "payment_intent.processing",
            Happened::Captured => "payment_intent.succeeded",
            Happened::Voided => "payment_intent.canceled",
            Happened::Refunded => "charge.refunded",
            // The answer told it, and no event does.
            Happened::Failed(_) => return None,
        };
        let object = match news.happened {
            Happened::Refunded => documents::charge(&news.account),
            Happened::Authorized
            | Happened::Declined
            | Happened::ActionRequired
            | Happened::Pending
            | Happened::Captured
            | Happened::Voided
            | Happened::Failed(_) => documents::intent(&news.account),
        };
        let body = json!({
            "id": format!("evt_mock{:08}", news.number), "object": "event", "type": kind, "livemode": false,
            "created": news.at.as_second(), "data": {"object": object},
        });
        Some(Item { news: news.clone(), kind: kind.to_owned(), body })
    }

    fn max_items(&self) -> usize {
        1
    }

    fn sign(&self, items: &[Item], secret: &str, at: Timestamp) -> Signed {
        let [item] = items else { panic!("Stripe sends one event in a webhook, not {}", items.len()) };
        let body = item.body.to_string().into_bytes();
        let time = at.as_second().to_string();
        let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
        let mac = mac.chain_update(&time).chain_update(b".").chain_update(&body).finalize();
        let signature = format!("t={time},v1={}", hex::encode(mac.into_bytes()));
        Signed { headers: vec![("Stripe-Signature".to_owned(), signature)], body }
    }

    fn freshness(&self) -> Freshness {
        Freshness::Timestamped
    }

    fn webhook_secret(&self, number: u8) -> String {
        format!("whsec_{number:02x}23456789abcdef0123456789abcdef")
    }
}

fn error(status: u16, kind: &str, code: &str, more: &serde_json::Value) -> WireAnswer {
    let mut error = json!({"type": kind, "message": "Told by the mock PSP."});
    if !code.is_empty() {
        error["code"] = code.into();
    }
    for (name, value) in more.as_object().into_iter().flatten() {
        error[name] = value.clone();
    }
    WireAnswer::json(status, &json!({ "error": error }))
}

/// How Stripe counts a currency, by <https://docs.stripe.com/currencies>.
#[derive(Clone, Copy)]
enum Units {
    AsIso,
    /// Three decimals, the last of which is zero.
    Tens,
    /// Two decimals that ISO 4217 does not have.
    TimesHundred,
    /// Without the two decimals of ISO 4217.
    ByHundred,
}

impl Units {
    fn write_amount(self, minor: i64) -> Option<i64> {
        match self {
            Self::AsIso => Some(minor),
            Self::Tens => (minor % 10 == 0).then_some(minor),
            Self::TimesHundred => minor.checked_mul(100),
            Self::ByHundred => (minor % 100 == 0).then_some(minor / 100),
        }
    }

    fn read_amount(self, wire: i64) -> Option<i64> {
        match self {
            Self::AsIso => Some(wire),
            Self::Tens => (wire % 10 == 0).then_some(wire),
            Self::TimesHundred => (wire % 100 == 0).then_some(wire / 100),
            Self::ByHundred => wire.checked_mul(100),
        }
    }
}

fn units(currency: Currency) -> Option<Units> {
    match (currency.to_string().as_str(), currency.exponent()) {
        ("isk" | "ugx", _) => Some(Units::TimesHundred),
        ("mga", _) => Some(Units::ByHundred),
        (_, 0 | 2) => Some(Units::AsIso),
        (_, 3) => Some(Units::Tens),
        _other => None,
    }
}
