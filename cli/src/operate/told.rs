//! Plans and acts as text.
//!
//! Not here: what they say; the engine does.

use jiff::Timestamp;
use workflow::engine::operator::{Act, ActKind, Done, Plan, Refusal};
use workflow::explain::NextStep;
use workflow::ids::PaymentId;
use workflow::timeline::duration;

/// What an act would do.
pub(super) fn plan(id: PaymentId, plan: &Plan, now: Timestamp) -> String {
    let mut text = format!("{id}  {} would do this:\n{}", plan.act, body(plan, "  ", now));
    if let Some(approval) = &plan.approval {
        text.push_str(&format!("  and when a second person approves:\n{}", body(approval, "    ", now)));
    }
    text
}

fn body(plan: &Plan, indent: &str, now: Timestamp) -> String {
    let moves =
        if plan.from == plan.to { format!("stays {}", plan.from) } else { format!("{} → {}", plan.from, plan.to) };
    let mut text = format!("{indent}{moves} ({})\n", plan.event);
    if let Some(what) = plan.settle_first {
        text.push_str(&format!("{indent}settled   {what}\n"));
    }
    text.push_str(&format!("{indent}money     {}\n{indent}next      {}\n", plan.effect, next(&plan.next, now)));
    text
}

/// What happens next, and when.
pub(crate) fn next(next: &NextStep, now: Timestamp) -> String {
    let Some(at) = next.at else { return next.what.clone() };
    let ms = at.as_millisecond() - now.as_millisecond();
    match (ms > 0, next.is_overdue) {
        (true, _) => format!("{}, in {}", next.what, duration(ms)),
        (false, true) => format!("{}: OVERDUE since {}", next.what, duration(-ms)),
        (false, false) => format!("{}, now", next.what),
    }
}

/// Why an act is not done.
pub(super) fn refused(id: PaymentId, refusal: &Refusal, word: &str) -> String {
    let state = refusal.state.map_or_else(String::new, |state| format!(" ({state})"));
    format!("{id}{state}  {word}: {}\n", refusal.why)
}

/// What an act did.
pub(super) fn done(act: &Act, done: &Done) -> String {
    let Done { payment, refund } = done;
    let what = match (act.kind(), refund) {
        (ActKind::Approve, Some(refund)) => format!("approved: refund {} gives {} back", refund.id, refund.asked()),
        (ActKind::Approve, None) => format!("approved: it is {} now", payment.state),
        (ActKind::Resolve | ActKind::Refund, _) => {
            let number = payment.proposal.as_ref().map_or(payment.seq, |proposal| proposal.seq);
            format!(
                "proposed. Somebody else has to agree within 24 h:\n  fincore approve {} --proposal {number} --why '…'",
                payment.id
            )
        }
        (ActKind::Retry, _) => "is due now; the next free worker takes it".to_owned(),
        (ActKind::Inquire | ActKind::Redrive, _) => {
            format!("is {} now: a worker asks the PSP before it repeats anything", payment.state)
        }
        (ActKind::Cancel, _) => format!("is {} now", payment.state),
        (ActKind::Withdraw, _) => "the proposal is withdrawn".to_owned(),
        (ActKind::Note, _) => format!("noted in row {} of its history", payment.seq),
    };
    format!("{}  {what}\n", payment.id)
}
