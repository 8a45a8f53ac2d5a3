//! What an operator can do to a payment now: each act is decided as if somebody did it, and the step is thrown away.
//!
//! Not here: doing it ([`crate::engine::operator`]).

use jiff::Timestamp;
use serde::Serialize;
use strum::VariantArray;

use crate::acts::{Act, ActKind, By, Circumstances, event};
use crate::decide::{Decided, Decision, Occurrence, Redriving, decide};
use crate::definition::{Definition, Kind};
use crate::event::Actor;
use crate::history::Verdict;
use crate::ids::PaymentId;
use crate::payment::{Outcome, Payment, Proposed, Resolution};
use crate::port::audit::Via;

/// An act, and whether it is to be had now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Allowed {
    /// The act.
    pub act: ActKind,
    /// Why it is refused now; none when it is allowed.
    pub refused: Option<String>,
    /// What has to be settled before, if anything.
    pub settle_first: Option<&'static str>,
    /// Whether a second person has to agree.
    pub takes_two: bool,
}

impl Allowed {
    /// Whether it can be done now.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.refused.is_none()
    }
}

pub(super) fn acts(definition: &Definition, payment: &Payment, redriving: Redriving, now: Timestamp) -> Vec<Allowed> {
    let allowed = |kind: &ActKind| {
        let refused = refused(definition, payment, *kind, redriving, now);
        let settle_first = match (kind, redriving, &refused) {
            (ActKind::Redrive, Redriving::Decides(what), None) => Some(what),
            (_, _, _) => None,
        };
        Allowed { act: *kind, refused, settle_first, takes_two: kind.takes_two() }
    };
    ActKind::VARIANTS.iter().map(allowed).collect()
}

/// Why an act is refused in every shape it has, if it is.
fn refused(
    definition: &Definition,
    payment: &Payment,
    kind: ActKind,
    redriving: Redriving,
    now: Timestamp,
) -> Option<String> {
    if kind == ActKind::Approve && payment.proposal.is_none() {
        return Some("nothing is proposed here that could be approved".to_owned());
    }
    // Somebody else than who proposed anything.
    let by = By {
        operator: format!("not {}", payment.proposal.as_ref().map_or("anybody", |proposal| &proposal.by)),
        role: None,
        why: "to see whether it is allowed".to_owned(),
        via: Via::Cli,
        remote: None,
    };
    let given = Circumstances { by: &by, redriving, refund: PaymentId::new_refund(now, [0, 0]), now };
    let mut first = None;
    for act in shapes(kind, payment) {
        let why = match event(payment, &act, given) {
            Err(why) => why.to_owned(),
            Ok(event) => {
                let actor = Actor::Operator(by.operator.clone());
                match decide(definition, payment, &Occurrence { event, actor, payload_hash: None }, now, 0) {
                    Decision::Illegal(why) => why.to_owned(),
                    Decision::Record(step) if step.row.fact.verdict == Verdict::Stale => {
                        step.row.fact.data["stale"].as_str().unwrap_or("it changes nothing").to_owned()
                    }
                    Decision::Record(_) => return None,
                }
            }
        };
        first.get_or_insert(why);
    }
    first
}

/// The shapes in which an act could be allowed.
fn shapes(kind: ActKind, payment: &Payment) -> Vec<Act> {
    let proposal = payment.proposal.as_ref().map_or(0, |proposal| proposal.seq);
    match kind {
        ActKind::Retry => vec![Act::Retry],
        ActKind::Inquire => vec![Act::Inquire],
        ActKind::Redrive => vec![Act::Redrive(Decided::Yes)],
        ActKind::Cancel => vec![Act::Cancel],
        ActKind::Note => vec![Act::Note],
        ActKind::Refund => {
            vec![Act::Propose(Proposed::Refund { amount_minor: payment.refundable_minor(), refund_reason: None })]
        }
        ActKind::Resolve => Outcome::VARIANTS.iter().map(|outcome| resolution(*outcome, payment)).collect(),
        ActKind::Approve => vec![Act::Approve { proposal }],
        ActKind::Withdraw => vec![Act::Withdraw { proposal }],
    }
}

fn resolution(outcome: Outcome, payment: &Payment) -> Act {
    let captures = outcome == Outcome::Succeeded && payment.kind() == Kind::Charge;
    let captured_minor = captures.then_some(payment.amount_minor);
    Act::Propose(Proposed::Resolution(Resolution { outcome, captured_minor, psp_reference: None }))
}
