//! `fincore dev`: everything in one process on a SQLite file, ready to try. What it prints can be pasted.
//!
//! It runs the real gateway against the sandbox PSP; only the money is not real.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use activities::gateway::accounts::Purpose;
use activities::psps::Psps;
use anyhow::Context;
use metrics_exporter_prometheus::PrometheusHandle;
use sandbox::Sandbox;
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use workflow::port::clock::{Clock, SystemClock};
use workflow::port::operators::{Operators, Role};
use workflow::port::store::Store;

use crate::app::{self, Database, Schema, Serving, Workers};
use crate::args::Dev;
use crate::settings::{Knobs, Settings};
use crate::{keys, operators, serve, telemetry};

/// The sandbox's credentials. They open nothing but a program on this machine.
pub(crate) const SANDBOX_KEY: &str = "sk_test_sandbox_of_this_machine";
pub(crate) const SANDBOX_WEBHOOK_SECRET: &str = "whsec_sandbox_of_this_machine_only";

/// Who operates in development.
const OPERATOR: &str = "dev";

/// Where dev keeps its files, unless told otherwise.
const DATA: &str = ".fincore";

/// A whole FinCore in one process: API, worker, sandbox.
pub(crate) struct System {
    pub(crate) address: SocketAddr,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) operators: Arc<dyn Operators>,
    pub(crate) sandbox: Arc<Sandbox>,
    stop: CancellationToken,
    running: Vec<JoinHandle<anyhow::Result<()>>>,
}

/// What a system is put together from.
pub(crate) struct Parts {
    pub(crate) settings: Settings,
    pub(crate) listener: TcpListener,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: PrometheusHandle,
    pub(crate) journal: Option<PathBuf>,
    pub(crate) stop: CancellationToken,
}

impl System {
    /// Starts everything.
    pub(crate) async fn start(parts: Parts) -> anyhow::Result<Self> {
        let Parts { mut settings, listener, clock, metrics, journal, stop } = parts;
        let address = listener.local_addr()?;
        let sandbox = Sandbox::start(sandbox::Config {
            secret_key: SANDBOX_KEY.to_owned(),
            webhook_url: Some(format!("http://{address}/v1/webhooks/sandbox")),
            webhook_secret: SANDBOX_WEBHOOK_SECRET.to_owned(),
            journal,
            ..sandbox::Config::default()
        })
        .await
        .context("cannot start the sandbox PSP")?;
        settings.psp = "sandbox".to_owned();
        settings.stripe_url = sandbox.url().to_owned();
        settings.stripe_secret_key = SANDBOX_KEY.into();
        settings.stripe_webhook_secret = SANDBOX_WEBHOOK_SECRET.into();
        let shared = app::shared(&settings, Workers::Here, &clock)?;
        let psps = app::psps(&settings, Purpose::CallsAndWebhooks, &clock, &shared)?;
        // What is in front speaks no TLS: this is one machine.
        settings.ops_secure_cookies = false;
        let database = app::open(&settings, Schema::Migrate).await?;
        let Database { store, operators, .. } = database.clone();
        let queue = app::queue(&settings, Workers::Here).await;
        let engine = app::engine(Arc::clone(&store), queue, &psps, clock, &shared, &settings)?;
        let serving = Serving { listener, engine, database, metrics, shared, stop: stop.clone() };
        let running = run(serving, psps, settings)?;
        Ok(Self { address, store, operators, sandbox: Arc::new(sandbox), stop, running })
    }

    /// Waits until told to stop, and until everything has.
    pub(crate) async fn finish(self) -> anyhow::Result<()> {
        for task in self.running {
            task.await??;
        }
        self.sandbox.stop().await;
        Ok(())
    }

    /// Stops everything.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.finish().await
    }
}

fn run(serving: Serving, psps: Arc<Psps>, settings: Settings) -> anyhow::Result<Vec<JoinHandle<anyhow::Result<()>>>> {
    let (engine, stop) = (Arc::clone(&serving.engine), serving.stop.clone());
    let worker = app::worker(Arc::clone(&engine), Arc::clone(&psps), &settings, Workers::Here)?;
    let delivering = app::deliver(app::deliverer(&engine, &settings)?, &stop);
    Ok(vec![
        tokio::spawn(async move { Ok(delivering.await?) }),
        tokio::spawn(async move {
            worker.run(stop).await;
            Ok(())
        }),
        tokio::spawn(async move { app::serve_api(serving, &psps, &settings).await }),
    ])
}

/// Runs `fincore dev`.
pub(crate) async fn run_dev(knobs: &Knobs, dev: &Dev) -> anyhow::Result<ExitCode> {
    let data = dev.data.clone().unwrap_or_else(|| PathBuf::from(DATA));
    std::fs::create_dir_all(&data).with_context(|| format!("cannot create the folder {}", data.display()))?;
    let mut knobs = knobs.clone();
    let database = data.join("dev.db");
    knobs.database_url.get_or_insert_with(|| format!("sqlite:{}", database.display()));
    // What one develops listens on this machine.
    knobs.webhooks.allow_loopback_endpoints.get_or_insert(true);
    knobs.telemetry.log.get_or_insert_with(|| "warn,fincore=info".to_owned());
    let settings = Settings::read(&knobs)?;
    let telemetry = telemetry::start(&settings, "dev")?;
    let listener = match app::listen(settings.listen).await {
        Ok(listener) => listener,
        // The default port may be in use; then any will do, since the address is printed.
        Err(_) if knobs.listen.is_none() => app::listen(SocketAddr::from(([127, 0, 0, 1], 0))).await?,
        Err(error) => return Err(error),
    };
    let parts = Parts {
        settings: settings.clone(),
        listener,
        clock: Arc::new(SystemClock),
        metrics: telemetry::start_metrics()?,
        journal: Some(data.join("sandbox.jsonl")),
        stop: serve::stop_when_asked(),
    };
    let system = System::start(parts).await?;
    let key = development_key(&system.store, &data.join("api-key")).await?;
    let password = development_operator(&system.operators, &data.join("operator-password")).await?;
    welcome(&system, &key, &password, &settings, &data);
    system.finish().await?;
    telemetry.close().await;
    Ok(ExitCode::SUCCESS)
}

/// The key of the last run while it still opens this database, else a new one.
async fn development_key(store: &Arc<dyn Store>, path: &Path) -> anyhow::Result<SecretString> {
    if let Ok(secret) = std::fs::read_to_string(path) {
        let secret = SecretString::from(secret.trim().to_owned());
        if store.api_key(api::secret_hash(secret.expose_secret())).await?.is_some() {
            return Ok(secret);
        }
    }
    let secret = keys::create(store, keys::new_merchant(&SystemClock)).await?;
    std::fs::write(path, secret.expose_secret()).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(secret)
}

/// The operator `dev`, with the password of the last run while it still opens this database, else with a new one.
async fn development_operator(store: &Arc<dyn Operators>, path: &Path) -> anyhow::Result<SecretString> {
    let kept = std::fs::read_to_string(path).ok().map(|text| SecretString::from(text.trim().to_owned()));
    let known = store.operator(OPERATOR).await?;
    if let (Some(kept), Some(known)) = (&kept, &known)
        && ops::password::compare(kept, known.password_hash.as_ref()) == ops::password::Match::Yes
    {
        return Ok(kept.clone());
    }
    let password = ops::password::made_up();
    operators::set(store, OPERATOR, Role::Operator, &password).await?;
    std::fs::write(path, password.expose_secret()).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(password)
}

fn welcome(system: &System, key: &SecretString, password: &SecretString, settings: &Settings, data: &Path) {
    let (api, sandbox) = (system.address, system.sandbox.url());
    let (key, password) = (key.expose_secret(), password.expose_secret());
    let database = settings.database_url.expose_secret();
    let database = if settings.uses_postgres() { "PostgreSQL" } else { database };
    println!(
        r#"
FinCore {version} is running.

  API          http://{api}   as a page: http://{api}/docs
  API key      {key}
  operations   http://{api}/ops   log in as {OPERATOR} with {password}
  database     {database}
  sandbox PSP  {sandbox}/sandbox   what it can do; its books: {sandbox}/sandbox/ledger
  files        {data}

Charge 12.00 EUR, in another terminal:

  curl -i http://{api}/v1/charges \
    -H 'Authorization: Bearer {key}' \
    -H "Idempotency-Key: $(date +%s%N)" \
    -H 'Content-Type: application/json' \
    -d '{{"amount": 1200, "currency": "eur", "payment_method": "pm_card_visa"}}'

Then look at it (the id is in the answer):

  curl http://{api}/v1/charges/ch_… -H 'Authorization: Bearer {key}'
  {program} show ch_… --database-url '{url}'

More endings: payment_method pm_card_chargeDeclined, pm_card_authenticationRequired, pm_sandbox_answer_lost and the
others on the sandbox's page (docs/SANDBOX.md). See the interesting ones at once with `{program} demo`. Metrics: http://{api}/metrics. Stop with Ctrl-C.
"#,
        version = env!("CARGO_PKG_VERSION"),
        // As it was started, so that it can be pasted also where `fincore` is not on the path.
        program = std::env::args().next().unwrap_or_else(|| "fincore".to_owned()),
        data = data.display(),
        url = if settings.uses_postgres() { "postgres://…".to_owned() } else { database.to_owned() },
    );
}
