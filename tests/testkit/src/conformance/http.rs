//! A payment's life over HTTP: gateway, client and PSP together.

use std::sync::Arc;

use activities::gateway::breaker::BreakerPolicy;
use activities::gateway::client::{Account, Connections, PspClient};
use workflow::payment::Payment;
use workflow::port::clock::SystemClock;
use workflow::port::gateway::{Operation, Outcome, Query, Standing};

use super::CALL_TIMEOUT;
use super::candidate::{Candidate, Cards, usual};
use super::report::{Cases, Report};

/// Makes calls as the worker does.
pub(super) struct Caller<'a> {
    candidate: &'a Candidate,
    connections: Connections,
    account: Account,
}

impl<'a> Caller<'a> {
    pub(super) fn new(candidate: &'a Candidate, account: Account) -> Self {
        Self { candidate, connections: Connections::new().expect("TLS can be set up"), account }
    }

    /// A payment nobody has heard of.
    pub(super) fn fresh(&self, payment_method: &str) -> Payment {
        let payment = self.candidate.payment(rand::random(), usual());
        Payment { payment_method: payment_method.to_owned(), ..payment }
    }

    /// One call. Each has a circuit breaker of its own: here, a PSP that fails is not down.
    pub(super) async fn call(&self, operation: Operation, payment: &Payment) -> Outcome {
        let (account, clock) = (self.account.clone(), Arc::new(SystemClock));
        let client = PspClient::sharing(&self.connections, account, clock, BreakerPolicy::default());
        let request = self.candidate.request(operation, payment);
        match client.send(operation, request, CALL_TIMEOUT).await {
            Ok(answer) => self.candidate.gateway().read(operation, payment, &answer),
            Err(outcome) => outcome,
        }
    }

    /// What the PSP says of the payment, asked as the reconciliation does.
    pub(super) async fn inquire(&self, payment: &Payment) -> Outcome {
        let gateway = self.candidate.gateway();
        match (gateway.capabilities().query, gateway.known_standing(payment)) {
            (Query::ByReplay, _) => self.call(Operation::Authorize, payment).await,
            (Query::ByReference, Some(standing)) => Outcome::Approved(standing),
            (Query::ByReference, None) => self.call(Operation::Inquire, payment).await,
        }
    }

    /// A call, and the payment as it stands after it. What comes by webhook counts as done.
    pub(super) async fn then(&self, operation: Operation, payment: &mut Payment) -> Outcome {
        let outcome = self.call(operation, payment).await;
        keep(operation, payment, &outcome);
        outcome
    }

    /// Makes the payment ready for an operation.
    pub(super) async fn ready_for(&self, operation: Operation, payment: &mut Payment) {
        if operation == Operation::Register {
            return;
        }
        if self.candidate.gateway().needs_registration(payment) {
            self.then(Operation::Register, payment).await;
        }
        if matches!(operation, Operation::Capture | Operation::Void | Operation::Refund) {
            self.then(Operation::Authorize, payment).await;
        }
        if operation == Operation::Refund {
            self.then(Operation::Capture, payment).await;
            payment.goal = workflow::definition::Goal::Reverse;
        }
    }
}

/// Writes what an outcome proves onto the payment, as the engine would.
fn keep(operation: Operation, payment: &mut Payment, outcome: &Outcome) {
    let (reference, asked) = (payment.psp_reference.clone(), payment.amount_minor);
    match outcome {
        Outcome::Approved(Standing::Registered { psp_reference }) => {
            payment.psp_reference = Some(psp_reference.clone())
        }
        Outcome::Approved(Standing::Authorized { psp_reference, money }) => {
            payment.psp_reference = Some(psp_reference.clone());
            payment.amount_authorized_minor = money.amount_minor;
        }
        Outcome::Approved(Standing::Captured { money, .. }) => payment.amount_captured_minor = money.amount_minor,
        Outcome::Approved(Standing::Refunded { money, .. }) => payment.amount_refunded_minor = money.amount_minor,
        Outcome::Pending { psp_reference } => {
            payment.psp_reference = psp_reference.clone().or(reference);
            if operation == Operation::Capture {
                payment.amount_captured_minor = asked;
            }
        }
        Outcome::ActionRequired { .. }
        | Outcome::Approved(Standing::Voided { .. } | Standing::Untouched { .. })
        | Outcome::Declined(_)
        | Outcome::Rejected(_)
        | Outcome::Throttled { .. }
        | Outcome::NotSent { .. }
        | Outcome::Unknown { .. } => {}
    }
}

/// Whether an operation was done, as far as its own answer can tell.
pub(super) fn is_done(operation: Operation, outcome: &Outcome) -> bool {
    match (operation, outcome) {
        (Operation::Register, Outcome::Approved(Standing::Registered { .. }))
        | (Operation::Authorize, Outcome::Approved(Standing::Authorized { .. }))
        | (Operation::Capture, Outcome::Approved(Standing::Captured { .. }) | Outcome::Pending { .. })
        | (Operation::Void, Outcome::Approved(Standing::Voided { .. }) | Outcome::Pending { .. })
        | (Operation::Refund, Outcome::Approved(Standing::Refunded { .. }) | Outcome::Pending { .. }) => true,
        _other => false,
    }
}

pub(super) async fn check(candidate: &Candidate, account: Account, cards: &Cards, report: &mut Report) {
    let caller = Caller::new(candidate, account);
    let mut cases = Cases::default();
    let mut replays = Cases::default();
    let all = [Operation::Register, Operation::Authorize, Operation::Capture, Operation::Void, Operation::Refund];
    for operation in all {
        let mut payment = caller.fresh(&cards.approved);
        if !candidate.has(operation, &payment) {
            continue;
        }
        caller.ready_for(operation, &mut payment).await;
        let outcome = caller.call(operation, &payment).await;
        cases.expect(is_done(operation, &outcome), || format!("{operation}: {outcome:?}"));
        let again = caller.call(operation, &payment).await;
        replays.expect(again == outcome, || format!("{operation}: first {outcome:?}, then {again:?}"));
    }
    let fix = "run the call by hand against the PSP (or MockPsp::complaints()) and compare with its API reference";
    report.found("each operation is done over HTTP", fix, cases);
    let fix = "send the same key and the same bytes each time: the PSP has to take the second call for the first";
    report.found("a repeated call comes to the same", fix, replays);

    let mut cases = Cases::default();
    let mut payment = caller.fresh(&cards.declined);
    caller.ready_for(Operation::Authorize, &mut payment).await;
    for time in ["first", "again"] {
        let outcome = caller.call(Operation::Authorize, &payment).await;
        cases.expect(matches!(outcome, Outcome::Declined(_)), || format!("{time}: {outcome:?}"));
    }
    let fix = "read the PSP's decline as Declined, also when it is the stored answer";
    report.found("a declined card is Declined", fix, cases);
    inquiries(&caller, cards, report).await;
}

async fn inquiries(caller: &Caller<'_>, cards: &Cards, report: &mut Report) {
    let mut cases = Cases::default();
    let mut payment = caller.fresh(&cards.approved);
    let before = caller.inquire(&payment).await;
    let is_right = matches!(before, Outcome::Approved(Standing::Untouched { .. } | Standing::Authorized { .. }));
    cases.expect(is_right, || format!("before anything was sent: {before:?}"));
    caller.ready_for(Operation::Capture, &mut payment).await;
    for _ in 0..2 {
        let authorized = caller.inquire(&payment).await;
        let is_right =
            matches!(&authorized, Outcome::Approved(Standing::Authorized { money, .. }) if *money == payment.asked());
        cases.expect(is_right, || format!("after the authorization: {authorized:?}"));
    }
    let fix = "ask by the stored reference (or repeat the same request), and read how the payment stands; what can be known without a call belongs into known_standing";
    report.found("an inquiry tells how the payment stands", fix, cases);
}
