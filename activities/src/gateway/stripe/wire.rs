//! The parts of Stripe's documents that are read: <https://docs.stripe.com/api/payment_intents/object>,
//! <https://docs.stripe.com/api/refunds/object>, <https://docs.stripe.com/api/errors>.
//!
//! Everything else in them is skipped unread, so nothing else can enter history: no messages, no card details.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

/// The longest code that is kept.
const MAX_CODE: usize = 64;
/// More digits than any code has and fewer than any card number.
const MAX_CODE_DIGITS: usize = 8;
/// The longest id: Stripe's object ids have at most 255 characters.
const MAX_ID: usize = 255;
/// The longest page address a customer is sent to. Browsers and our own columns bear it.
const MAX_PAGE_URL: usize = 2_048;

/// A text, borrowed from the answer where it has no escapes.
#[derive(Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Text<'_> {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The text as an object's id; none when it cannot be one.
    pub(super) fn as_id(&self) -> Option<&str> {
        let id = self.as_str();
        let fits =
            (1..=MAX_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        fits.then_some(id)
    }

    /// The text as a code for people and programs; none when it cannot be one. A card number cannot.
    pub(super) fn as_code(&self) -> Option<&str> {
        let code = self.as_str();
        let fits = (1..=MAX_CODE).contains(&code.len())
            && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
            && code.bytes().filter(u8::is_ascii_digit).count() <= MAX_CODE_DIGITS;
        fits.then_some(code)
    }

    /// The text as the address of a page to send a customer to; none when it cannot be one.
    pub(super) fn as_page_url(&self) -> Option<&str> {
        let page = self.as_str();
        let fits = page.len() <= MAX_PAGE_URL
            && url::Url::parse(page).is_ok_and(|url| matches!(url.scheme(), "https" | "http") && url.host().is_some());
        fits.then_some(page)
    }
}

/// A PaymentIntent.
#[derive(Deserialize)]
pub(super) struct Intent<'a> {
    #[serde(borrow)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) object: Option<Text<'a>>,
    pub(super) status: Option<Status>,
    #[serde(borrow)]
    pub(super) currency: Option<Text<'a>>,
    pub(super) amount_capturable: Option<i64>,
    pub(super) amount_received: Option<i64>,
    #[serde(borrow)]
    pub(super) metadata: Option<Metadata<'a>>,
    #[serde(borrow)]
    pub(super) last_payment_error: Option<PaymentError<'a>>,
    #[serde(borrow)]
    pub(super) next_action: Option<NextActionDoc<'a>>,
    pub(super) latest_charge: Option<LatestCharge>,
}

/// Where an intent stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    RequiresPaymentMethod,
    RequiresConfirmation,
    RequiresAction,
    Processing,
    RequiresCapture,
    Canceled,
    Succeeded,
    /// One that this API version did not have when this was written.
    #[serde(other)]
    Unheard,
}

/// What we wrote on the intent.
#[derive(Deserialize)]
pub(super) struct Metadata<'a> {
    #[serde(borrow)]
    pub(super) fincore_payment: Option<Text<'a>>,
}

/// Why the issuer or Stripe said no.
#[derive(Deserialize)]
pub(super) struct PaymentError<'a> {
    #[serde(borrow)]
    pub(super) code: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) decline_code: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) advice_code: Option<Text<'a>>,
}

/// What the customer has to do.
#[derive(Deserialize)]
pub(super) struct NextActionDoc<'a> {
    #[serde(borrow)]
    pub(super) redirect_to_url: Option<Redirect<'a>>,
}

/// A page to send the customer to.
#[derive(Deserialize)]
pub(super) struct Redirect<'a> {
    #[serde(borrow)]
    pub(super) url: Option<Text<'a>>,
}

/// The charge of an intent: its id, or the whole of it when it was asked for.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum LatestCharge {
    Expanded { amount: i64, amount_captured: i64, amount_refunded: i64 },
    Other(IgnoredAny),
}

/// A refund.
#[derive(Deserialize)]
pub(super) struct Refund<'a> {
    #[serde(borrow)]
    pub(super) object: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) status: Option<Text<'a>>,
    pub(super) amount: Option<i64>,
    #[serde(borrow)]
    pub(super) currency: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) payment_intent: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) failure_reason: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) metadata: Option<Metadata<'a>>,
}

/// A page of refunds.
#[derive(Deserialize)]
pub(super) struct RefundList<'a> {
    #[serde(borrow)]
    pub(super) object: Option<Text<'a>>,
    pub(super) has_more: Option<bool>,
    #[serde(borrow)]
    pub(super) data: Vec<Refund<'a>>,
}

/// A dispute.
#[derive(Deserialize)]
pub(super) struct Dispute<'a> {
    pub(super) amount: Option<i64>,
    #[serde(borrow)]
    pub(super) currency: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) payment_intent: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) reason: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) status: Option<Text<'a>>,
}

/// An error document.
#[derive(Deserialize)]
pub(super) struct ErrorDoc<'a> {
    #[serde(borrow)]
    pub(super) error: ApiError<'a>,
}

/// What it says.
#[derive(Deserialize)]
pub(super) struct ApiError<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Text<'a>,
    #[serde(borrow)]
    pub(super) code: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) decline_code: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) advice_code: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) payment_intent: Option<Intent<'a>>,
}
