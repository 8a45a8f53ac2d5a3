//! `fincore psp`: which PSP accounts there are, and stopping one without stopping anything else.
//!
//! Not here: honouring a pause; the engine does, in every process.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::json;
use workflow::engine::operator::Performed;
use workflow::port::pauses::Pause;

use crate::args::operate::{OnPsp, Psp};
use crate::operate::{Desk, NOT_CONFIRMED, REFUSED, confirmed};
use crate::settings::{Knobs, Settings};
use crate::{app, show};

/// Which way a PSP account is turned.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Pause,
    Resume,
}

/// Runs one of the commands.
pub(crate) async fn run(knobs: &Knobs, psp: &Psp) -> anyhow::Result<ExitCode> {
    let settings = Settings::read(knobs)?;
    match psp {
        Psp::List { json } => list(&settings, *json).await,
        Psp::Pause(on) => turn(&settings, on, Turn::Pause).await,
        Psp::Resume(on) => turn(&settings, on, Turn::Resume).await,
    }
}

async fn list(settings: &Settings, as_json: bool) -> anyhow::Result<ExitCode> {
    let desk = Desk::open(settings).await?;
    let pauses = desk.engine.store().pauses().await?;
    desk.close().await;
    let mut names = app::psp_names(settings);
    // One that was paused and then taken out of these settings still holds payments up.
    names.extend(pauses.iter().map(|pause| pause.psp.clone()));
    names.sort();
    names.dedup();
    let pause_of = |name: &str| pauses.iter().find(|pause| pause.psp == name);
    if as_json {
        let accounts: Vec<_> = names.iter().map(|name| json!({"psp": name, "pause": pause_of(name)})).collect();
        println!("{}", serde_json::to_string_pretty(&json!({"psps": accounts})).context("cannot write JSON")?);
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = show::plain_table();
    table.set_header(["psp", "", "since", "by", "why"]);
    for name in &names {
        let cells = match pause_of(name) {
            None => [name.clone(), "running".to_owned(), String::new(), String::new(), String::new()],
            Some(Pause { since, by, why, .. }) => {
                [name.clone(), "PAUSED".to_owned(), format!("{since:.0}"), by.clone(), why.clone()]
            }
        };
        table.add_row(cells);
    }
    println!("{}", table.trim_fmt());
    Ok(ExitCode::SUCCESS)
}

async fn turn(settings: &Settings, on: &OnPsp, turn: Turn) -> anyhow::Result<ExitCode> {
    let (psp, acting) = (&on.account, &on.acting);
    if turn == Turn::Pause && !app::psp_names(settings).contains(psp) {
        bail!("these settings have no PSP account {psp}; `fincore psp list` shows them");
    }
    let what = match turn {
        Turn::Pause => {
            "nothing is sent there any more, by any worker, until it is resumed; payments that are due there wait, calls under \
             way end, and new charges are taken as before"
        }
        Turn::Resume => "payments that are due there go on, within a sweep",
    };
    if acting.dry_run {
        println!("{psp}  would do this: {what}");
        return Ok(ExitCode::SUCCESS);
    }
    if !acting.yes && std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
        println!("{psp}  {what}");
        if !confirmed() {
            return Ok(ExitCode::from(NOT_CONFIRMED));
        }
    }
    let desk = Desk::open(settings).await?;
    let performed = match turn {
        Turn::Pause => desk.engine.pause_psp(psp, &acting.by()).await?,
        Turn::Resume => desk.engine.resume_psp(psp, &acting.by()).await?,
    };
    desk.close().await;
    let (code, refused) = match performed {
        Performed::Done(_) => (0, None),
        Performed::Refused(refusal) => (REFUSED, Some(refusal.why)),
    };
    match (&refused, acting.json) {
        (_, true) => println!("{}", json!({"psp": psp, "done": refused.is_none(), "refused": refused})),
        (Some(why), false) => println!("{psp}  refused: {why}"),
        (None, false) if turn == Turn::Pause => println!("{psp}  is paused: {what}"),
        (None, false) => println!("{psp}  is resumed: {what}"),
    }
    Ok(ExitCode::from(code))
}
