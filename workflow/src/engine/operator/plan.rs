//! An act before it is done: what it would lead to, what happens next, and whose money it concerns.
//!
//! Not here: deciding it; a plan is made of a step that was decided like any other.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use crate::acts::ActKind;
use crate::decide::{Redriving, Step};
use crate::definition::{EventKind, State};
use crate::explain::NextStep;
use crate::money::Money;
use crate::payment::Payment;

/// What an act would do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Plan {
    /// The act.
    pub act: ActKind,
    /// The event that history would tell of.
    pub event: EventKind,
    /// Where the payment stands.
    pub from: State,
    /// Where it would stand.
    pub to: State,
    /// What would happen then.
    pub next: NextStep,
    /// What it would do about money, in a sentence.
    pub effect: String,
    /// The amounts that would change on the payment's row.
    pub money: Vec<MoneyEffect>,
    /// Of a redrive that decides something: what has to be settled before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settle_first: Option<&'static str>,
    /// Until when a second person would have to agree, when it takes one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// What the second person's yes would do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<Box<Plan>>,
    /// The payment as it stands.
    #[serde(skip)]
    pub before: Arc<Payment>,
    /// The payment as the act would leave it.
    #[serde(skip)]
    pub after: Arc<Payment>,
    /// The refund that would begin.
    #[serde(skip)]
    pub refund: Option<Arc<Payment>>,
    /// What a redrive would mean now.
    #[serde(skip)]
    pub redriving: Redriving,
}

/// An amount on the payment's row that would change.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct MoneyEffect {
    /// Which.
    pub amount: &'static str,
    /// What it is, in minor units.
    pub from_minor: i64,
    /// What it would be.
    pub to_minor: i64,
}

impl Plan {
    pub(super) fn of(
        act: ActKind,
        before: Arc<Payment>,
        step: Step,
        refund: Option<Arc<Payment>>,
        redriving: Redriving,
        next: NextStep,
    ) -> Self {
        let after = step.payment;
        let money = changes(&before, &after);
        let settle_first = match (act, redriving) {
            (ActKind::Redrive, Redriving::Decides(what)) => Some(what),
            (_, Redriving::Decides(_) | Redriving::Asks) => None,
        };
        Self {
            act,
            event: step.row.fact.event,
            from: before.state,
            to: after.state,
            next,
            effect: effect(act, &before, &after, refund.as_deref(), &money),
            money,
            settle_first,
            expires_at: after.proposal.as_ref().filter(|_| act.takes_two()).map(|proposal| proposal.expires_at),
            approval: None,
            before,
            after,
            refund,
            redriving,
        }
    }
}

fn changes(before: &Payment, after: &Payment) -> Vec<MoneyEffect> {
    let amounts = |payment: &Payment| {
        [
            ("authorized", payment.amount_authorized_minor),
            ("captured", payment.amount_captured_minor),
            ("refunded", payment.amount_refunded_minor),
            ("refund_pending", payment.amount_refund_pending_minor),
            ("charged_back", payment.amount_charged_back_minor),
        ]
    };
    let pairs = amounts(before).into_iter().zip(amounts(after));
    pairs
        .filter(|((_, was), (_, is))| was != is)
        .map(|((amount, from_minor), (_, to_minor))| MoneyEffect { amount, from_minor, to_minor })
        .collect()
}

fn effect(act: ActKind, before: &Payment, after: &Payment, refund: Option<&Payment>, money: &[MoneyEffect]) -> String {
    let told = |amount_minor| Money { amount_minor, currency: before.currency }.to_string();
    if let Some(refund) = refund {
        return format!("a refund begins: {} go back to the customer", refund.asked());
    }
    if act.takes_two() {
        return "none yet: a second person has to agree".to_owned();
    }
    if !money.is_empty() {
        let changes: Vec<String> = money
            .iter()
            .map(|change| format!("{} {} → {}", change.amount, told(change.from_minor), told(change.to_minor)))
            .collect();
        return format!("it is booked, and nothing moves at the PSP: {}", changes.join(", "));
    }
    if after.state == State::Canceling && before.state != State::Canceling {
        return match (before.kept_minor(), before.amount_authorized_minor) {
            (0, 0) => "none that is known of: the PSP is asked to cancel, and its answer decides".to_owned(),
            (0, reserved) => format!("{} that are reserved are released at the PSP", told(reserved)),
            (kept, _) => format!("{} that were captured are given back at the PSP", told(kept)),
        };
    }
    if after.goal != before.goal {
        return format!(
            "none now; from now on the money is to be released, no longer to be taken (goal {})",
            after.goal
        );
    }
    match act {
        ActKind::Redrive | ActKind::Inquire => "none by itself: the PSP is asked, and what it says decides".to_owned(),
        ActKind::Retry => "the one that the call has anyway; it is only made now".to_owned(),
        ActKind::Resolve | ActKind::Cancel | ActKind::Refund | ActKind::Approve | ActKind::Withdraw | ActKind::Note => {
            "none".to_owned()
        }
    }
}
