//! API keys: made once and shown once, known afterwards by their hash, and looked up at most every second or two.
//!
//! Not here: which key may do what (every key may do everything of its merchant's), and storing keys.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use axum::extract::FromRequestParts;
use http::header::AUTHORIZATION;
use http::request::Parts;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use strum::{EnumIter, IntoEnumIterator, IntoStaticStr};
use workflow::history::Hash;
use workflow::ids::{ApiKeyId, MerchantId};
use workflow::port::store::ApiKey;

use crate::App;
use crate::problem::{Code, Problem};

/// How long a looked-up key is believed. A revocation has to be effective within five seconds; this leaves time for
/// a lookup under way.
const KEY_BELIEVED_FOR: SignedDuration = SignedDuration::from_secs(2);

/// Keys remembered at most. With more active keys than this, the store is asked more often.
const KEYS_REMEMBERED: usize = 4_096;

/// Random bytes in a secret.
const SECRET_BYTES: usize = 32;

/// Whether a key moves real money. Part of the secret, so that people see what they hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, EnumIter, IntoStaticStr)]
pub enum KeyMode {
    /// Against a PSP's test account.
    #[strum(serialize = "fc_test_")]
    Test,
    /// Against a PSP's live account.
    #[strum(serialize = "fc_live_")]
    Live,
}

/// A new API key: the secret, to be shown once and never stored, and what is stored instead. `random` has to come
/// from a generator fit for secrets.
#[must_use]
pub fn new_api_key(
    random: [u8; SECRET_BYTES],
    mode: KeyMode,
    id: ApiKeyId,
    merchant_id: MerchantId,
    now: Timestamp,
) -> (SecretString, ApiKey) {
    let secret = format!("{}{}", <&str>::from(mode), hex::encode(random));
    let key = ApiKey { id, merchant_id, secret_hash: secret_hash(&secret), created_at: now, revoked_at: None };
    (secret.into(), key)
}

/// What a secret is known by.
#[must_use]
pub fn secret_hash(secret: &str) -> Hash {
    Hash::of(secret.as_bytes())
}

/// Whether the text has the form of a secret; anything else need not be looked up.
fn is_secret(text: &str) -> bool {
    KeyMode::iter().any(|mode| {
        text.strip_prefix(<&str>::from(mode)).is_some_and(|hex| {
            hex.len() == 2 * SECRET_BYTES && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        })
    })
}

/// Who asks: extracted from the request, or refused with 401.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Client {
    pub(crate) key_id: ApiKeyId,
    pub(crate) merchant_id: MerchantId,
}

impl FromRequestParts<App> for Client {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let invalid = || Problem::new(Code::ApiKeyInvalid, "The API key is unknown or revoked.");
        let Some(header) = parts.headers.get(AUTHORIZATION) else {
            return Err(Problem::new(Code::ApiKeyMissing, "Send the API key as `Authorization: Bearer fc_…`."));
        };
        let secret = header.to_str().ok().and_then(bearer).filter(|secret| is_secret(secret)).ok_or_else(invalid)?;
        let hash = secret_hash(secret);
        let now = app.engine.now();
        if let Some(client) = app.keys.recall(&hash, now) {
            return Ok(client);
        }
        let key = app.engine.store().api_key(hash).await?.filter(|key| key.revoked_at.is_none()).ok_or_else(invalid)?;
        let client = Self { key_id: key.id, merchant_id: key.merchant_id };
        app.keys.remember(hash, client, now);
        Ok(client)
    }
}

/// The credentials of `Bearer <credentials>`; the scheme's case does not matter.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, credentials) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| credentials.trim_start())
}

/// Keys looked up lately, so that the usual request makes no round trip for its key. Unknown keys are not remembered:
/// a new key works at once.
#[derive(Default)]
pub(crate) struct KeyCache {
    known: RwLock<HashMap<Hash, (Client, Timestamp)>>,
}

impl KeyCache {
    fn recall(&self, hash: &Hash, now: Timestamp) -> Option<Client> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(hash).filter(|(_, since)| is_believed(*since, now)).map(|(client, _)| *client)
    }

    /// `asked_at` is when the lookup began: what the store answered may be as old as that.
    fn remember(&self, hash: Hash, client: Client, asked_at: Timestamp) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEYS_REMEMBERED && !known.contains_key(&hash) {
            known.retain(|_, (_, since)| is_believed(*since, asked_at));
            if known.len() >= KEYS_REMEMBERED {
                known.clear();
            }
        }
        known.insert(hash, (client, asked_at));
    }
}

/// A clock that was set back makes nothing younger.
fn is_believed(since: Timestamp, now: Timestamp) -> bool {
    let age = now.duration_since(since);
    !age.is_negative() && age < KEY_BELIEVED_FOR
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn at(millisecond: i64) -> Timestamp {
        Timestamp::from_millisecond(millisecond).unwrap()
    }

    fn client() -> Client {
        Client { key_id: ApiKeyId::new(at(0), [1, 1]), merchant_id: MerchantId::new(at(0), [2, 2]) }
    }

    #[test]
    fn a_new_key_is_known_by_the_hash_of_its_whole_secret() {
        let Client { key_id, merchant_id } = client();
        let (secret, key) = new_api_key([0xab; 32], KeyMode::Test, key_id, merchant_id, at(0));
        assert_eq!(secret.expose_secret(), format!("fc_test_{}", "ab".repeat(32)));
        assert!(is_secret(secret.expose_secret()));
        assert_eq!(key.secret_hash, Hash::of(secret.expose_secret().as_bytes()));
        assert!(!format!("{key:?} {secret:?}").contains("abab"), "the secret is not shown by accident");
        for bad in ["", "fc_test_", "fc_prod_00", &"ab".repeat(32), &format!("fc_test_{}", "AB".repeat(32))] {
            assert!(!is_secret(bad), "{bad} was taken for a secret");
        }
    }

    #[test]
    fn the_scheme_of_the_header_is_bearer_in_any_case() {
        assert_eq!(bearer("bearer abc"), Some("abc"));
        assert_eq!(bearer("BEARER  abc"), Some("abc"));
        assert_eq!(bearer("Basic abc"), None);
        assert_eq!(bearer("Bearer"), None);
    }

    #[test]
    fn a_key_is_believed_for_two_seconds_and_not_before_it_was_looked_up() {
        let cache = KeyCache::default();
        cache.remember(Hash::of(b"a"), client(), at(10_000));
        assert_eq!(cache.recall(&Hash::of(b"a"), at(11_999)), Some(client()));
        assert_eq!(cache.recall(&Hash::of(b"a"), at(12_000)), None);
        assert_eq!(cache.recall(&Hash::of(b"a"), at(9_999)), None);
        assert_eq!(cache.recall(&Hash::of(b"b"), at(10_000)), None);
    }

    #[test]
    fn the_cache_is_bounded() {
        let cache = KeyCache::default();
        for number in 0..=KEYS_REMEMBERED {
            cache.remember(Hash::of(&number.to_be_bytes()), client(), at(0));
        }
        assert!(cache.known.read().unwrap().len() <= KEYS_REMEMBERED);
    }
}
