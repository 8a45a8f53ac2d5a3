//! Webhook signatures: each item carries an HMAC-SHA256 over eight of its fields, in base64.
//!
//! Source: <https://docs.adyen.com/development-resources/webhooks/secure-webhooks/verify-hmac-signatures>. The fields
//! are joined by colons and not escaped, so one signature would fit several divisions of the same text. `verify.rs` lets
//! only the merchant's reference contain a colon, which leaves one division. Nothing else of an item is signed: not
//! the reason, not the additional data, not the time.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::Sha256;

/// Keys in use at once. A rotation needs two; more is a list that nobody tidies.
const MAX_KEYS: usize = 8;
/// The shortest key in bytes: Adyen generates 32.
const MIN_KEY: usize = 32;
/// The longest key in bytes: the block of SHA-256, beyond which a key gets no stronger.
const MAX_KEY: usize = 64;
/// Bytes that differ, at least, in a key made by chance. Of 32 random bytes hardly ever more than five are repeats.
const MIN_DIFFERENT: usize = 16;
/// The key of the documentation's example, which everybody knows.
const EXAMPLE: &str = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056";

/// An HMAC key cannot be one. Fix the configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyInvalid {
    /// There is none, or more than anybody rotates between.
    #[error("expected 1 to {MAX_KEYS} HMAC keys")]
    Number,
    /// Not hexadecimal, or of a length that no key has.
    #[error("an HMAC key is written in hexadecimal and has {MIN_KEY} to {MAX_KEY} bytes")]
    Form,
    /// It stands for a key.
    #[error("an HMAC key looks like a placeholder: generate one in the Customer Area, under Webhooks")]
    Placeholder,
}

/// The HMAC keys of our webhook endpoint, checked.
pub struct Keys(Vec<SecretSlice<u8>>);

impl Keys {
    /// Keys in use, as the Customer Area shows them. Any of them may have signed.
    ///
    /// # Errors
    /// When one of them cannot be a key.
    pub fn new(keys: Vec<SecretString>) -> Result<Self, KeyInvalid> {
        if !(1..=MAX_KEYS).contains(&keys.len()) {
            return Err(KeyInvalid::Number);
        }
        if keys.iter().any(|key| key.expose_secret().eq_ignore_ascii_case(EXAMPLE)) {
            return Err(KeyInvalid::Placeholder);
        }
        keys.iter().map(decode).collect::<Result<_, _>>().map(Self)
    }

    /// No key, which no signature fits.
    pub(super) fn none() -> Self {
        Self(Vec::new())
    }

    #[cfg(test)]
    pub(super) fn of_the_documentation() -> Self {
        Self(vec![hex::decode(EXAMPLE).unwrap().into()])
    }

    /// Whether one of the keys made this signature over this text. Compares in constant time.
    pub(super) fn fit(&self, signed: &str, signature: &[u8]) -> bool {
        self.0.iter().any(|key| {
            Hmac::<Sha256>::new_from_slice(key.expose_secret())
                .is_ok_and(|mac| mac.chain_update(signed).verify_slice(signature).is_ok())
        })
    }
}

fn decode(key: &SecretString) -> Result<SecretSlice<u8>, KeyInvalid> {
    let bytes = hex::decode(key.expose_secret()).map_err(|_| KeyInvalid::Form)?;
    if !(MIN_KEY..=MAX_KEY).contains(&bytes.len()) {
        return Err(KeyInvalid::Form);
    }
    let counts_up = bytes.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == bytes[1].wrapping_sub(bytes[0]));
    let mut different = bytes.clone();
    different.sort_unstable();
    different.dedup();
    if counts_up || different.len() < MIN_DIFFERENT { Err(KeyInvalid::Placeholder) } else { Ok(bytes.into()) }
}

#[cfg(test)]
mod tests;
