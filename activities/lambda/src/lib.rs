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
use anyhow::Context;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;
use tracing_subscriber::EnvFilter;
use workflow::port::clock::{Clock, SystemClock};
use workflow::shared::Shared;
use workflow_aws::alerts::{DeadLetterQueue, TopicAlert};
use workflow_aws::sqs::{Listening, SqsQueue};
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
    let filter = EnvFilter::try_new(&settings.log).context("FINCORE_LOG is not a filter")?;
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).init();
    let function = Function::new(change(open(&settings).await?));
    let answer = |event: LambdaEvent<Value>| function.handle(event);
    lambda_runtime::run(service_fn(answer)).await.map_err(|error| anyhow::anyhow!("the runtime API failed: {error}"))
}

async fn open(settings: &Settings) -> anyhow::Result<Parts> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let shared = match &settings.redis {
        Some(redis) => Shared::all_in(Arc::new(RedisShared::open(redis.clone(), Arc::clone(&clock))?)),
        None => Shared::alone(Arc::clone(&clock)),
    };
    let psps = Arc::new(accounts::psps(&settings.psps, Purpose::Calls, &clock)?.among(&shared.breakers));
    let store = PostgresStore::connect(settings.database()).await.context("cannot open PostgreSQL")?;
    let queue = Arc::new(SqsQueue::open(settings.sqs.clone(), Listening::No));
    let webhook = settings.alert_webhook.as_ref().map(|(url, secrets)| (url, secrets));
    let mut alerts = alerts::adapters(webhook).context("cannot send alerts as configured")?;
    if let Some(queue) = &settings.dead_letter_queue {
        alerts.push(Arc::new(DeadLetterQueue::new(queue.clone())));
    }
    if let Some((topic, endpoint_url)) = &settings.alert_sns_topic {
        alerts.push(Arc::new(TopicAlert::new(topic, endpoint_url.clone())));
    }
    let (moves, name) = (shared.moves, settings.name.clone());
    Ok(Parts { store: Arc::new(store), queue, psps, clock, moves, alerts, name })
}
