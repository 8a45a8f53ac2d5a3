//! Adyen: stored cards through the Checkout API, authorized and captured in two calls.
//!
//! An authorization needs no preparation and names the payment by our id; Adyen's own reference comes with its answer.
//! When the customer has to act first, what they come back with (`redirectResult`) goes to Adyen in a call of its own.
//! Nothing can be asked afterwards: an unknown outcome is cleared up by the same call under the same key, or by the
//! webhook. Captures, voids and refunds are taken with `received`, and webhooks tell what came of them.
//!
//! `payment_method` is `<shopperReference>/<storedPaymentMethodId>`: the token and whose it is. One that is not is
//! refused by Adyen, because its request names no payment method (`request.rs`). So is an amount that Adyen cannot count.
//!
//! The account has to be set up for it: standard webhooks in JSON with an HMAC key, and no automatic capture of its own
//! (each request asks for manual capture). Helpful are the additional data `refusalReasonRaw` and `merchantAdviceCode`.
//!
//! Not here: sending (the shared client), and what an outcome does to a payment. Sources are Adyen's API explorer and
//! the pages named where a rule is taken from them.

mod amounts;
mod hmac;
mod read;
mod refusals;
mod request;
mod verify;
mod webhook;
mod wire;

use jiff::Timestamp;
use secrecy::SecretString;
use workflow::money::Money;
use workflow::payment::Payment;
use workflow::port::gateway::{
    Answer, Call, Capabilities, Captures, Gateway, Notification, Operation, Outcome, Query, Request, Standing,
    Unreadable, WebhookRefused,
};
use workflow::port::store::Mode;

use super::client::{Account, AccountInvalid, Credentials};

pub use hmac::{KeyInvalid, Keys};
pub use verify::{BasicAuth, BasicAuthInvalid};

/// Where Adyen's Checkout API is for tests, with the version that answers are read by. In production the host begins
/// with a prefix that is the merchant's own: <https://docs.adyen.com/development-resources/live-endpoints>.
pub const TEST_URL: &str = "https://checkout-test.adyen.com/v71";

/// Keys of 64 characters, kept for seven days at least: <https://docs.adyen.com/development-resources/api-idempotency>.
/// What a capture leaves is released, unless the account has multiple partial captures, which is by agreement:
/// <https://docs.adyen.com/online-payments/capture>.
const CAPABILITIES: Capabilities = Capabilities {
    key_lifetime_ms: 7 * 24 * 60 * 60 * 1_000,
    key_max_bytes: 64,
    query: Query::ByReplay,
    captures: Captures::OncePartly,
};

/// The longest configured name.
const MAX_NAME: usize = 32;
/// The longest merchant account. Adyen's are names like `YourCompanyECOM`.
const MAX_MERCHANT_ACCOUNT: usize = 80;

/// The gateway cannot be used as configured. Fix the configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AdyenConfigInvalid {
    /// The name becomes part of URLs and metrics.
    #[error("a PSP's configured name has 1 to {MAX_NAME} characters from a-z, 0-9, _ and -")]
    Name,
    /// The merchant account is sent with every request and expected in every webhook.
    #[error("a merchant account has 1 to {MAX_MERCHANT_ACCOUNT} letters, digits, _ - and ., and is not a placeholder")]
    MerchantAccount,
    /// An HMAC key cannot be one.
    #[error("an HMAC key of the webhooks is not usable")]
    HmacKey(#[source] KeyInvalid),
}

/// How the gateway is configured, checked.
pub struct AdyenConfig {
    psp: String,
    merchant_account: String,
    keys: Keys,
    basic: Option<BasicAuth>,
}

impl AdyenConfig {
    /// A gateway that makes calls and receives webhooks. Every HMAC key counts, so that keys can be rotated; with
    /// `basic`, webhooks have to bring these credentials as well.
    ///
    /// # Errors
    /// When name, merchant account or a key cannot be right: empty, too short, a placeholder from documentation.
    pub fn new(
        psp: &str,
        account: &str,
        hmac_keys: Vec<SecretString>,
        basic: Option<BasicAuth>,
    ) -> Result<Self, AdyenConfigInvalid> {
        let keys = Keys::new(hmac_keys).map_err(AdyenConfigInvalid::HmacKey)?;
        Ok(Self { psp: name(psp)?, merchant_account: merchant_account(account)?, keys, basic })
    }

    /// A gateway that only makes calls, for workers: it knows no HMAC key and so believes no webhook.
    ///
    /// # Errors
    /// When name or merchant account cannot be right.
    pub fn calls_only(psp: &str, account: &str) -> Result<Self, AdyenConfigInvalid> {
        let merchant_account = merchant_account(account)?;
        Ok(Self { psp: name(psp)?, merchant_account, keys: Keys::none(), basic: None })
    }
}

fn name(psp: &str) -> Result<String, AdyenConfigInvalid> {
    let fits = (1..=MAX_NAME).contains(&psp.len())
        && psp.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
    if fits { Ok(psp.to_owned()) } else { Err(AdyenConfigInvalid::Name) }
}

fn merchant_account(account: &str) -> Result<String, AdyenConfigInvalid> {
    let fits = (1..=MAX_MERCHANT_ACCOUNT).contains(&account.len())
        && account.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
        && !account.to_ascii_uppercase().contains("MERCHANT_ACCOUNT");
    if fits { Ok(account.to_owned()) } else { Err(AdyenConfigInvalid::MerchantAccount) }
}

/// Which money is moved behind a URL: Adyen has hosts of its own for tests and for each live merchant.
pub(super) fn mode_of_url(url: &str) -> Option<Mode> {
    let host = url::Url::parse(url).ok()?.host_str()?.to_ascii_lowercase();
    if host.ends_with("-test.adyen.com") {
        return Some(Mode::Test);
    }
    (host.ends_with(".adyenpayments.com") || host.ends_with("-live.adyen.com")).then_some(Mode::Live)
}

/// The account that an API key opens, under its configured name. The URL has the API's version at its end, as in
/// [`TEST_URL`].
///
/// # Errors
/// When URL or key cannot be right.
pub fn account(psp: &str, base_url: &str, api_key: SecretString) -> Result<Account, AccountInvalid> {
    Account::new(psp, base_url, &Credentials::Header { name: "x-api-key", secret: api_key })
}

/// The gateway.
pub struct Adyen {
    config: AdyenConfig,
}

impl Adyen {
    /// A gateway under its configured name.
    #[must_use]
    pub fn new(config: AdyenConfig) -> Self {
        Self { config }
    }
}

impl Gateway for Adyen {
    fn psp(&self) -> &str {
        &self.config.psp
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn supports(&self, money: Money) -> Result<(), String> {
        amounts::UNITS.write(money).map(drop).map_err(|unsupported| unsupported.to_string())
    }

    fn needs_registration(&self, _payment: &Payment) -> bool {
        false
    }

    /// Without a reference and without a doubt, every call was refused, never arrived, or left everything to the customer.
    fn known_standing(&self, payment: &Payment) -> Option<Standing> {
        let nothing_moved = payment.psp_reference.is_none() && payment.doubt.is_none();
        nothing_moved.then(|| Standing::Untouched { evidence: "no call ended in an authorization".to_owned() })
    }

    fn request(&self, call: Call<'_>) -> Request {
        request::build(&self.config.merchant_account, call)
    }

    fn read(&self, operation: Operation, payment: &Payment, answer: &Answer) -> Outcome {
        read::read(&self.config.merchant_account, operation, payment, answer)
    }

    /// Items have no time that is signed, so an old one is as good as a new one: its event's name tells it apart.
    fn verify(
        &self,
        header: &dyn Fn(&str) -> Option<String>,
        body: &[u8],
        _now: Timestamp,
    ) -> Result<Vec<Vec<u8>>, WebhookRefused> {
        verify::verify(&self.config, header("authorization").as_deref(), body)
    }

    fn notification(&self, event: &[u8]) -> Result<Notification, Unreadable> {
        webhook::read(event)
    }
}

#[cfg(test)]
mod tests;
