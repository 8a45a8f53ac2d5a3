//! A gateway that is to be checked, the payments it is checked with, and the PSP's books they have.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use workflow::definition::{self, Goal, Kind, State};
use workflow::history::Hash;
use workflow::ids::{MerchantId, PaymentId};
use workflow::money::Money;
use workflow::payment::{CaptureMethod, Payment, Refunds, Route};
use workflow::port::gateway::{Answer, Call, Gateway, Operation, Outcome, Request};

use crate::dialect::{self, Asked, Dialect, Fact, Incoming, Stands, WireAnswer};

/// The number of the secret the candidate is configured with.
const SECRET_NUMBER: u8 = 1;
/// The operations that act.
pub(super) const ACTING: [Operation; 5] =
    [Operation::Register, Operation::Authorize, Operation::Capture, Operation::Void, Operation::Refund];

/// Builds the gateway with a webhook secret, or says why it cannot be used.
type Build = Box<dyn Fn(&str) -> Result<Arc<dyn Gateway>, String> + Send + Sync>;

/// A gateway that is to be checked, with the dialect it has to speak.
pub struct Candidate {
    build: Build,
    gateway: Arc<dyn Gateway>,
    dialect: Arc<dyn Dialect>,
}

/// Payment methods whose outcome a PSP's test system fixes.
#[derive(Clone, Debug)]
pub struct Cards {
    /// One that is approved.
    pub approved: String,
    /// One that is declined.
    pub declined: String,
}

impl Candidate {
    /// `build` configures the gateway with a webhook secret; it refuses a secret that cannot be one.
    ///
    /// # Panics
    /// When the gateway refuses a good secret.
    pub fn new(
        dialect: impl Dialect,
        build: impl Fn(&str) -> Result<Arc<dyn Gateway>, String> + Send + Sync + 'static,
    ) -> Self {
        let secret = dialect.webhook_secret(SECRET_NUMBER);
        let gateway =
            build(&secret).unwrap_or_else(|why| panic!("the gateway refuses the good secret {secret}: {why}"));
        Self { build: Box::new(build), gateway, dialect: Arc::new(dialect) }
    }

    /// The gateway.
    #[must_use]
    pub fn gateway(&self) -> &dyn Gateway {
        self.gateway.as_ref()
    }

    /// What it has to speak.
    #[must_use]
    pub fn dialect(&self) -> &Arc<dyn Dialect> {
        &self.dialect
    }

    /// The secret it is configured with.
    pub(super) fn secret(&self) -> String {
        self.dialect.webhook_secret(SECRET_NUMBER)
    }

    /// Whether the gateway can be configured with this secret.
    pub(super) fn takes_secret(&self, secret: &str) -> bool {
        (self.build)(secret).is_ok()
    }

    /// A new charge, as it comes from a client.
    pub(super) fn payment(&self, number: u64, money: Money) -> Payment {
        let at = Timestamp::UNIX_EPOCH;
        Payment {
            id: PaymentId::new(at, [number, 2]),
            merchant_id: MerchantId::new(at, [3, 4]),
            psp: self.gateway.psp().to_owned(),
            payment_method: self.dialect.payment_method().to_owned(),
            amount_minor: money.amount_minor,
            currency: money.currency,
            capture_method: CaptureMethod::Automatic,
            return_url: Some("https://shop.example/back".to_owned()),
            description: None,
            metadata: BTreeMap::new(),
            definition_version: definition::current(Kind::Charge).version,
            created_at: at,
            refund_of: None,
            state: State::Authorizing,
            state_since: at,
            goal: Goal::Capture,
            seq: 1,
            head_hash: Hash::ZERO,
            fence: 1,
            lease_until: None,
            next_wake_at: None,
            attempt: 1,
            claims: 1,
            operation: 1,
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
            updated_at: at,
        }
    }

    /// The PSP's name for a payment in checks without a network.
    pub(super) fn reference(&self) -> String {
        self.dialect.reference(1, Operation::Register)
    }

    /// The same payment as it is when this operation is due.
    pub(super) fn due_for(&self, operation: Operation, payment: Payment) -> Payment {
        let amount = payment.amount_minor;
        let known = Payment { psp_reference: Some(self.reference()), ..payment.clone() };
        match operation {
            Operation::Register => payment,
            Operation::Authorize if !self.gateway.needs_registration(&payment) => payment,
            Operation::Authorize => known,
            Operation::Complete => Payment { action_result: Some("back".to_owned()), ..known },
            Operation::Capture | Operation::Inquire => Payment { amount_authorized_minor: amount, ..known },
            Operation::Void => Payment { goal: Goal::Cancel, amount_authorized_minor: amount, ..known },
            Operation::Refund => {
                Payment { goal: Goal::Reverse, amount_authorized_minor: amount, amount_captured_minor: amount, ..known }
            }
        }
    }

    /// Whether this PSP's payments have this operation.
    pub(super) fn has(&self, operation: Operation, payment: &Payment) -> bool {
        operation != Operation::Register || self.gateway.needs_registration(payment)
    }

    /// The idempotency key, as the worker makes it.
    pub(super) fn key(payment: &Payment, operation: Operation) -> String {
        format!("{}-{}-{operation}", payment.id, payment.operation)
    }

    pub(super) fn request(&self, operation: Operation, payment: &Payment) -> Request {
        let key = Self::key(payment, operation);
        self.gateway.request(Call { operation, payment, key: &key })
    }

    /// What the dialect reads in the gateway's request.
    pub(super) fn asked(&self, operation: Operation, payment: &Payment) -> Result<Asked, String> {
        self.dialect.read(&Incoming::from(&self.request(operation, payment)))
    }

    /// A payment in the PSP's books that fits ours.
    pub(super) fn account(&self, payment: &Payment, stands: Stands) -> dialect::Account {
        let amount = payment.amount_minor;
        let is_held = matches!(stands, Stands::Authorized | Stands::Captured);
        dialect::Account {
            psp_reference: self.reference(),
            merchant_reference: Some(payment.id.to_string()),
            payment_method: Some(payment.payment_method.clone()),
            asked: payment.asked(),
            stands,
            authorized_minor: if is_held { amount } else { 0 },
            captured_minor: if stands == Stands::Captured { amount } else { 0 },
            refunded_minor: 0,
            decline: None,
        }
    }

    /// The PSP's answer to the gateway's request, when this is what there is to tell.
    ///
    /// # Panics
    /// When the dialect does not understand the request; there is a check for that.
    pub(super) fn told(&self, operation: Operation, payment: &Payment, fact: Fact<'_>) -> WireAnswer {
        let asked = self.asked(operation, payment);
        let asked = asked.unwrap_or_else(|why| panic!("the {operation} request is not understood: {why}"));
        self.dialect.answer(&asked, fact)
    }

    /// What the gateway reads in an answer.
    pub(super) fn read(&self, operation: Operation, payment: &Payment, answer: &WireAnswer) -> Outcome {
        let retry_after = answer.headers.iter().find(|(name, _)| name == "retry-after");
        let retry_after_ms = retry_after.and_then(|(_, text)| text.parse::<u64>().ok()).map(|seconds| seconds * 1_000);
        let answer = Answer { status: answer.status, retry_after_ms, body: answer.body.clone() };
        self.gateway.read(operation, payment, &answer)
    }
}

/// 12.00 EUR.
pub(super) fn usual() -> Money {
    Money { amount_minor: 1_200, currency: "eur".parse().expect("a currency") }
}
