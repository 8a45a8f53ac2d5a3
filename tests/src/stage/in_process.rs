//! One process, in which a test drives the work by hand and owns the clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use activities::worker::Worker;
use async_trait::async_trait;
use jiff::Timestamp;
use reqwest::StatusCode;
use sandbox::{EventRecord, Sandbox};
use serde_json::Value;
use tokio::sync::Mutex;
use workflow::ids::PaymentId;
use workflow::port::clock::Clock;
use workflow::port::store::Store;

use super::{Crashed, Stage};
use crate::crash::{Crash, CrashStore};
use crate::world::{self, LEASE, World};

/// A world, as a stage.
pub struct InProcess {
    /// The world.
    pub world: World,
    doomed: Mutex<Option<Doomed>>,
    has_crashed: AtomicBool,
}

/// A worker that is going to die.
struct Doomed {
    worker: Worker,
    store: Arc<CrashStore>,
}

impl InProcess {
    /// This world.
    #[must_use]
    pub fn of(world: World) -> Self {
        Self { world, doomed: Mutex::default(), has_crashed: AtomicBool::new(false) }
    }
}

#[async_trait]
impl Stage for InProcess {
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

    async fn hold(&self) {}

    async fn let_go(&self) {}

    async fn rest(&self, _id: PaymentId) {
        let mut doomed = self.doomed.lock().await;
        if let Some(Doomed { worker, store }) = &*doomed {
            tokio::select! {
                () = self.world.work_with(worker) => return,
                () = store.died.cancelled() => {}
            }
            *doomed = None;
            self.has_crashed.store(true, Ordering::SeqCst);
            self.world.clock.skip(LEASE);
        }
        self.world.work().await;
    }

    fn now(&self) -> Timestamp {
        self.world.clock.now()
    }

    async fn skip(&self, by: Duration) {
        self.world.clock.skip(by);
    }

    async fn set_clock_right(&self) {}

    async fn crash_at(&self, crash: Crash, write: u32) {
        let store = CrashStore::new(Arc::clone(&self.world.store), crash, i64::from(write));
        let engine = world::engine(&(Arc::clone(&store) as Arc<dyn Store>), &self.world.psps, &self.world.clock);
        let worker = world::worker(&engine, &self.world.psps, "doomed");
        *self.doomed.lock().await = Some(Doomed { worker, store });
    }

    async fn spare(&self) -> Crashed {
        *self.doomed.lock().await = None;
        if self.has_crashed.swap(false, Ordering::SeqCst) { Crashed::Yes } else { Crashed::No }
    }
}
