//! Operators' acts on payments: each is shown, confirmed where somebody sits at a terminal, and done.
//!
//! Not here: what an act does and whether it is allowed; the engine plans and performs. Nor sending many charges back to
//! work (`dlq`).

pub(crate) mod told;

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use activities::psps::Psps;
use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget};
use serde_json::{Value, json};
use workflow::decide::Decided;
use workflow::engine::Engine;
use workflow::engine::operator::{Act, By, Performed, Planned};
use workflow::ids::PaymentId;
use workflow::payment::{Proposed, Resolution};
use workflow::port::audit::Via;
use workflow::port::clock::{Clock, SystemClock};

use crate::app::{self, Schema, Workers};
use crate::args::operate::{Acting, OnPayments, OnProposal, RedriveOne, Refund, Resolve};
use crate::settings::{Knobs, Settings};

/// Exit code of an act that was refused: nothing was changed, and saying it again will not help. (1 is for what may work
/// the next time, 2 for a command line that cannot be read.)
pub(crate) const REFUSED: u8 = 3;
/// Exit code when the person at the terminal said no.
pub(crate) const NOT_CONFIRMED: u8 = 4;

/// An engine that acts for operators: it calls no PSP, so it needs no account's secrets.
pub(crate) struct Desk {
    /// The engine.
    pub(crate) engine: Arc<Engine>,
}

impl Desk {
    /// Opens the database and the queue of the settings.
    pub(crate) async fn open(settings: &Settings) -> anyhow::Result<Self> {
        let store = app::open_store(settings, Schema::Expect).await?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let shared = app::shared(settings, Workers::Elsewhere, &clock)?;
        let queue = app::queue(settings, Workers::Elsewhere).await;
        Ok(Self { engine: app::engine(store, queue, &Psps::default(), clock, &shared, settings)? })
    }

    /// Lets what was told reach the queue and Step Functions.
    pub(crate) async fn close(self) {
        self.engine.close().await;
    }
}

impl Acting {
    /// Who acts. A plan needs no reason, and gets one that would be seen if it were ever stored.
    pub(crate) fn by(&self) -> By {
        by(&self.operator, self.why.as_deref().unwrap_or("(a dry run)"))
    }
}

/// An operator at the command line.
pub(crate) fn by(operator: &str, why: &str) -> By {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let user = std::env::var("USER").unwrap_or_default();
    By {
        operator: operator.to_owned(),
        // Whoever reaches the database from a shell may do everything.
        role: None,
        why: why.to_owned(),
        via: Via::Cli,
        remote: Some(format!("{user}@{}", host.trim())),
    }
}

/// Runs an act that needs nothing more said than which payments.
pub(crate) async fn run(knobs: &Knobs, act: Act, on: &OnPayments) -> anyhow::Result<ExitCode> {
    let desk = Desk::open(&Settings::read(knobs)?).await?;
    each(desk, &act, &on.payments, &on.acting).await
}

/// `fincore redrive`.
pub(crate) async fn redrive(knobs: &Knobs, redrive: &RedriveOne) -> anyhow::Result<ExitCode> {
    let decided = if redrive.decided { Decided::Yes } else { Decided::No };
    run(knobs, Act::Redrive(decided), &redrive.on).await
}

/// `fincore resolve`: proposes.
pub(crate) async fn resolve(knobs: &Knobs, resolve: &Resolve) -> anyhow::Result<ExitCode> {
    let resolution = Resolution {
        outcome: resolve.outcome,
        captured_minor: resolve.captured,
        psp_reference: resolve.psp_reference.clone(),
    };
    let desk = Desk::open(&Settings::read(knobs)?).await?;
    each(desk, &Act::Propose(Proposed::Resolution(resolution)), &[resolve.payment], &resolve.acting).await
}

/// `fincore refund`: proposes.
pub(crate) async fn refund(knobs: &Knobs, refund: &Refund) -> anyhow::Result<ExitCode> {
    let desk = Desk::open(&Settings::read(knobs)?).await?;
    let amount_minor = match refund.amount {
        Some(amount_minor) => amount_minor,
        None => desk.engine.load(refund.charge).await?.map_or(0, |charge| charge.refundable_minor()),
    };
    let act = Act::Propose(Proposed::Refund { amount_minor, refund_reason: refund.refund_reason });
    each(desk, &act, &[refund.charge], &refund.acting).await
}

/// `fincore approve`.
pub(crate) async fn approve(knobs: &Knobs, on: &OnProposal) -> anyhow::Result<ExitCode> {
    let desk = Desk::open(&Settings::read(knobs)?).await?;
    each(desk, &Act::Approve { proposal: on.proposal }, &[on.payment], &on.acting).await
}

/// `fincore withdraw`.
pub(crate) async fn withdraw(knobs: &Knobs, on: &OnProposal) -> anyhow::Result<ExitCode> {
    let desk = Desk::open(&Settings::read(knobs)?).await?;
    each(desk, &Act::Withdraw { proposal: on.proposal }, &[on.payment], &on.acting).await
}

/// What became of one payment.
struct Answer {
    code: u8,
    json: Value,
}

async fn each(desk: Desk, act: &Act, payments: &[PaymentId], acting: &Acting) -> anyhow::Result<ExitCode> {
    let by = acting.by();
    let bar = progress(payments.len());
    let (mut worst, mut results) = (0, Vec::with_capacity(payments.len()));
    for id in payments {
        let answer = one(&desk.engine, *id, act, &by, acting, &bar).await.with_context(|| id.to_string());
        bar.inc(1);
        match answer {
            Ok(answer) => {
                worst = worst.max(answer.code);
                results.push(answer.json);
            }
            Err(error) if payments.len() == 1 => return Err(error),
            Err(error) => {
                bar.suspend(|| eprintln!("fincore: {error:#}"));
                results.push(json!({"payment": id, "error": format!("{error:#}")}));
                worst = worst.max(1);
            }
        }
    }
    bar.finish_and_clear();
    desk.close().await;
    if acting.json {
        let printed = json!({"act": act.kind(), "dry_run": acting.dry_run, "results": results});
        println!("{}", serde_json::to_string_pretty(&printed).context("cannot write JSON")?);
    }
    Ok(ExitCode::from(worst))
}

async fn one(
    engine: &Engine,
    id: PaymentId,
    act: &Act,
    by: &By,
    acting: &Acting,
    bar: &ProgressBar,
) -> anyhow::Result<Answer> {
    let say = |text: String| {
        if !acting.json {
            bar.suspend(|| print!("{text}"));
        }
    };
    let is_asked = !acting.yes && std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if acting.dry_run || is_asked {
        let plan = match engine.plan(id, act, by).await? {
            Planned::Refused(refusal) if acting.dry_run => {
                say(told::refused(id, &refusal, "would be refused"));
                return Ok(Answer { code: REFUSED, json: json!({"payment": id, "refused": refusal.why}) });
            }
            // Performed all the same: the refusal belongs into the audit log.
            Planned::Refused(_) => None,
            Planned::Would(plan) => Some(plan),
        };
        if let Some(plan) = plan {
            say(told::plan(id, &plan, engine.now()));
            if acting.dry_run {
                return Ok(Answer { code: 0, json: json!({"payment": id, "plan": plan}) });
            }
            if !bar.suspend(confirmed) {
                say(format!("{id}  left as it is\n"));
                return Ok(Answer { code: NOT_CONFIRMED, json: json!({"payment": id, "confirmed": false}) });
            }
        }
    }
    Ok(match engine.perform(id, act, by).await? {
        Performed::Refused(refusal) => {
            say(told::refused(id, &refusal, "refused"));
            Answer { code: REFUSED, json: json!({"payment": id, "refused": refusal.why}) }
        }
        Performed::Done(done) => {
            say(told::done(act, &done));
            let proposal = done.payment.proposal.as_ref().filter(|_| act.kind().takes_two());
            let proposal = proposal.map(|proposal| json!({"number": proposal.seq, "expires_at": proposal.expires_at}));
            let refund = done.refund.as_ref().map(|refund| refund.id);
            let json = json!({
                "payment": id, "done": true, "status": done.payment.state, "seq": done.payment.seq,
                "next_wake_at": done.payment.next_wake_at, "proposal": proposal, "refund": refund,
            });
            Answer { code: 0, json }
        }
    })
}

/// Asks the person at the terminal. Anything but yes is a no.
pub(crate) fn confirmed() -> bool {
    eprint!("Do this? [y/N] ");
    // A terminal that cannot be written to cannot be answered from either.
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

/// Only for people who watch.
fn progress(payments: usize) -> ProgressBar {
    let bar = ProgressBar::new(payments as u64);
    if payments < 2 || !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar
}
