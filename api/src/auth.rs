//! API keys: made once and shown once, known afterwards by their hash, and looked up at most every second or two.
//!
//! A handler says in its arguments what it needs: `Client<ChargesRead>` is a client whose key has that scope. There is no
//! other way to a merchant's id, so a route that names no scope cannot be written. Not here: storing keys, and which of
//! its merchant's data a route shows.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use axum::extract::FromRequestParts;
use http::header::AUTHORIZATION;
use http::request::Parts;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use strum::IntoEnumIterator;
use workflow::history::Hash;
use workflow::ids::{ApiKeyId, MerchantId};
use workflow::port::store::{ApiKey, Mode, Scope, Scopes};

use crate::App;
use crate::problem::{Code, Problem};

/// How long a looked-up key is believed. A revocation has to be effective within five seconds; this leaves time for
/// a lookup under way.
pub(crate) const KEY_BELIEVED_FOR: SignedDuration = SignedDuration::from_secs(2);

/// Keys remembered at most. With more active keys than this, the store is asked more often.
const KEYS_REMEMBERED: usize = 4_096;

/// Random bytes in a secret.
const SECRET_BYTES: usize = 32;

/// That a key was used is written when what is written is older than this: a write an hour and key, not one a request.
const USE_NOTED_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// What a secret of this mode begins with, so that people see what they hold.
const fn prefix(mode: Mode) -> &'static str {
    match mode {
        Mode::Test => "fc_test_",
        Mode::Live => "fc_live_",
    }
}

/// A new secret: to be shown once and never stored. `random` has to come from a generator fit for secrets.
#[must_use]
pub fn new_secret(random: [u8; SECRET_BYTES], mode: Mode) -> SecretString {
    format!("{}{}", prefix(mode), hex::encode(random)).into()
}

/// A new API key with the usual scopes and no name: the secret, and what is stored instead.
#[must_use]
pub fn new_api_key(
    random: [u8; SECRET_BYTES],
    mode: Mode,
    id: ApiKeyId,
    merchant_id: MerchantId,
    now: Timestamp,
) -> (SecretString, ApiKey) {
    let secret = new_secret(random, mode);
    let key = ApiKey {
        id,
        merchant_id,
        mode,
        name: String::new(),
        scopes: Scopes::usual(),
        secret_hash: secret_hash(secret.expose_secret()),
        created_at: now,
        last_used_at: None,
        revoked_at: None,
    };
    (secret, key)
}

/// What a secret is known by.
#[must_use]
pub fn secret_hash(secret: &str) -> Hash {
    Hash::of(secret.as_bytes())
}

/// Whether the text has the form of a secret; anything else need not be looked up.
fn is_secret(text: &str) -> bool {
    Mode::iter().any(|mode| {
        text.strip_prefix(prefix(mode)).is_some_and(|hex| {
            hex.len() == 2 * SECRET_BYTES && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        })
    })
}

/// Who asks, whatever they may do. Only for what is the same for all; handlers take a [`Client`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Caller {
    pub(crate) key_id: ApiKeyId,
    pub(crate) merchant_id: MerchantId,
    pub(crate) mode: Mode,
    scopes: Scopes,
    secret_hash: Hash,
    revoked_at: Option<Timestamp>,
}

impl Caller {
    /// Who sent this request: refused with 401 when nobody knows, or nobody is to know any more.
    pub(crate) async fn of(parts: &Parts, app: &App) -> Result<Self, Problem> {
        let Some(header) = parts.headers.get(AUTHORIZATION) else {
            return Err(Problem::new(Code::ApiKeyMissing, "Send the API key as `Authorization: Bearer fc_…`."));
        };
        let secret = header.to_str().ok().and_then(bearer).filter(|secret| is_secret(secret)).ok_or_else(invalid)?;
        Self::known_by(secret_hash(secret), app).await?.ok_or_else(invalid)
    }

    /// Whether the key still opens anything. For answers that take long.
    pub(crate) async fn is_still_welcome(&self, app: &App) -> bool {
        // A store that does not answer revokes nothing.
        !matches!(Self::known_by(self.secret_hash, app).await, Ok(None))
    }

    async fn known_by(hash: Hash, app: &App) -> Result<Option<Self>, Problem> {
        let now = app.engine.now();
        let recall = || app.keys.recall(&hash, now);
        if let Some(caller) = recall() {
            return Ok(Some(caller).filter(|caller| !caller.is_revoked(now)));
        }
        // Of many requests that miss the same key at once, one asks the store, and the others know what it learned.
        let _turn = app.keys.turn_to_look_up(&hash).await;
        if let Some(caller) = recall() {
            return Ok(Some(caller).filter(|caller| !caller.is_revoked(now)));
        }
        let Some(key) = app.engine.store().api_key(hash).await?.filter(|key| !key.is_revoked(now)) else {
            return Ok(None);
        };
        note_use(app, &key, now);
        let caller = Self::from(&key);
        app.keys.remember(hash, caller, now);
        Ok(Some(caller))
    }

    fn is_revoked(&self, now: Timestamp) -> bool {
        self.revoked_at.is_some_and(|at| at <= now)
    }
}

impl From<&ApiKey> for Caller {
    fn from(key: &ApiKey) -> Self {
        Self {
            key_id: key.id,
            merchant_id: key.merchant_id,
            mode: key.mode,
            scopes: key.scopes,
            secret_hash: key.secret_hash,
            revoked_at: key.revoked_at,
        }
    }
}

fn invalid() -> Problem {
    Problem::new(Code::ApiKeyInvalid, "The API key is unknown or revoked.")
}

/// Writes down that a key is in use, now and then, and without anybody waiting for it.
fn note_use(app: &App, key: &ApiKey, now: Timestamp) {
    let is_noted = |at: Timestamp| now.duration_since(at) < USE_NOTED_EVERY;
    // Many requests may look a key up at the same moment; one of them notes it.
    if key.last_used_at.is_some_and(is_noted) || !app.keys.begin_note(key.id, now) {
        return;
    }
    let (store, id) = (Arc::clone(app.engine.store()), key.id);
    tokio::spawn(async move {
        if let Err(error) = store.api_key_used(id, now).await {
            tracing::debug!(error = &error as &dyn std::error::Error, key = %id, "use of a key not noted");
        }
    });
}

/// What a route needs of its client's key.
pub(crate) trait Needed {
    /// The scope.
    const SCOPE: Scope;
}

macro_rules! needed {
    ($($(#[$doc:meta])* $name:ident),+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, PartialEq, Eq, Debug)]
            #[allow(dead_code, reason = "a route that needs it comes with its resource")]
            pub(crate) struct $name;

            impl Needed for $name {
                const SCOPE: Scope = Scope::$name;
            }
        )+
    };
}

needed!(
    /// For routes that create or act on charges.
    ChargesWrite,
    /// For routes that show charges.
    ChargesRead,
    /// For routes that give money back.
    RefundsWrite,
    /// For routes about webhook endpoints and deliveries.
    WebhooksManage,
    /// For operators' routes.
    Ops
);

/// Who asks, with a key that has the scope: extracted from the request, or refused with 401 or 403.
#[derive(Debug)]
pub(crate) struct Client<S> {
    pub(crate) key_id: ApiKeyId,
    pub(crate) merchant_id: MerchantId,
    pub(crate) mode: Mode,
    pub(crate) caller: Caller,
    allowed: PhantomData<S>,
}

// Derived, these would ask the same of the scope.
impl<S> Clone for Client<S> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<S> Copy for Client<S> {}

impl<S: Needed> FromRequestParts<App> for Client<S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let caller = Caller::of(parts, app).await?;
        if !caller.scopes.allow(S::SCOPE) {
            let detail = format!("This API key lacks the scope `{}`. Use another key, or have one made.", S::SCOPE);
            return Err(Problem::new(Code::ScopeMissing, detail).about("Authorization"));
        }
        let Caller { key_id, merchant_id, mode, .. } = caller;
        Ok(Self { key_id, merchant_id, mode, caller, allowed: PhantomData })
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
    known: RwLock<HashMap<Hash, (Caller, Timestamp)>>,
    noted: Mutex<HashMap<ApiKeyId, Timestamp>>,
    /// Keys that share one are looked up one after the other.
    lookups: [tokio::sync::Mutex<()>; 32],
}

impl KeyCache {
    fn recall(&self, hash: &Hash, now: Timestamp) -> Option<Caller> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(hash).filter(|(_, since)| is_believed(*since, now)).map(|(caller, _)| *caller)
    }

    async fn turn_to_look_up(&self, hash: &Hash) -> tokio::sync::MutexGuard<'_, ()> {
        self.lookups[usize::from(hash.0[0]) % self.lookups.len()].lock().await
    }

    /// Whether it is time to note that a key is in use: true once an hour for each key.
    fn begin_note(&self, id: ApiKeyId, now: Timestamp) -> bool {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.get(&id).is_some_and(|at| now.duration_since(*at) < USE_NOTED_EVERY) {
            return false;
        }
        if noted.len() >= KEYS_REMEMBERED {
            noted.clear();
        }
        noted.insert(id, now);
        true
    }

    /// `asked_at` is when the lookup began: what the store answered may be as old as that.
    fn remember(&self, hash: Hash, caller: Caller, asked_at: Timestamp) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEYS_REMEMBERED && !known.contains_key(&hash) {
            known.retain(|_, (_, since)| is_believed(*since, asked_at));
            if known.len() >= KEYS_REMEMBERED {
                known.clear();
            }
        }
        known.insert(hash, (caller, asked_at));
    }
}

/// A clock that was set back makes nothing younger.
fn is_believed(since: Timestamp, now: Timestamp) -> bool {
    let age = now.duration_since(since);
    !age.is_negative() && age < KEY_BELIEVED_FOR
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millisecond: i64) -> Timestamp {
        Timestamp::from_millisecond(millisecond).unwrap()
    }

    fn new_key() -> (SecretString, ApiKey) {
        let (key_id, merchant_id) = (ApiKeyId::new(at(0), [1, 1]), MerchantId::new(at(0), [2, 2]));
        new_api_key([0xab; 32], Mode::Test, key_id, merchant_id, at(0))
    }

    fn caller() -> Caller {
        Caller::from(&new_key().1)
    }

    #[test]
    fn a_new_key_is_known_by_the_hash_of_its_whole_secret() {
        let (secret, key) = new_key();
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
        cache.remember(Hash::of(b"a"), caller(), at(10_000));
        assert_eq!(cache.recall(&Hash::of(b"a"), at(11_999)), Some(caller()));
        assert_eq!(cache.recall(&Hash::of(b"a"), at(12_000)), None);
        assert_eq!(cache.recall(&Hash::of(b"a"), at(9_999)), None);
        assert_eq!(cache.recall(&Hash::of(b"b"), at(10_000)), None);
    }

    #[test]
    fn however_many_look_a_key_up_its_use_is_noted_once_an_hour() {
        let (cache, id) = (KeyCache::default(), caller().key_id);
        assert!(cache.begin_note(id, at(0)));
        assert!(!cache.begin_note(id, at(0)) && !cache.begin_note(id, at(3_599_999)));
        assert!(cache.begin_note(id, at(3_600_000)));
    }

    #[test]
    fn the_cache_is_bounded() {
        let cache = KeyCache::default();
        for number in 0..=KEYS_REMEMBERED {
            cache.remember(Hash::of(&number.to_be_bytes()), caller(), at(0));
        }
        assert!(cache.known.read().unwrap().len() <= KEYS_REMEMBERED);
    }
}
