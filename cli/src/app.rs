//! The wiring: from settings to a store, an engine, the PSPs, the API and the worker.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use activities::gateway::breaker::BreakerPolicy;
use activities::gateway::{adyen, client, stripe};
use activities::psps::{Psp, Psps};
use activities::worker::{Worker, WorkerOptions};
use anyhow::Context;
use metrics_exporter_prometheus::PrometheusHandle;
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use workflow::engine::Engine;
use workflow::local_queue::{LocalQueue, NoQueue};
use workflow::port::clock::{Clock, SystemRandom};
use workflow::port::gateway::{Gateway, LONGEST_KEY};
use workflow::port::queue::Queue;
use workflow::port::store::Store;
use workflow_postgres::{PostgresOptions, PostgresStore};
use workflow_sqlite::{SqliteOptions, SqliteStore};

use crate::settings::{self, Settings};

/// Whether a worker in the same process listens to what the engine tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Workers {
    /// It does: wakes go to it at once.
    Here,
    /// None here: workers elsewhere find due payments by sweeping.
    Elsewhere,
}

/// Whether the schema is brought up to date on opening.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Schema {
    /// It is.
    Migrate,
    /// It has to be already.
    Expect,
}

/// Opens the database.
///
/// # Errors
/// It cannot be reached, or its schema is not the one this program was built for; says what to do.
pub async fn open_store(settings: &Settings, schema: Schema) -> anyhow::Result<Arc<dyn Store>> {
    let url = settings.database_url.expose_secret();
    if settings.uses_postgres() {
        let options = PostgresOptions::new(url.to_owned(), settings.database_connections);
        let store = PostgresStore::connect(options).await.context("cannot open PostgreSQL")?;
        if schema == Schema::Migrate {
            store.migrate().await.context("cannot migrate PostgreSQL")?;
        }
        return checked(Arc::new(store)).await;
    }
    let path = url.strip_prefix("sqlite:").with_context(|| {
        "database_url must begin with sqlite: (then a path) or postgres:// (then host and database)".to_owned()
    })?;
    let path = PathBuf::from(path.trim_start_matches("//"));
    let store = SqliteStore::open(SqliteOptions::new(path.clone()))
        .await
        .with_context(|| format!("cannot open the SQLite file {}", path.display()))?;
    if schema == Schema::Migrate {
        store.migrate().await.context("cannot migrate SQLite")?;
    }
    checked(Arc::new(store)).await
}

async fn checked(store: Arc<dyn Store>) -> anyhow::Result<Arc<dyn Store>> {
    store.check().await?;
    Ok(store)
}

/// An engine over a store, and the queue between it and the workers.
#[must_use]
pub fn engine(store: Arc<dyn Store>, psps: &Psps, workers: Workers, clock: Arc<dyn Clock>) -> Arc<Engine> {
    let queue: Arc<dyn Queue> = match workers {
        Workers::Here => Arc::new(LocalQueue::new()),
        Workers::Elsewhere => Arc::new(NoQueue),
    };
    Arc::new(Engine::new(store, queue, clock, Arc::new(SystemRandom), psps.capabilities()))
}

/// A worker as the settings say.
#[must_use]
pub fn worker(engine: Arc<Engine>, psps: Arc<Psps>, settings: &Settings, workers: Workers) -> Worker {
    let options = WorkerOptions {
        name: format!("{}-{}", hostname(), std::process::id()),
        concurrency: settings.worker_concurrency,
        sweep_every: settings.sweep_every(),
        sweep_grace: match workers {
            Workers::Here => settings.sweep_every() * 2,
            Workers::Elsewhere => std::time::Duration::ZERO,
        },
        longest_call: std::time::Duration::MAX,
        drain_timeout: settings.drain_timeout(),
    };
    Worker::new(engine, psps, options)
}

fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "host".to_owned(), |name| name.trim().to_owned())
}

/// The PSP accounts of the settings.
///
/// # Errors
/// A secret is missing or a placeholder, or the URL cannot be used; says which.
pub fn psps(settings: &Settings, clock: Arc<dyn Clock>) -> anyhow::Result<Arc<Psps>> {
    let connections = client::Connections::new().context("cannot set up the HTTP client")?;
    let mut accounts = settings.psps.clone();
    accounts.entry(settings.psp.clone()).or_insert_with(|| settings::accounts::Account::Stripe {
        url: Some(settings.stripe_url.clone()),
        api_key: settings.stripe_secret_key.clone(),
        webhook_secret: settings.stripe_webhook_secret.clone(),
    });
    let psps = accounts.iter().map(|(name, account)| {
        let (gateway, account) = gateway(name, account).with_context(|| {
            let variable = format!("FINCORE_PSPS_{}_…", name.to_ascii_uppercase());
            format!("cannot set up the PSP account {name}: set its url, api_key and webhook_secret ({variable}; for the first account FINCORE_STRIPE_URL, …_SECRET_KEY and …_WEBHOOK_SECRET do as well)")
        })?;
        let longest = gateway.capabilities().key_max_bytes;
        anyhow::ensure!(LONGEST_KEY <= longest, "{name} takes idempotency keys of {longest} bytes, and ours have {LONGEST_KEY}");
        let client =
            client::PspClient::sharing(&connections, account, Arc::clone(&clock), BreakerPolicy::default());
        Ok(Psp { gateway, client })
    });
    Ok(Arc::new(Psps::new(psps.collect::<anyhow::Result<_>>()?)))
}

fn gateway(name: &str, account: &settings::accounts::Account) -> anyhow::Result<(Arc<dyn Gateway>, client::Account)> {
    use settings::accounts::{Account, separated};

    match account {
        Account::Stripe { url, api_key, webhook_secret } => {
            let config = stripe::StripeConfig::new(name, separated(webhook_secret))?;
            let url = url.as_deref().unwrap_or(stripe::BASE_URL);
            let account = stripe::account(name, url, api_key.clone())?;
            Ok((Arc::new(stripe::Stripe::new(config)), account))
        }
        Account::Adyen { url, merchant_account, api_key, webhook_secret, webhook_user, webhook_password } => {
            let basic = webhook_user.as_ref().map(|user| adyen::BasicAuth::new(user, webhook_password)).transpose()?;
            let config = adyen::AdyenConfig::new(name, merchant_account, separated(webhook_secret), basic)?;
            let account = adyen::account(name, url, api_key.clone())?;
            Ok((Arc::new(adyen::Adyen::new(config)), account))
        }
    }
}

/// Where the API listens, known before anything is served.
///
/// # Errors
/// The address is taken or not this machine's; says so.
pub async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}: choose another with --listen (port 0 takes any)"))
}

/// Serves the API until told to stop, then lets requests in hand finish.
///
/// # Errors
/// The listener broke.
pub async fn serve_api(
    listener: TcpListener,
    engine: Arc<Engine>,
    psps: &Psps,
    settings: &Settings,
    metrics: PrometheusHandle,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let state = api::ApiState {
        engine,
        gateways: Arc::new(psps.gateways()),
        config: api::ApiConfig {
            psps: settings::accounts::order(&settings.psp, &settings.fallback_psps, &settings.merchants)?,
            docs_url: None,
        },
        metrics: Arc::new(move || metrics.render()),
    };
    let served = axum::serve(listener, api::router(state)).with_graceful_shutdown(stop.clone().cancelled_owned());
    tokio::select! {
        served = served.into_future() => served.context("the API stopped"),
        // A client that keeps its connection open must not keep the process: after the drain time it is cut off.
        () = async { stop.cancelled().await; tokio::time::sleep(settings.drain_timeout()).await } => Ok(()),
    }
}

/// Resolves when the process is asked to stop (SIGTERM or Ctrl-C).
pub async fn asked_to_stop() {
    let mut terminate = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(error) => {
            tracing::warn!(%error, "SIGTERM is not handled");
            let _ = tokio::signal::ctrl_c().await;
            return;
        }
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
