//! Typed identifiers: a UUIDv7 (sortable by time) behind a prefix that says what it names.
//!
//! Charges and refunds are payments, and stand in the same tables. Which of the two a payment is, its id says: the last
//! bit of the UUID, which would be random otherwise. So a bare UUID from any table is enough to write the id in full.
//!
//! Not here: who creates them when. The engine and the operator's commands do, with the clock they were given.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::definition::Kind;

/// The text is not an identifier of this kind: wrong prefix, wrong length or not hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an id like {prefix}_0197f3c2a1b47c6e8d5f00112233aaba")]
pub struct InvalidId {
    prefix: &'static str,
}

/// A UUIDv7 of this instant. `random` supplies the 74 bits that are not time.
fn uuid_v7(now: Timestamp, random: [u64; 2]) -> Uuid {
    let mut bytes = [0_u8; 10];
    bytes[..8].copy_from_slice(&random[0].to_be_bytes());
    bytes[8..].copy_from_slice(&random[1].to_be_bytes()[..2]);
    let millis = u64::try_from(now.as_millisecond()).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
}

/// 32 hexadecimal digits in lower case, and nothing else.
fn uuid_of(hex: &str) -> Option<Uuid> {
    let is_hex = hex.len() == 32 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    is_hex.then(|| Uuid::try_parse(hex).ok()).flatten()
}

macro_rules! prefixed_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Uuid);

        impl $name {
            /// What the textual form begins with, before the underscore.
            pub const PREFIX: &str = $prefix;

            /// A new id of this instant.
            #[must_use]
            pub fn new(now: Timestamp, random: [u64; 2]) -> Self {
                Self(uuid_v7(now, random))
            }

            /// The id with the prefix left off, as databases store it.
            #[must_use]
            pub fn uuid(self) -> Uuid {
                self.0
            }

            /// An id from a stored UUID.
            #[must_use]
            pub fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0.simple())
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let hex = text.strip_prefix(concat!($prefix, "_"));
                hex.and_then(uuid_of).map(Self).ok_or(InvalidId { prefix: $prefix })
            }
        }

        textual!($name);
    };
}

/// What an id can do because it has a text.
macro_rules! textual {
    ($name:ident) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }
    };
}

/// A payment's name: `ch_…` for a charge, `re_…` for a refund.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PaymentId(Uuid);

impl PaymentId {
    /// The id of a new charge of this instant.
    #[must_use]
    pub fn new(now: Timestamp, random: [u64; 2]) -> Self {
        Self::of_kind(Kind::Charge, now, random)
    }

    /// The id of a new refund of this instant.
    #[must_use]
    pub fn new_refund(now: Timestamp, random: [u64; 2]) -> Self {
        Self::of_kind(Kind::Refund, now, random)
    }

    fn of_kind(kind: Kind, now: Timestamp, random: [u64; 2]) -> Self {
        let mut bytes = uuid_v7(now, random).into_bytes();
        bytes[15] = (bytes[15] & !1) | u8::from(kind == Kind::Refund);
        Self(Uuid::from_bytes(bytes))
    }

    /// What kind of payment it names.
    #[must_use]
    pub fn kind(self) -> Kind {
        if self.0.as_bytes()[15] & 1 == 1 { Kind::Refund } else { Kind::Charge }
    }

    /// The id with the prefix left off, as databases store it.
    #[must_use]
    pub fn uuid(self) -> Uuid {
        self.0
    }

    /// An id from a stored UUID.
    #[must_use]
    pub fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

/// What the ids of a kind of payment begin with, before the underscore.
const fn prefix(kind: Kind) -> &'static str {
    match kind {
        Kind::Charge => "ch",
        Kind::Refund => "re",
    }
}

impl fmt::Display for PaymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", prefix(self.kind()), self.0.simple())
    }
}

impl FromStr for PaymentId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = InvalidId { prefix: prefix(Kind::Charge) };
        let (before, hex) = text.split_once('_').ok_or(invalid.clone())?;
        let id = Self(uuid_of(hex).ok_or(invalid.clone())?);
        if before == prefix(id.kind()) { Ok(id) } else { Err(invalid) }
    }
}

textual!(PaymentId);
prefixed_id!(
    /// Whose payment it is: every read and write is scoped to one.
    MerchantId,
    "mer"
);
prefixed_id!(
    /// One API key of a merchant. Names the key in logs and history; the secret is never stored.
    ApiKeyId,
    "key"
);
prefixed_id!(
    /// A person who operates FinCore.
    OperatorId,
    "op"
);
prefixed_id!(
    /// Where a merchant wants to be told of events.
    EndpointId,
    "we"
);
prefixed_id!(
    /// One event that merchants are told of: the same on every attempt and at every endpoint.
    EventId,
    "evt"
);

prefixed_id!(
    /// One entry of the audit log.
    AuditId,
    "aud"
);

impl EventId {
    /// What sorts before every event of this instant and after every earlier one.
    #[must_use]
    pub fn first_of(instant: Timestamp) -> Self {
        let millis = u128::try_from(instant.as_millisecond()).unwrap_or_default();
        Self(Uuid::from_u128(millis << 80))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_from_its_text_and_nothing_else_does() {
        let id = PaymentId::new(Timestamp::UNIX_EPOCH, [1, 2]);
        assert_eq!(id.to_string().parse::<PaymentId>(), Ok(id));
        let wrong_kinds = ["re_00000000000070008000000000000002", "ch_00000000000070008000000000000001"];
        for bad in ["", "ch_", "ch_0", &id.to_string().to_uppercase()].into_iter().chain(wrong_kinds) {
            assert!(bad.parse::<PaymentId>().is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn an_id_says_what_it_names_also_when_only_its_uuid_is_left() {
        for random in [[0, 0], [u64::MAX, u64::MAX], [1, 1 << 48]] {
            let (charge, refund) =
                (PaymentId::new(Timestamp::UNIX_EPOCH, random), PaymentId::new_refund(Timestamp::UNIX_EPOCH, random));
            assert!(charge.to_string().starts_with("ch_") && refund.to_string().starts_with("re_"));
            assert_eq!(PaymentId::from_uuid(refund.uuid()).kind(), Kind::Refund);
            assert_eq!(refund.to_string().parse(), Ok(refund));
        }
    }

    #[test]
    fn ids_of_later_instants_sort_later() {
        let early = PaymentId::new(Timestamp::from_millisecond(1).unwrap(), [u64::MAX, u64::MAX]);
        let late = PaymentId::new(Timestamp::from_millisecond(2).unwrap(), [0, 0]);
        assert!(early < late);
    }
}
