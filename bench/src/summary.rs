//! One measured window as numbers, and several of them as one.

use std::time::Duration;

use serde::Serialize;

use crate::gauges::Costs;
use crate::load::Latencies;
use crate::machine::milliseconds;

/// A cell measured once.
#[derive(Serialize, Clone, Debug)]
pub(crate) struct Run {
    pub(crate) rounds: u64,
    pub(crate) seconds: f64,
    pub(crate) per_second: f64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    /// From the request to the 202, where a round goes on after it.
    pub(crate) accepted_p50_us: Option<u64>,
    pub(crate) accepted_p99_us: Option<u64>,
    pub(crate) costs: Costs,
}

impl Run {
    pub(crate) fn new(elapsed: Duration, rounds: &Latencies, accepted: &Latencies, costs: Costs) -> Self {
        let at =
            |latencies: &Latencies, quantile| (!latencies.is_empty()).then(|| latencies.value_at_quantile(quantile));
        Self {
            rounds: rounds.len(),
            seconds: elapsed.as_secs_f64(),
            per_second: rounds.len() as f64 / elapsed.as_secs_f64(),
            p50_us: rounds.value_at_quantile(0.5),
            p99_us: rounds.value_at_quantile(0.99),
            accepted_p50_us: at(accepted, 0.5),
            accepted_p99_us: at(accepted, 0.99),
            costs,
        }
    }

    /// Whether other programs used more than a tenth of the processors.
    pub(crate) fn disturbed(&self) -> bool {
        self.costs.usage.others_share > 0.1
    }

    /// For the progress.
    pub(crate) fn line(&self) -> String {
        let (p50, p99) = (milliseconds(self.p50_us), milliseconds(self.p99_us));
        let others = self.costs.usage.others_share * 100.0;
        format!("{:>8.0}/s  p50 {p50:>6} ms  p99 {p99:>6} ms  (other programs: {others:.0} %)", self.per_second)
    }

    pub(crate) fn per_round(&self, amount: f64) -> f64 {
        amount / (self.rounds.max(1) as f64)
    }
}

/// A cell's repetitions as one: medians, with the slowest and the fastest.
#[derive(Serialize, Clone, Debug)]
pub(crate) struct Summary {
    pub(crate) per_second: f64,
    pub(crate) slowest_per_second: f64,
    pub(crate) fastest_per_second: f64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) accepted_p50_us: Option<u64>,
    pub(crate) accepted_p99_us: Option<u64>,
    pub(crate) per_round: PerRound,
}

/// What one round costs.
#[derive(Serialize, Clone, Debug)]
pub(crate) struct PerRound {
    pub(crate) commits: f64,
    pub(crate) store_calls: f64,
    pub(crate) psp_calls: f64,
    pub(crate) updates: f64,
    pub(crate) loads: f64,
    pub(crate) wal_bytes: Option<f64>,
    pub(crate) written_bytes: f64,
    /// Processor time by part, in microseconds.
    pub(crate) driver_us: f64,
    pub(crate) psp_us: f64,
    pub(crate) fincore_us: f64,
    pub(crate) database_us: f64,
    /// Elements in a batch.
    pub(crate) start_batch: f64,
    pub(crate) update_batch: f64,
    /// How long a batch is under way, in microseconds.
    pub(crate) start_call_us: f64,
    pub(crate) update_call_us: f64,
    /// The share of the time that a batch is under way.
    pub(crate) start_lane_share: f64,
    pub(crate) update_lane_share: f64,
    /// Shares of all processors' time.
    pub(crate) busy_share: f64,
    pub(crate) waiting_for_disk_share: f64,
    pub(crate) others_share: f64,
}

impl Summary {
    /// None for no runs.
    pub(crate) fn of(runs: &[&Run]) -> Option<Self> {
        let speeds: Vec<f64> = runs.iter().map(|run| run.per_second).collect();
        Some(Self {
            per_second: median(speeds.clone())?,
            slowest_per_second: speeds.iter().copied().reduce(f64::min)?,
            fastest_per_second: speeds.iter().copied().reduce(f64::max)?,
            p50_us: middle(runs.iter().map(|run| run.p50_us))?,
            p99_us: middle(runs.iter().map(|run| run.p99_us))?,
            accepted_p50_us: middle(runs.iter().filter_map(|run| run.accepted_p50_us)),
            accepted_p99_us: middle(runs.iter().filter_map(|run| run.accepted_p99_us)),
            per_round: PerRound::of(runs)?,
        })
    }
}

impl PerRound {
    fn of(runs: &[&Run]) -> Option<Self> {
        let of = |value: &dyn Fn(&Run) -> f64| median(runs.iter().map(|run| value(run)).collect());
        let cpu = |part: &'static str| {
            of(&move |run: &Run| {
                let seconds = run.costs.usage.seconds.get(part).copied().unwrap_or_default();
                run.per_round(seconds * 1e6)
            })
        };
        let ratio = |part: u64, of: u64| part as f64 / (of.max(1) as f64);
        Some(Self {
            commits: of(&|run| run.per_round(run.costs.commits as f64))?,
            store_calls: of(&|run| run.per_round(run.costs.counts.calls() as f64))?,
            psp_calls: of(&|run| run.per_round(run.costs.psp_calls as f64))?,
            updates: of(&|run| run.per_round(run.costs.counts.update.elements as f64))?,
            loads: of(&|run| run.per_round(run.costs.counts.load.elements as f64))?,
            wal_bytes: median(runs.iter().filter_map(|run| Some(run.per_round(run.costs.wal_bytes? as f64))).collect()),
            written_bytes: of(&|run| run.per_round(run.costs.usage.written_bytes as f64))?,
            driver_us: cpu(crate::machine::DRIVER)?,
            psp_us: cpu(crate::machine::PSP)?,
            fincore_us: cpu(crate::machine::FINCORE)?,
            database_us: cpu("postgres")? + cpu("sqlite")?,
            start_batch: of(&|run| ratio(run.costs.counts.start.elements, run.costs.counts.start.calls))?,
            update_batch: of(&|run| ratio(run.costs.counts.update.elements, run.costs.counts.update.calls))?,
            start_call_us: of(&|run| ratio(run.costs.counts.start.busy_us, run.costs.counts.start.calls))?,
            update_call_us: of(&|run| ratio(run.costs.counts.update.busy_us, run.costs.counts.update.calls))?,
            start_lane_share: of(&|run| run.costs.counts.start.busy_us as f64 / 1e6 / run.seconds)?,
            update_lane_share: of(&|run| run.costs.counts.update.busy_us as f64 / 1e6 / run.seconds)?,
            busy_share: of(&|run| run.costs.usage.busy_share)?,
            waiting_for_disk_share: of(&|run| run.costs.usage.waiting_for_disk_share)?,
            others_share: of(&|run| run.costs.usage.others_share)?,
        })
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied()
}

fn middle(values: impl Iterator<Item = u64>) -> Option<u64> {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    values.get(values.len().saturating_sub(1) / 2).copied()
}
