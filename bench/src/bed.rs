//! The test bed of one database: two FinCores, the floors and the sandbox PSP.
//!
//! Charges that are only started stay due for ever, so they have a database of their own, without a worker.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use activities::gateway::accounts::Purpose;
use activities::psps::Psps;
use anyhow::Context;
use fincore::app::{self, Workers};
use fincore::settings::Settings;
use metrics_exporter_prometheus::PrometheusHandle;
use sandbox::{Sandbox, WebhookMode};
use serde::Serialize;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Row};
use workflow::port::clock::{Clock, SystemClock};
use workflow::shared::Shared;

use crate::batches;
use crate::clients::{Caller, Insider, Until};
use crate::floor::postgres::PostgresFloor;
use crate::floor::sqlite::SqliteFloor;
use crate::floor::{Floor, FloorStore, Inserter, Mover};
use crate::gauges::Gauges;
use crate::load::{self, Client, Window};
use crate::observed::Counters;
use crate::plan::{Cell, Database, Kind};
use crate::summary::Run;
use crate::system::System;
use crate::{Args, Places};

/// The sandbox's credentials. They open nothing but a part of this process.
const SANDBOX_KEY: &str = "sk_test_sandbox_of_the_benchmark";
const SANDBOX_WEBHOOK_SECRET: &str = "whsec_sandbox_of_the_benchmark_only";

/// Webhooks still under way when their cell ends.
const WEBHOOKS_LEFT: Duration = Duration::from_secs(20);

/// Everything that is measured on one database.
pub(crate) struct Bed {
    database: Database,
    url: String,
    starting: Arc<System>,
    completing: Arc<System>,
    floor: Arc<Floor>,
    psps: Arc<Psps>,
    psp: Arc<Sandbox>,
    gauges: Gauges,
    /// Numbers the cells, so that none repeats another's idempotency keys.
    cells: AtomicU64,
    _folder: Option<tempfile::TempDir>,
}

/// What the database says about itself at the end.
#[derive(Serialize, Clone, Debug, Default)]
pub(crate) struct Afterwards {
    pub(crate) payments: i64,
    pub(crate) history_rows: i64,
    /// Updates of payments, and those that left the indexes alone (HOT).
    pub(crate) updates: Option<i64>,
    pub(crate) hot_updates: Option<i64>,
}

/// The URLs of the databases of a bed.
struct Urls {
    starting: String,
    completing: String,
    floor: String,
}

impl Bed {
    pub(crate) async fn make(
        database: Database,
        args: &Args,
        settings: &Settings,
        metrics: &PrometheusHandle,
        places: &Places,
    ) -> anyhow::Result<Self> {
        let (psp, settings) = psp(settings, places).await?;
        let (urls, folder) = match database {
            Database::Postgres => (postgres_databases(&args.postgres_url).await?, None),
            Database::Sqlite => sqlite_files(&args.folder)?,
        };
        let system = |url: &str, workers| {
            let settings = Settings { database_url: url.into(), ..settings.clone() };
            places.fincore.spawn(System::start(settings, workers, metrics.clone()))
        };
        let starting = system(&urls.starting, Workers::Elsewhere).await??;
        let completing = system(&urls.completing, Workers::Here).await??;
        psp.set_webhook_url(format!("http://{}/v1/webhooks/sandbox", completing.address));
        let (connections, url) = (settings.database_connections, urls.floor);
        let floor = places.fincore.spawn(async move { floor(database, &url, connections).await }).await??;
        let gauges = match database {
            Database::Postgres => Gauges::of_server(&args.postgres_url).await?,
            Database::Sqlite => Gauges::of_file(),
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let psps = app::psps(&settings, Purpose::CallsAndWebhooks, &clock, &Shared::alone(Arc::clone(&clock)))?;
        let (cells, psp, url) = (AtomicU64::new(0), Arc::new(psp), urls.completing);
        Ok(Self { database, url, starting, completing, floor, psps, psp, gauges, cells, _folder: folder })
    }

    /// Measures one cell once.
    pub(crate) async fn measure(&self, cell: Cell, window: Window) -> anyhow::Result<Run> {
        let number = self.cells.fetch_add(1, Ordering::Relaxed);
        let mut clients = Vec::with_capacity(cell.in_flight);
        for client in 0..cell.in_flight {
            clients.push(self.client(cell.kind, number, client).await?);
        }
        let with_webhooks = cell.kind == Kind::CompleteWithWebhooks;
        if with_webhooks {
            self.psp.set_webhooks(WebhookMode::On);
        }
        let counters = self.counters(cell.kind);
        let seen = load::drive(clients, window, async || self.gauges.read(counters, &self.psp).await).await?;
        if with_webhooks {
            self.psp.set_webhooks(WebhookMode::Off);
            // What is not delivered by then is lost, as webhooks sometimes are; their charges have succeeded.
            let _ = tokio::time::timeout(WEBHOOKS_LEFT, self.psp.webhooks_idle()).await;
        }
        let costs = self.gauges.costs(&seen.before, &seen.after);
        Ok(Run::new(seen.elapsed, &seen.rounds, &seen.accepted, costs))
    }

    async fn client(&self, kind: Kind, cell: u64, client: usize) -> anyhow::Result<Box<dyn Client>> {
        let floor = || Arc::clone(&self.floor);
        Ok(match kind {
            Kind::BareInsert => Box::new(Inserter(floor())),
            Kind::BareFlow => Box::new(Mover { floor: floor(), psps: None }),
            Kind::BareFlowWithPsp => Box::new(Mover { floor: floor(), psps: Some(Arc::clone(&self.psps)) }),
            Kind::StartInProcess => Box::new(Insider::new(&self.starting, cell, client, Until::Accepted)?),
            Kind::Start => Box::new(Caller::new(&self.starting, cell, client, Until::Accepted).await?),
            Kind::CompleteInProcess => Box::new(Insider::new(&self.completing, cell, client, Until::Succeeded)?),
            Kind::Complete | Kind::CompleteWithWebhooks => {
                Box::new(Caller::new(&self.completing, cell, client, Until::Succeeded).await?)
            }
        })
    }

    fn counters(&self, kind: Kind) -> &Counters {
        match kind {
            Kind::BareInsert | Kind::BareFlow | Kind::BareFlowWithPsp => &self.floor.counters,
            Kind::StartInProcess | Kind::Start => &self.starting.counters,
            Kind::Complete | Kind::CompleteInProcess | Kind::CompleteWithWebhooks => &self.completing.counters,
        }
    }

    /// Stops everything and says what is left in the database of the completed charges.
    pub(crate) async fn finish(self) -> anyhow::Result<Afterwards> {
        self.starting.stop();
        self.completing.stop();
        self.psp.stop().await;
        match self.database {
            Database::Postgres => postgres_afterwards(&self.url).await,
            Database::Sqlite => sqlite_afterwards(&self.url).await,
        }
    }
}

/// Measures the Lambda function's handler.
pub(crate) async fn batches(
    args: &Args,
    settings: &Settings,
    metrics: &PrometheusHandle,
    places: &Places,
) -> anyhow::Result<()> {
    let (psp, settings) = psp(settings, places).await?;
    let urls = postgres_databases(&args.postgres_url).await?;
    let settings = Settings { database_url: urls.completing.into(), ..settings };
    batches::measure(&args.batches, &settings, metrics).await?;
    psp.stop().await;
    Ok(())
}

/// The sandbox PSP, which sends no webhooks yet, and the settings that lead there.
async fn psp(settings: &Settings, places: &Places) -> anyhow::Result<(Sandbox, Settings)> {
    let config = sandbox::Config {
        secret_key: SANDBOX_KEY.to_owned(),
        webhook_secret: SANDBOX_WEBHOOK_SECRET.to_owned(),
        ..sandbox::Config::default()
    };
    let psp = places.psp.spawn(Sandbox::start(config)).await?.context("cannot start the sandbox PSP")?;
    psp.set_webhooks(WebhookMode::Off);
    let settings = Settings {
        psp: "sandbox".to_owned(),
        stripe_url: psp.url().to_owned(),
        stripe_secret_key: SANDBOX_KEY.into(),
        stripe_webhook_secret: SANDBOX_WEBHOOK_SECRET.into(),
        ..settings.clone()
    };
    Ok((psp, settings))
}

async fn floor(database: Database, url: &str, connections: u32) -> anyhow::Result<Arc<Floor>> {
    let store: Arc<dyn FloorStore> = match database {
        Database::Postgres => Arc::new(PostgresFloor::open(url, connections).await?),
        Database::Sqlite => Arc::new(SqliteFloor::open(&PathBuf::from(url)).await?),
    };
    Ok(Floor::over(store))
}

/// Makes three fresh databases on the server of this URL.
async fn postgres_databases(url: &str) -> anyhow::Result<Urls> {
    let (server, _) = url.rsplit_once('/').context("the PostgreSQL URL names no database")?;
    let mut connection = PgConnection::connect(url).await.context("cannot reach PostgreSQL")?;
    let mut urls = Vec::new();
    for name in ["fincore_bench_starting", "fincore_bench_completing", "fincore_bench_floor"] {
        for statement in [format!("drop database if exists {name} with (force)"), format!("create database {name}")] {
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
        }
        urls.push(format!("{server}/{name}"));
    }
    connection.close().await?;
    let [starting, completing, floor] = urls.try_into().map_err(|_| anyhow::anyhow!("three databases were made"))?;
    Ok(Urls { starting, completing, floor })
}

fn sqlite_files(folder: &std::path::Path) -> anyhow::Result<(Urls, Option<tempfile::TempDir>)> {
    let folder = tempfile::Builder::new().prefix("fincore-bench-").tempdir_in(folder)?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let urls = Urls {
        starting: format!("sqlite:{}", path("starting.db")),
        completing: format!("sqlite:{}", path("completing.db")),
        floor: path("floor.db"),
    };
    Ok((urls, Some(folder)))
}

async fn postgres_afterwards(url: &str) -> anyhow::Result<Afterwards> {
    // Sessions hand in their statistics up to a second late.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let mut connection = PgConnection::connect(url).await?;
    let row = sqlx::query(
        "select (select count(*) from payments) as payments, (select count(*) from payment_history) as history_rows,
            n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relname = 'payments'",
    )
    .fetch_one(&mut connection)
    .await?;
    Ok(Afterwards {
        payments: row.try_get("payments")?,
        history_rows: row.try_get("history_rows")?,
        updates: row.try_get("n_tup_upd")?,
        hot_updates: row.try_get("n_tup_hot_upd")?,
    })
}

async fn sqlite_afterwards(url: &str) -> anyhow::Result<Afterwards> {
    let mut connection = sqlx::SqliteConnection::connect(url).await?;
    let row = sqlx::query(
        "select (select count(*) from payments) as payments, (select count(*) from payment_history) as history_rows",
    )
    .fetch_one(&mut connection)
    .await?;
    let (payments, history_rows) = (row.try_get("payments")?, row.try_get("history_rows")?);
    Ok(Afterwards { payments, history_rows, ..Afterwards::default() })
}
