//! One process whose work comes by SQS and whose time Step Functions keeps, both at an emulator. The test owns the engine's
//! clock; that of Step Functions is real, and as impatient as the test makes it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use reqwest::StatusCode;
use sandbox::{EventRecord, Sandbox};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use workflow::ids::PaymentId;
use workflow::port::clock::Clock;
use workflow::port::store::Store;
use workflow::shared::Shared;
use workflow_aws::sfn::{Keeping, SfnOptions, StepFunctions};
use workflow_aws::sqs::{Listening, SqsOptions};

use super::{Crashed, Stage};
use crate::crash::Crash;
use crate::emulators::Emulator;
use crate::queue::{Shape, TestQueue, sdk_config};
use crate::state_machine::StateMachine;
use crate::world::{Process, World};

const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Such a process.
pub struct Timed {
    /// The process, and the PSP.
    pub world: World,
    /// What keeps the time.
    pub machine: StateMachine,
    /// What brings the work.
    pub queue: TestQueue,
    /// Whether Step Functions hears of all payments.
    is_heard: bool,
    working: Mutex<Option<Working>>,
}

struct Working {
    stop: CancellationToken,
    done: JoinHandle<()>,
}

impl Timed {
    /// Puts it beside a world, with this document; its worker works.
    ///
    /// # Panics
    /// When the emulator refuses anything.
    pub async fn beside(world: &World, emulator: Emulator, document: &Value, keeping: Keeping) -> Self {
        let queue = TestQueue::create(emulator.clone(), "timed", Shape::default()).await;
        let machine = StateMachine::deploy(emulator, document).await;
        let timed = Self::process(world, queue, machine, keeping, None).await;
        timed.let_go().await;
        timed
    }

    /// Another process with the same queue and state machine, which does not work yet.
    pub async fn again(&self, keeping: Keeping) -> Self {
        Self::process(&self.world, self.queue.clone(), self.machine.clone(), keeping, None).await
    }

    /// Another one, which does not reach Step Functions.
    pub async fn cut_off(&self) -> Self {
        let nowhere = Some("http://127.0.0.1:1");
        Self::process(&self.world, self.queue.clone(), self.machine.clone(), Keeping::All, nowhere).await
    }

    async fn process(
        world: &World,
        queue: TestQueue,
        machine: StateMachine,
        keeping: Keeping,
        nowhere: Option<&str>,
    ) -> Self {
        let endpoint = queue.emulator.url().to_owned();
        let sqs = SqsOptions::new(queue.url.clone(), Some(endpoint.clone()));
        let options = SfnOptions::new(&machine.arn, &sqs, keeping, Some(endpoint.clone())).expect("a machine's name");
        let clock = Arc::clone(&world.clock) as Arc<dyn Clock>;
        let (store, config) = (Arc::clone(&world.store), sdk_config(nowhere.unwrap_or(&endpoint)).await);
        let process = Process {
            queue: queue.adapter(Listening::Yes).await,
            timeouts: Arc::new(StepFunctions::over(&config, options, Arc::clone(&store), Arc::clone(&clock))),
            ..Process::sharing(Shared::alone(clock))
        };
        let world = world.beside(store, process).await;
        let is_heard = keeping == Keeping::All && nowhere.is_none();
        Self { world, machine, queue, is_heard, working: Mutex::default() }
    }

    /// Ends the process.
    ///
    /// # Panics
    /// When the worker did.
    pub async fn close(&self) {
        self.hold().await;
        self.world.engine.close().await;
    }
}

#[async_trait]
impl Stage for Timed {
    fn sandbox(&self) -> &Sandbox {
        &self.world.sandbox
    }

    fn store(&self) -> &dyn Store {
        self.world.store.as_ref()
    }

    async fn post(&self, path: &str, key: &str, body: &Value) -> (StatusCode, Value) {
        self.world.post(path, key, body).await
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.world.get(path).await
    }

    async fn deliver(&self, event: &EventRecord) -> StatusCode {
        self.world.deliver(event).await
    }

    async fn hold(&self) {
        if let Some(Working { stop, done }) = self.working.lock().await.take() {
            stop.cancel();
            done.await.expect("the worker does not panic");
        }
    }

    async fn let_go(&self) {
        let (worker, stop) = (self.world.worker.clone(), CancellationToken::new());
        let until = stop.clone();
        let done = tokio::spawn(async move { worker.run(until).await });
        *self.working.lock().await = Some(Working { stop, done });
    }

    async fn rest(&self, id: PaymentId) {
        let begun = Instant::now();
        loop {
            let payment = self.payment(id).await;
            if !payment.is_leased() && !payment.is_due(self.now()) {
                if self.is_heard {
                    self.machine.until_followed(&payment).await;
                    self.machine.until_kept(self.store(), &payment).await;
                }
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "nobody works on {id}:\n{}", self.ledger(id).await);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn now(&self) -> Timestamp {
        self.world.clock.now()
    }

    async fn skip(&self, by: Duration) {
        self.world.clock.skip(by);
    }

    async fn set_clock_right(&self) {}

    async fn crash_at(&self, _crash: Crash, _write: u32) {
        unreachable!("crashes are conducted on the other stages")
    }

    async fn spare(&self) -> Crashed {
        Crashed::No
    }
}
