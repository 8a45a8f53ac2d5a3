//! `fincore serve` and `fincore work`: the API and the worker, together or apart.

use std::process::ExitCode;
use std::sync::Arc;

use activities::census;
use activities::gateway::accounts::Purpose;
use anyhow::Context;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use workflow::engine::Engine;
use workflow::port::clock::{Clock, SystemClock};

use crate::app::{self, Schema, Serving, Workers};
use crate::args::{Serve, Work};
use crate::settings::{Knobs, QueueKind, Settings};
use crate::telemetry;

/// Rounds of `fincore work --once`: far more than one charge takes, so that one that cannot move does not hold it up.
const ROUNDS: usize = 100;

/// Serves the API, and with `--with-worker` works as well.
pub(crate) async fn serve(knobs: &Knobs, serve: &Serve) -> anyhow::Result<ExitCode> {
    let settings = Settings::read(knobs)?;
    let telemetry = telemetry::start(&settings, "serve")?;
    let metrics = telemetry::start_metrics()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let workers = if serve.with_worker { Workers::Here } else { Workers::Elsewhere };
    let shared = app::shared(&settings, workers, &clock)?;
    let psps = app::psps(&settings, Purpose::CallsAndWebhooks, &clock, &shared)?;
    let database = app::open(&settings, Schema::Expect).await?;
    let listener = app::listen(settings.listen).await?;
    let queue = app::queue(&settings, workers).await;
    let engine = app::engine(Arc::clone(&database.store), queue, &psps, clock, &shared, &settings)?;
    let stop = stop_when_asked();
    let delivering = app::deliver(app::deliverer(&engine, &settings)?, &stop);
    tracing::info!(address = %listener.local_addr()?, worker = serve.with_worker, "serving");
    let working = if serve.with_worker {
        let worker = app::worker(Arc::clone(&engine), Arc::clone(&psps), &settings, workers)?;
        let stop = stop.clone();
        Some(tokio::spawn(async move { worker.run(stop).await }))
    } else {
        None
    };
    let serving = Serving { listener, engine: Arc::clone(&engine), database, metrics, shared, stop };
    app::serve_api(serving, &psps, &settings).await?;
    if let Some(working) = working {
        working.await?;
    }
    delivering.await?;
    engine.close().await;
    tracing::info!("stopped");
    telemetry.close().await;
    Ok(ExitCode::SUCCESS)
}

/// Works until told to stop, or with `--once` until nothing is due.
pub(crate) async fn work(knobs: &Knobs, work: &Work) -> anyhow::Result<ExitCode> {
    let settings = Settings::read(knobs)?;
    let telemetry = telemetry::start(&settings, "work")?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let shared = app::shared(&settings, Workers::Elsewhere, &clock)?;
    let psps = app::psps(&settings, Purpose::Calls, &clock, &shared)?;
    let store = app::open_store(&settings, Schema::Expect).await?;
    // Who works once looks for itself. Otherwise a queue that others tell is listened to.
    let workers = match settings.queue {
        QueueKind::Sqs if !work.once => Workers::Here,
        QueueKind::Sqs | QueueKind::Local => Workers::Elsewhere,
    };
    let queue = app::queue(&settings, workers).await;
    let engine = app::engine(store, queue, &psps, clock, &shared, &settings)?;
    let deliverer = app::deliverer(&engine, &settings)?;
    let worker = app::worker(Arc::clone(&engine), psps, &settings, workers)?;
    if work.once {
        for _ in 0..ROUNDS {
            let delivered = match &deliverer {
                Some(deliverer) => deliverer.run_once().await?,
                None => 0,
            };
            if worker.run_once().await? + delivered == 0 {
                engine.close().await;
                telemetry.close().await;
                println!("Nothing is due any more.");
                return Ok(ExitCode::SUCCESS);
            }
        }
        anyhow::bail!("payments are still due after {ROUNDS} rounds; the log says what keeps them");
    }
    if settings.queue == QueueKind::Sqs {
        app::look_at_sqs(&settings).await;
    }
    let stop = stop_when_asked();
    let showing = show_metrics(&engine, &settings, &stop).await?;
    tracing::info!(concurrency = settings.worker_concurrency, "working");
    let delivering = app::deliver(deliverer, &stop);
    worker.run(stop).await;
    showing.await?;
    delivering.await?;
    engine.close().await;
    tracing::info!("stopped");
    telemetry.close().await;
    Ok(ExitCode::SUCCESS)
}

/// A worker's own page of metrics, where the settings want one; begun before the worker is, so that all is counted.
async fn show_metrics(
    engine: &Arc<Engine>,
    settings: &Settings,
    stop: &CancellationToken,
) -> anyhow::Result<JoinHandle<()>> {
    let Some(address) = settings.metrics_listen else { return Ok(tokio::spawn(async {})) };
    let listener = app::listen(address).await.context("metrics_listen")?;
    let metrics = telemetry::start_metrics()?;
    tracing::info!(address = %listener.local_addr()?, "showing metrics");
    let counting = census::run(Arc::clone(engine), app::psp_names(settings), stop.clone());
    let serving = telemetry::serve_metrics(listener, metrics, stop.clone());
    Ok(tokio::spawn(async move {
        tokio::join!(counting, serving);
    }))
}

/// A token that is cancelled when the process is asked to stop.
pub(crate) fn stop_when_asked() -> CancellationToken {
    let stop = CancellationToken::new();
    let asked = stop.clone();
    tokio::spawn(async move {
        app::asked_to_stop().await;
        tracing::info!("stopping: work in hand is finished first");
        asked.cancel();
    });
    stop
}
