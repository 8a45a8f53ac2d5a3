//! People who operate FinCore: who they are, the sessions they are logged in by, and how often a log-in may be tried.
//!
//! Not here: passwords (only what an expensive hash leaves of them), what a role opens, and for how long a session holds;
//! `ops` says. What operators do to payments is the engine's ([`crate::engine::operator`]).

use std::fmt;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

pub use super::audit::Role;
use super::store::StoreError;
use crate::history::Hash;
use crate::ids::OperatorId;

/// The longest name of an operator, in characters.
pub const NAME_MAX: usize = 64;

/// What an expensive hash leaves of a password, as text that names its own salt and costs.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// From where it is stored, or from the hash function.
    #[must_use]
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// The text, for storing it and for comparing a password with it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// A person who operates FinCore.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Operator {
    /// Their id.
    pub id: OperatorId,
    /// What they and everybody else call them; nobody else is ever called so.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// What their password is compared with; none for those who come through a proxy that knows them.
    pub password_hash: Option<PasswordHash>,
    /// Since when they are here.
    pub created_at: Timestamp,
    /// Since when they may not log in, if so.
    pub disabled_at: Option<Timestamp>,
}

/// Whether the text is fit to be an operator's name: something everybody can read, type and tell from any other.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b'+' | b'@');
    (1..=NAME_MAX).contains(&text.len()) && text.bytes().all(is_plain)
}

/// What became of a new operator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Added {
    /// They are stored.
    Yes,
    /// Somebody has this name, or had it.
    NameTaken,
}

/// By what an operator is logged in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Session {
    /// What its token is known by.
    pub token_hash: Hash,
    /// Whose it is.
    pub operator_id: OperatorId,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used, to the minute or so.
    pub seen_at: Timestamp,
}

/// How often something may be tried: so many times at once, and then once in a while.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LoginLimit {
    /// After a pause.
    pub burst: i32,
    /// In the long run, once in so much time.
    pub every: SignedDuration,
}

impl LoginLimit {
    /// What one try costs, in microseconds.
    #[must_use]
    pub fn cost_us(self) -> i64 {
        i64::try_from(self.every.as_micros()).unwrap_or(i64::MAX)
    }

    /// What the bucket holds, in microseconds.
    #[must_use]
    pub fn capacity_us(self) -> i64 {
        self.cost_us().saturating_mul(i64::from(self.burst.max(1)))
    }
}

/// Whether a log-in may be tried now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tried {
    /// It may; this try is counted.
    Allowed,
    /// It was tried too often.
    TooOften,
}

/// Where operators are kept. As everywhere in the store, a call that writes is one transaction.
#[async_trait]
pub trait Operators: Send + Sync {
    /// Stores a new operator.
    ///
    /// # Errors
    /// Nothing was acknowledged.
    async fn add_operator(&self, operator: &Operator) -> Result<Added, StoreError>;

    /// The operators by their names, disabled ones included, at most so many.
    ///
    /// # Errors
    /// The database did not answer, or a row cannot be read.
    async fn operators(&self, limit: u32) -> Result<Vec<Operator>, StoreError>;

    /// The operator of this name, disabled or not.
    ///
    /// # Errors
    /// The database did not answer, or the row cannot be read.
    async fn operator(&self, name: &str) -> Result<Option<Operator>, StoreError>;

    /// Stores another role, password or end of an operator, and ends all sessions that began under the former ones.
    ///
    /// # Errors
    /// Nothing was acknowledged.
    async fn change_operator(&self, operator: &Operator) -> Result<(), StoreError>;

    /// Stores a session, and forgets some that were last seen before `seen_before`.
    ///
    /// # Errors
    /// Nothing was acknowledged.
    async fn open_session(&self, session: &Session, seen_before: Timestamp) -> Result<(), StoreError>;

    /// The session whose token has this hash, with its operator as they stand now. Whether it still holds is for the caller
    /// to say.
    ///
    /// # Errors
    /// The database did not answer, or a row cannot be read.
    async fn session(&self, token_hash: Hash) -> Result<Option<(Session, Operator)>, StoreError>;

    /// Remembers that a session was used.
    ///
    /// # Errors
    /// It is not remembered.
    async fn session_seen(&self, token_hash: Hash, at: Timestamp) -> Result<(), StoreError>;

    /// Forgets a session.
    ///
    /// # Errors
    /// Nothing was acknowledged.
    async fn close_session(&self, token_hash: Hash) -> Result<(), StoreError>;

    /// Counts a try to log in, if it may be made. Counts of all processes are one.
    ///
    /// # Errors
    /// Nothing was counted.
    async fn try_login(&self, subject: Hash, limit: LoginLimit, now: Timestamp) -> Result<Tried, StoreError>;

    /// Forgets the tries that were counted: it was the right person.
    ///
    /// # Errors
    /// Nothing was acknowledged.
    async fn forgive_login(&self, subject: Hash) -> Result<(), StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_something_everybody_can_read_and_type() {
        for good in ["ada", "ada.lovelace", "ada+ops@example.com", "a_1-2"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "Ada", "ada lovelace", "ада", "a\n", "<b>", &"a".repeat(65)] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_password_hash_does_not_print_itself() {
        let shown = format!("{:?}", PasswordHash::stored("$argon2id$secret".to_owned()));
        assert_eq!(shown, "PasswordHash(…)");
    }
}
