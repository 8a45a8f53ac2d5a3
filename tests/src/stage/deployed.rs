//! A site of real processes, whose function works by itself as messages come. The function's clock is real and can be
//! moved forward; the API's is real.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use reqwest::StatusCode;
use sandbox::{EventRecord, Sandbox};
use serde_json::Value;
use workflow::ids::PaymentId;
use workflow::port::clock::{Clock, SystemClock};
use workflow::port::store::Store;
use workflow_aws::sqs::GRACE;

use super::{Crashed, Stage};
use crate::conduct::CarriedOut;
use crate::crash::Crash;
use crate::lambda::Feeding;
use crate::site::{PATIENCE, Site};
use crate::world::{LEASE, WEBHOOK_SECRET};

/// Between two looks at a payment.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A site with a function, as a stage. Its processes run.
pub struct Deployed {
    /// The site.
    pub site: Site,
    crash: AtomicBool,
    has_crashed: AtomicBool,
}

impl Deployed {
    /// This site.
    #[must_use]
    pub fn of(site: Site) -> Self {
        Self { site, crash: AtomicBool::new(false), has_crashed: AtomicBool::new(false) }
    }

    async fn feed(&self, feeding: Feeding) {
        self.site.lambda.as_ref().expect("the site has a function").feed(feeding).await;
    }
}

#[async_trait]
impl Stage for Deployed {
    fn sandbox(&self) -> &Sandbox {
        &self.site.sandbox
    }

    fn store(&self) -> &dyn Store {
        self.site.store.as_ref()
    }

    async fn post(&self, path: &str, key: &str, body: &Value) -> (StatusCode, Value) {
        self.site.post(path, key, body).await
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.site.get(path).await
    }

    async fn deliver(&self, event: &EventRecord) -> StatusCode {
        let signature = sandbox::sign(WEBHOOK_SECRET, SystemClock.now().as_second(), &event.body);
        self.site.deliver(event.body.to_vec(), &signature).await
    }

    async fn hold(&self) {
        self.feed(Feeding::Off).await;
    }

    async fn let_go(&self) {
        self.feed(Feeding::On).await;
    }

    async fn rest(&self, id: PaymentId) {
        let begun = Instant::now();
        loop {
            let (now, payment) = (self.now(), self.payment(id).await);
            let is_at_rest = !payment.is_leased() && !payment.is_due(now);
            // After the payment: whoever dies right after the last write is dead before this is at rest.
            match self.crash.load(Ordering::SeqCst).then(|| self.site.conduct.carried_out()) {
                None | Some(CarriedOut::NotYet) if is_at_rest => {
                    if let Some(machine) = &self.site.machine {
                        machine.until_followed(&payment).await;
                        machine.until_kept(self.store(), &payment).await;
                    }
                    return;
                }
                None | Some(CarriedOut::NotYet | CarriedOut::InPart) => {}
                Some(CarriedOut::Wholly) => {
                    self.crash.store(false, Ordering::SeqCst);
                    self.has_crashed.store(true, Ordering::SeqCst);
                    self.skip(LEASE).await;
                    continue;
                }
            }
            if begun.elapsed() > PATIENCE {
                let log = self.site.log().await;
                panic!("nobody works on {id}:\n{}\n{log}", self.ledger(id).await);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn now(&self) -> Timestamp {
        self.site.conduct.now()
    }

    async fn skip(&self, by: Duration) {
        // A sweep leaves payments to their messages for a while, and messages know nothing of our clock.
        self.site.conduct.skip(by + GRACE);
    }

    async fn set_clock_right(&self) {
        self.site.conduct.set_right();
    }

    async fn crash_at(&self, crash: Crash, write: u32) {
        self.site.conduct.crash_at(crash, write);
        self.crash.store(true, Ordering::SeqCst);
    }

    async fn spare(&self) -> Crashed {
        self.site.conduct.spare();
        self.crash.store(false, Ordering::SeqCst);
        if self.has_crashed.swap(false, Ordering::SeqCst) { Crashed::Yes } else { Crashed::No }
    }
}
