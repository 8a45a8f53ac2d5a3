//! The parts of Adyen's documents that are read: <https://docs.adyen.com/api-explorer/Checkout/71/overview>.
//!
//! Everything else in them is skipped unread, so nothing else can enter history: no messages, no card details. Not
//! here: webhooks; their items are read in `webhook.rs`.

use std::borrow::Cow;

use serde::Deserialize;

/// The longest code that is kept.
const MAX_CODE: usize = 64;
/// More digits than any code has and fewer than any card number.
const MAX_CODE_DIGITS: usize = 8;
/// The longest PSP reference: Adyen's have 16 characters.
const MAX_REFERENCE: usize = 64;
/// The longest name of an event: the reference of a report is the name of its file.
const MAX_EVENT_NAME: usize = 200;
/// The longest page address a customer is sent to. Browsers and our own columns bear it.
const MAX_PAGE_URL: usize = 2_048;

/// A text, borrowed from the answer where it has no escapes.
#[derive(Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Text<'_> {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The text as the PSP reference of a payment; none when it cannot be one.
    pub(super) fn as_reference(&self) -> Option<&str> {
        let reference = self.as_str();
        let fits = (1..=MAX_REFERENCE).contains(&reference.len())
            && reference.bytes().all(|byte| byte.is_ascii_alphanumeric());
        fits.then_some(reference)
    }

    /// The text as a part of an event's name: a reference, or a report's file name.
    pub(super) fn as_event_name(&self) -> Option<&str> {
        let name = self.as_str();
        let fits = (1..=MAX_EVENT_NAME).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
        fits.then_some(name)
    }

    /// The text as a code for people and programs; none when it cannot be one. A card number cannot.
    pub(super) fn as_code(&self) -> Option<&str> {
        let code = self.as_str().trim();
        let fits = (1..=MAX_CODE).contains(&code.len())
            && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
            && code.bytes().filter(u8::is_ascii_digit).count() <= MAX_CODE_DIGITS;
        fits.then_some(code)
    }

    /// The code that a text like `51 : Insufficient funds` begins with.
    pub(super) fn leading_code(&self) -> Option<String> {
        let code = self.as_str().split(':').next().unwrap_or_default().to_owned();
        Text(Cow::Owned(code)).as_code().map(str::to_owned)
    }

    /// The text as the address of a page to send a customer to; none when it cannot be one.
    pub(super) fn as_page_url(&self) -> Option<&str> {
        let page = self.as_str();
        let fits = page.len() <= MAX_PAGE_URL
            && url::Url::parse(page).is_ok_and(|url| matches!(url.scheme(), "https" | "http") && url.host().is_some());
        fits.then_some(page)
    }
}

/// An amount in Adyen's units.
#[derive(Deserialize)]
pub(super) struct Amount<'a> {
    #[serde(borrow)]
    pub(super) currency: Text<'a>,
    pub(super) value: i64,
}

/// The answer to `/payments` and `/payments/details`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PaymentDoc<'a> {
    pub(super) result_code: ResultCode,
    #[serde(borrow)]
    pub(super) psp_reference: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) merchant_reference: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) amount: Option<Amount<'a>>,
    #[serde(borrow)]
    pub(super) refusal_reason: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) refusal_reason_code: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) action: Option<Action<'a>>,
    #[serde(borrow)]
    pub(super) additional_data: Option<AdditionalData<'a>>,
}

/// How a payment request came out: <https://docs.adyen.com/online-payments/build-your-integration/payment-result-codes>.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
pub(super) enum ResultCode {
    Authorised,
    PartiallyAuthorised,
    Refused,
    Cancelled,
    Pending,
    Received,
    RedirectShopper,
    IdentifyShopper,
    ChallengeShopper,
    Error,
    /// One that no card payment of ours has, or that this API version did not have when this was written.
    #[serde(other)]
    Unheard,
}

/// What the customer has to do.
#[derive(Deserialize)]
pub(super) struct Action<'a> {
    #[serde(borrow)]
    pub(super) url: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) method: Option<Text<'a>>,
}

/// What an account can have switched on to be told more.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AdditionalData<'a> {
    #[serde(borrow)]
    pub(super) refusal_reason_raw: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) merchant_advice_code: Option<Text<'a>>,
}

/// The answer to a capture, cancel, reversal or refund. Its own `pspReference` names the modification and not the
/// payment, and is not read, so the two cannot be mixed up.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ModificationDoc<'a> {
    #[serde(borrow)]
    pub(super) status: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) merchant_account: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) payment_psp_reference: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) payment_reference: Option<Text<'a>>,
    /// The name of the modification itself.
    #[serde(borrow)]
    pub(super) psp_reference: Option<Text<'a>>,
}

/// An error document.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ErrorDoc<'a> {
    #[serde(borrow)]
    pub(super) error_code: Text<'a>,
    #[serde(borrow)]
    pub(super) error_type: Option<Text<'a>>,
}
