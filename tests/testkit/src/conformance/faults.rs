//! Every fault in every call, over HTTP: what is read is right, what is asked afterwards is true, money moves once.

use std::time::Duration;

use activities::gateway::client::Account;
use workflow::payment::Payment;
use workflow::port::gateway::{Operation, Outcome, Standing};

use super::answers::is_unknown;
use super::candidate::{ACTING, Candidate};
use super::http::{Caller, is_done};
use super::report::{Cases, Report};
use crate::dialect::{Inquiry, Stands};
use crate::psp::{EffectKind, MockPsp, Script};

/// A fault, what it is called, and what a gateway may make of it.
struct Fault {
    name: &'static str,
    order: fn(Script<'_>),
    allows: fn(&Outcome) -> bool,
}

const FAULTS: &[Fault] = &[
    Fault { name: "no answer, nothing done", order: |script| drop(script.times_out()), allows: is_unknown },
    Fault { name: "no answer, done", order: |script| drop(script.approves().but_times_out()), allows: is_unknown },
    Fault { name: "hung up, nothing done", order: |script| drop(script.hangs_up()), allows: is_unknown },
    Fault { name: "hung up, done", order: |script| drop(script.approves().but_hangs_up()), allows: is_unknown },
    Fault { name: "500, nothing done", order: |script| drop(script.answers_500()), allows: is_unknown },
    Fault { name: "500, done", order: |script| drop(script.approves().but_answers_500()), allows: is_unknown },
    Fault { name: "garbage, done", order: |script| drop(script.approves().but_answers_garbage()), allows: is_unknown },
    Fault {
        name: "throttled",
        order: |script| drop(script.is_throttled(Duration::from_secs(2))),
        allows: |outcome| *outcome == Outcome::Throttled { retry_after_ms: Some(2_000) },
    },
    Fault {
        name: "rejected",
        order: |script| drop(script.rejects("invalid_request")),
        allows: |outcome| matches!(outcome, Outcome::Rejected(_) | Outcome::Unknown { .. }),
    },
];

pub(super) async fn check(candidate: &Candidate, account: Account, psp: &MockPsp, report: &mut Report) {
    let caller = Caller::new(candidate, account);
    let (mut read, mut once, mut truth) = (Cases::default(), Cases::default(), Cases::default());
    for operation in ACTING {
        for fault in FAULTS {
            let mut payment = caller.fresh(candidate.dialect().payment_method());
            if !candidate.has(operation, &payment) {
                continue;
            }
            caller.ready_for(operation, &mut payment).await;
            (fault.order)(psp.script(operation));
            let outcome = caller.call(operation, &payment).await;
            let what = format!("{operation}, {}", fault.name);
            read.expect((fault.allows)(&outcome), || format!("{what}: {outcome:?}"));
            if operation == Operation::Authorize {
                let told = caller.inquire(&payment).await;
                truth.expect(is_true(psp, &payment, &told), || {
                    format!("{what}: the PSP has {:?}, and {told:?} is read", psp.account(payment.id))
                });
            }
            // The same call again, as the next attempt makes it: never a second effect.
            caller.call(operation, &payment).await;
            let count = psp.effects().of(payment.id).count(kind(operation));
            let accounts = psp.accounts(payment.id).len();
            once.expect(count <= 1 && accounts <= 1, || format!("{what}: {count} times, {accounts} payments there"));
        }
    }
    let fix =
        "after anything but a whole answer it is unknown what happened; only 429 and a refusal say that nothing did";
    report.found("a fault in a call is read as what it proves", fix, read);
    let fix = "send the same key and bytes on every attempt";
    report.found("a call that is repeated after a fault takes effect once", fix, once);
    let fix = "answer the inquiry from the PSP's word alone: an unknown outcome is resolved by evidence";
    report.found("after a fault the inquiry tells the truth", fix, truth);
    declines(candidate, &caller, psp, report).await;
}

/// Whether what an inquiry told fits the PSP's books.
fn is_true(psp: &MockPsp, payment: &Payment, told: &Outcome) -> bool {
    let stands = psp.account(payment.id).map(|account| account.stands);
    match told {
        Outcome::Approved(Standing::Authorized { .. }) => stands == Some(Stands::Authorized),
        Outcome::Approved(Standing::Untouched { .. } | Standing::Registered { .. }) => {
            matches!(stands, None | Some(Stands::Registered))
        }
        Outcome::Declined(_) => stands == Some(Stands::Declined),
        // Not knowing is never a lie; a stored error or refusal may be all there is.
        Outcome::Unknown { .. } | Outcome::Rejected(_) => stands != Some(Stands::Authorized),
        Outcome::Approved(Standing::Captured { .. } | Standing::Voided { .. } | Standing::Refunded { .. })
        | Outcome::ActionRequired { .. }
        | Outcome::Pending { .. }
        | Outcome::Throttled { .. }
        | Outcome::NotSent { .. } => false,
    }
}

async fn declines(candidate: &Candidate, caller: &Caller<'_>, psp: &MockPsp, report: &mut Report) {
    let mut cases = Cases::default();
    let mut payment = caller.fresh(candidate.dialect().payment_method());
    caller.ready_for(Operation::Authorize, &mut payment).await;
    psp.authorize().declines_hard().but_hangs_up();
    let lost = caller.call(Operation::Authorize, &payment).await;
    cases.expect(is_unknown(&lost), || format!("the answer is lost: {lost:?}"));
    let told = caller.inquire(&payment).await;
    cases.expect(matches!(told, Outcome::Declined(_)), || format!("asked: {told:?}"));
    let fix = "read the PSP's stored decline in the inquiry too";
    report.found("a decline whose answer was lost is found by the inquiry", fix, cases);

    let mut cases = Cases::default();
    for operation in [Operation::Capture, Operation::Void, Operation::Refund] {
        let mut payment = caller.fresh(candidate.dialect().payment_method());
        caller.ready_for(operation, &mut payment).await;
        psp.script(operation).declines_softly();
        let outcome = caller.call(operation, &payment).await;
        cases.expect(!matches!(outcome, Outcome::Approved(_)), || format!("{operation}: {outcome:?}"));
        let count = psp.effects().of(payment.id).count(kind(operation));
        cases.expect(count == 0 && !(is_done(operation, &outcome) && asks(candidate)), || {
            format!("{operation}: {outcome:?}")
        });
    }
    let fix = "a refused capture, void or refund is Rejected, Declined, Unknown, or Pending until the webhook tells: no success";
    report.found("a refused modification is no success", fix, cases);
}

fn asks(candidate: &Candidate) -> bool {
    candidate.dialect().inquiry() == Inquiry::Asks
}

/// What an operation does to money.
fn kind(operation: Operation) -> EffectKind {
    match operation {
        Operation::Register | Operation::Authorize | Operation::Complete | Operation::Inquire => EffectKind::Authorized,
        Operation::Capture => EffectKind::Captured,
        Operation::Void => EffectKind::Voided,
        Operation::Refund => EffectKind::Refunded,
    }
}
