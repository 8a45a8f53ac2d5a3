//! Merchants' API keys, as they are stored: what each may do, until when, and with which money.
//!
//! Not here: secrets. A key is known by the hash of its own.

use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use strum::{Display, EnumIter, EnumString, IntoEnumIterator, IntoStaticStr};

use crate::history::Hash;
use crate::ids::{ApiKeyId, MerchantId};

/// Whether it is about real money. Merchants and PSP accounts are of one mode, and those of different modes never meet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Display, EnumString, EnumIter, IntoStaticStr, Deserialize)]
#[strum(serialize_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Against a PSP's test account.
    Test,
    /// Against a PSP's live account.
    Live,
}

/// What a key may do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Display, EnumString, EnumIter, IntoStaticStr)]
pub enum Scope {
    /// Create, capture and cancel charges. Includes reading them.
    #[strum(serialize = "charges:write")]
    ChargesWrite,
    /// Read charges, their history and their events.
    #[strum(serialize = "charges:read")]
    ChargesRead,
    /// Give money back.
    #[strum(serialize = "refunds:write")]
    RefundsWrite,
    /// Manage the endpoints that are told of events, and see what was delivered.
    #[strum(serialize = "webhooks:manage")]
    WebhooksManage,
    /// What operators do over HTTP.
    #[strum(serialize = "ops:*")]
    Ops,
}

/// A set of scopes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Scopes(u8);

impl Scopes {
    /// What a key may do unless told otherwise: everything of its merchant's, and nothing of the operators'.
    #[must_use]
    pub fn usual() -> Self {
        Scope::iter().filter(|scope| *scope != Scope::Ops).collect()
    }

    /// The scopes of a stored text, without those that only newer programs know: they grant nothing here.
    #[must_use]
    pub fn known_in(text: &str) -> Self {
        text.split(' ').filter_map(|word| word.parse().ok()).collect()
    }

    /// Whether what needs this scope is allowed.
    #[must_use]
    pub fn allow(self, scope: Scope) -> bool {
        self.has(scope) || (scope == Scope::ChargesRead && self.has(Scope::ChargesWrite))
    }

    fn has(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |set, scope| set | (1 << scope as u8)))
    }
}

impl fmt::Display for Scopes {
    /// As they are stored: in a fixed order, with a space in between (as in OAuth 2.0, RFC 6749 section 3.3).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = Scope::iter().filter(|scope| self.has(*scope)).map(Into::into).collect();
        f.write_str(&words.join(" "))
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scopes({self})")
    }
}

/// An API key as it is stored: never the secret itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiKey {
    /// Its name in logs and history.
    pub id: ApiKeyId,
    /// Whose it is.
    pub merchant_id: MerchantId,
    /// Its merchant's mode.
    pub mode: Mode,
    /// What people call it; may be empty.
    pub name: String,
    /// What it may do.
    pub scopes: Scopes,
    /// SHA-256 of the secret. The secret has 256 random bits, so it needs no slow hash.
    pub secret_hash: Hash,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used, to the hour or so.
    pub last_used_at: Option<Timestamp>,
    /// From when on it opens nothing. After a rotation that lies ahead for a while.
    pub revoked_at: Option<Timestamp>,
}

impl ApiKey {
    /// Whether it opens nothing any more.
    #[must_use]
    pub fn is_revoked(&self, now: Timestamp) -> bool {
        self.revoked_at.is_some_and(|at| at <= now)
    }
}

/// A key that takes the place of another one: it has its merchant, name and scopes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rotation {
    /// The key that is replaced.
    pub old: ApiKeyId,
    /// From when on that one opens nothing.
    pub old_until: Timestamp,
    /// The new key.
    pub new: ApiKeyId,
    /// Hash of its secret.
    pub secret_hash: Hash,
    /// Now.
    pub created_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_read_back_from_their_text_and_unknown_ones_grant_nothing() {
        let all: Scopes = Scope::iter().collect();
        assert_eq!(all.to_string(), "charges:write charges:read refunds:write webhooks:manage ops:*");
        assert_eq!(Scopes::known_in(&all.to_string()), all);
        assert_eq!(Scopes::known_in("ops:* payouts:write"), [Scope::Ops].into_iter().collect());
        assert_eq!(Scopes::known_in(""), Scopes::default());
        assert!(Scope::iter().all(|scope| Scopes::usual().allow(scope) == (scope != Scope::Ops)));
    }

    #[test]
    fn who_may_write_charges_may_read_them_and_nothing_else_follows_from_anything() {
        for held in Scope::iter() {
            let scopes: Scopes = [held].into_iter().collect();
            for asked in Scope::iter() {
                let follows = held == Scope::ChargesWrite && asked == Scope::ChargesRead;
                assert_eq!(scopes.allow(asked), held == asked || follows, "{held} for {asked}");
            }
        }
    }
}
