//! `fincore dlq show`: why one charge waits for a person, who was told of it, and what a redrive would do.

use std::process::ExitCode;

use anyhow::bail;
use jiff::Timestamp;
use workflow::decide::{Decided, Redriving};
use workflow::definition::{EventKind, Next};
use workflow::engine::operator::{Act, Plan, Planned};
use workflow::port::archives;
use workflow::port::clock::{Clock, SystemClock};
use workflow::port::store::{DeadLetterRow, NoticeRow};
use workflow::timeline;

use super::list::age;
use crate::app::{self, Schema};
use crate::args::dlq::ShowLetter;
use crate::settings::{Knobs, Settings};
use crate::show::{archived_text, table_of};
use crate::{explain, operate};

/// Letters of one charge that are shown; who has more of them should read its history.
const LETTERS: u32 = 10;
/// Notices of these letters: a few adapters each.
const NOTICES: u32 = 100;
/// Rows of history, the last ones.
const TAIL: usize = 10;

/// What the PSP may say when it is asked, in the order of how good the news is.
const ANSWERS: [EventKind; 9] = [
    EventKind::Captured,
    EventKind::Authorized,
    EventKind::Untouched,
    EventKind::Accepted,
    EventKind::Voided,
    EventKind::Declined,
    EventKind::Refunded,
    EventKind::AmountsDisagree,
    EventKind::Rejected,
];

pub(super) async fn run(knobs: &Knobs, show: &ShowLetter) -> anyhow::Result<ExitCode> {
    let settings = Settings::read(knobs)?;
    let store = app::open_store(&settings, Schema::Expect).await?;
    let id = show.charge;
    let letters = store.dead_letters_of(id, LETTERS).await?;
    let Some(last) = letters.first() else {
        bail!("{id} has no dead letter in this database; `fincore show {id}` shows the charge, if there is one");
    };
    let notices = store.notices_of(id, NOTICES).await?;
    let history = archives::history_of(store.as_ref(), id).await?;
    let now = SystemClock.now();
    println!("\n{id}  {}  {}\n", last.state.to_string().to_uppercase(), last.money);
    println!("  {} of {}, goal {}\n", last.psp, last.merchant_id, last.goal);
    for letter in &letters {
        print!("{}", letter_text(letter, &notices, now));
    }
    if last.is_open() {
        let nobody = operate::by("nobody", "only to see what it would do");
        match explain::reader(store).plan(id, &Act::Redrive(Decided::Yes), &nobody).await? {
            Planned::Would(plan) => println!("\n  A redrive {}", would(&plan)),
            Planned::Refused(refusal) => println!("\n  A redrive is refused: {}", refusal.why),
        }
        println!("\n    fincore dlq redrive {id} --why '…'{}\n", flag(last.redriving()));
    } else {
        println!("\n  It is {} now and waits for no person.\n", last.state);
    }
    if let Some(statement) = &history.archived {
        println!("  {}\n", archived_text(statement));
    }
    let lines = timeline::lines(&history.rows);
    let tail = lines.len().saturating_sub(TAIL);
    if tail > 0 {
        println!("  The last {TAIL} of {} rows; `fincore show {id}` has them all.\n", lines.len());
    }
    println!("{}", table_of(&lines[tail..]));
    Ok(ExitCode::SUCCESS)
}

fn letter_text(row: &DeadLetterRow, notices: &[NoticeRow], now: Timestamp) -> String {
    let told = notices.iter().filter(|notice| notice.seq == row.seq).map(|notice| match notice.told_at {
        Some(at) => format!("{} told {} ago", notice.adapter, age(at, now)),
        None => format!("{} not told after {} attempts", notice.adapter, notice.attempts),
    });
    let told: Vec<String> = told.collect();
    let told = if told.is_empty() { "nobody was told yet".to_owned() } else { told.join(" · ") };
    format!(
        "  {} since {} ({} ago), history row {}\n    {}\n    {told}\n",
        row.letter.reason,
        row.at,
        age(row.at, now),
        row.seq,
        row.letter.told(),
    )
}

/// What the engine wants to hear before it does more than ask.
pub(super) fn flag(redriving: Redriving) -> &'static str {
    match redriving {
        Redriving::Asks => "",
        Redriving::Decides(_) => " --decided",
    }
}

/// What a redrive would do, as the rest of a sentence.
pub(super) fn would(plan: &Plan) -> String {
    let (before, after) = (plan.before.state, plan.after.state);
    let first = match plan.redriving {
        Redriving::Asks => String::new(),
        Redriving::Decides(what) => format!("has to be decided by you: {what}.\n  It "),
    };
    format!(
        "{first}leads from {before} to {after}: a worker asks the PSP, repeats nothing before it knows, and goes on by the answer:\n    {}",
        answers(plan)
    )
}

/// Where each answer leads, by the table.
fn answers(plan: &Plan) -> String {
    let after = &plan.after;
    let Some(definition) = after.definition() else {
        return "this program does not know its workflow version".to_owned();
    };
    let row = definition.state(after.state);
    let answer = |kind: EventKind| {
        let leads = match row.rule(kind).next(after.goal)? {
            Next::To(state) => state.to_string(),
            Next::FailOver(state) => format!("{state}, or another PSP account"),
            Next::Stay => "no change".to_owned(),
            Next::Retry(_) | Next::RetryElsewhere(_) => "asks again".to_owned(),
            Next::Reverse => "undone".to_owned(),
        };
        Some(format!("{kind} → {leads}"))
    };
    ANSWERS.into_iter().filter_map(answer).collect::<Vec<_>>().join(" · ")
}
