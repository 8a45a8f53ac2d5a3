//! `fincore dlq redrive`: sends charges back to work, one by one and not too fast.
//!
//! A run takes what waits when it begins. What comes back during the run waits again, for a person, not for the run; and
//! when a charge that was chosen by a filter comes back with a kind of failure that none of them had, the run stops.

use std::collections::HashSet;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressDrawTarget};
use workflow::decide::Decided;
use workflow::engine::operator::Act;
use workflow::engine::redrives::{self, Doing, Done, Left, LetterPages, Returned};
use workflow::ids::PaymentId;
use workflow::port::clock::{Clock, SystemClock};
use workflow::port::store::{LetterScope, Store};
use workflow_aws::sqs::{Listening, SqsQueue};

use super::show::would;
use crate::app::{self, Schema};
use crate::args::dlq;
use crate::operate::{self, Desk};
use crate::settings::{Knobs, Settings};

/// Charges in one run; the next run takes the rest. At the usual rate this is a quarter of an hour, in which a person
/// should look at what became of the first ones.
const MAX_CHARGES: usize = 10_000;

pub(super) async fn run(knobs: &Knobs, order: &dlq::Redrive) -> anyhow::Result<ExitCode> {
    if order.decided && order.charges.is_empty() && order.select.reason.is_none() {
        bail!("--decided is about charges you have looked at: name them, or one --reason");
    }
    let settings = Settings::read(knobs)?;
    let store = app::open_store(&settings, Schema::Expect).await?;
    let Chosen { charges, left, mut returned } = chosen(&store, order).await?;
    let desk = Desk::open(&settings).await?;
    let act = Act::Redrive(if order.decided { Decided::Yes } else { Decided::No });
    let by = operate::by(&order.operator, order.why.as_deref().unwrap_or("(a dry run)"));
    let doing = if order.dry_run { Doing::Plan } else { Doing::Send };
    let (mut counts, mut redriven) = (Counts::default(), HashSet::new());
    let mut waiting: HashSet<PaymentId> = charges.iter().copied().collect();
    let bar = progress(charges.len());
    let mut pace = tokio::time::interval(Duration::from_secs(1) / order.rate.get());
    for id in &charges {
        if !order.dry_run {
            pace.tick().await;
        }
        let done = match new_failure(&mut returned, &redriven).await {
            Some(stopped) => stopped,
            None => redrives::one(&desk.engine, *id, &act, &by, doing).await,
        };
        bar.suspend(|| println!("{id}  {}", told(&done)));
        bar.inc(1);
        counts.add(&done);
        match done {
            Done::Redriven(_) | Done::Planned(_) => {
                redriven.insert(*id);
                waiting.remove(id);
            }
            Done::NotWaiting(_) => drop(waiting.remove(id)),
            Done::Undecided(_) | Done::Refused(_) => {}
            Done::Stopped(_) => break,
        }
    }
    bar.finish_and_clear();
    desk.close().await;
    if let Some(dead_letters) = settings.dead_letter_queue().filter(|_| !order.dry_run) {
        let carrier = SqsQueue::open(settings.sqs(), Listening::No);
        // The message of a charge that still waits stays where people look for it.
        let is_meant = |id| charges.contains(&id) || (order.all && matches!(left, Left::None));
        let moved = dead_letters.move_back(&carrier, |id| is_meant(id) && !waiting.contains(&id)).await;
        println!(
            "{} messages moved from the dead-letter queue back to the queue.",
            moved.context("the dead-letter queue did not answer; run this again, it is safe to")?
        );
    }
    println!("{}", counts.told(charges.len(), left, order.dry_run));
    Ok(if counts.redriven == charges.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The charges of a run.
struct Chosen {
    charges: Vec<PaymentId>,
    left: Left,
    /// What comes back of them, where a filter chose them. Who names charges has looked at them.
    returned: Option<Returned>,
}

/// The charges that are meant, and whether more than fit this run wait.
async fn chosen(store: &Arc<dyn Store>, order: &dlq::Redrive) -> anyhow::Result<Chosen> {
    if !order.charges.is_empty() {
        return Ok(Chosen { charges: order.charges.clone(), left: Left::None, returned: None });
    }
    let filter = order.select.filter(LetterScope::Open, SystemClock.now());
    let (letters, left) = LetterPages::of(Arc::clone(store), filter).first(MAX_CHARGES).await?;
    let charges = letters.iter().map(|row| row.payment_id).collect();
    Ok(Chosen { charges, left, returned: Some(Returned::watch(store, &letters, SystemClock.now())) })
}

/// Why the run stops before the next charge, if it does.
async fn new_failure(returned: &mut Option<Returned>, redriven: &HashSet<PaymentId>) -> Option<Done> {
    match returned.as_mut()?.new_failure(redriven).await {
        Ok(None) => None,
        Ok(Some(row)) => Some(Done::Stopped(format!(
            "{} came back with what none of them had: {}; look at it first: fincore dlq show {0}",
            row.payment_id,
            row.letter.signature()
        ))),
        Err(error) => Some(Done::Stopped(error.to_string())),
    }
}

/// Only for people who watch.
fn progress(charges: usize) -> ProgressBar {
    let bar = ProgressBar::new(charges as u64);
    if charges < 2 || !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar
}

fn told(done: &Done) -> String {
    match done {
        Done::Planned(plan) => format!("would be redriven: it {}", would(plan)),
        Done::Redriven(state) => {
            format!("redriven: it is {state} now, and a worker asks the PSP before it repeats anything")
        }
        Done::Undecided(what) => format!("refused: {what}; then say --decided"),
        Done::NotWaiting(why) | Done::Refused(why) => format!("refused: {why}"),
        Done::Stopped(why) => format!("stopped: {why}"),
    }
}

#[derive(Default)]
struct Counts {
    redriven: usize,
    refused: usize,
    stopped: usize,
}

impl Counts {
    fn add(&mut self, done: &Done) {
        match done {
            Done::Redriven(_) | Done::Planned(_) => self.redriven += 1,
            Done::NotWaiting(_) | Done::Undecided(_) | Done::Refused(_) => self.refused += 1,
            Done::Stopped(_) => self.stopped += 1,
        }
    }

    fn told(&self, charges: usize, left: Left, dry_run: bool) -> String {
        let word = if dry_run { "would be redriven; nothing was changed" } else { "redriven" };
        let untouched = charges - self.redriven - self.refused;
        let untouched = match untouched {
            0 => String::new(),
            untouched => format!(" {untouched} were not reached: run this again, it is safe to."),
        };
        let left = match left {
            Left::None => "",
            Left::Some => " More wait than fit one run: look what became of these, then run this again.",
        };
        format!("{} of {charges} {word}, {} refused.{untouched}{left}", self.redriven, self.refused)
    }
}
