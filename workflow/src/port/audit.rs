//! The audit log: one entry for each act of an operator, whether it was done or refused, and for each log-in. Entries are
//! only ever added; both databases refuse to change or delete them.
//!
//! Not here: what an act does to a payment; that is its history. An act that moves a payment is entered in the transaction
//! of the move ([`crate::port::store::Origin::Act`]), so neither is ever there without the other.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Serialize;
use strum::{Display, EnumIter, EnumString, IntoStaticStr, VariantArray};

use super::store::StoreError;
use crate::card_data;
use crate::ids::{AuditId, PaymentId};

/// The longest text of an entry, in characters: a paragraph, not a file. Longer ones are cut.
pub const LONGEST_TEXT: usize = 2_000;

/// What an operator did, or tried to do.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Display, EnumIter, EnumString, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum AuditAct {
    /// Made a payment that backs off due now.
    Retry,
    /// Had the PSP asked about a payment now.
    Inquire,
    /// Sent a payment in review back to work.
    Redrive,
    /// Canceled a payment.
    Cancel,
    /// Wrote something down on a payment.
    Note,
    /// Proposed how a payment in review ended.
    ProposeResolution,
    /// Proposed to give money back.
    ProposeRefund,
    /// Approved what another operator had proposed.
    Approve,
    /// Took a proposal back.
    Withdraw,
    /// Paused a PSP account.
    PausePsp,
    /// Let a paused PSP account go on.
    ResumePsp,
    /// Logged in, or tried to.
    LogIn,
    /// Logged out.
    LogOut,
    /// Made another operator.
    AddOperator,
    /// Changed what another operator may do, or the secret they log in with.
    ChangeOperator,
    /// Shut an operator out.
    DisableOperator,
    /// Had an event sent to a merchant again.
    ResendWebhook,
}

/// What an operator may do.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Display, EnumIter, EnumString, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Role {
    /// Look at everything.
    Reader,
    /// Look and act.
    Operator,
}

/// Which way an act came.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Display, EnumIter, EnumString, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Via {
    /// By the command line.
    Cli,
    /// By the pages at `/ops`.
    Web,
}

/// What came of an act.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AuditOutcome {
    /// It was done.
    Done,
    /// It was refused; says why.
    Refused(String),
}

/// One entry. What needs no text has none: an empty reason is stored as it is, so that it can be seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditEntry {
    /// Its name; entries sort by it.
    pub id: AuditId,
    /// When.
    pub at: Timestamp,
    /// Who: the operator's name; of a log-in that failed, the name that was tried.
    pub actor: String,
    /// What they may do, where that is known.
    pub role: Option<Role>,
    /// What they did.
    pub act: AuditAct,
    /// The payment it is about, if it is about one.
    pub payment_id: Option<PaymentId>,
    /// What else it is about: a PSP account, an operator, an endpoint.
    pub subject: Option<String>,
    /// Why, in their words.
    pub reason: Option<String>,
    /// What came of it.
    pub outcome: AuditOutcome,
    /// Which way it came.
    pub via: Via,
    /// From where: an address, or who was logged in at the machine.
    pub remote: Option<String>,
}

impl AuditEntry {
    /// The same with every text cut to what an entry holds, without characters that move a terminal's cursor, and without card
    /// numbers.
    #[must_use]
    pub fn bounded(self) -> Self {
        Self {
            actor: bounded(&self.actor),
            subject: self.subject.as_deref().map(bounded),
            reason: self.reason.as_deref().map(bounded),
            outcome: match self.outcome {
                AuditOutcome::Done => AuditOutcome::Done,
                AuditOutcome::Refused(why) => AuditOutcome::Refused(bounded(&why)),
            },
            remote: self.remote.as_deref().map(bounded),
            ..self
        }
    }
}

/// Whoever writes a card number where none belongs is refused, and the refusal is entered: without the number.
fn bounded(text: &str) -> String {
    if card_data::found_in(text.as_bytes()) {
        return "(left out: it looks like a card number)".to_owned();
    }
    text.chars().take(LONGEST_TEXT).map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// Which entries are meant.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AuditFilter {
    /// Only this operator's.
    pub actor: Option<String>,
    /// Only those about this payment.
    pub payment_id: Option<PaymentId>,
    /// Only acts of this kind.
    pub act: Option<AuditAct>,
    /// Only those since then.
    pub since: Option<Timestamp>,
}

/// The audit log of a store.
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// Adds entries, texts cut to their bounds.
    ///
    /// # Errors
    /// Nothing was acknowledged; also when an entry of this id is there already.
    async fn enter(&self, entries: &[AuditEntry]) -> Result<(), StoreError>;

    /// Entries, the newest first: those older than `before`.
    ///
    /// # Errors
    /// The database did not answer, or a row cannot be read.
    async fn entries(
        &self,
        filter: &AuditFilter,
        before: Option<AuditId>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_bounded_and_harmless_in_a_terminal() {
        let entry = AuditEntry {
            id: AuditId::new(Timestamp::UNIX_EPOCH, [1, 2]),
            at: Timestamp::UNIX_EPOCH,
            actor: "a\u{1b}[2J".to_owned(),
            role: None,
            act: AuditAct::LogIn,
            payment_id: None,
            subject: None,
            reason: Some("ü".repeat(LONGEST_TEXT + 1)),
            outcome: AuditOutcome::Refused("no\nsuch".to_owned()),
            via: Via::Web,
            remote: None,
        };
        let bounded = entry.bounded();
        assert_eq!(bounded.actor, "a [2J");
        assert_eq!(bounded.reason.map(|reason| reason.chars().count()), Some(LONGEST_TEXT));
        assert_eq!(bounded.outcome, AuditOutcome::Refused("no such".to_owned()));
    }
}
