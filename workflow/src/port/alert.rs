//! Alerts: somebody is told, once, that a payment needs a person. Adapters tell a log, a webhook, a topic, a queue.
//!
//! "Once" is once per dead letter and adapter: the store remembers who has been told, and one worker at a time has the
//! right to tell. A worker that dies between telling and remembering leaves the right to another, who tells again
//! under the same [`Alert::id`]: receivers that count should leave out ids that they know.
//!
//! Not here: when to tell and when to try again; `activities` does, with the store's leases.

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::decide::{Redriving, ReviewReason};
use crate::definition::State;
use crate::ids::{MerchantId, PaymentId};
use crate::money::Money;
use crate::port::store::DeadLetterRow;

/// What is told of a dead letter: these fields and no others. None of them can hold a secret or card data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alert {
    /// Which payment.
    pub payment_id: PaymentId,
    /// The history row that sent it to review.
    pub seq: i64,
    /// Why.
    pub reason: ReviewReason,
    /// The last error in one line.
    pub last_error: String,
    /// Whose payment it is.
    pub merchant_id: MerchantId,
    /// The PSP account it goes to.
    pub psp: String,
    /// What the client asked for.
    pub money: Money,
    /// Where the payment stands now: in review, unless somebody was quicker.
    pub state: State,
    /// Since when it needs a person.
    pub since: Timestamp,
    /// What a redrive would mean.
    pub redriving: Redriving,
}

impl Alert {
    /// What there is to tell of a letter.
    #[must_use]
    pub fn of(row: &DeadLetterRow) -> Self {
        Self {
            payment_id: row.payment_id,
            seq: row.seq,
            reason: row.letter.reason,
            last_error: row.letter.told(),
            merchant_id: row.merchant_id,
            psp: row.psp.clone(),
            money: row.money,
            state: row.state,
            since: row.at,
            redriving: row.redriving(),
        }
    }

    /// The alert's name: the same each time this letter is told of, and no other's.
    #[must_use]
    pub fn id(&self) -> String {
        format!("dl_{}_{}", self.payment_id.uuid().simple(), self.seq)
    }

    /// The command that an operator runs first.
    #[must_use]
    pub fn command(&self) -> String {
        format!("fincore dlq show {}", self.payment_id)
    }

    /// What to do, in a sentence.
    #[must_use]
    pub fn advice(&self) -> String {
        match self.redriving {
            Redriving::Asks => {
                "find out what kept it, then redrive: the PSP is asked before anything is repeated".to_owned()
            }
            Redriving::Decides(what) => format!("decide before you redrive: {what}"),
        }
    }

    /// The alert for programs: kind, time, and the fields under `data`, in the shape that Standard Webhooks recommends.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "type": "dead_letter.created",
            "timestamp": self.since,
            "data": {
                "id": self.id(),
                "charge": self.payment_id,
                "seq": self.seq,
                "reason": <&str>::from(self.reason),
                "last_error": self.last_error,
                "merchant": self.merchant_id,
                "psp": self.psp,
                "amount": self.money.amount_minor,
                "currency": self.money.currency,
                "status": self.state,
                "advice": self.advice(),
                "command": self.command(),
            },
        })
    }
}

/// The alert did not arrive, as far as we know: it is tried again later.
#[derive(Debug, thiserror::Error)]
#[error("the alert was not delivered")]
pub struct NotTold(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Tells somebody of dead letters.
#[async_trait]
pub trait Alerter: Send + Sync {
    /// What deliveries are remembered by: never changes, or everything recent is told again.
    fn name(&self) -> &'static str;

    /// Tells. May be called again for the same letter, with the same [`Alert::id`].
    ///
    /// # Errors
    /// It may not have arrived; it is tried again.
    async fn tell(&self, alert: &Alert) -> Result<(), NotTold>;
}
