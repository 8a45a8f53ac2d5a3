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
use workflow::definition::State;
use workflow::engine::operator::{Act, By, Performed, Planned, Refusal};
use workflow::engine::{Engine, EngineError};
use workflow::ids::PaymentId;
use workflow::port::clock::{Clock, SystemClock};
use workflow::port::store::{LetterScope, Store};
use workflow_aws::sqs::{Listening, SqsQueue};

use super::Pages;
use super::returned::Returned;
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
    let run = Run { engine: &desk.engine, act: &act, by: &by, dry: order.dry_run };
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
            None => run.one(*id).await,
        };
        bar.suspend(|| println!("{id}  {}", done.told()));
        bar.inc(1);
        counts.add(&done);
        match done {
            Done::Redriven(_) => {
                redriven.insert(*id);
                waiting.remove(id);
            }
            Done::NotWaiting(_) => drop(waiting.remove(id)),
            Done::Refused(_) => {}
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
    let mut pages = Pages::of(Arc::clone(store), filter);
    let (mut letters, mut left) = (Vec::new(), Left::None);
    loop {
        let page = pages.next().await?;
        if page.is_empty() {
            break;
        }
        letters.extend(page);
        if letters.len() > MAX_CHARGES {
            letters.truncate(MAX_CHARGES);
            left = Left::Some;
            break;
        }
    }
    let charges = letters.iter().map(|row| row.payment_id).collect();
    Ok(Chosen { charges, left, returned: Some(Returned::watch(store, &letters)) })
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

/// Whether a run leaves charges to the next one.
enum Left {
    None,
    Some,
}

/// Only for people who watch.
fn progress(charges: usize) -> ProgressBar {
    let bar = ProgressBar::new(charges as u64);
    if charges < 2 || !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar
}

struct Run<'a> {
    engine: &'a Engine,
    act: &'a Act,
    by: &'a By,
    dry: bool,
}

/// What became of one charge.
enum Done {
    /// It is on its way, or would be; says how.
    Redriven(String),
    /// It waits for nobody, any more perhaps.
    NotWaiting(String),
    /// It stays where it is; says why.
    Refused(String),
    /// The database did not answer, and would not for the others; or something new happens to those that went before.
    Stopped(String),
}

impl Run<'_> {
    async fn one(&self, id: PaymentId) -> Done {
        let done = if self.dry { self.plan(id).await } else { self.send(id).await };
        done.unwrap_or_else(|error| match &error {
            EngineError::Store(cause) => Done::Stopped(format!("{error}: {cause}")),
            EngineError::NotFound | EngineError::Illegal { .. } => Done::NotWaiting(error.to_string()),
            EngineError::KeyReused
            | EngineError::KeyInUse
            | EngineError::Contended
            | EngineError::UnknownVersion(_) => Done::Refused(error.to_string()),
        })
    }

    async fn plan(&self, id: PaymentId) -> Result<Done, EngineError> {
        Ok(match self.engine.plan(id, self.act, self.by).await? {
            Planned::Refused(refusal) => refused(&refusal),
            Planned::Would(plan) => Done::Redriven(format!("would be redriven: it {}", would(&plan))),
        })
    }

    async fn send(&self, id: PaymentId) -> Result<Done, EngineError> {
        Ok(match self.engine.perform(id, self.act, self.by).await? {
            Performed::Done(done) => Done::Redriven(format!(
                "redriven: it is {} now, and a worker asks the PSP before it repeats anything",
                done.payment.state
            )),
            Performed::Refused(refusal) => refused(&refusal),
        })
    }
}

fn refused(refusal: &Refusal) -> Done {
    match refusal.state {
        Some(state) if state != State::InReview => {
            Done::NotWaiting(format!("a payment that is {state} does not allow this: {}", refusal.why))
        }
        _ if refusal.is_undecided => Done::Refused(format!("{}; then say --decided", refusal.why)),
        _ => Done::Refused(refusal.why.clone()),
    }
}

impl Done {
    fn told(&self) -> String {
        match self {
            Self::Redriven(how) => how.clone(),
            Self::NotWaiting(why) | Self::Refused(why) => format!("refused: {why}"),
            Self::Stopped(why) => format!("stopped: {why}"),
        }
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
            Done::Redriven(_) => self.redriven += 1,
            Done::NotWaiting(_) | Done::Refused(_) => self.refused += 1,
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
