//! Signatures of what is sent out, by the Standard Webhooks specification, version 1: `v1,` HMAC-SHA256 with secrets that
//! begin with `whsec_`, and `v1a,` ed25519 with keys that begin with `whsk_` (secret) and `whpk_` (public). What is signed
//! is `id.timestamp.body`.
//!
//! Source: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>. Not here: when
//! secrets are made and for how long they are good, and signatures of PSPs (their gateways).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use ring::signature::{Ed25519KeyPair, KeyPair};
use sha2::Sha256;

/// What shared secrets begin with.
pub const SECRET_PREFIX: &str = "whsec_";
/// What secret keys of ed25519 begin with.
const SECRET_KEY_PREFIX: &str = "whsk_";
/// What public keys of ed25519 begin with.
const PUBLIC_KEY_PREFIX: &str = "whpk_";
/// Bytes of a shared secret, by the specification.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Bytes of the seed that an ed25519 key is made of, and of the public key.
const SEED_BYTES: usize = 32;

/// The text is no key of the forms above.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the signing secret has not the form that the specification gives it")]
pub struct SecretInvalid;

/// A key in the form it is stored in. It does not print itself.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(String);

impl SigningSecret {
    /// A shared secret of these random bytes.
    #[must_use]
    pub fn shared(random: [u8; 32]) -> Self {
        Self(format!("{SECRET_PREFIX}{}", STANDARD.encode(random)))
    }

    /// A key pair of these random bytes, as its seed and its public key behind each other, as other senders store it.
    ///
    /// # Panics
    /// Never: every seed of this length makes a key.
    #[must_use]
    pub fn key_pair(random: [u8; SEED_BYTES]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&random).expect("a seed of this length makes a key");
        let bytes = [random.as_slice(), pair.public_key().as_ref()].concat();
        Self(format!("{SECRET_KEY_PREFIX}{}", STANDARD.encode(bytes)))
    }

    /// A key as it was stored.
    #[must_use]
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// The text, for storing it, or for the one answer that shows a shared secret.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The key that signs.
    ///
    /// # Errors
    /// It is none.
    pub fn key(&self) -> Result<SigningKey, SecretInvalid> {
        SigningKey::parse(&self.0)
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(…)")
    }
}

/// A key that signs.
pub enum SigningKey {
    /// Shared with the receiver.
    Shared(Box<Hmac<Sha256>>),
    /// Ours; the receiver has the public one.
    Pair(Box<Ed25519KeyPair>),
}

impl SigningKey {
    /// Reads a key.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, SecretInvalid> {
        if let Some(text) = text.strip_prefix(SECRET_PREFIX) {
            let bytes = STANDARD.decode(text).map_err(|_| SecretInvalid)?;
            return Self::shared(&bytes);
        }
        let text = text.strip_prefix(SECRET_KEY_PREFIX).ok_or(SecretInvalid)?;
        let bytes = STANDARD.decode(text).map_err(|_| SecretInvalid)?;
        let (seed, public) = bytes.split_at_checked(SEED_BYTES).ok_or(SecretInvalid)?;
        let pair = Ed25519KeyPair::from_seed_and_public_key(seed, public).map_err(|_| SecretInvalid)?;
        Ok(Self::Pair(Box::new(pair)))
    }

    /// A shared key of these bytes.
    ///
    /// # Errors
    /// There are too few or too many.
    pub fn shared(bytes: &[u8]) -> Result<Self, SecretInvalid> {
        if !SECRET_BYTES.contains(&bytes.len()) {
            return Err(SecretInvalid);
        }
        Hmac::new_from_slice(bytes).map(|key| Self::Shared(Box::new(key))).map_err(|_| SecretInvalid)
    }

    /// The public key, in the form that receivers' libraries take, if it is a pair.
    #[must_use]
    pub fn public(&self) -> Option<String> {
        match self {
            Self::Shared(_) => None,
            Self::Pair(pair) => Some(format!("{PUBLIC_KEY_PREFIX}{}", STANDARD.encode(pair.public_key()))),
        }
    }

    /// The signature, with the name of its kind.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: &str, body: &[u8]) -> String {
        match self {
            Self::Shared(key) => {
                let mac =
                    (**key).clone().chain_update(id).chain_update(b".").chain_update(timestamp).chain_update(b".");
                format!("v1,{}", STANDARD.encode(mac.chain_update(body).finalize().into_bytes()))
            }
            Self::Pair(pair) => {
                let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
                format!("v1a,{}", STANDARD.encode(pair.sign(&signed)))
            }
        }
    }
}

/// One signature for each key, with a space between: the value of the header `webhook-signature`.
#[must_use]
pub fn signatures(keys: &[SigningKey], id: &str, timestamp: &str, body: &[u8]) -> String {
    keys.iter().map(|key| key.sign(id, timestamp, body)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use ring::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    #[test]
    fn the_specifications_own_example_is_signed_as_it_says() {
        let key = SigningKey::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = signatures(&[key], "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", br#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn what_a_key_pair_signs_its_public_key_verifies() {
        let key = SigningSecret::key_pair([7; 32]).key().unwrap();
        let signed = key.sign("evt_1", "1614265330", b"{}");
        let signature = STANDARD.decode(signed.strip_prefix("v1a,").unwrap()).unwrap();
        let public = key.public().unwrap();
        let public = STANDARD.decode(public.strip_prefix("whpk_").unwrap()).unwrap();
        let public = UnparsedPublicKey::new(&ED25519, public);
        public.verify(b"evt_1.1614265330.{}", &signature).unwrap();
        assert!(public.verify(b"evt_1.1614265331.{}", &signature).is_err());
    }

    #[test]
    fn only_the_specifications_forms_are_keys_and_none_prints_itself() {
        for good in [SigningSecret::shared([1; 32]), SigningSecret::key_pair([2; 32])] {
            assert!(good.key().is_ok());
            assert_eq!(format!("{good:?}"), "SigningSecret(…)");
        }
        for bad in ["", "whsec_", "whsec_c2hvcnQ=", "whsec_?", "whsk_", "whsk_c2hvcnQ=", "whpk_c2hvcnQ=", "secret"] {
            assert!(SigningSecret::stored(bad.to_owned()).key().is_err(), "{bad}");
        }
        let (SigningSecret(own), SigningSecret(other)) =
            (SigningSecret::key_pair([1; 32]), SigningSecret::key_pair([2; 32]));
        let mixed = format!("{}{}", &own[..own.len() - 44], &other[other.len() - 44..]);
        assert!(SigningKey::parse(&mixed).is_err(), "seed and public key have to belong together");
    }
}
