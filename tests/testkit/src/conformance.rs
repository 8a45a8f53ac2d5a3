//! What every gateway must hold, as a checklist that runs. Each check has a name and, when it fails, says what to fix.
//!
//! Three parts, from cheap to real: [`on_paper`] (requests, answers and webhooks as data), [`over_http`] (a payment's
//! life against anything that speaks the dialect) and [`under_faults`] (a [`MockPsp`] that breaks in every call).
//!
//! A check that does not concern a PSP is listed with the reason, not left out. Not here: one PSP's special rules; its
//! gateway's own tests have those.

mod answers;
mod candidate;
mod faults;
mod http;
mod money;
mod report;
mod requests;
mod webhooks;

use std::time::Duration;

use activities::gateway::client::Account;

pub use candidate::{Candidate, Cards};
pub use report::{Checked, Report, Verdict};

use crate::psp::MockPsp;

/// Longer than a loopback call takes, and short enough for a check to wait for in vain.
const CALL_TIMEOUT: Duration = Duration::from_secs(1);

/// Requests, answers, amounts and webhooks, as data: no network, no clock.
#[must_use]
pub fn on_paper(candidate: &Candidate) -> Report {
    let mut report = Report::new(candidate.dialect().psp());
    requests::check(candidate, &mut report);
    money::check(candidate, &mut report);
    answers::check(candidate, &mut report);
    webhooks::check(candidate, &mut report);
    report
}

/// A payment's life over HTTP, against anything that speaks the dialect: a [`MockPsp`], a sandbox, the PSP's own test
/// system.
pub async fn over_http(candidate: &Candidate, account: Account, cards: &Cards) -> Report {
    let mut report = Report::new(candidate.dialect().psp());
    http::check(candidate, account, cards, &mut report).await;
    report
}

/// Every fault in every call: what is read is right, what is asked afterwards is true, and money moves once. `account`
/// reaches `psp`.
pub async fn under_faults(candidate: &Candidate, account: Account, psp: &MockPsp) -> Report {
    let mut report = Report::new(candidate.dialect().psp());
    faults::check(candidate, account, psp, &mut report).await;
    report
}
