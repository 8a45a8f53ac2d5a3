//! The driver: so many clients, each of which does one thing after the other (a closed loop), for a while.
//!
//! A round counts when it ends inside the window. Not here: what a round is (`clients.rs`, `floor.rs`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use hdrhistogram::Histogram;

/// One that asks for one thing after the other.
#[async_trait]
pub(crate) trait Client: Send {
    /// Does it once. Where a round has an acceptance on the way to its end, says how long that took.
    async fn round(&mut self) -> anyhow::Result<Option<Duration>>;
}

/// How long is measured, and how long before that it already runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
}

/// Durations in microseconds, to three digits.
pub(crate) type Latencies = Histogram<u64>;

/// The longest duration told apart; whatever takes longer counts as this.
const LONGEST_US: u64 = 60_000_000;

/// What a window saw.
pub(crate) struct Seen<R> {
    pub(crate) elapsed: Duration,
    pub(crate) rounds: Latencies,
    pub(crate) accepted: Latencies,
    pub(crate) before: R,
    pub(crate) after: R,
}

const WARMING_UP: u8 = 0;
const MEASURING: u8 = 1;
const OVER: u8 = 2;

/// Lets the clients run, reads the gauges when the window opens and when it closes, and waits until all clients have
/// ended their last round.
pub(crate) async fn drive<R>(
    clients: Vec<Box<dyn Client>>,
    window: Window,
    mut gauges: impl AsyncFnMut() -> anyhow::Result<R>,
) -> anyhow::Result<Seen<R>> {
    let phase = Arc::new(AtomicU8::new(WARMING_UP));
    let running: Vec<_> = clients.into_iter().map(|client| tokio::spawn(go_on(client, Arc::clone(&phase)))).collect();
    tokio::time::sleep(window.warm_up).await;
    let before = gauges().await;
    let opened = Instant::now();
    phase.store(MEASURING, Ordering::Relaxed);
    tokio::time::sleep(window.measured).await;
    phase.store(OVER, Ordering::Relaxed);
    let elapsed = opened.elapsed();
    let after = gauges().await;
    let (mut rounds, mut accepted) = (latencies()?, latencies()?);
    for client in running {
        for (round, acceptance) in client.await?? {
            rounds.saturating_record(round);
            if let Some(acceptance) = acceptance {
                accepted.saturating_record(acceptance);
            }
        }
    }
    Ok(Seen { elapsed, rounds, accepted, before: before?, after: after? })
}

fn latencies() -> anyhow::Result<Latencies> {
    Ok(Latencies::new_with_bounds(1, LONGEST_US, 3)?)
}

/// Each client keeps its own numbers, so that measuring costs nobody a lock.
async fn go_on(mut client: Box<dyn Client>, phase: Arc<AtomicU8>) -> anyhow::Result<Vec<(u64, Option<u64>)>> {
    let mut taken = Vec::new();
    while phase.load(Ordering::Relaxed) != OVER {
        let started = Instant::now();
        let acceptance = client.round().await?;
        if phase.load(Ordering::Relaxed) == MEASURING {
            taken.push((micros(started.elapsed()), acceptance.map(micros)));
        }
    }
    Ok(taken)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
