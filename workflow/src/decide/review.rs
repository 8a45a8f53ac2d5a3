//! Why a payment goes to a person, what the person is told, and what sending it back to work would mean.

use std::fmt;

use serde_json::Value;
use strum::{Display, EnumIter, EnumString, IntoStaticStr};

use crate::definition::{EventKind, Goal};
use crate::event::Event;
use crate::timeline;

/// The longest account of an error, in characters: a line in a terminal, a log and a message.
const MAX_TOLD: usize = 240;

/// Why a person has to look.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadLetter {
    /// In one word, for grouping.
    pub reason: ReviewReason,
    /// The event that did it, as JSON, with its name as `event`.
    pub last_error: Value,
}

impl DeadLetter {
    /// The last error in one line, for people: the event's name, and of its fields those that history shows as well
    /// (amounts, references, codes, and reasons in our words). Never a secret, never a raw answer.
    #[must_use]
    pub fn told(&self) -> String {
        let event = self.last_error.get("event").and_then(Value::as_str).unwrap_or("an event without a name");
        let details = timeline::tell(&self.last_error);
        let line = match (details.as_str(), <&str>::from(self.reason) == event) {
            ("", _) => event.to_owned(),
            // The reason says it already.
            (_, true) => details,
            (_, false) => format!("{event}: {details}"),
        };
        line.chars().take(MAX_TOLD).map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
    }

    /// Which kind of failure this is.
    #[must_use]
    pub fn signature(&self) -> Signature {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let event = text(&self.last_error["event"]).unwrap_or_default();
        // Of what is unknown the reason is one of few words; where nothing was sent it is a sentence.
        let code = if event == <&str>::from(EventKind::Unknown) {
            text(&self.last_error["why"])
        } else {
            text(&self.last_error["failure"]["code"])
        };
        Signature { reason: self.reason, event, code }
    }
}

/// What tells one kind of failure from another, for those who look at many dead letters at a time.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Signature {
    reason: ReviewReason,
    /// The last error's event.
    event: String,
    /// Its code, where it has one.
    code: Option<String>,
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} after {}", self.reason, self.event)?;
        self.code.as_ref().map_or(Ok(()), |code| write!(f, " ({code})"))
    }
}

/// Why a person has to look, in one word.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Display, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ReviewReason {
    /// The retry policy allows no further attempt.
    RetriesExhausted,
    /// The payment was claimed too often without coming to an end.
    ClaimsExhausted,
    /// The PSP reports another amount, or a second payment of ours.
    AmountsDisagree,
    /// The PSP refuses to say what it knows.
    InquiryRejected,
    /// A capture did not bring the money.
    CaptureFailed,
    /// A void came to nothing: the money may still be reserved.
    VoidFailed,
    /// A refund did not reach the customer.
    RefundFailed,
    /// The PSP may have forgotten the key of a call in doubt, and cannot be asked otherwise.
    KeyExpired,
    /// News that contradicts how the payment ended.
    ContradictingNews,
}

impl ReviewReason {
    /// The reason when an event itself sends a payment to review.
    pub(super) fn of(event: &Event) -> Self {
        let reasons = [
            (EventKind::AmountsDisagree, Self::AmountsDisagree),
            (EventKind::Rejected, Self::InquiryRejected),
            (EventKind::CaptureFailed, Self::CaptureFailed),
            (EventKind::VoidFailed, Self::VoidFailed),
            (EventKind::RefundFailed, Self::RefundFailed),
            (EventKind::KeyExpired, Self::KeyExpired),
        ];
        reasons
            .into_iter()
            .find(|(kind, _)| *kind == event.kind())
            .map_or(Self::ContradictingNews, |(_, reason)| reason)
    }
}

/// What sending a payment in review back to work would mean. It always asks the PSP first; the question is what may
/// follow from the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Redriving {
    /// It asks the PSP and goes on from what that says. Safe at any time.
    Asks,
    /// It would decide something that is for a person to decide, or can only come back. Says what has to be settled
    /// before.
    Decides(&'static str),
}

/// Whether a person has settled what [`Redriving::Decides`] names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decided {
    /// Only what is safe at any time is done.
    No,
    /// The person has looked at this very payment and says so.
    Yes,
}

impl Redriving {
    /// What still has to be settled before a redrive, if anything.
    #[must_use]
    pub fn undecided(self, decided: Decided) -> Option<&'static str> {
        match (self, decided) {
            (Self::Decides(what), Decided::No) => Some(what),
            (Self::Decides(_), Decided::Yes) | (Self::Asks, _) => None,
        }
    }

    /// What it means for a payment with this last letter, if it has one.
    #[must_use]
    pub fn told_by(reason: Option<ReviewReason>, goal: Goal) -> Self {
        reason.map_or(
            Self::Decides("no dead letter says why it is here: read its history and find out at the PSP"),
            |reason| Self::of(reason, goal),
        )
    }

    /// What it means for a payment that was sent to a person for this reason, and whose client wants this.
    #[must_use]
    pub fn of(reason: ReviewReason, goal: Goal) -> Self {
        match (reason, goal) {
            // The PSP did not answer, or would not: nothing was contradicted, so the answer decides.
            (ReviewReason::RetriesExhausted | ReviewReason::ClaimsExhausted | ReviewReason::InquiryRejected, _)
            // Nobody wants the money any more: it is released once more, or found to be gone.
            | (ReviewReason::VoidFailed, Goal::Cancel | Goal::Reverse) => Self::Asks,
            (ReviewReason::VoidFailed, Goal::Capture | Goal::Hold) => Self::Decides(
                "money that was to be released may still be reserved, and a redrive would take it: void it at the PSP first",
            ),
            (ReviewReason::AmountsDisagree, _) => Self::Decides(
                "the PSP has other money than was asked for, perhaps a second payment: a redrive can only come back or charge once more; void or refund what is wrong at the PSP first",
            ),
            (ReviewReason::CaptureFailed, _) => Self::Decides(
                "a redrive captures once more if the money is still reserved: make sure that it was not collected in another way",
            ),
            (ReviewReason::RefundFailed, _) => Self::Decides(
                "a redrive may give the money back once more: make sure that the customer did not get it in another way",
            ),
            (ReviewReason::KeyExpired, _) => Self::Decides(
                "the PSP may have forgotten the call and cannot be asked about it: a redrive comes back at once; find out at the PSP, whose webhooks still count",
            ),
            (ReviewReason::ContradictingNews, _) => Self::Decides(
                "the client was told that the payment succeeded, and the PSP took that back: settle with the client what a redrive may end otherwise",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use strum::{IntoEnumIterator, VariantArray};

    use super::*;
    use crate::definition::{self, Kind, Next, State};

    #[test]
    fn a_redrive_leads_to_asking_and_one_that_only_asks_cannot_take_money_that_was_given_up() {
        for definition in Kind::VARIANTS.iter().map(|kind| definition::current(*kind)) {
            let redriven = definition.state(State::InReview).rule(EventKind::Redriven);
            let asks = definition.state(State::Reconciling);
            for goal in Goal::VARIANTS {
                assert_eq!(redriven.next(*goal), Some(Next::To(State::Reconciling)));
            }
            for goal in [Goal::Cancel, Goal::Reverse] {
                assert_eq!(Redriving::of(ReviewReason::VoidFailed, goal), Redriving::Asks);
                let takes = asks.rule(EventKind::Authorized).next(goal);
                assert_eq!(takes, (definition.kind == Kind::Charge).then_some(Next::To(State::Canceling)));
            }
        }
    }

    #[test]
    fn operators_read_about_each_reason_and_about_each_decision() {
        let page = include_str!("../../../docs/OPERATIONS.md");
        for reason in ReviewReason::iter() {
            let start = format!("| `{reason}`");
            let rows: Vec<&str> = page.lines().filter(|line| line.starts_with(&start)).collect();
            assert!(!rows.is_empty(), "docs/OPERATIONS.md has no row about {reason}");
            let decides = |goal: &Goal| matches!(Redriving::of(reason, *goal), Redriving::Decides(_));
            let told = |needed| rows.iter().any(|row| row.contains("--decided") == needed);
            assert_eq!(told(true), Goal::VARIANTS.iter().any(decides), "{reason}");
            assert_eq!(told(false), !Goal::VARIANTS.iter().all(decides), "{reason}");
        }
    }

    #[test]
    fn the_last_error_is_told_in_one_bounded_line_of_fields_that_are_named() {
        let letter = |reason, last_error| DeadLetter { reason, last_error }.told();
        let exhausted = ReviewReason::RetriesExhausted;
        assert_eq!(letter(exhausted, json!({"event": "throttled", "retry_after_ms": null})), "throttled");
        let declined =
            json!({"event": "capture_failed", "failure": {"category": "soft_decline", "code": "no", "card": "4242"}});
        assert_eq!(letter(ReviewReason::CaptureFailed, declined), "soft_decline · no");
        let long = json!({"event": "unknown", "detail": format!("a\nb\u{1b}{}", "ü".repeat(1_000)), "secret": "s"});
        let told = letter(exhausted, long);
        assert!(told.starts_with("unknown: a b ü") && told.chars().count() == MAX_TOLD, "{told}");
        assert_eq!(letter(exhausted, json!("spoiled")), "an event without a name");
    }
}
