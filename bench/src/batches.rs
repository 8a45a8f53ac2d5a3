//! The Lambda function's handler, fed with batches of messages one after the other, as an event source mapping feeds one
//! instance: how many charges it completes, and how often it goes to the database for a batch.
//!
//! The handler is the real one, on one thread of its own; Lambda's runtime API is left out, and so is SQS, because of a
//! charge that succeeds nothing is said to the queue. Measured on PostgreSQL, without a pooler.

use std::sync::Arc;
use std::time::{Duration, Instant};

use activities::gateway::accounts::Purpose;
use anyhow::{Context, ensure};
use fincore::app::{self, Schema, Workers};
use fincore::settings::Settings;
use fincore_lambda::function::{Function, Parts};
use lambda_runtime::LambdaEvent;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Value, json};
use workflow::port::clock::{Clock, SystemClock};
use workflow::shared::Shared;
use workflow_aws::sqs::{Listening, SqsOptions, SqsQueue};

use crate::clients::{Insider, Until};
use crate::observed::{Counters, Ends, Observed};
use crate::system::System;

/// Charges of one measurement.
const CHARGES: usize = 2_000;

/// As in production.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Connections of one function.
const CONNECTIONS: u32 = 2;

/// Measures batches of these sizes, and prints a line for each.
pub(crate) async fn measure(sizes: &[usize], settings: &Settings, metrics: &PrometheusHandle) -> anyhow::Result<()> {
    let system = System::start(settings.clone(), Workers::Elsewhere, metrics.clone()).await?;
    println!("| messages in a batch | charges/s | ms for a batch | round trips for a batch |\n|---|---|---|---|");
    for (number, &size) in sizes.iter().enumerate() {
        let mut events = Vec::new();
        let mut client = Insider::new(&system, number as u64, 0, Until::Accepted)?;
        while events.len() * size < CHARGES {
            let mut records = Vec::with_capacity(size);
            for index in 0..size {
                let body = json!({"v": 1, "payment": client.start().await?, "seq": 1}).to_string();
                records.push(json!({"messageId": index.to_string(), "receiptHandle": "none", "body": body}));
            }
            events.push(json!({ "Records": records }));
        }
        let (batches, settings) = (events.len(), settings.clone());
        // A thread of its own, as the function has it.
        let measured = tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(feed(events, settings))
        });
        let (elapsed, round_trips) = measured.await??;
        let (seconds, batches) = (elapsed.as_secs_f64(), batches as f64);
        println!(
            "| {size} | {:.0} | {:.1} | {:.1} |",
            batches * size as f64 / seconds,
            seconds * 1_000.0 / batches,
            round_trips as f64 / batches
        );
    }
    system.stop();
    Ok(())
}

async fn feed(events: Vec<Value>, mut settings: Settings) -> anyhow::Result<(Duration, u64)> {
    settings.database_connections = CONNECTIONS;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let shared = Shared::alone(Arc::clone(&clock));
    let counters = Arc::new(Counters::default());
    let store = app::open_store(&settings, Schema::Expect).await?;
    let store = Arc::new(Observed { store, counters: Arc::clone(&counters), ends: Arc::new(Ends::default()) });
    let function = Function::new(Parts {
        store,
        queue: Arc::new(SqsQueue::open(SqsOptions::new("http://127.0.0.1:1/none", None), Listening::No)),
        psps: app::psps(&settings, Purpose::Calls, &clock, &shared)?,
        clock: Arc::clone(&clock),
        moves: shared.moves,
        step_functions: None,
        alerts: Vec::new(),
        traces: None,
        name: "lambda-bench".to_owned(),
    });
    let (before, began) = (counters.read(), Instant::now());
    for event in events {
        let mut context = lambda_runtime::Context::default();
        let deadline = clock.now() + TIMEOUT;
        context.deadline = u64::try_from(deadline.as_millisecond()).context("after 1970")?;
        let answer = function.handle(LambdaEvent::new(event, context)).await;
        let answer = answer.map_err(|error| anyhow::anyhow!("the handler failed: {error}"))?;
        ensure!(answer == json!({"batchItemFailures": []}), "some messages were not worked on: {answer}");
    }
    Ok((began.elapsed(), counters.read().since(before).calls()))
}
