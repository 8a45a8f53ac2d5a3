//! Version 1 of the refund workflow: money of a charge goes back to the customer.
//!
//! A refund is a payment of its own, because it can fail, hang and be in doubt like one. The same principle orders it as
//! the charge: only evidence ends it. Its charge counts the money in the transaction that ends the refund, so that no
//! more than was captured can ever be asked back.

use State::{
    Authorized, Authorizing, AwaitingCapture, AwaitingWebhook, Canceled, Canceling, Created, Expired, Failed,
    Finalizing, InReview, Reconciling, Refunding, RequiresAction, Succeeded,
};

use super::activities_v1::{self, DAY, HOUR};
use super::charge_v1_rules::{
    ASKING, AT_THE_START, AT_WORK, AWAITING, NO_ATTEMPT, NO_DEADLINE, NOT_ENDED, OVER, REVIEWED, STAY, retry, to,
};
use super::{
    Activity, AttemptRules, Definition, ErrorClass, Kind, NewsRules, OperatorRules, RefundRules, RequestRules, Rule,
    State, StateKind, StateRow,
};

const NOT_OF_A_REFUND: Rule = Rule::Illegal("a refund takes no money, so this cannot be about one");
const TOLD: Rule = Rule::Stale("the PSP has told this of the refund before, or something later");
const NO_CANCEL: Rule = Rule::Illegal("a refund cannot be taken back");

/// What the PSP tells of a refund that has not come to an end, whichever way it reaches us.
const OPEN_NEWS: NewsRules = NewsRules {
    authorized: NOT_OF_A_REFUND,
    captured: NOT_OF_A_REFUND,
    accepted: to(AwaitingWebhook),
    action_required: NOT_OF_A_REFUND,
    declined: to(Failed),
    voided: NOT_OF_A_REFUND,
    refunded: to(Succeeded),
    amounts_disagree: to(InReview),
    capture_failed: NOT_OF_A_REFUND,
    void_failed: NOT_OF_A_REFUND,
    refund_failed: to(Failed),
    disputed: NOT_OF_A_REFUND,
};

const REQUESTS: RequestRules = RequestRules {
    deadline_passed: NO_DEADLINE,
    capture_requested: NOT_OF_A_REFUND,
    cancel_requested: NO_CANCEL,
    action_completed: NOT_OF_A_REFUND,
    redriven: NOT_ENDED,
};

const ENDED_REQUESTS: RequestRules =
    RequestRules { deadline_passed: Rule::Illegal("the refund has ended"), ..REQUESTS };

const NO_REFUNDS: RefundRules = RefundRules {
    requested: Rule::Illegal("a refund has no refunds"),
    updated: Rule::Illegal("a refund has no refunds"),
};

const WORKING: OperatorRules = OperatorRules { refund_proposed: Rule::Illegal("a refund has no refunds"), ..AT_WORK };

const ENDED: OperatorRules = OperatorRules { refund_proposed: WORKING.refund_proposed, ..OVER };

const CREATED: StateRow = StateRow {
    state: Created,
    kind: StateKind::Works(Activity::Refund),
    operators: "Waits for a worker. If it stays here, no worker is running: start one with `fincore work`.",
    attempt: AttemptRules { attempt_started: to(Refunding), ..NO_ATTEMPT },
    // News of a refund nobody has sent: the database was restored from a backup. It is evidence all the same.
    news: OPEN_NEWS,
    request: REQUESTS,
    refunds: NO_REFUNDS,
    operator: OperatorRules { inquiry_requested: AT_THE_START.inquiry_requested, ..WORKING },
};

const REFUNDING: StateRow = StateRow {
    state: Refunding,
    kind: StateKind::Works(Activity::Refund),
    operators: "The refund is due or under way. Retries come by themselves; a down PSP shows in its metrics.",
    attempt: AttemptRules {
        attempt_started: STAY,
        registered: Rule::Illegal("a refund registers nothing"),
        rejected: to(Failed),
        untouched: Rule::Illegal("a refund is not an inquiry"),
        unknown: to(Reconciling),
        not_sent: retry(ErrorClass::NotSent),
        throttled: retry(ErrorClass::Throttled),
        key_expired: to(Reconciling),
    },
    news: OPEN_NEWS,
    request: REQUESTS,
    refunds: NO_REFUNDS,
    operator: WORKING,
};

const AWAITING_WEBHOOK: StateRow = StateRow {
    state: AwaitingWebhook,
    // Banks take days over some refunds; a question now and then finds a webhook that was lost.
    kind: StateKind::Waits { deadline_ms: 12 * HOUR, meaning: "the webhook is late: ask the PSP, do not assume" },
    operators: "The PSP took the refund and tells its result by webhook; after the deadline we ask.",
    attempt: NO_ATTEMPT,
    news: NewsRules { accepted: Rule::Stale("the PSP has already accepted it"), ..OPEN_NEWS },
    request: RequestRules { deadline_passed: to(Reconciling), ..REQUESTS },
    refunds: NO_REFUNDS,
    operator: OperatorRules { refund_proposed: WORKING.refund_proposed, ..AWAITING },
};

const RECONCILING: StateRow = StateRow {
    state: Reconciling,
    kind: StateKind::Works(Activity::Reconcile),
    operators: "What happened at the PSP is unknown; we ask until it answers. After a day an operator decides.",
    attempt: AttemptRules {
        attempt_started: STAY,
        registered: Rule::Illegal("an inquiry registers nothing"),
        rejected: to(InReview),
        // The same call again, under the same key.
        untouched: to(Refunding),
        unknown: retry(ErrorClass::Unknown),
        not_sent: retry(ErrorClass::NotSent),
        throttled: retry(ErrorClass::Throttled),
        key_expired: to(InReview),
    },
    news: OPEN_NEWS,
    request: REQUESTS,
    refunds: NO_REFUNDS,
    operator: OperatorRules { refund_proposed: WORKING.refund_proposed, ..ASKING },
};

const SUCCEEDED: StateRow = StateRow {
    state: Succeeded,
    kind: StateKind::Ended,
    operators: "The money was given back. Nothing is due.",
    attempt: NO_ATTEMPT,
    news: NewsRules {
        accepted: TOLD,
        declined: Rule::Stale("the refund went through after that"),
        refunded: TOLD,
        // The bank sent the money back: it is the merchant's again, and the client is told.
        refund_failed: to(Failed),
        ..OPEN_NEWS
    },
    request: ENDED_REQUESTS,
    refunds: NO_REFUNDS,
    operator: ENDED,
};

const FAILED: StateRow = StateRow {
    state: Failed,
    kind: StateKind::Ended,
    operators: "The money was not given back. Nothing is due; the client may start another refund.",
    attempt: NO_ATTEMPT,
    news: NewsRules {
        accepted: TOLD,
        declined: TOLD,
        // The money may have been given back twice by now, for the client was told that it was not.
        refunded: to(InReview),
        refund_failed: TOLD,
        ..OPEN_NEWS
    },
    request: ENDED_REQUESTS,
    refunds: NO_REFUNDS,
    operator: ENDED,
};

const IN_REVIEW: StateRow = StateRow {
    state: InReview,
    kind: StateKind::Waits { deadline_ms: DAY, meaning: "nobody has decided: alert again" },
    operators: "A person decides: read the dead letter, then redrive, or resolve it with a second person. The PSP's news still counts.",
    attempt: NO_ATTEMPT,
    news: NewsRules {
        accepted: Rule::Stale("the review waits for an outcome, not for a receipt"),
        amounts_disagree: Rule::Stale("the payment is already in review"),
        ..OPEN_NEWS
    },
    request: RequestRules { deadline_passed: STAY, redriven: to(Reconciling), ..REQUESTS },
    refunds: NO_REFUNDS,
    operator: OperatorRules { refund_proposed: WORKING.refund_proposed, resolved_canceled: NO_CANCEL, ..REVIEWED },
};

pub(super) const DEFINITION: Definition = Definition {
    kind: Kind::Refund,
    version: 1,
    digest: "e53010931aa4fab47502bb45879db1b9050e5036e78b320d0f1659153a8c473e",
    states: [
        CREATED,
        StateRow::outside(Authorizing),
        StateRow::outside(RequiresAction),
        AWAITING_WEBHOOK,
        RECONCILING,
        StateRow::outside(Authorized),
        StateRow::outside(Finalizing),
        StateRow::outside(AwaitingCapture),
        StateRow::outside(Canceling),
        REFUNDING,
        SUCCEEDED,
        FAILED,
        StateRow::outside(Canceled),
        StateRow::outside(Expired),
        IN_REVIEW,
    ],
    activities: activities_v1::ROWS,
    max_claims: 100,
};
