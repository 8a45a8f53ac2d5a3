//! Typed identifiers: a UUIDv7 (sortable by time) behind a prefix that says what it names.
//!
//! Not here: who creates them when. The engine and the operator's commands do, with the clock they were given.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The text is not an identifier of this kind: wrong prefix, wrong length or not hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an id like {prefix}_0197f3c2a1b47c6e8d5f00112233aabb")]
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

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let invalid = InvalidId { prefix: $prefix };
                let hex = text.strip_prefix(concat!($prefix, "_")).ok_or(invalid.clone())?;
                if hex.len() != 32 || hex.bytes().any(|b| !matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
                    return Err(invalid);
                }
                Uuid::try_parse(hex).map(Self).map_err(|_| invalid)
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

prefixed_id!(
    /// A payment of kind charge.
    PaymentId,
    "ch"
);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_from_its_text_and_nothing_else_does() {
        let id = PaymentId::new(Timestamp::UNIX_EPOCH, [1, 2]);
        assert_eq!(id.to_string().parse::<PaymentId>(), Ok(id));
        for bad in ["", "ch_", "re_00000000000070008000000000000001", "ch_0", &id.to_string().to_uppercase()] {
            assert!(bad.parse::<PaymentId>().is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn ids_of_later_instants_sort_later() {
        let early = PaymentId::new(Timestamp::from_millisecond(1).unwrap(), [u64::MAX, u64::MAX]);
        let late = PaymentId::new(Timestamp::from_millisecond(2).unwrap(), [0, 0]);
        assert!(early < late);
    }
}
