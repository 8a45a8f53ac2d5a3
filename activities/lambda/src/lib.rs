//! FinCore's worker as an AWS Lambda function: fed by an SQS event source mapping with partial batch responses, and woken
//! by a schedule to sweep.
//!
//! Everything is opened once per cold start, before the first event is asked for. Deliberately not here: what is done
//! with a payment (`activities`), and SQLite, the API and the command line, which this binary does without.

pub mod function;
mod settings;

use std::process::ExitCode;
use std::sync::Arc;

use activities::alerts;
use activities::gateway::accounts::{self, Purpose};
use activities::psps::Psps;
use anyhow::Context;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use workflow::port::alert::Alerter;
use workflow::port::clock::{Clock, SystemClock};
use workflow::shared::Shared;
use workflow_aws::alerts::{DeadLetterQueue, TopicAlert};
use workflow_aws::sqs::{Listening, SqsQueue};
use workflow_otel::Traces;
use workflow_postgres::PostgresStore;
use workflow_redis::RedisShared;

use function::{Function, Parts};
use settings::Settings;

/// One thread: Lambda gives a function of this size less than one processor, and a batch that is claimed by one thread
/// is claimed in one statement.
///
/// Runs until Lambda ends the process.
#[must_use]
pub fn main() -> ExitCode {
    main_with(|parts| parts)
}

/// The same with other parts than were opened: for tests, whose clocks can be moved and whose stores die.
#[must_use]
#[tokio::main(flavor = "current_thread")]
pub async fn main_with(change: impl FnOnce(Parts) -> Parts) -> ExitCode {
    match run(change).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Perhaps before there is a log.
            eprintln!("cannot work: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(change: impl FnOnce(Parts) -> Parts) -> anyhow::Result<()> {
    let settings = Settings::read(&|name| std::env::var(name).ok())?;
    let filter: Targets = settings.log.parse().context("FINCORE_LOG is not a filter")?;
    let opened = settings.otel.as_ref().map(workflow_otel::open).transpose()?;
    let (traces, spans) = opened.unzip();
    let log = fmt::layer().json().with_writer(std::io::stderr).with_filter(filter);
    tracing_subscriber::registry().with(spans).with(log).init();
    let function = Function::new(change(open(&settings, traces).await?));
    let answer = |event: LambdaEvent<Value>| function.handle(event);
    lambda_runtime::run(service_fn(answer)).await.map_err(|error| anyhow::anyhow!("the runtime API failed: {error}"))
}

/// Opens what the function is made of. The database is far away, so it is called first, and the rest is made ready while
/// it answers.
async fn open(settings: &Settings, traces: Option<Traces>) -> anyhow::Result<Parts> {
    let (store, rest) = tokio::join!(PostgresStore::connect(settings.database()), async { Rest::open(settings) });
    let Rest { psps, alerts, shared, clock } = rest?;
    Ok(Parts {
        store: Arc::new(store.context("cannot open PostgreSQL")?),
        queue: Arc::new(SqsQueue::open(settings.sqs.clone(), Listening::No)),
        psps,
        clock,
        moves: shared.moves,
        step_functions: settings.step_functions.clone(),
        alerts,
        traces,
        name: settings.name.clone(),
    })
}

/// What is opened without waiting for anybody.
struct Rest {
    psps: Arc<Psps>,
    alerts: Vec<Arc<dyn Alerter>>,
    shared: Shared,
    clock: Arc<dyn Clock>,
}

impl Rest {
    fn open(settings: &Settings) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let shared = match &settings.redis {
            Some(redis) => Shared::all_in(Arc::new(RedisShared::open(redis.clone(), Arc::clone(&clock))?)),
            None => Shared::alone(Arc::clone(&clock)),
        };
        let psps = accounts::psps(&settings.psps, Purpose::Calls, settings.roots, &clock)?.among(&shared.breakers);
        let webhook = settings.alert_webhook.as_ref().map(|(url, secrets)| (url, secrets));
        let mut alerts = alerts::adapters(webhook, settings.roots).context("cannot send alerts as configured")?;
        if let Some(queue) = &settings.dead_letter_queue {
            alerts.push(Arc::new(DeadLetterQueue::new(queue.clone())));
        }
        if let Some((topic, endpoint_url)) = &settings.alert_sns_topic {
            alerts.push(Arc::new(TopicAlert::new(topic, endpoint_url.clone())));
        }
        Ok(Self { psps: Arc::new(psps), alerts, shared, clock })
    }
}
