//! A PSP on a loopback port that does what a scenario says, keeps books, and never lies about them.
//!
//! Not here: how one PSP writes things down ([`crate::dialect`]).

mod books;
mod mount;
mod script;
mod stage;

use std::sync::{Arc, Mutex, PoisonError};

use wiremock::MockServer;
use workflow::payment::FailureCategory;
use workflow::port::gateway::Operation;

use crate::dialect::adyen::Adyen;
use crate::dialect::stripe::Stripe;
use crate::dialect::{Account, Asked, Dialect, Stands};
use crate::webhooks::Webhooks;

pub use books::{Effect, EffectKind, Effects};
pub use script::{Card, Said, Script};
use stage::Stage;

/// The number of the secret that signs a mock PSP's webhooks.
const SECRET_NUMBER: u8 = 1;

/// A mock PSP.
///
/// Say what the next calls do, operation by operation; what nobody said anything about is approved:
///
/// ```
/// # use testkit::MockPsp;
/// # async fn scenario() {
/// let psp = MockPsp::stripe().await;
/// psp.authorize().declines("insufficient_funds").then().times_out_after_charging().then().approves();
/// psp.capture().approves().but_hangs_up();
/// # }
/// ```
///
/// Steps are played by *new* calls, whichever payment they are for. A call with a known idempotency key is answered as
/// that PSP answers it, with the stored answer and without a second effect, and plays no step. Inquiries are answered
/// from the books.
///
/// Dropping it fails the test when a request came that is none of the PSP's, or a step never came.
pub struct MockPsp {
    server: MockServer,
    stage: Arc<Mutex<Stage>>,
}

impl MockPsp {
    /// One that speaks Stripe.
    pub async fn stripe() -> Self {
        Self::speaking(Stripe).await
    }

    /// One that speaks Adyen.
    pub async fn adyen() -> Self {
        Self::speaking(Adyen).await
    }

    /// One that speaks this dialect.
    pub async fn speaking(dialect: impl Dialect) -> Self {
        let stage = Arc::new(Mutex::new(Stage::new(Arc::new(dialect))));
        let server = mount::mount(&stage).await;
        Self { server, stage }
    }

    /// Where it listens: `http://127.0.0.1:…`.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.uri()
    }

    /// The server behind it, for mocks of the test's own: those come before the scenario.
    #[must_use]
    pub fn server(&self) -> &MockServer {
        &self.server
    }

    /// What it speaks.
    #[must_use]
    pub fn dialect(&self) -> Arc<dyn Dialect> {
        self.with_stage(|stage| Arc::clone(&stage.dialect))
    }

    /// What signs its webhooks.
    #[must_use]
    pub fn webhook_secret(&self) -> String {
        self.dialect().webhook_secret(SECRET_NUMBER)
    }

    /// What the next registration does.
    pub fn register(&self) -> Script<'_> {
        self.script(Operation::Register)
    }

    /// What the next authorization does.
    pub fn authorize(&self) -> Script<'_> {
        self.script(Operation::Authorize)
    }

    /// What the next capture does.
    pub fn capture(&self) -> Script<'_> {
        self.script(Operation::Capture)
    }

    /// What the next void does.
    pub fn void(&self) -> Script<'_> {
        self.script(Operation::Void)
    }

    /// What the next refund does.
    pub fn refund(&self) -> Script<'_> {
        self.script(Operation::Refund)
    }

    /// What becomes of the next inquiry. What it tells is always the truth.
    pub fn inquire(&self) -> Script<'_> {
        self.script(Operation::Inquire)
    }

    /// What the next call of this operation does.
    pub fn script(&self, operation: Operation) -> Script<'_> {
        Script { psp: self, operation, card: None }
    }

    /// Scripts calls for payments with this payment method alone; they come before those for any.
    #[must_use]
    pub fn card(&self, payment_method: &str) -> Card<'_> {
        Card { psp: self, name: payment_method.to_owned() }
    }

    /// Every effect on money so far.
    #[must_use]
    pub fn effects(&self) -> Effects {
        self.with_stage(|stage| stage.books.effects.clone())
    }

    /// Every call so far that could be read, repetitions included.
    #[must_use]
    pub fn calls(&self) -> Vec<Asked> {
        self.with_stage(|stage| stage.calls.clone())
    }

    /// How a payment stands in the books, by our name for it or the PSP's.
    #[must_use]
    pub fn account(&self, payment: impl ToString) -> Option<Account> {
        self.with_stage(|stage| stage.books.find(&payment.to_string()).cloned())
    }

    /// Every payment in the books that has our name. More than one means that a key was not kept.
    #[must_use]
    pub fn accounts(&self, payment: impl ToString) -> Vec<Account> {
        self.with_stage(|stage| stage.books.all_of(&payment.to_string()))
    }

    /// The webhooks of everything that happened so far, in order; the PSP sends none by itself.
    #[must_use]
    pub fn webhooks(&self) -> Webhooks {
        let (dialect, news) = self.with_stage(|stage| (Arc::clone(&stage.dialect), stage.news.clone()));
        Webhooks::of_news(dialect, &news, self.webhook_secret())
    }

    /// The customer does what was required, and the money is reserved.
    ///
    /// # Panics
    /// When the payment does not wait for its customer.
    #[track_caller]
    pub fn customer_authenticates(&self, payment: impl ToString) {
        let account = self.waiting(&payment.to_string(), Stands::ActionRequired);
        self.with_stage(|stage| stage.done_later(Operation::Authorize, account));
    }

    /// The customer does not do what was required, and the payment is declined.
    ///
    /// # Panics
    /// When the payment does not wait for its customer.
    #[track_caller]
    pub fn customer_gives_up(&self, payment: impl ToString) {
        let account = self.waiting(&payment.to_string(), Stands::ActionRequired);
        self.with_stage(|stage| stage.declined_later(account, FailureCategory::Authentication));
    }

    /// What was pending is done now.
    ///
    /// # Panics
    /// When nothing of the payment is pending.
    #[track_caller]
    pub fn settles(&self, payment: impl ToString) {
        let account = self.account(payment.to_string());
        match account {
            Some(account @ Account { stands: Stands::Pending(operation), .. }) => {
                self.with_stage(|stage| stage.done_later(operation, account));
            }
            other => panic!("nothing of {} is pending: {other:?}", payment.to_string()),
        }
    }

    /// What was pending is declined now.
    ///
    /// # Panics
    /// When no authorization of the payment is pending.
    #[track_caller]
    pub fn settles_declined(&self, payment: impl ToString) {
        let account = self.waiting(&payment.to_string(), Stands::Pending(Operation::Authorize));
        self.with_stage(|stage| stage.declined_later(account, FailureCategory::SoftDecline));
    }

    /// As PSPs may after some days: a repeated idempotency key makes a new request.
    pub fn forgets_idempotency_keys(&self) {
        self.with_stage(Stage::forget_keys);
    }

    #[track_caller]
    fn waiting(&self, payment: &str, stands: Stands) -> Account {
        match self.account(payment) {
            Some(account) if account.stands == stands => account,
            Some(account) => panic!("{payment} is {:?} at the PSP, not {stands:?}", account.stands),
            None => panic!("the PSP does not know {payment}"),
        }
    }

    /// What is wrong so far, in words: requests that are none of the PSP's, and steps that have not come. What is told
    /// here does not fail the test any more.
    #[must_use]
    pub fn complaints(&self) -> String {
        self.with_stage(|stage| {
            let mut text = String::new();
            let strangers = std::mem::take(&mut stage.strangers);
            if !strangers.is_empty() {
                let psp = stage.dialect.psp();
                text.push_str(&format!(
                    "These requests are none that {psp} understands:\n\n{}\n",
                    strangers.join("\n")
                ));
                text.push_str("What it understands:\n");
                for (route, operation) in stage.dialect.routes() {
                    text.push_str(&format!("  {operation:<9} {route}\n"));
                }
            }
            let open: Vec<String> = stage.steps.open().map(|step| format!("  {step}\n")).collect();
            stage.steps = script::Steps::default();
            if !open.is_empty() {
                let calls: Vec<String> = stage.calls.iter().map(|asked| asked.operation.to_string()).collect();
                let calls = if calls.is_empty() { "none".to_owned() } else { calls.join(", ") };
                text.push_str(&format!("These steps of the scenario never came:\n{}", open.concat()));
                text.push_str(&format!("Calls that came: {calls}\n"));
                text.push_str("(A call whose key is known plays no step: it is answered from what was stored.)\n");
            }
            text
        })
    }

    /// Fails the test now for what would fail it at the end.
    ///
    /// # Panics
    /// When there is anything to complain about.
    #[track_caller]
    pub fn verify(&self) {
        let complaints = self.complaints();
        assert!(complaints.is_empty(), "the scenario was not played as written.\n\n{complaints}");
    }

    fn with_stage<T>(&self, work: impl FnOnce(&mut Stage) -> T) -> T {
        work(&mut self.stage.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for MockPsp {
    fn drop(&mut self) {
        // A test that fails already has its reason; this one would hide it.
        if !std::thread::panicking() {
            self.verify();
        }
    }
}
