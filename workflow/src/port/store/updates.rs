//! Moves of payments as a store writes them: each with what caused it, what explains it and what belongs to it.

use std::sync::Arc;

use super::{RequestRecord, WebhookEvent};
use crate::decide::DeadLetter;
use crate::history::HistoryRow;
use crate::notification::Notification;
use crate::payment::Payment;
use crate::port::audit::AuditEntry;

/// What caused an update, when it has to be remembered in the same transaction and must not happen twice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Nothing that needs remembering.
    Plain,
    /// A webhook event: goes to the inbox (or replaces its unmatched row).
    Webhook(WebhookEvent),
    /// A client's request: its key and answer are kept.
    Request(RequestRecord),
    /// An operator's act: its entry in the audit log. (That an act does not happen twice, its payment's `seq` sees to.)
    Act(AuditEntry),
}

/// A refund that begins in the transaction that moves its charge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opened {
    /// The refund, at `seq` 1.
    pub payment: Arc<Payment>,
    /// Its first row.
    pub row: HistoryRow,
}

/// A compare-and-set update of one payment with the history rows that explain it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Update {
    /// The `seq` the payment must still have.
    pub expected_seq: i64,
    /// The `fence` the payment must still have.
    pub expected_fence: i64,
    /// The payment afterwards.
    pub payment: Arc<Payment>,
    /// One row or two, numbered on from `expected_seq`.
    pub rows: Vec<HistoryRow>,
    /// What caused it.
    pub origin: Origin,
    /// The PSP's name for the payment, when this update is the first to know it.
    pub learned_reference: Option<String>,
    /// Kept when the update sends the payment to a person.
    pub dead_letter: Option<DeadLetter>,
    /// What the merchant is told of it, wherever it asked to be told.
    pub notifications: Vec<Notification>,
    /// Another payment's update that belongs to this one and has its origin: both or none are stored.
    pub with: Option<Box<Update>>,
    /// A payment that begins with this update.
    pub opens: Option<Box<Opened>>,
}

impl Update {
    /// The payments it moves, at least this one.
    pub fn moves(&self) -> impl Iterator<Item = &Update> {
        std::iter::once(self).chain(self.with.as_deref())
    }
}

/// What became of an update.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Updated {
    /// It is stored.
    Applied,
    /// The payment has moved since, or the origin was already handled: nothing of it was stored.
    Conflict,
}

/// Which updates of a batch may be written: the first of each payment. The others are conflicts by definition,
/// since the first moves `seq` on.
#[must_use]
pub fn first_of_each_payment(batch: &[Update]) -> Vec<bool> {
    let mut seen = std::collections::HashSet::with_capacity(batch.len());
    let mut is_first = |update: &Update| {
        let is_first = update.moves().all(|moved| !seen.contains(&moved.payment.id));
        seen.extend(update.moves().map(|moved| moved.payment.id));
        is_first
    };
    batch.iter().map(&mut is_first).collect()
}
