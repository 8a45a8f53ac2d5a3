//! The wiring: from settings to a store, an engine, the PSPs, the API and the worker.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use activities::alerts;
use activities::census;
use activities::gateway::accounts::{self, Purpose};
use activities::gateway::client::Roots;
use activities::outbound::Deliverer;
use activities::outbound::sender::Sender;
use activities::psps::Psps;
use activities::worker::{Worker, WorkerOptions};
use anyhow::Context;
use metrics_exporter_prometheus::PrometheusHandle;
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use workflow::engine::Engine;
use workflow::local_queue::{LocalQueue, NoQueue};
use workflow::port::alert::Alerter;
use workflow::port::clock::{Clock, SystemRandom};
use workflow::port::operators::Operators;
use workflow::port::overview::Overview;
use workflow::port::queue::Queue;
use workflow::port::schema;
use workflow::port::store::Store;
use workflow::shared::{Memory, Shared};
use workflow_aws::alerts::TopicAlert;
use workflow_aws::sfn;
use workflow_aws::sqs::{self, Listening, SqsQueue};
use workflow_postgres::{PostgresOptions, PostgresStore};
use workflow_redis::RedisShared;
use workflow_sqlite::{SqliteOptions, SqliteStore};

use crate::http;
use crate::settings::{self, QueueKind, Settings};

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

/// The database, by what each part of the program needs of it.
#[derive(Clone)]
pub struct Database {
    /// Payments, and what is told of them.
    pub store: Arc<dyn Store>,
    /// Who operates.
    pub operators: Arc<dyn Operators>,
    /// What operators read across all merchants.
    pub overview: Arc<dyn Overview>,
}

impl Database {
    async fn checked<T: Store + Operators + Overview + 'static>(store: T) -> anyhow::Result<Self> {
        if let schema::Schema::Newer { known, applied } = store.check().await? {
            tracing::info!(known, applied, "the database has a newer release's schema, which this one can use");
        }
        let store = Arc::new(store);
        Ok(Self {
            operators: Arc::clone(&store) as Arc<dyn Operators>,
            overview: Arc::clone(&store) as Arc<dyn Overview>,
            store,
        })
    }
}

/// Opens the database for what concerns payments.
///
/// # Errors
/// It cannot be reached, or this program cannot use its schema; says what to do.
pub async fn open_store(settings: &Settings, schema: Schema) -> anyhow::Result<Arc<dyn Store>> {
    Ok(open(settings, schema).await?.store)
}

/// Opens the database.
///
/// # Errors
/// It cannot be reached, or this program cannot use its schema; says what to do.
pub async fn open(settings: &Settings, schema: Schema) -> anyhow::Result<Database> {
    let url = settings.database_url.expose_secret();
    if settings.uses_postgres() {
        let mut options = PostgresOptions::new(url.to_owned(), settings.database_connections);
        options.pooler = settings.database_pooler.into();
        let store = PostgresStore::connect(options).await.context("cannot open PostgreSQL")?;
        if schema == Schema::Migrate {
            store.migrate().await.context("cannot migrate PostgreSQL")?;
        }
        return Database::checked(store).await;
    }
    let store = open_sqlite(settings).await?;
    if schema == Schema::Migrate {
        store.migrate().await.context("cannot migrate SQLite")?;
    }
    Database::checked(store).await
}

/// Opens the SQLite file of the settings.
///
/// # Errors
/// The settings name none, or it cannot be opened.
pub(crate) async fn open_sqlite(settings: &Settings) -> anyhow::Result<SqliteStore> {
    let url = settings.database_url.expose_secret();
    let path = url.strip_prefix("sqlite:").with_context(|| {
        "database_url must begin with sqlite: (then a path) or postgres:// (then host and database)".to_owned()
    })?;
    let path = PathBuf::from(path.trim_start_matches("//"));
    SqliteStore::open(SqliteOptions::new(path.clone()))
        .await
        .with_context(|| format!("cannot open the SQLite file {}", path.display()))
}

/// The queue of the settings, between the engine and the workers.
pub async fn queue(settings: &Settings, workers: Workers) -> Arc<dyn Queue> {
    match (settings.queue, workers) {
        (QueueKind::Local, Workers::Here) => Arc::new(LocalQueue::new()),
        (QueueKind::Local, Workers::Elsewhere) => Arc::new(NoQueue),
        (QueueKind::Sqs, workers) => {
            let listening = if workers == Workers::Here { Listening::Yes } else { Listening::No };
            Arc::new(SqsQueue::open(settings.sqs(), listening))
        }
    }
}

/// Warns of what the SQS queue's own settings will cost.
pub async fn look_at_sqs(settings: &Settings) {
    let queue = SqsQueue::open(settings.sqs(), Listening::No);
    match queue.shortcomings().await {
        Ok(found) => {
            found.iter().for_each(|shortcoming| tracing::warn!(queue = settings.sqs_queue_url, "{shortcoming}"))
        }
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(queue = settings.sqs_queue_url, error, "cannot read the queue's settings; going on");
        }
    }
}

/// The fast state that processes share: in Redis where there is one, else in this process's memory. Views of charges are
/// cached only where every move is heard of: with Redis, or when everything that moves charges is in this process.
///
/// # Errors
/// The URL of Redis cannot be used; says how it has to look. A Redis that does not answer is no error.
pub fn shared(settings: &Settings, workers: Workers, clock: &Arc<dyn Clock>) -> anyhow::Result<Shared> {
    if let Some(options) = settings.redis()? {
        return Ok(Shared::all_in(Arc::new(RedisShared::open(options, Arc::clone(clock))?)));
    }
    Ok(match workers {
        Workers::Here if !settings.uses_postgres() => Shared::all_in(Arc::new(Memory::new(Arc::clone(clock)))),
        Workers::Here | Workers::Elsewhere => Shared::alone(Arc::clone(clock)),
    })
}

/// An engine over a store and a queue, which announces moves, and is timed as the settings say.
///
/// # Errors
/// Step Functions cannot be used as configured; says why.
pub fn engine(
    store: Arc<dyn Store>,
    queue: Arc<dyn Queue>,
    psps: &Psps,
    clock: Arc<dyn Clock>,
    shared: &Shared,
    settings: &Settings,
) -> anyhow::Result<Arc<Engine>> {
    let timeouts = sfn::timeouts(settings.step_functions()?, &store, &clock);
    let engine = Engine::new(store, queue, clock, Arc::new(SystemRandom), psps.capabilities());
    Ok(Arc::new(engine.announcing(Arc::clone(&shared.moves)).timed_by(timeouts)))
}

/// A worker as the settings say.
///
/// # Errors
/// Alerts cannot be sent as configured; says why.
pub fn worker(engine: Arc<Engine>, psps: Arc<Psps>, settings: &Settings, workers: Workers) -> anyhow::Result<Worker> {
    let options = WorkerOptions {
        name: format!("{}-{}", hostname(), std::process::id()),
        concurrency: settings.worker_concurrency,
        sweep_every: settings.sweep_every(),
        sweep_grace: match (settings.queue, workers) {
            (QueueKind::Local, Workers::Here) => settings.sweep_every() * 2,
            (QueueKind::Local, Workers::Elsewhere) => Duration::ZERO,
            (QueueKind::Sqs, _) => sqs::GRACE,
        },
        longest_call: Duration::MAX,
        drain_timeout: settings.drain_timeout(),
    };
    Ok(Worker::new(engine, psps, options).alerting(alerters(settings)?))
}

/// What delivers events to webhook endpoints, unless the settings leave that to others.
///
/// # Errors
/// TLS cannot be set up.
pub fn deliverer(engine: &Arc<Engine>, settings: &Settings) -> anyhow::Result<Option<Deliverer>> {
    if !settings.deliver_webhooks {
        return Ok(None);
    }
    let sender = Sender::new(settings.webhook_reach()).context("cannot send webhooks")?;
    Ok(Some(Deliverer::new(Arc::clone(engine), Arc::new(sender), settings.outbound())))
}

/// Delivers until told to stop, beside whatever else this process does.
pub fn deliver(deliverer: Option<Deliverer>, stop: &CancellationToken) -> JoinHandle<()> {
    let stop = stop.clone();
    tokio::spawn(async move {
        if let Some(deliverer) = deliverer {
            deliverer.run(stop).await;
        }
    })
}

/// Who is told of charges that need a person: always the log, and whom the settings name.
fn alerters(settings: &Settings) -> anyhow::Result<Vec<Arc<dyn Alerter>>> {
    let webhook = settings.alert_webhook_url.as_ref().zip(settings.alert_webhook_secret.as_ref());
    let mut adapters = alerts::adapters(webhook, Roots::Machine).context("cannot send alerts as configured")?;
    if let Some(queue) = settings.dead_letter_queue() {
        adapters.push(Arc::new(queue));
    }
    if let Some(topic) = &settings.alert_sns_topic {
        adapters.push(Arc::new(TopicAlert::new(topic, settings.aws_endpoint_url.clone())));
    }
    Ok(adapters)
}

fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "host".to_owned(), |name| name.trim().to_owned())
}

/// The PSP accounts of the settings.
///
/// # Errors
/// A secret is missing or a placeholder, or the URL cannot be used; says which.
pub fn psps(
    settings: &Settings,
    purpose: Purpose,
    clock: &Arc<dyn Clock>,
    shared: &Shared,
) -> anyhow::Result<Arc<Psps>> {
    Ok(Arc::new(accounts::psps(&psp_accounts(settings), purpose, Roots::Machine, clock)?.among(&shared.breakers)))
}

/// The names of the PSP accounts of the settings.
#[must_use]
pub fn psp_names(settings: &Settings) -> Vec<String> {
    psp_accounts(settings).into_keys().collect()
}

/// All accounts of the settings, the one of the settings `stripe_…` among them.
fn psp_accounts(settings: &Settings) -> BTreeMap<String, accounts::Account> {
    let mut all = settings.psps.clone();
    all.entry(settings.psp.clone()).or_insert_with(|| accounts::Account::Stripe {
        mode: None,
        url: Some(settings.stripe_url.clone()),
        api_key: settings.stripe_secret_key.clone(),
        webhook_secret: settings.stripe_webhook_secret.clone(),
    });
    all
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

/// What is served, and what it is made of.
pub struct Serving {
    /// Where.
    pub listener: TcpListener,
    /// The mover of payments.
    pub engine: Arc<Engine>,
    /// The database.
    pub database: Database,
    /// What `/metrics` shows.
    pub metrics: PrometheusHandle,
    /// The fast state.
    pub shared: Shared,
    /// Ends it.
    pub stop: CancellationToken,
}

/// Serves the API and the operators' pages until told to stop, then lets requests in hand finish.
///
/// # Errors
/// The settings cannot be used; says which.
pub async fn serve_api(serving: Serving, psps: &Psps, settings: &Settings) -> anyhow::Result<()> {
    let Serving { listener, engine, database, metrics, shared, stop } = serving;
    let accounts = psp_accounts(settings);
    let counted = Arc::clone(&engine);
    let pages = ops::router(ops::OpsState {
        engine: Arc::clone(&engine),
        operators: database.operators,
        overview: database.overview,
        breakers: Arc::clone(&shared.breakers),
        psps: accounts.keys().cloned().collect(),
        config: settings.ops()?,
    });
    let state = api::ApiState {
        engine,
        gateways: Arc::new(psps.gateways()),
        config: api::ApiConfig {
            psps: settings::accounts::order(&settings.psp, &settings.fallback_psps, &settings.merchants)?,
            docs_url: settings.docs_url.clone(),
            rate_limit: settings.rate_limit(),
            webhook_reach: settings.webhook_reach(),
            psp_modes: accounts
                .iter()
                .map(|(name, account)| Ok((name.clone(), account.mode(name)?)))
                .collect::<anyhow::Result<_>>()?,
        },
        metrics: Arc::new(move || metrics.render()),
        shared,
        stop: stop.clone(),
    };
    let router = pages.fallback_service(api::router(state));
    let counting = census::run(counted, accounts.into_keys().collect(), stop.clone());
    tokio::select! {
        ((), ()) = async { tokio::join!(http::serve(listener, router, stop.clone()), counting) } => Ok(()),
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
