//! Where scenarios are played: one process that a test drives by hand, or a site of real processes where work is done by
//! itself. What a scenario does, and what must come of it, is the same in both.
//!
//! Not here: the scenarios; they are tests (`suite/`).

mod deployed;
mod in_process;
mod timed;

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use reqwest::StatusCode;
use sandbox::{Authentication, EventRecord, Sandbox};
use serde_json::{Value, json};
use workflow::definition::State;
use workflow::history;
use workflow::ids::PaymentId;
use workflow::payment::Payment;
use workflow::port::store::Store;
use workflow::timeline;

pub use deployed::Deployed;
pub use in_process::InProcess;
pub use timed::Timed;

use crate::books::agree;
use crate::crash::Crash;
use crate::emulators::unique;

/// Backoffs that a payment may take on its way to where it is expected: more than any fault of a scenario causes.
const MAX_BACKOFFS: usize = 20;

/// Looks at a payment and its history until they are of the same moment. Few webhooks come for one payment.
const MAX_LOOKS: usize = 10;

/// A FinCore with a PSP, and with somebody who works.
#[async_trait]
pub trait Stage: Sync {
    /// The PSP.
    fn sandbox(&self) -> &Sandbox;

    /// Where payments are kept, seen from outside.
    fn store(&self) -> &dyn Store;

    /// A POST of the client's.
    async fn post(&self, path: &str, key: &str, body: &Value) -> (StatusCode, Value);

    /// A GET of the client's.
    async fn get(&self, path: &str) -> (StatusCode, Value);

    /// Delivers a webhook as the PSP would.
    async fn deliver(&self, event: &EventRecord) -> StatusCode;

    /// From now on nobody works. Where a test drives the work, nobody does anyway.
    async fn hold(&self);

    /// Undoes that.
    async fn let_go(&self);

    /// Lets the work be done until there is nothing to do about this payment now; takes it up again after a crash.
    async fn rest(&self, id: PaymentId);

    /// The time of whoever works.
    fn now(&self) -> Timestamp;

    /// Moves it forward.
    async fn skip(&self, by: Duration);

    /// Undoes that between two charges, where the client's time is another one: a charge that is made in the past is
    /// overdue at once, so a sweep tells the queue of it a second time.
    async fn set_clock_right(&self);

    /// Whoever works dies at a write, the next one being 1, and somebody else goes on when the lease is over.
    async fn crash_at(&self, crash: Crash, write: u32);

    /// Takes back the order of a crash that has not happened. Says whether it had.
    async fn spare(&self) -> Crashed;

    /// The payment as it stands.
    async fn payment(&self, id: PaymentId) -> Payment {
        let loaded = self.store().load(&[id]).await.expect("the store answers");
        loaded.into_iter().next().flatten().expect("the payment exists")
    }

    /// Its history as a ledger.
    async fn ledger(&self, id: PaymentId) -> String {
        timeline::ledger(&self.store().history(id).await.expect("the store answers"))
    }

    /// The payment whose history's hash chain is intact. A webhook may come between two looks, so these are repeated.
    async fn verified(&self, id: PaymentId) -> Payment {
        let mut looks = 0;
        loop {
            looks += 1;
            let (payment, rows) = (self.payment(id).await, self.store().history(id).await);
            match history::verify(&payment, &rows.expect("the store answers")) {
                Ok(()) => return payment,
                Err(broken) => assert!(looks < MAX_LOOKS, "{broken:?}"),
            }
        }
    }

    /// Checks that its hash chain is intact, and that the PSP's books and our row tell the same story.
    async fn agree(&self, id: PaymentId) {
        agree(&self.verified(id).await, self.sandbox().ledger());
    }
}

/// Whether an ordered crash has happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Crashed {
    /// It has.
    Yes,
    /// There were not so many writes.
    No,
}

/// A charge, what is done about it, and what its history must be.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// What it is about.
    pub name: &'static str,
    /// How it is paid.
    pub payment_method: &'static str,
    /// When the money is taken.
    pub capture_method: &'static str,
    /// What happens, in order.
    pub acts: &'static [Act],
    /// The ledger at the end.
    pub history: &'static str,
}

/// What happens in a scenario.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// The work is done until the payment stands there, with nothing left to do now.
    Rests(State),
    /// The client posts this to the charge, and it is accepted.
    Posts(&'static str, &'static str),
    /// The customer does this on the bank's page.
    Authenticates(Authentication),
    /// The card that took its time answers, and nobody tells us.
    CardAnswers,
    /// The PSP delivers what it has to tell, in this order, each so many times.
    Webhooks(Order, usize),
    /// So many minutes go by.
    Minutes(u64),
}

/// In which order webhooks come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// As things happened.
    AsItWas,
    /// The other way round.
    Reversed,
}

/// Plays a scenario and returns its charge. Whether it ends as it should, [`Scenario::history`] says.
///
/// # Panics
/// When something in it does not happen.
pub async fn play(stage: &dyn Stage, scenario: &Scenario) -> PaymentId {
    stage.set_clock_right().await;
    let body = json!({
        "amount": 1200, "currency": "eur",
        "payment_method": scenario.payment_method, "capture_method": scenario.capture_method,
    });
    // What the client does before anybody works on its charge.
    let works = scenario.acts.iter().position(|act| matches!(act, Act::Rests(_))).unwrap_or(scenario.acts.len());
    let (at_once, later) = scenario.acts.split_at(works);
    if !at_once.is_empty() {
        stage.hold().await;
    }
    let (status, charge) = stage.post("/v1/charges", &unique(scenario.name), &body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{charge}");
    let id = charge["id"].as_str().expect("a charge has an id").parse().expect("of our kind");
    for act in at_once {
        perform(stage, scenario, id, *act).await;
    }
    if !at_once.is_empty() {
        stage.let_go().await;
    }
    for act in later {
        perform(stage, scenario, id, *act).await;
    }
    id
}

async fn perform(stage: &dyn Stage, scenario: &Scenario, id: PaymentId, act: Act) {
    match act {
        Act::Rests(state) => until(stage, id, state).await,
        Act::Posts(what, body) => {
            let body = serde_json::from_str(body).expect("scenarios post JSON");
            let (status, answer) = stage.post(&format!("/v1/charges/{id}/{what}"), &unique(what), &body).await;
            assert_eq!(status, StatusCode::ACCEPTED, "{}: {answer}", scenario.name);
        }
        Act::Authenticates(answer) => {
            stage.sandbox().authenticate(&reference(stage, id).await, answer);
        }
        Act::CardAnswers => {
            stage.sandbox().settle_processing();
        }
        Act::Webhooks(order, times) => {
            let reference = reference(stage, id).await;
            let mut events = stage.sandbox().events();
            events.retain(|event| event.payment_intent == reference);
            if order == Order::Reversed {
                events.reverse();
            }
            for event in events {
                let delivered = (0..times).map(|_| stage.deliver(&event));
                for status in futures_util::future::join_all(delivered).await {
                    assert_eq!(status, StatusCode::OK, "{}: {}", scenario.name, event.kind);
                }
            }
        }
        Act::Minutes(minutes) => stage.skip(Duration::from_mins(minutes)).await,
    }
}

/// Lets the work be done, backoffs included, until the payment stands there with nothing to do now.
///
/// # Panics
/// When it comes to rest elsewhere.
pub async fn until(stage: &dyn Stage, id: PaymentId, state: State) {
    for _ in 0..MAX_BACKOFFS {
        stage.rest(id).await;
        let payment = stage.payment(id).await;
        if payment.state == state {
            return;
        }
        let backs_off = payment.next_wake_at.filter(|_| payment.activity().is_some());
        let Some(again_at) = backs_off else { break };
        stage.skip(Duration::try_from(again_at.duration_since(stage.now())).unwrap_or_default()).await;
    }
    panic!("{id} does not come to be {state}:\n{}", stage.ledger(id).await);
}

async fn reference(stage: &dyn Stage, id: PaymentId) -> String {
    stage.payment(id).await.psp_reference.expect("the PSP knows it")
}
