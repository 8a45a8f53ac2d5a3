//! Payments, updates and what goes with them, for tests that speak to a store without an engine.
//!
//! Not here: what the workflow would make of them. A store has to take what it is given.

pub mod outbound;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use workflow::decide::{self, DeadLetter, Decided, ReviewReason};
use workflow::definition::{self, Activity, EventKind, Goal, Kind, State};
use workflow::engine::Engine;
use workflow::engine::operator::{Act, By, Performed};
use workflow::event::Actor;
use workflow::history::{Fact, Hash, HistoryRow, Verdict};
use workflow::ids::{ApiKeyId, MerchantId, PaymentId};
use workflow::payment::{
    CaptureMethod, Destination, Doubt, Failure, FailureCategory, KeyUse, NextAction, Payment, Refunds, Route,
};
use workflow::port::audit::{Role, Via};
use workflow::port::store::{
    ApiKey, ListFilter, ListStep, Mode, NewPayment, Notice, NoticeClaim, NoticeOutcome, NoticeResult, Origin,
    RequestRecord, RequestScope, Scopes, Update, Walk, WebhookEvent, WebhookOutcome,
};

/// An instant with microseconds, some seconds after a fixed one.
#[must_use]
pub fn at(seconds: i64) -> Timestamp {
    let begin = Timestamp::from_microsecond(1_790_000_000_123_456).expect("within time");
    begin + SignedDuration::from_secs(seconds)
}

/// A merchant of this number.
#[must_use]
pub fn merchant(number: u64) -> MerchantId {
    MerchantId::new(at(0), [number, 1])
}

/// A payment id of this number; greater numbers are younger.
#[must_use]
pub fn payment_id(number: u64) -> PaymentId {
    PaymentId::new(at(i64::try_from(number).expect("tests count low")), [number, 2])
}

/// A step along a list of this merchant's payments: the newest ones first, as many as these at the most.
#[must_use]
pub fn step(merchant: u64, filter: &ListFilter, limit: u32) -> ListStep<'_> {
    ListStep { merchant_id: self::merchant(merchant), filter, walk: Walk::Older, after: None, look_at: limit, limit }
}

/// A charge of merchant 1 that was just accepted: due at once, no history yet. The number makes its id.
#[must_use]
pub fn payment(number: u64) -> Payment {
    Payment {
        id: payment_id(number),
        merchant_id: merchant(1),
        psp: "sandbox".to_owned(),
        payment_method: "pm_card_visa".to_owned(),
        amount_minor: 1_200,
        currency: "eur".parse().expect("a currency"),
        capture_method: CaptureMethod::Automatic,
        return_url: None,
        description: None,
        metadata: BTreeMap::new(),
        definition_version: definition::current(Kind::Charge).version,
        created_at: at(0),
        refund_of: None,
        state: State::Created,
        state_since: at(0),
        goal: Goal::Capture,
        seq: 0,
        head_hash: Hash::ZERO,
        fence: 0,
        lease_until: None,
        next_wake_at: Some(at(0)),
        attempt: 0,
        claims: 0,
        operation: 0,
        psp_reference: None,
        amount_authorized_minor: 0,
        amount_to_capture_minor: None,
        amount_captured_minor: 0,
        amount_refunded_minor: 0,
        amount_refund_pending_minor: 0,
        refunds: Refunds::default(),
        proposal: None,
        failure: None,
        next_action: None,
        action_result: None,
        amount_charged_back_minor: 0,
        key_use: None,
        doubt: None,
        route: Route::default(),
        updated_at: at(0),
    }
}

/// A payment with something in every field that can be empty.
#[must_use]
pub fn full(number: u64) -> Payment {
    Payment {
        return_url: Some("https://shop.example/done?order=1&x=ü".to_owned()),
        description: Some("Two lines\nand 'quotes', \"double\", \\ and 🧾".to_owned()),
        metadata: [("order", "42"), ("ключ", "値"), ("", "")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        capture_method: CaptureMethod::Manual,
        currency: "kwd".parse().expect("a currency"),
        amount_minor: workflow::money::MAX_AMOUNT_MINOR,
        state: State::RequiresAction,
        state_since: at(1),
        goal: Goal::Reverse,
        fence: i64::MAX,
        lease_until: Some(at(7_200)),
        next_wake_at: Some(at(7_201)),
        attempt: 3,
        claims: i32::MAX,
        operation: 2,
        psp_reference: Some("pi_3Nq".to_owned()),
        amount_authorized_minor: i64::MAX,
        amount_to_capture_minor: Some(7),
        amount_captured_minor: 6,
        amount_refunded_minor: 5,
        refunds: {
            let mut refunds = Refunds::default();
            refunds.count(Some("re_1"));
            refunds.fail(Some("re_ü"));
            refunds
        },
        failure: Some(Failure {
            category: FailureCategory::SoftDecline,
            code: "card_declined".to_owned(),
            decline_code: Some("insufficient_funds".to_owned()),
            advice: None,
        }),
        next_action: Some(NextAction::RedirectToUrl { url: "https://psp.example/3ds?a=ö".to_owned() }),
        action_result: Some("eyJ0cmFuc1N0YXR1cyI6IlkifQ==".to_owned()),
        amount_charged_back_minor: 4,
        key_use: Some(KeyUse { activity: Activity::Cancel, since: at(1) }),
        doubt: Some(Doubt::KeyExpired),
        route: Route {
            former: vec!["former".to_owned()],
            next: vec![Destination { psp: "next".to_owned(), payment_method: "pm_ü".to_owned() }],
        },
        updated_at: at(2),
        ..payment(number)
    }
}

/// What a client's request for this payment looks like. The key is the payment's number.
#[must_use]
pub fn request(payment: &Payment) -> RequestRecord {
    RequestRecord {
        scope: RequestScope {
            merchant_id: payment.merchant_id,
            route: "POST /v1/charges".to_owned(),
            key: payment.id.to_string(),
        },
        fingerprint: Hash::of(payment.id.to_string().as_bytes()),
        payment_id: Some(payment.id),
        status: 202,
        body: Some(format!("{{\"id\":\"{}\", \"note\":\"byte for byte\\u0000  ü\"}}", payment.id)),
        created_at: payment.created_at,
    }
}

/// A payment ready to be stored, with its first row.
#[must_use]
pub fn new_payment(payment: Payment) -> NewPayment {
    let request = request(&payment);
    let step = decide::start(payment, &Actor::Client("key_1".to_owned()));
    NewPayment { payment: step.payment, row: step.row, request }
}

/// An update of a payment that stands as given: one row on, changed by `change`.
#[must_use]
pub fn update(before: &Payment, change: impl FnOnce(&mut Payment)) -> Update {
    let mut after = before.clone();
    after.seq += 1;
    after.updated_at = before.updated_at + SignedDuration::from_micros(1);
    change(&mut after);
    let fact = Fact {
        at: after.updated_at,
        event: EventKind::AttemptStarted,
        actor: "worker:büro-1".to_owned(),
        from: Some(before.state),
        to: after.state,
        attempt: after.attempt,
        verdict: Verdict::Applied,
        data: json!({"key": "k", "a": {"z": [1, null, -9_007_199_254_740_993_i64], "b": "ü\u{0}\n"}, "empty": {}}),
        payload_hash: Some(Hash::of(b"payload")),
    };
    let row = HistoryRow::chained(after.id, after.seq, fact, before.head_hash);
    after.head_hash = row.hash;
    Update {
        expected_seq: before.seq,
        expected_fence: before.fence,
        learned_reference: after.psp_reference.clone().filter(|_| before.psp_reference.is_none()),
        payment: Arc::new(after),
        rows: vec![row],
        origin: Origin::Plain,
        dead_letter: None,
        with: None,
        opens: None,
        notifications: Vec::new(),
    }
}

/// The update that a claim makes: leased until `lease_until`, and due again when that is over.
#[must_use]
pub fn claim(before: &Payment, lease_until: Timestamp) -> Update {
    update(before, |after| {
        after.state = State::Authorizing;
        after.fence += 1;
        after.attempt += 1;
        after.claims += 1;
        after.lease_until = Some(lease_until);
        after.next_wake_at = Some(lease_until);
    })
}

/// The update that ends a payment.
#[must_use]
pub fn end(before: &Payment) -> Update {
    update(before, |after| {
        after.state = State::Succeeded;
        after.lease_until = None;
        after.next_wake_at = None;
        after.amount_authorized_minor = after.amount_minor;
        after.amount_captured_minor = after.amount_minor;
    })
}

/// The update that sends a payment to a person.
#[must_use]
pub fn review(before: &Payment) -> Update {
    let mut update = update(before, |after| {
        after.state = State::InReview;
        after.lease_until = None;
    });
    update.dead_letter = Some(dead_letter());
    update
}

/// Why a person has to look.
#[must_use]
pub fn dead_letter() -> DeadLetter {
    DeadLetter { reason: ReviewReason::AmountsDisagree, last_error: json!({"seen": {"amount_minor": 7}, "ü": [1]}) }
}

/// An operator of this name, at the command line.
#[must_use]
pub fn by(operator: &str) -> By {
    By {
        operator: operator.to_owned(),
        role: Some(Role::Operator),
        why: "the PSP is back".to_owned(),
        via: Via::Cli,
        remote: Some("ada@desk".to_owned()),
    }
}

/// Has ada redrive a payment, and returns it afterwards.
///
/// # Panics
/// When that is refused.
pub async fn redriven(engine: &Engine, id: PaymentId, decided: Decided) -> Arc<Payment> {
    match engine.perform(id, &Act::Redrive(decided), &by("ada")).await.expect("the store answers") {
        Performed::Done(done) => done.payment,
        Performed::Refused(refusal) => panic!("refused: {refusal:?}"),
    }
}

/// A claim of what this adapter has not told, whoever wrote it and when, for a minute.
#[must_use]
pub fn notice_claim(adapter: &str, now: Timestamp) -> NoticeClaim<'_> {
    let lease_until = now + SignedDuration::from_mins(1);
    NoticeClaim { adapter, written_since: at(-1_000_000), now, lease_until, limit: 10 }
}

/// What came of telling by this adapter.
#[must_use]
pub fn told<'a>(notice: &Notice, adapter: &'a str, outcome: NoticeOutcome) -> NoticeResult<'a> {
    let (payment_id, seq) = (notice.letter.payment_id, notice.letter.seq);
    NoticeResult { payment_id, seq, adapter, attempt: notice.attempt, outcome }
}

/// A webhook event about a payment.
#[must_use]
pub fn webhook(event_id: &str, payment_id: Option<PaymentId>, outcome: WebhookOutcome) -> WebhookEvent {
    WebhookEvent {
        psp: "sandbox".to_owned(),
        event_id: event_id.to_owned(),
        event_type: "payment_intent.succeeded".to_owned(),
        body: b"{\"raw\":\"bytes\"}\0\xff".to_vec(),
        received_at: at(10),
        payment_id,
        outcome,
    }
}

/// The same update, caused by this webhook event.
#[must_use]
pub fn by_webhook(update: Update, event_id: &str) -> Update {
    let origin = Origin::Webhook(webhook(event_id, Some(update.payment.id), WebhookOutcome::Applied));
    Update { origin, ..update }
}

/// The same update, caused by a client's request with this key.
#[must_use]
pub fn by_request(update: Update, key: &str) -> Update {
    let mut record = request(&update.payment);
    record.scope.route = "POST /v1/charges/{id}/capture".to_owned();
    record.scope.key = key.to_owned();
    Update { origin: Origin::Request(record), ..update }
}

/// An API key of this number.
#[must_use]
pub fn api_key(number: u64) -> ApiKey {
    ApiKey {
        id: ApiKeyId::new(at(0), [number, 3]),
        merchant_id: merchant(number),
        mode: Mode::Test,
        name: format!("key {number}"),
        scopes: Scopes::usual(),
        secret_hash: Hash::of(&number.to_be_bytes()),
        created_at: at(0),
        last_used_at: None,
        revoked_at: None,
    }
}
