//! Answers: each has a meaning, and no meaning that the evidence does not carry.

use std::time::Duration;

use workflow::event::Unknown;
use workflow::payment::{FailureCategory, NextAction, Payment};
use workflow::port::gateway::{Operation, Outcome, Standing};

use super::candidate::{ACTING, Candidate, usual};
use super::report::Report;
use crate::dialect::{Decline, Fact, Inquiry, Stands, WireAnswer};

/// Bodies that are nothing a PSP means.
const ODD_BODIES: &[&str] = &["", "null", "[]", "{}", "0", "\"x\"", "<html>Bad Gateway</html>", "{\"id\":", "\u{0}"];
/// Statuses a proxy, a firewall or a broken PSP may answer with.
const STATUSES: &[u16] =
    &[0, 100, 200, 201, 202, 204, 299, 301, 302, 304, 307, 400, 404, 408, 409, 418, 422, 499, 600, 999];

pub(super) fn check(candidate: &Candidate, report: &mut Report) {
    let fresh = candidate.payment(1, usual());
    approvals(candidate, report, &fresh);
    noes(candidate, report, &fresh);
    not_yet(candidate, report, &fresh);
    unknowns(candidate, report, &fresh);
}

/// The good answer to an operation, and the payment it is for.
fn good(candidate: &Candidate, operation: Operation, fresh: &Payment) -> (Payment, WireAnswer) {
    let payment = candidate.due_for(operation, fresh.clone());
    let stands = match operation {
        Operation::Register => Stands::Registered,
        Operation::Authorize | Operation::Complete | Operation::Inquire => Stands::Authorized,
        Operation::Capture | Operation::Refund => Stands::Captured,
        Operation::Void => Stands::Voided,
    };
    let mut account = candidate.account(&payment, stands);
    if operation == Operation::Refund {
        account.refunded_minor = account.captured_minor;
    }
    let deed = candidate.dialect().reference(7, operation);
    let answer =
        candidate.told(operation, &payment, Fact::Done { account: &account, deed: &deed, money: payment.asked() });
    (payment, answer)
}

fn due<'a>(candidate: &'a Candidate, fresh: &'a Payment) -> impl Iterator<Item = Operation> + 'a {
    let asks = candidate.dialect().inquiry() == Inquiry::Asks;
    let inquiry = asks.then_some(Operation::Inquire);
    ACTING.into_iter().chain(inquiry).filter(|operation| candidate.has(*operation, fresh))
}

fn approvals(candidate: &Candidate, report: &mut Report, fresh: &Payment) {
    let fix = "read the PSP's success as the standing it proves; where the result comes by webhook, as Pending";
    report.check("a success is read as what it proves", fix, |cases| {
        for operation in due(candidate, fresh) {
            let (payment, answer) = good(candidate, operation, fresh);
            let outcome = candidate.read(operation, &payment, &answer);
            let is_right = match (&outcome, operation) {
                (Outcome::Approved(Standing::Registered { psp_reference }), Operation::Register) => {
                    *psp_reference == candidate.reference()
                }
                (
                    Outcome::Approved(Standing::Authorized { psp_reference, money }),
                    Operation::Authorize | Operation::Inquire,
                ) => *psp_reference == candidate.reference() && *money == payment.asked(),
                (Outcome::Approved(Standing::Captured { money, .. }), Operation::Capture)
                | (Outcome::Approved(Standing::Refunded { money, .. }), Operation::Refund) => *money == payment.asked(),
                (Outcome::Approved(Standing::Voided { .. }), Operation::Void)
                | (Outcome::Pending { .. }, Operation::Capture | Operation::Void | Operation::Refund) => true,
                _other => false,
            };
            cases.expect(is_right, || format!("{operation}: {outcome:?}"));
        }
    });

    let fix = "compare the reference and our own id in every answer with the payment's; a mismatch is Unknown";
    report.check("an answer about another payment proves nothing", fix, |cases| {
        for operation in due(candidate, fresh) {
            let (payment, answer) = good(candidate, operation, fresh);
            let theirs = candidate.dialect().reference(99, Operation::Register);
            let stranger =
                Payment { psp_reference: payment.psp_reference.as_ref().map(|_| theirs.clone()), ..payment.clone() };
            let other = candidate.payment(2, usual());
            let stranger =
                if payment.psp_reference.is_some() { stranger } else { Payment { id: other.id, ..stranger } };
            let outcome = candidate.read(operation, &stranger, &answer);
            cases.expect(is_unknown(&outcome), || format!("{operation}: {outcome:?}"));
        }
    });
}

fn noes(candidate: &Candidate, report: &mut Report, fresh: &Payment) {
    let payment = candidate.due_for(Operation::Authorize, fresh.clone());
    let declined = |decline: &Decline| {
        let mut account = candidate.account(&payment, Stands::Declined);
        account.decline = Some(decline.clone());
        candidate.told(Operation::Authorize, &payment, Fact::Declined { account: &account, decline, deed: "" })
    };
    let kinds = [FailureCategory::SoftDecline, FailureCategory::HardDecline, FailureCategory::Authentication];

    let fix = "map the PSP's decline codes to their category by its documentation; a code that is in no list is a soft decline";
    report.check("a decline is Declined, with the category its code has, and a code", fix, |cases| {
        for decline in candidate.dialect().declines() {
            let outcome = candidate.read(Operation::Authorize, &payment, &declined(&decline));
            let (kind, code) = (decline.category, &decline.code);
            let is_right =
                matches!(&outcome, Outcome::Declined(failure) if failure.category == kind && !failure.code.is_empty());
            cases.expect(is_right, || format!("{code} is a {kind}: {outcome:?}"));
        }
    });

    let fix = "read a refused request as Rejected, or as Unknown where it may have moved money: it is no issuer's no";
    report.check("a refused request is not a decline", fix, |cases| {
        for operation in due(candidate, fresh).filter(|operation| *operation != Operation::Inquire) {
            let payment = candidate.due_for(operation, fresh.clone());
            let answer = candidate.told(operation, &payment, Fact::Rejected("parameter_missing"));
            let outcome = candidate.read(operation, &payment, &answer);
            cases.expect(matches!(outcome, Outcome::Rejected(_) | Outcome::Unknown { .. }), || {
                format!("{operation}: {outcome:?}")
            });
        }
    });

    let fix = "a key that came with another request before is no outcome of this one: Unknown for an authorization, never a success or a decline";
    report.check("a reused key is neither a success nor a decline", fix, |cases| {
        for operation in due(candidate, fresh).filter(|operation| *operation != Operation::Inquire) {
            let payment = candidate.due_for(operation, fresh.clone());
            let answer = candidate.told(operation, &payment, Fact::KeyReused);
            let outcome = candidate.read(operation, &payment, &answer);
            let is_no_end = !matches!(outcome, Outcome::Approved(_) | Outcome::Declined(_));
            let is_open = if operation == Operation::Authorize { is_unknown(&outcome) } else { is_no_end };
            cases.expect(is_open, || format!("{operation}: {outcome:?}"));
        }
    });

    let fix = "when status and body contradict each other, believe neither: a 5xx is Unknown whatever its body says";
    report.check("a server error is never a no, even with a decline in its body", fix, |cases| {
        let bodies: Vec<WireAnswer> = kinds.map(|kind| declined(&candidate.dialect().decline_of(kind))).into();
        for operation in due(candidate, fresh) {
            let (payment, success) = good(candidate, operation, fresh);
            let error = candidate.told(operation, &payment, Fact::ServerError);
            for status in 500..=599 {
                for body in bodies.iter().chain([&success, &error]).map(|answer| &answer.body) {
                    let answer = WireAnswer { status, headers: Vec::new(), body: body.clone() };
                    let outcome = candidate.read(operation, &payment, &answer);
                    cases.expect(is_unknown(&outcome), || format!("{operation}, {status}: {outcome:?}"));
                }
            }
        }
    });
}

fn not_yet(candidate: &Candidate, report: &mut Report, fresh: &Payment) {
    let payment = candidate.due_for(Operation::Authorize, fresh.clone());
    let read = |stands: Stands| {
        let account = candidate.account(&payment, stands);
        let fact = Fact::Done { account: &account, deed: "", money: payment.asked() };
        candidate.read(Operation::Authorize, &payment, &candidate.told(Operation::Authorize, &payment, fact))
    };

    let fix = "read what the customer has to do as ActionRequired, with the page to open when there is one";
    report.check("an action of the customer's is read with its page", fix, |cases| {
        let outcome = read(Stands::ActionRequired);
        let page = matches!(&outcome, Outcome::ActionRequired { next_action: NextAction::RedirectToUrl { url }, .. } if url.starts_with("https://"));
        cases.expect(page, || format!("{outcome:?}"));
    });

    let fix = "read a result that comes by webhook as Pending";
    report.check("a result that comes later is Pending", fix, |cases| {
        let outcome = read(Stands::Pending(Operation::Authorize));
        cases.expect(matches!(outcome, Outcome::Pending { .. }), || format!("{outcome:?}"));
    });

    let fix = "read 429 as Throttled before anything else, and pass Answer::retry_after_ms on";
    report.check("429 is Throttled, for as long as the PSP asks, whatever its body", fix, |cases| {
        for operation in due(candidate, fresh) {
            let payment = candidate.due_for(operation, fresh.clone());
            let told = candidate.told(operation, &payment, Fact::Throttled(Duration::from_secs(7)));
            for body in [told.body.clone(), b"<html>".to_vec(), Vec::new()] {
                let outcome = candidate.read(operation, &payment, &WireAnswer { body, ..told.clone() });
                let is_right = outcome == Outcome::Throttled { retry_after_ms: Some(7_000) };
                cases.expect(is_right, || format!("{operation}: {outcome:?}"));
            }
        }
    });
}

fn unknowns(candidate: &Candidate, report: &mut Report, fresh: &Payment) {
    let fix = "treat an answer as evidence only when it is whole and says what it is about; everything else is Unknown";
    report.check("a body that says nothing is never a success or a decline", fix, |cases| {
        for operation in due(candidate, fresh) {
            let payment = candidate.due_for(operation, fresh.clone());
            for &status in STATUSES {
                let deep = "[".repeat(20_000);
                for body in ODD_BODIES.iter().copied().chain([deep.as_str()]) {
                    let answer = WireAnswer { status, headers: Vec::new(), body: body.as_bytes().to_vec() };
                    let outcome = candidate.read(operation, &payment, &answer);
                    let shown: String = body.chars().take(12).collect();
                    cases.expect(is_unknown(&outcome), || format!("{operation}, {status} {shown:?}: {outcome:?}"));
                }
            }
        }
    });

    let fix = "parse strictly: a document that breaks off has no meaning, whatever it said until then";
    report.check("an answer cut anywhere is Unknown", fix, |cases| {
        for operation in due(candidate, fresh) {
            let (payment, whole) = good(candidate, operation, fresh);
            for cut in 0..whole.body.len() {
                let answer = WireAnswer { body: whole.body[..cut].to_vec(), ..whole.clone() };
                let outcome = candidate.read(operation, &payment, &answer);
                cases.expect(is_unknown(&outcome), || format!("{operation}, {cut} bytes: {outcome:?}"));
            }
        }
    });

    let fix = "read a rejected API key (401, 403) as NotSent or Unknown: a payment must not fail because of our configuration";
    report.check("a refused API key is no outcome of the payment", fix, |cases| {
        for operation in due(candidate, fresh) {
            let (payment, success) = good(candidate, operation, fresh);
            for (status, body) in [(401, Vec::new()), (403, Vec::new()), (401, success.body)] {
                let outcome = candidate.read(operation, &payment, &WireAnswer { status, headers: Vec::new(), body });
                let is_right = matches!(outcome, Outcome::NotSent { .. } | Outcome::Unknown { .. });
                cases.expect(is_right, || format!("{operation}, {status}: {outcome:?}"));
            }
        }
    });

    let fix = "read a stored server error (EndedInError) only where the PSP says that it replays it; a proxy's page is not one";
    report.check("a proxy's error page does not end an operation", fix, |cases| {
        for operation in due(candidate, fresh) {
            let payment = candidate.due_for(operation, fresh.clone());
            let answer = WireAnswer { status: 502, headers: Vec::new(), body: b"<html>Bad Gateway</html>".to_vec() };
            let outcome = candidate.read(operation, &payment, &answer);
            let is_final = matches!(outcome, Outcome::Unknown { why: Unknown::EndedInError, .. });
            cases.expect(is_unknown(&outcome) && !is_final, || format!("{operation}: {outcome:?}"));
        }
    });
}

pub(super) fn is_unknown(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Unknown { .. })
}
