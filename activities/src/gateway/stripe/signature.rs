//! Webhook signatures: `Stripe-Signature: t=…,v1=…[,v1=…]`, each `v1` an HMAC-SHA256 of `t.body` in hexadecimal.
//!
//! Source: <https://docs.stripe.com/webhooks/signature> ("Verify webhook signatures manually"). Other schemes, such
//! as the `v0` of test events, are ignored, as that page demands.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use workflow::port::gateway::WebhookRefused;

/// How far a signature's time may be from ours, either way, in seconds: the tolerance of Stripe's own libraries.
const TOLERANCE_S: u64 = 300;
/// Secrets in use at once. A rotation needs two; more is a list that nobody tidies.
const MAX_SECRETS: usize = 8;
/// Signatures looked at in one header. Stripe sends one for each active secret.
const MAX_SIGNATURES: usize = 16;
/// The shortest secret; Stripe's have 38 characters.
const MIN_SECRET: usize = 24;
/// What secrets copied from documentation and templates contain.
const PLACEHOLDERS: &[&str] =
    &["...", "…", "<", ">", "{", "change", "example", "placeholder", "replace", "secret_here", "xxxx", "your"];

/// A webhook secret cannot be one. Fix the configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SecretInvalid {
    /// There is none, or more than anybody rotates between.
    #[error("expected 1 to {MAX_SECRETS} webhook secrets")]
    Number,
    /// Too short to be a secret, or with spaces or control characters.
    #[error("a webhook secret has at least {MIN_SECRET} visible ASCII characters and no spaces")]
    Form,
    /// It stands for a secret.
    #[error("a webhook secret looks like a placeholder from documentation")]
    Placeholder,
}

/// The secrets of our webhook endpoint, checked.
pub struct Secrets(Vec<SecretString>);

impl Secrets {
    /// Secrets in use. Any of them may have signed.
    ///
    /// # Errors
    /// When one of them cannot be a secret.
    pub fn new(secrets: Vec<SecretString>) -> Result<Self, SecretInvalid> {
        if !(1..=MAX_SECRETS).contains(&secrets.len()) {
            return Err(SecretInvalid::Number);
        }
        secrets.iter().try_for_each(|secret| check(secret.expose_secret()))?;
        Ok(Self(secrets))
    }

    /// No secret, which no signature fits.
    pub(super) fn none() -> Self {
        Self(Vec::new())
    }
}

fn check(secret: &str) -> Result<(), SecretInvalid> {
    let lower = secret.to_ascii_lowercase();
    if PLACEHOLDERS.iter().any(|placeholder| lower.contains(placeholder)) {
        return Err(SecretInvalid::Placeholder);
    }
    if secret.len() < MIN_SECRET || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(SecretInvalid::Form);
    }
    // `whsec_000000…` has the form of a secret and keeps none.
    let random = lower.strip_prefix("whsec_").unwrap_or(&lower);
    let mut letters: Vec<u8> = random.bytes().collect();
    letters.sort_unstable();
    letters.dedup();
    if letters.len() < 6 { Err(SecretInvalid::Placeholder) } else { Ok(()) }
}

/// Verifies a header over the raw body.
pub(super) fn verify(secrets: &Secrets, header: &str, body: &[u8], now: Timestamp) -> Result<(), WebhookRefused> {
    let parsed = parse(header).ok_or(WebhookRefused::SignatureMissing)?;
    let signed = parsed
        .signatures
        .iter()
        .any(|signature| secrets.0.iter().any(|secret| fits(secret, parsed.time_text, body, signature)));
    if !signed {
        return Err(WebhookRefused::SignatureMismatch);
    }
    // Only after the signature: a time that nobody vouches for means nothing.
    let distance_s = parsed.time_s.abs_diff(now.as_second());
    if distance_s > TOLERANCE_S { Err(WebhookRefused::TimestampOutsideTolerance) } else { Ok(()) }
}

/// Compares in constant time.
fn fits(secret: &SecretString, time_text: &str, body: &[u8], signature: &[u8; 32]) -> bool {
    Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).is_ok_and(|mac| {
        mac.chain_update(time_text).chain_update(b".").chain_update(body).verify_slice(signature).is_ok()
    })
}

struct Parsed<'a> {
    /// As it was signed.
    time_text: &'a str,
    time_s: i64,
    signatures: Vec<[u8; 32]>,
}

/// Reads the header. A `v1` that is not 64 hexadecimal digits is no signature; two times are no time.
fn parse(header: &str) -> Option<Parsed<'_>> {
    let mut time_text = None;
    let mut signatures = Vec::new();
    for item in header.split(',') {
        match item.trim().split_once('=') {
            Some(("t", text)) if time_text.replace(text).is_some() => return None,
            Some(("v1", text)) if signatures.len() < MAX_SIGNATURES => {
                let mut signature = [0; 32];
                if hex::decode_to_slice(text, &mut signature).is_ok() {
                    signatures.push(signature);
                }
            }
            Some(_) | None => {}
        }
    }
    let time_text = time_text?;
    let time_s = time_text.bytes().all(|byte| byte.is_ascii_digit()).then(|| time_text.parse().ok())??;
    (!signatures.is_empty()).then_some(Parsed { time_text, time_s, signatures })
}

#[cfg(test)]
mod tests;
