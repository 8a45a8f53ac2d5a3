//! The floors: what the same database does when it is asked for nothing but rows. No history, no keys, no checks, no
//! hashes, no engine; the same group commit, the same connections, the same number of moves.
//!
//! Not here: SQL, which is in one file per database.

pub(crate) mod postgres;
pub(crate) mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use activities::psps::Psps;
use anyhow::{Context, ensure};
use async_trait::async_trait;
use serde::Deserialize;
use uuid::Uuid;
use workflow::group_commit::Lane;
use workflow::port::clock::{Clock, Random, SystemClock, SystemRandom};
use workflow::port::gateway::{Method, Operation, Request};
use workflow::port::store::StoreError;

use crate::load::Client;
use crate::observed::{Call, Counters};

/// A payment with nothing but what a flow needs.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) id: Uuid,
    pub(crate) merchant_id: Uuid,
    pub(crate) amount_minor: i64,
    pub(crate) currency: &'static str,
    pub(crate) state: &'static str,
    pub(crate) seq: i64,
    pub(crate) next_wake_at_us: Option<i64>,
    pub(crate) psp_reference: Option<String>,
    pub(crate) updated_at_us: i64,
}

impl Row {
    fn new() -> Self {
        let now = SystemClock.now();
        let id = || workflow::ids::PaymentId::new(now, [SystemRandom.next(), SystemRandom.next()]).uuid();
        Self {
            id: id(),
            merchant_id: id(),
            amount_minor: 1999,
            currency: "eur",
            state: "created",
            seq: 1,
            next_wake_at_us: Some(now.as_microsecond()),
            psp_reference: None,
            updated_at_us: now.as_microsecond(),
        }
    }
}

/// A database without an engine.
#[async_trait]
pub(crate) trait FloorStore: Send + Sync {
    /// One row, one statement, one commit.
    async fn insert_one(&self, row: &Row) -> Result<(), StoreError>;
    /// Many rows, one commit.
    async fn insert(&self, rows: &[Row]) -> Result<(), StoreError>;
    /// Many rows by compare-and-set, one commit. Each has the `seq` it is to have, one above what it has.
    async fn update(&self, rows: &[Row]) -> Result<(), StoreError>;
}

pub(crate) fn unavailable(error: sqlx::Error) -> StoreError {
    StoreError::Unavailable(Box::new(error))
}

/// What the floors' clients share.
pub(crate) struct Floor {
    store: Arc<dyn FloorStore>,
    inserts: Lane<Row, ()>,
    updates: Lane<Row, ()>,
    pub(crate) counters: Arc<Counters>,
}

impl Floor {
    /// Opens its lanes on the runtime it is called on.
    pub(crate) fn over(store: Arc<dyn FloorStore>) -> Arc<Self> {
        let counters = Arc::new(Counters::default());
        let (inserting, updating) = (Arc::clone(&store), Arc::clone(&store));
        let (counting_inserts, counting_updates) = (Arc::clone(&counters), Arc::clone(&counters));
        let inserts = Lane::open("floor_insert", move |rows: Arc<[Row]>| {
            let (store, counters) = (Arc::clone(&inserting), Arc::clone(&counting_inserts));
            Box::pin(async move {
                counters.count(Call::Start, rows.len(), store.insert(&rows)).await.map(|()| vec![(); rows.len()])
            })
        });
        let updates = Lane::open("floor_update", move |rows: Arc<[Row]>| {
            let (store, counters) = (Arc::clone(&updating), Arc::clone(&counting_updates));
            Box::pin(async move {
                counters.count(Call::Update, rows.len(), store.update(&rows)).await.map(|()| vec![(); rows.len()])
            })
        });
        Arc::new(Self { store, inserts, updates, counters })
    }
}

/// One that inserts rows, each by itself.
pub(crate) struct Inserter(pub(crate) Arc<Floor>);

#[async_trait]
impl Client for Inserter {
    async fn round(&mut self) -> anyhow::Result<Option<Duration>> {
        let row = Row::new();
        self.0.counters.count(Call::Start, 1, self.0.store.insert_one(&row)).await?;
        Ok(None)
    }
}

/// One that takes rows through the moves of a charge: inserted, then moved four times, as the engine does.
pub(crate) struct Mover {
    pub(crate) floor: Arc<Floor>,
    /// Where the calls between the moves go, if any are made.
    pub(crate) psps: Option<Arc<Psps>>,
}

#[derive(Deserialize)]
struct Intent {
    id: String,
}

impl Mover {
    async fn step(&self, row: &mut Row, state: &'static str) -> anyhow::Result<()> {
        let now = SystemClock.now().as_microsecond();
        row.seq += 1;
        row.state = state;
        row.next_wake_at_us = (state != "succeeded").then_some(now);
        row.updated_at_us = now;
        Ok(self.floor.updates.commit(row.clone()).await?)
    }

    async fn call(&self, row: &Row, operation: Operation, path: String, body: &str) -> anyhow::Result<Option<Intent>> {
        let Some(psps) = &self.psps else { return Ok(None) };
        let psp = psps.get("sandbox").context("no sandbox PSP")?;
        let headers = vec![
            ("content-type", "application/x-www-form-urlencoded".to_owned()),
            ("idempotency-key", format!("{}-{operation}", row.id)),
        ];
        let request = Request { method: Method::Post, path, headers, body: body.to_owned() };
        let sent = psp.client.send(operation, request, Duration::from_secs(10)).await;
        let Ok(answer) = sent else { anyhow::bail!("the PSP did not answer a {operation}") };
        ensure!(answer.status == 200, "the PSP answered {} to a {operation}", answer.status);
        Ok(Some(serde_json::from_slice(&answer.body)?))
    }
}

/// The same fields as the engine's gateway sends.
const REGISTER: &str =
    "amount=1999&currency=eur&payment_method=pm_card_visa&payment_method_types%5B%5D=card&capture_method=manual";

#[async_trait]
impl Client for Mover {
    async fn round(&mut self) -> anyhow::Result<Option<Duration>> {
        const INTENTS: &str = "/v1/payment_intents";
        let mut row = Row::new();
        self.floor.inserts.commit(row.clone()).await?;
        self.step(&mut row, "authorizing").await?;
        let intent = self.call(&row, Operation::Register, INTENTS.to_owned(), REGISTER).await?;
        let reference = intent.map_or_else(|| "pi_none".to_owned(), |intent| intent.id);
        row.psp_reference = Some(reference.clone());
        self.step(&mut row, "authorizing").await?;
        self.call(&row, Operation::Authorize, format!("{INTENTS}/{reference}/confirm"), "").await?;
        self.step(&mut row, "finalizing").await?;
        self.call(&row, Operation::Capture, format!("{INTENTS}/{reference}/capture"), "amount_to_capture=1999").await?;
        self.step(&mut row, "succeeded").await?;
        Ok(None)
    }
}
