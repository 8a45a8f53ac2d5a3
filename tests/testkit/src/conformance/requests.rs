//! Requests: what every call has to carry, and what none may.

use workflow::definition::{Goal, State};
use workflow::payment::Payment;
use workflow::port::gateway::Operation;

use super::candidate::{ACTING, Candidate, usual};
use super::report::Report;
use crate::dialect::Inquiry;

pub(super) fn check(candidate: &Candidate, report: &mut Report) {
    let payment = candidate.payment(1, usual());
    let due: Vec<(Operation, Payment)> = ACTING
        .into_iter()
        .filter(|operation| candidate.has(*operation, &payment))
        .map(|operation| (operation, candidate.due_for(operation, payment.clone())))
        .collect();

    let fix = "build the request as the PSP's API reference has it: method, path, content type, required fields";
    report.check("the PSP understands every request as what it is meant", fix, |cases| {
        for (operation, payment) in &due {
            let asked = candidate.asked(*operation, payment);
            let is_meant =
                asked.as_ref().is_ok_and(|asked| asked.operation == *operation || asked.otherwise == Some(*operation));
            cases.expect(is_meant, || format!("{operation}: {asked:?}"));
        }
    });

    let fix = "put Call::key into the PSP's idempotency header on every call that acts, unchanged";
    report.check("every acting call carries its idempotency key", fix, |cases| {
        for (operation, payment) in &due {
            let key = candidate.asked(*operation, payment).ok().and_then(|asked| asked.key);
            let expected = Candidate::key(payment, *operation);
            cases.expect(key.as_deref() == Some(&expected), || format!("{operation}: {key:?}, not {expected}"));
        }
    });

    let fix =
        "build requests only from fields that cannot change while a key is in use: no state, goal, attempt or time";
    report.check("a call is the same on every attempt, byte for byte", fix, |cases| {
        for (operation, payment) in &due {
            let later = later(payment);
            let (first, second) = (candidate.request(*operation, payment), candidate.request(*operation, &later));
            cases.expect(first == second, || format!("{operation}: first {first:?}, later {second:?}"));
        }
    });

    let fix = "send the payment's id as the PSP's merchant reference or metadata in the call that makes it known, and the PSP's reference in every later one";
    report.check("every call names the payment, and the first one by our reference", fix, |cases| {
        for (operation, payment) in &due {
            let Ok(asked) = candidate.asked(*operation, payment) else { continue };
            let by_ours = asked.merchant_reference == Some(payment.id.to_string());
            let by_theirs = asked.psp_reference.is_some() && asked.psp_reference == payment.psp_reference;
            let is_named = by_ours || (by_theirs && payment.psp_reference.is_some());
            cases.expect(is_named, || format!("{operation}: {asked:?}"));
        }
    });

    let fix = "leave credentials to the client (Account adds them); headers of a request go into logs and golden tests";
    report.check("no secret is in a request, and its path stays below the base URL", fix, |cases| {
        let inquiry = (Operation::Inquire, candidate.due_for(Operation::Inquire, payment.clone()));
        for (operation, payment) in due.iter().chain([&inquiry]) {
            let request = candidate.request(*operation, payment);
            for (name, _) in &request.headers {
                let is_secret =
                    ["authorization", "x-api-key", "cookie", candidate.dialect().credentials()].contains(name);
                let is_lower = !name.bytes().any(|byte| byte.is_ascii_uppercase());
                cases.expect(!is_secret && is_lower, || format!("{operation}: the header {name}"));
            }
            let is_below =
                request.path.starts_with('/') && !request.path.contains("..") && !request.path.contains("//");
            cases.expect(is_below, || format!("{operation}: the path {}", request.path));
        }
    });

    let fix = "escape or replace whatever is no letter, digit or _ of a stored reference in a path";
    report.check("no stored reference can lead a call elsewhere", fix, |cases| {
        for (operation, payment) in &due {
            let odd = Payment { psp_reference: Some("../x?y#z%2e\u{e9}\n".to_owned()), ..payment.clone() };
            let path = candidate.request(*operation, &odd).path;
            let is_safe = !["..", "#", "%2e", "\n", "\u{e9}", "?y"].iter().any(|part| path.contains(part));
            cases.expect(is_safe, || format!("{operation}: {path:?}"));
        }
    });
    inquiries(candidate, report, &payment);
}

fn inquiries(candidate: &Candidate, report: &mut Report, payment: &Payment) {
    let name = "an inquiry changes nothing";
    let due = candidate.due_for(Operation::Inquire, payment.clone());
    match candidate.dialect().inquiry() {
        Inquiry::Asks => {
            let fix = "ask with the PSP's own request for that, without an idempotency key";
            report.check(name, fix, |cases| {
                let asked = candidate.asked(Operation::Inquire, &due);
                let is_fine =
                    asked.as_ref().is_ok_and(|asked| asked.operation == Operation::Inquire && asked.key.is_none());
                cases.expect(is_fine, || format!("{asked:?}"));
            });
        }
        Inquiry::Replays => {
            let fix = "make the authorization's request again, byte for byte and under its key: under another key it charges again";
            report.check(name, fix, |cases| {
                let first = candidate.request(Operation::Authorize, payment);
                let again = candidate.request(Operation::Authorize, &later(payment));
                cases.expect(first == again, || format!("first {first:?}, to ask {again:?}"));
            });
        }
    }
}

/// The same payment after everything that may change between two attempts under one key.
fn later(payment: &Payment) -> Payment {
    let later = payment.updated_at + jiff::SignedDuration::from_hours(5);
    let goal = if payment.goal == Goal::Capture { Goal::Cancel } else { payment.goal };
    Payment {
        goal,
        attempt: 9,
        claims: 9,
        fence: 9,
        seq: 9,
        state: State::Reconciling,
        state_since: later,
        lease_until: Some(later),
        updated_at: later,
        ..payment.clone()
    }
}
