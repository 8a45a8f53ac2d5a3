//! Version 1 of the charge workflow: the table itself.
//!
//! One principle orders it: only evidence ends a payment. What a clock does is ask, never conclude.

use Next::{RetryElsewhere, Stay, To};
use State::{
    Authorized, Authorizing, AwaitingCapture, AwaitingWebhook, Canceled, Canceling, Created, Expired, Failed,
    Finalizing, InReview, Reconciling, Refunding, RequiresAction, Succeeded,
};

use super::activities_v1::{self, DAY, HOUR, MINUTE};
use super::charge_v1_rules::{
    ACTED, ACTIVITY_REQUESTS, ASKING, AT_THE_START, AT_WORK, AWAITING, BOOKED, ENDED_REQUESTS, HOLDING, LATE_NEWS,
    NO_ACTION, NO_ATTEMPT, NO_DEADLINE, NO_REFUND, NO_VOID, NOT_CAPTURED, NOT_ENDED, NOT_ON_OFFER, OPEN_NEWS, OVER,
    REFUNDS_LATER, REFUNDS_OF_NOTHING, RELEASED, RESERVED, REVIEWED, STAY, by_goal, retry, to,
};
use super::{
    Activity, AttemptRules, Definition, ErrorClass, Kind, NewsRules, Next, OperatorRules, RefundRules, RequestRules,
    Rule, State, StateKind, StateRow,
};

const CREATED: StateRow = StateRow {
    state: Created,
    kind: StateKind::Works(Activity::Authorize),
    operators: "Waits for a worker. If it stays here, no worker is running: start one with `fincore work`.",
    attempt: AttemptRules { attempt_started: to(Authorizing), ..NO_ATTEMPT },
    // News of a payment nobody has sent: the database was restored from a backup. It is evidence all the same.
    news: OPEN_NEWS,
    request: RequestRules { cancel_requested: to(Canceled), action_completed: NO_ACTION, ..ACTIVITY_REQUESTS },
    refunds: REFUNDS_OF_NOTHING,
    operator: AT_THE_START,
};

const AUTHORIZING: StateRow = StateRow {
    state: Authorizing,
    kind: StateKind::Works(Activity::Authorize),
    operators: "The authorization is due or under way. Retries come by themselves; a down PSP shows in its metrics.",
    attempt: AttemptRules {
        attempt_started: Rule::ByGoal { capture: Stay, hold: Stay, cancel: To(Canceling), reverse: To(Canceling) },
        registered: Rule::ByGoal { capture: Stay, hold: Stay, cancel: To(Canceling), reverse: To(Canceling) },
        rejected: to(Failed),
        untouched: Rule::Illegal("an authorization is not an inquiry"),
        unknown: to(Reconciling),
        not_sent: Rule::ByGoal {
            capture: RetryElsewhere(ErrorClass::NotSent),
            hold: RetryElsewhere(ErrorClass::NotSent),
            cancel: Next::Retry(ErrorClass::NotSent),
            reverse: Next::Retry(ErrorClass::NotSent),
        },
        throttled: retry(ErrorClass::Throttled),
        key_expired: to(Reconciling),
    },
    news: OPEN_NEWS,
    request: ACTIVITY_REQUESTS,
    refunds: REFUNDS_OF_NOTHING,
    operator: AT_WORK,
};

const REQUIRES_ACTION: StateRow = StateRow {
    state: RequiresAction,
    kind: StateKind::Waits { deadline_ms: HOUR, meaning: "the customer gave up: ask the PSP to cancel" },
    operators: "Waits for the customer (3-D Secure). Only the customer can act; after the deadline it is canceled.",
    attempt: NO_ATTEMPT,
    news: NewsRules { action_required: Rule::Stale("the customer is already being asked"), ..OPEN_NEWS },
    request: RequestRules {
        deadline_passed: to(Canceling),
        capture_requested: NOT_ON_OFFER,
        cancel_requested: to(Canceling),
        action_completed: to(Authorizing),
        redriven: NOT_ENDED,
    },
    refunds: REFUNDS_OF_NOTHING,
    operator: AWAITING,
};

const AWAITING_WEBHOOK: StateRow = StateRow {
    state: AwaitingWebhook,
    kind: StateKind::Waits { deadline_ms: 30 * MINUTE, meaning: "the webhook is late: ask the PSP, do not assume" },
    operators: "Waits for the PSP's webhook. If many wait, check the webhook endpoint; after the deadline we ask.",
    attempt: NO_ATTEMPT,
    news: NewsRules {
        accepted: Rule::Stale("the PSP has already accepted it"),
        // Where PSPs only say that they will see to it, the results of captures, voids and refunds come here.
        refunded: by_goal(Reconciling, Reconciling, Canceled, Canceled),
        capture_failed: to(InReview),
        void_failed: to(InReview),
        refund_failed: to(InReview),
        ..OPEN_NEWS
    },
    request: RequestRules {
        deadline_passed: to(Reconciling),
        capture_requested: NOT_ON_OFFER,
        cancel_requested: STAY,
        action_completed: ACTED,
        redriven: NOT_ENDED,
    },
    refunds: REFUNDS_LATER,
    operator: AWAITING,
};

const RECONCILING: StateRow = StateRow {
    state: Reconciling,
    kind: StateKind::Works(Activity::Reconcile),
    operators: "What happened at the PSP is unknown; we ask until it answers. After a day an operator decides.",
    attempt: AttemptRules {
        attempt_started: STAY,
        registered: Rule::Illegal("an inquiry registers nothing"),
        rejected: to(InReview),
        untouched: by_goal(Authorizing, Authorizing, Canceling, Canceling),
        unknown: retry(ErrorClass::Unknown),
        not_sent: retry(ErrorClass::NotSent),
        throttled: retry(ErrorClass::Throttled),
        // A PSP that answers questions by replays only, and has forgotten: a person has to find out.
        key_expired: to(InReview),
    },
    news: NewsRules {
        refunded: by_goal(Succeeded, Succeeded, Canceled, Canceled),
        capture_failed: to(InReview),
        void_failed: to(InReview),
        refund_failed: to(InReview),
        ..OPEN_NEWS
    },
    request: ACTIVITY_REQUESTS,
    refunds: REFUNDS_LATER,
    operator: ASKING,
};

const AUTHORIZED: StateRow = StateRow {
    state: Authorized,
    kind: StateKind::Waits {
        // Card authorizations last 7 days at most PSPs: void ours before it lapses by itself.
        deadline_ms: 6 * DAY + 12 * HOUR,
        meaning: "the client did not capture in time: void the authorization",
    },
    operators: "The money is reserved. The client captures or cancels; after the deadline we void.",
    attempt: NO_ATTEMPT,
    news: NewsRules {
        authorized: Rule::Stale("the authorization is already recorded"),
        captured: BOOKED,
        accepted: Rule::Stale("the authorization is already recorded"),
        action_required: Rule::Stale("the authorization is already recorded"),
        declined: Rule::Stale("an earlier try was declined; the authorization came after it"),
        voided: RELEASED,
        refunded: NOT_CAPTURED,
        amounts_disagree: to(InReview),
        capture_failed: Rule::Stale("no capture is under way; the money is still reserved"),
        void_failed: NO_VOID,
        refund_failed: NO_REFUND,
        disputed: STAY,
    },
    request: RequestRules {
        deadline_passed: to(Canceling),
        capture_requested: to(Finalizing),
        cancel_requested: to(Canceling),
        action_completed: ACTED,
        redriven: NOT_ENDED,
    },
    refunds: REFUNDS_OF_NOTHING,
    operator: HOLDING,
};

const FINALIZING: StateRow = StateRow {
    state: Finalizing,
    kind: StateKind::Works(Activity::Finalize),
    operators: "The capture is due or under way. Retries come by themselves; a down PSP shows in its metrics.",
    attempt: AttemptRules {
        attempt_started: STAY,
        registered: Rule::Illegal("a capture registers nothing"),
        rejected: to(Reconciling),
        untouched: Rule::Illegal("a capture is not an inquiry"),
        unknown: to(Reconciling),
        not_sent: retry(ErrorClass::NotSent),
        throttled: retry(ErrorClass::Throttled),
        key_expired: to(Reconciling),
    },
    news: NewsRules {
        authorized: Rule::Stale("the authorization is already recorded"),
        captured: BOOKED,
        accepted: to(AwaitingCapture),
        action_required: Rule::Stale("the authorization is already recorded"),
        // It may be about an earlier try: ask before believing that the reserved money is gone.
        declined: to(Reconciling),
        voided: RELEASED,
        refunded: NOT_CAPTURED,
        amounts_disagree: to(InReview),
        // Whether to capture once more, under a new key, is for a person: the PSP has said no to this one.
        capture_failed: to(InReview),
        void_failed: NO_VOID,
        refund_failed: NO_REFUND,
        disputed: STAY,
    },
    request: RequestRules {
        deadline_passed: NO_DEADLINE,
        capture_requested: Rule::Illegal("the capture is already under way"),
        cancel_requested: Rule::Illegal("the capture is already under way; refund the charge once it succeeded"),
        action_completed: ACTED,
        redriven: NOT_ENDED,
    },
    refunds: REFUNDS_OF_NOTHING,
    operator: AT_WORK,
};

const AWAITING_CAPTURE: StateRow = StateRow {
    state: AwaitingCapture,
    kind: StateKind::Waits { deadline_ms: 30 * MINUTE, meaning: "the webhook is late: ask the PSP, do not assume" },
    operators: "The PSP took the capture and tells its result by webhook; after the deadline we ask.",
    attempt: NO_ATTEMPT,
    news: NewsRules { accepted: Rule::Stale("the PSP has already accepted the capture"), ..FINALIZING.news },
    request: RequestRules { deadline_passed: to(Reconciling), ..FINALIZING.request },
    refunds: REFUNDS_OF_NOTHING,
    operator: AWAITING,
};

const CANCELING: StateRow = StateRow {
    state: Canceling,
    kind: StateKind::Works(Activity::Cancel),
    operators: "The void (or refund) is due or under way. Retries come by themselves.",
    attempt: AttemptRules {
        attempt_started: STAY,
        registered: Rule::Illegal("a void registers nothing"),
        rejected: to(Reconciling),
        untouched: Rule::Illegal("a void is not an inquiry"),
        unknown: to(Reconciling),
        not_sent: retry(ErrorClass::NotSent),
        throttled: retry(ErrorClass::Throttled),
        key_expired: to(Reconciling),
    },
    news: NewsRules {
        authorized: Rule::Stale("the void under way covers the authorization"),
        captured: Rule::ByGoal { capture: To(Succeeded), hold: To(Succeeded), cancel: To(Succeeded), reverse: Stay },
        accepted: to(AwaitingWebhook),
        action_required: Rule::Stale("the void under way ends the customer's part"),
        declined: to(Reconciling),
        voided: RELEASED,
        refunded: to(Canceled),
        amounts_disagree: to(InReview),
        capture_failed: to(InReview),
        void_failed: to(InReview),
        refund_failed: to(InReview),
        disputed: STAY,
    },
    request: RequestRules {
        deadline_passed: NO_DEADLINE,
        capture_requested: Rule::Illegal("the payment is being canceled"),
        action_completed: ACTED,
        // Remembered: a payment that was about to expire ends as canceled.
        cancel_requested: STAY,
        redriven: NOT_ENDED,
    },
    refunds: REFUNDS_LATER,
    operator: AT_WORK,
};

const SUCCEEDED: StateRow = StateRow {
    state: Succeeded,
    kind: StateKind::Ended,
    operators: "Captured. Nothing is due.",
    attempt: NO_ATTEMPT,
    news: NewsRules {
        authorized: Rule::Stale("the capture came after the authorization"),
        captured: Rule::Stale("the capture is already recorded"),
        accepted: Rule::Stale("the capture is already recorded"),
        action_required: Rule::Stale("the capture is already recorded"),
        // Either an earlier try was declined, or the capture was given up later: ask before believing either.
        declined: to(Reconciling),
        voided: to(InReview),
        // Given back at the PSP, without us.
        refunded: STAY,
        amounts_disagree: to(InReview),
        // The client was told that the money is there.
        capture_failed: to(InReview),
        void_failed: NO_VOID,
        refund_failed: STAY,
        disputed: STAY,
    },
    request: RequestRules {
        capture_requested: Rule::Illegal("the payment is already captured"),
        cancel_requested: Rule::Illegal("the payment is captured; refund it instead"),
        ..ENDED_REQUESTS
    },
    refunds: RefundRules { requested: STAY, updated: STAY },
    operator: OperatorRules { refund_proposed: STAY, proposal_withdrawn: STAY, ..OVER },
};

const FAILED: StateRow = StateRow {
    state: Failed,
    kind: StateKind::Ended,
    operators: "The PSP refused. Nothing is due; the client may start another charge.",
    attempt: NO_ATTEMPT,
    news: LATE_NEWS,
    request: ENDED_REQUESTS,
    refunds: REFUNDS_OF_NOTHING,
    operator: OVER,
};

const CANCELED: StateRow = StateRow {
    state: Canceled,
    kind: StateKind::Ended,
    operators: "Canceled on request; no money is held. Nothing is due.",
    attempt: NO_ATTEMPT,
    news: LATE_NEWS,
    request: RequestRules { cancel_requested: Rule::Stale("the payment is already canceled"), ..ENDED_REQUESTS },
    refunds: REFUNDS_OF_NOTHING,
    operator: OVER,
};

const EXPIRED: StateRow = StateRow {
    state: Expired,
    kind: StateKind::Ended,
    operators: "Nobody acted in time; no money is held. Nothing is due.",
    attempt: NO_ATTEMPT,
    news: LATE_NEWS,
    request: ENDED_REQUESTS,
    refunds: REFUNDS_OF_NOTHING,
    operator: OVER,
};

const IN_REVIEW: StateRow = StateRow {
    state: InReview,
    kind: StateKind::Waits { deadline_ms: DAY, meaning: "nobody has decided: alert again" },
    operators: "A person decides: read the dead letter, then redrive, or resolve it with a second person. The PSP's news still counts.",
    attempt: NO_ATTEMPT,
    news: NewsRules {
        authorized: RESERVED,
        captured: BOOKED,
        accepted: Rule::Stale("the review waits for an outcome, not for a receipt"),
        action_required: Rule::Stale("the review waits for an outcome"),
        declined: to(Failed),
        voided: RELEASED,
        refunded: Rule::ByGoal { capture: Stay, hold: Stay, cancel: To(Canceled), reverse: To(Canceled) },
        amounts_disagree: Rule::Stale("the payment is already in review"),
        capture_failed: STAY,
        void_failed: STAY,
        refund_failed: STAY,
        disputed: STAY,
    },
    request: RequestRules {
        deadline_passed: STAY,
        capture_requested: Rule::Illegal("the payment is in review"),
        cancel_requested: STAY,
        action_completed: ACTED,
        redriven: to(Reconciling),
    },
    refunds: REFUNDS_LATER,
    operator: REVIEWED,
};

pub(super) const DEFINITION: Definition = Definition {
    kind: Kind::Charge,
    version: 1,
    digest: "40eaff69a06b7e2ba9127df3d9d6d38b1daeb4b6a3a134238abc5262c01b0945",
    states: [
        CREATED,
        AUTHORIZING,
        REQUIRES_ACTION,
        AWAITING_WEBHOOK,
        RECONCILING,
        AUTHORIZED,
        FINALIZING,
        AWAITING_CAPTURE,
        CANCELING,
        StateRow::outside(Refunding),
        SUCCEEDED,
        FAILED,
        CANCELED,
        EXPIRED,
        IN_REVIEW,
    ],
    activities: activities_v1::ROWS,
    max_claims: 100,
};
