//! Stripe: charges as PaymentIntents, authorized and captured in two calls.
//!
//! The intent is created unconfirmed and its id stored before anything can move; then it is confirmed with
//! `capture_method=manual`, and captured by a call of its own. So whatever breaks, there is an id to ask about. The
//! sandbox PSP speaks the same wire format, so this gateway serves it under another configured name.
//!
//! Not here: sending (the shared client), and what an outcome does to a payment. Sources are Stripe's API reference
//! and the pages named where a rule is taken from them.

mod amounts;
mod declines;
mod read;
mod refunds;
mod request;
mod signature;
mod webhook;
mod wire;

use jiff::Timestamp;
use secrecy::SecretString;
use workflow::event::Unknown;
use workflow::money::Money;
use workflow::payment::Payment;
use workflow::port::gateway::{
    Answer, Call, Capabilities, Captures, Gateway, Notification, Operation, Outcome, Query, Request, Standing,
    Unreadable, WebhookRefused,
};
use workflow::port::store::Mode;

use super::client::{Account, AccountInvalid};

pub use signature::{SecretInvalid, Secrets};

/// Where Stripe's API is.
pub const BASE_URL: &str = "https://api.stripe.com";

/// The API version every request is pinned to; answers and their fields follow it. See
/// <https://docs.stripe.com/api/versioning>.
pub const API_VERSION: &str = "2026-02-25.clover";

/// Keys may be pruned once they are a day old: <https://docs.stripe.com/api/idempotent_requests>. One capture, and what it
/// leaves is released: <https://docs.stripe.com/payments/place-a-hold-on-a-payment-method> (several need an agreement).
const CAPABILITIES: Capabilities = Capabilities {
    key_lifetime_ms: 24 * 60 * 60 * 1_000,
    key_max_bytes: 255,
    query: Query::ByReference,
    captures: Captures::OncePartly,
};

/// The longest configured name.
const MAX_NAME: usize = 32;

/// The gateway cannot be used as configured. Fix the configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StripeConfigInvalid {
    /// The name becomes part of URLs and metrics.
    #[error("a PSP's configured name has 1 to {MAX_NAME} characters from a-z, 0-9, _ and -")]
    Name,
    /// A webhook secret cannot be one.
    #[error("a webhook secret is not usable")]
    WebhookSecret(#[source] SecretInvalid),
}

/// How the gateway is configured, checked.
pub struct StripeConfig {
    psp: String,
    secrets: Secrets,
}

impl StripeConfig {
    /// A gateway that makes calls and receives webhooks. Every endpoint secret counts, so that secrets can be rotated.
    ///
    /// # Errors
    /// When the name or a secret cannot be right: empty, too short, a placeholder from documentation.
    pub fn new(psp: &str, webhook_secrets: Vec<SecretString>) -> Result<Self, StripeConfigInvalid> {
        let secrets = Secrets::new(webhook_secrets).map_err(StripeConfigInvalid::WebhookSecret)?;
        Ok(Self { psp: name(psp)?, secrets })
    }

    /// A gateway that only makes calls, for workers: it knows no webhook secret and so believes no webhook.
    ///
    /// # Errors
    /// When the name cannot be right.
    pub fn calls_only(psp: &str) -> Result<Self, StripeConfigInvalid> {
        Ok(Self { psp: name(psp)?, secrets: Secrets::none() })
    }
}

fn name(psp: &str) -> Result<String, StripeConfigInvalid> {
    let fits = (1..=MAX_NAME).contains(&psp.len())
        && psp.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
    if fits { Ok(psp.to_owned()) } else { Err(StripeConfigInvalid::Name) }
}

/// Which money a secret API key moves: the key says so itself.
pub(super) fn mode_of_key(api_key: &str) -> Option<Mode> {
    let is = |mode: &str| ["sk", "rk"].iter().any(|kind| api_key.starts_with(&format!("{kind}_{mode}_")));
    if is("live") {
        return Some(Mode::Live);
    }
    is("test").then_some(Mode::Test)
}

/// The account that a secret API key opens, under its configured name.
///
/// # Errors
/// When URL or key cannot be right.
pub fn account(psp: &str, base_url: &str, api_key: SecretString) -> Result<Account, AccountInvalid> {
    Account::bearer(psp, base_url, api_key)
}

/// The gateway.
pub struct Stripe {
    config: StripeConfig,
}

impl Stripe {
    /// A gateway under its configured name.
    #[must_use]
    pub fn new(config: StripeConfig) -> Self {
        Self { config }
    }
}

impl Gateway for Stripe {
    fn psp(&self) -> &str {
        &self.config.psp
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn supports(&self, money: Money) -> Result<(), String> {
        amounts::UNITS.write(money).map(drop).map_err(|unsupported| unsupported.to_string())
    }

    fn needs_registration(&self, payment: &Payment) -> bool {
        payment.psp_reference.is_none()
    }

    fn known_standing(&self, payment: &Payment) -> Option<Standing> {
        payment.psp_reference.is_none().then(|| Standing::Untouched {
            evidence: "no intent's id was ever stored, and only a stored intent is confirmed".to_owned(),
        })
    }

    fn request(&self, call: Call<'_>) -> Request {
        request::build(call)
    }

    fn read(&self, operation: Operation, payment: &Payment, answer: &Answer) -> Outcome {
        if operation != Operation::Complete {
            return read::read(operation, payment, answer);
        }
        let outcome = read::read(Operation::Inquire, payment, answer);
        if let Outcome::Approved(Standing::Untouched { evidence }) = outcome {
            // The customer was asked because of a confirmation; it cannot be that there was none.
            return Outcome::Unknown { why: Unknown::Unreadable, detail: format!("{operation}: {evidence}") };
        }
        outcome
    }

    fn verify(
        &self,
        header: &dyn Fn(&str) -> Option<String>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Vec<Vec<u8>>, WebhookRefused> {
        let signature = header("stripe-signature").ok_or(WebhookRefused::SignatureMissing)?;
        signature::verify(&self.config.secrets, &signature, body, now)?;
        Ok(vec![body.to_vec()])
    }

    fn notification(&self, event: &[u8]) -> Result<Notification, Unreadable> {
        webhook::read(event)
    }
}

#[cfg(test)]
mod tests;
