//! Why a payment stands where it stands: what it waits for, since when and until when, who can unblock it, what happens next
//! and when, and what an operator can do about it now. Pure: the same payment explains itself in the same way everywhere.
//!
//! Not here: how it is shown. The command line and the pages for operators render the same struct.

mod allowed;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use strum::{Display, IntoStaticStr};

use crate::decide::{Redriving, ReviewReason};
use crate::definition::{Activity, Definition, Goal, State, StateKind};
use crate::ids::PaymentId;
use crate::payment::{Doubt, Outcome, Payment, Proposal, Proposed};
use crate::port::pauses::Pause;
use crate::port::store::DeadLetterRow;

pub use allowed::Allowed;

/// Work that is due for so long is overdue: workers take it within seconds.
const OVERDUE_AFTER: SignedDuration = SignedDuration::from_mins(1);

/// What there is to know besides the payment and its definition.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Its last dead letter.
    pub letter: Option<&'a DeadLetterRow>,
    /// The pause of its PSP account.
    pub pause: Option<&'a Pause>,
    /// Now.
    pub now: Timestamp,
}

/// Who can unblock a payment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Display, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Who {
    /// A worker: it goes on by itself as soon as one is free.
    Worker,
    /// The clock: it goes on by itself when the time has come.
    Clock,
    /// The customer.
    Customer,
    /// The PSP.
    Psp,
    /// The merchant.
    Merchant,
    /// An operator.
    Operator,
    /// Nobody has to: it has ended.
    Nobody,
}

/// What happens next if nobody does anything.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NextStep {
    /// What.
    pub what: String,
    /// When; none when nothing is to come, or when it hangs on somebody.
    pub at: Option<Timestamp>,
    /// Whether it should have happened already.
    pub is_overdue: bool,
}

/// Why a payment is with a person.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Review {
    /// In one word.
    pub reason: &'static str,
    /// The last error in one line.
    pub told: String,
    /// Since when.
    pub since: Timestamp,
    /// What has to be settled before a redrive, if anything.
    pub settle_first: Option<&'static str>,
}

/// What waits for a second person.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Pending {
    /// Its number: that of its history row.
    pub proposal: i64,
    /// What, in a few words.
    pub what: String,
    /// Who proposed it.
    pub by: String,
    /// Why.
    pub why: String,
    /// When.
    pub at: Timestamp,
    /// Until when it can be approved.
    pub expires_at: Timestamp,
    /// Whether that has passed.
    pub has_expired: bool,
}

/// A payment explained.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Explanation {
    /// Which.
    pub payment: PaymentId,
    /// Where it stands.
    pub state: State,
    /// What is wanted of its money.
    pub goal: Goal,
    /// What it waits for, in a sentence.
    pub waits_for: String,
    /// Since when it stands there.
    pub since: Timestamp,
    /// Until when at most; none when it has ended, or waits for a person.
    pub until: Option<Timestamp>,
    /// Who can unblock it.
    pub who: Who,
    /// The definition's line for operators.
    pub hint: &'static str,
    /// What happens next.
    pub next: NextStep,
    /// Why what happened at the PSP is not known for certain, if so.
    pub doubt: Option<&'static str>,
    /// The pause of its PSP account, while it holds it up or would.
    pub pause: Option<Pause>,
    /// Why it is with a person, if it is.
    pub review: Option<Review>,
    /// What waits for a second person.
    pub proposal: Option<Pending>,
    /// What an operator can do now, and why the rest is not to be done.
    pub acts: Vec<Allowed>,
}

/// Explains a payment.
#[must_use]
pub fn explain(definition: &Definition, payment: &Payment, known: Known<'_>) -> Explanation {
    let row = definition.state(payment.state);
    let is_open = matches!(row.kind, StateKind::Works(_) | StateKind::Waits { .. });
    let pause = known.pause.filter(|_| is_open);
    let (waits_for, who, next) = match row.kind {
        StateKind::Works(activity) => working(payment, activity, Known { pause, ..known }),
        StateKind::Waits { meaning, .. } => waiting(payment, meaning, known),
        StateKind::Ended => ended(payment, known.now),
        StateKind::Outside => (
            "A payment of this kind is never in this state: a defect, and a person has to look.".to_owned(),
            Who::Operator,
            NextStep { what: "nothing".to_owned(), at: None, is_overdue: true },
        ),
    };
    let review = known.letter.filter(|_| payment.state == State::InReview).map(|letter| review(letter, payment.goal));
    let redriving = Redriving::told_by(known.letter.map(|letter| letter.letter.reason), payment.goal);
    Explanation {
        payment: payment.id,
        state: payment.state,
        goal: payment.goal,
        waits_for,
        since: payment.state_since,
        until: until(definition, payment),
        who,
        hint: row.operators,
        next,
        doubt: payment.doubt.map(doubt),
        pause: pause.cloned(),
        review,
        proposal: payment.proposal.as_ref().map(|proposal| pending(proposal, payment, known.now)),
        acts: allowed::acts(definition, payment, redriving, known.now),
    }
}

/// While an activity is due or under way.
fn working(payment: &Payment, activity: Activity, known: Known<'_>) -> (String, Who, NextStep) {
    let at = payment.next_wake_at;
    let overdue = |by: SignedDuration| at.is_some_and(|at| known.now.duration_since(at) >= by);
    if payment.is_leased() {
        let next = NextStep {
            what: "the worker reports; when it does not, its lease runs out and the PSP is asked".to_owned(),
            at,
            is_overdue: overdue(OVERDUE_AFTER),
        };
        return (format!("The worker that runs `{activity}` now."), Who::Worker, next);
    }
    if let Some(pause) = known.pause {
        let what = format!("nothing is sent to {} until it is resumed; then `{activity}` goes on", pause.psp);
        let waits_for = format!("An operator: {} paused {} ({}).", pause.by, pause.psp, pause.why);
        return (waits_for, Who::Operator, NextStep { what, at: None, is_overdue: false });
    }
    if at.is_some_and(|at| at > known.now) {
        let what = format!("attempt {} of `{activity}`", i64::from(payment.attempt) + 1);
        let waits_for = format!("The backoff before the next attempt of `{activity}` to end.");
        return (waits_for, Who::Clock, NextStep { what, at, is_overdue: false });
    }
    let is_overdue = overdue(OVERDUE_AFTER);
    let waits_for = if is_overdue {
        format!("A worker to run `{activity}`, and none has come: see whether any is running.")
    } else {
        format!("A worker to run `{activity}`.")
    };
    let what = format!("the next free worker runs `{activity}`");
    (waits_for, Who::Worker, NextStep { what, at, is_overdue })
}

/// While somebody outside has to act.
fn waiting(payment: &Payment, meaning: &str, known: Known<'_>) -> (String, Who, NextStep) {
    let at = payment.next_wake_at;
    let is_overdue = at.is_some_and(|at| known.now.duration_since(at) >= OVERDUE_AFTER);
    let next = NextStep { what: meaning.to_owned(), at, is_overdue };
    if let Some(waits_for) = second_person(payment, known.now) {
        return (waits_for, Who::Operator, next);
    }
    let (waits_for, who) = match payment.state {
        State::RequiresAction => ("The customer to authenticate (3-D Secure).", Who::Customer),
        State::AwaitingWebhook => ("The PSP's webhook that tells the result.", Who::Psp),
        State::AwaitingCapture => ("The PSP's webhook that tells the result of the capture.", Who::Psp),
        State::Authorized => ("The merchant to capture or to cancel.", Who::Merchant),
        State::InReview => ("An operator to decide.", Who::Operator),
        State::Created
        | State::Authorizing
        | State::Reconciling
        | State::Finalizing
        | State::Canceling
        | State::Refunding
        | State::Succeeded
        | State::Failed
        | State::Canceled
        | State::Expired => ("Somebody outside.", Who::Operator),
    };
    (waits_for.to_owned(), who, next)
}

/// When it has ended.
fn ended(payment: &Payment, now: Timestamp) -> (String, Who, NextStep) {
    let next = NextStep { what: "nothing".to_owned(), at: None, is_overdue: false };
    match second_person(payment, now) {
        Some(waits_for) => (waits_for, Who::Operator, next),
        None => ("Nothing: it has ended.".to_owned(), Who::Nobody, next),
    }
}

/// The second person that a proposal waits for, as a sentence.
fn second_person(payment: &Payment, now: Timestamp) -> Option<String> {
    let proposal = payment.proposal.as_ref().filter(|proposal| !proposal.has_expired(now))?;
    Some(format!("A second operator, not {}, to approve: {}.", proposal.by, what(proposal, payment)))
}

/// When its stay in the state ends at the latest. Work ends with its retry policy, for whatever reason it is repeated.
fn until(definition: &Definition, payment: &Payment) -> Option<Timestamp> {
    match definition.state(payment.state).kind {
        StateKind::Works(activity) => {
            let row = definition.activity(activity);
            let longest = [row.not_sent, row.throttled, row.unknown].map(|policy| policy.max_elapsed_ms);
            let ms = longest.into_iter().max().and_then(|ms| i64::try_from(ms).ok())?;
            payment.state_since.saturating_add(SignedDuration::from_millis(ms)).ok()
        }
        // Nobody decides in its place; the deadline is when somebody is told again.
        StateKind::Waits { .. } if payment.state == State::InReview => None,
        StateKind::Waits { .. } => payment.next_wake_at,
        StateKind::Ended | StateKind::Outside => None,
    }
}

fn review(letter: &DeadLetterRow, goal: Goal) -> Review {
    let reason: ReviewReason = letter.letter.reason;
    let settle_first = match Redriving::of(reason, goal) {
        Redriving::Asks => None,
        Redriving::Decides(what) => Some(what),
    };
    Review { reason: reason.into(), told: letter.letter.told(), since: letter.at, settle_first }
}

fn pending(proposal: &Proposal, payment: &Payment, now: Timestamp) -> Pending {
    Pending {
        proposal: proposal.seq,
        what: what(proposal, payment),
        by: proposal.by.clone(),
        why: proposal.why.clone(),
        at: proposal.at,
        expires_at: proposal.expires_at,
        has_expired: proposal.has_expired(now),
    }
}

/// What is proposed, in a few words.
fn what(proposal: &Proposal, payment: &Payment) -> String {
    let money = |amount_minor| crate::money::Money { amount_minor, currency: payment.currency };
    match &proposal.what {
        Proposed::Refund { amount_minor, .. } => format!("give {} back", money(*amount_minor)),
        Proposed::Resolution(resolution) => match (resolution.outcome, resolution.captured_minor) {
            (Outcome::Succeeded, Some(captured)) => format!("it succeeded, with {} captured", money(captured)),
            (Outcome::Succeeded, None) => "it succeeded".to_owned(),
            (Outcome::Failed, _) => "it failed".to_owned(),
            (Outcome::Canceled, _) => "it is canceled".to_owned(),
        },
    }
}

fn doubt(doubt: Doubt) -> &'static str {
    match doubt {
        Doubt::Unknown => "a call may have had an effect that nobody has told us of yet",
        Doubt::KeyExpired => {
            "a call may have had an effect, and the PSP may have forgotten its key: only asking can tell"
        }
    }
}
