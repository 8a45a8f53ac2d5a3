//! `fincore operators`: people who operate by the pages at `/ops`. A password is printed when it is made, and never again.
//!
//! Not here: logging in, and what a role opens (`ops`).

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use workflow::engine::operator::By;
use workflow::ids::{AuditId, OperatorId};
use workflow::port::audit::{AuditAct, AuditEntry, AuditOutcome};
use workflow::port::clock::{Clock, Random, SystemClock, SystemRandom};
use workflow::port::operators::{Added, Operator, Operators, PasswordHash, Role};

use crate::app::{self, Database, Schema};
use crate::args::operators::{AddOperator, ListOperators, NamedOperator, Operators as Command};
use crate::operate;
use crate::settings::{Knobs, Settings};

/// Operators that are listed; nobody has more.
const MOST: u32 = 10_000;

const SHOWN_ONCE: &str = "The password is shown only now. They log in at /ops.";

/// Runs one of the commands.
pub(crate) async fn run(knobs: &Knobs, command: &Command) -> anyhow::Result<ExitCode> {
    let settings = Settings::read(knobs)?;
    let Database { store: log, operators: store, .. } = app::open(&settings, Schema::Expect).await?;
    let (act, name) = match command {
        Command::List(asked) => {
            list(&store, asked).await?;
            return Ok(ExitCode::SUCCESS);
        }
        Command::Add(asked) => (AuditAct::AddOperator, &asked.name),
        Command::Disable(asked) => (AuditAct::DisableOperator, &asked.name),
        Command::Password(asked) => (AuditAct::ChangeOperator, &asked.name),
    };
    let done = match command {
        Command::Add(asked) => add(&store, asked).await,
        Command::Disable(asked) => disable(&store, asked).await,
        Command::Password(asked) => password(&store, asked).await,
        Command::List(_) => Ok(()),
    };
    let outcome = match &done {
        Ok(()) => AuditOutcome::Done,
        Err(error) => AuditOutcome::Refused(format!("{error:#}")),
    };
    log.enter(&[entry(act, name, outcome)]).await.context("what was done is not in the audit log")?;
    done.map(|()| ExitCode::SUCCESS)
}

/// Whoever reaches the database from a shell is named by the machine, not by themselves.
fn entry(act: AuditAct, name: &str, outcome: AuditOutcome) -> AuditEntry {
    let at = SystemClock.now();
    let By { remote, via, .. } = operate::by("", "");
    AuditEntry {
        id: AuditId::new(at, [SystemRandom.next(), SystemRandom.next()]),
        at,
        actor: remote.clone().unwrap_or_default(),
        role: None,
        act,
        payment_id: None,
        subject: Some(name.to_owned()),
        reason: None,
        outcome,
        via,
        remote,
    }
}

async fn add(store: &Arc<dyn Operators>, asked: &AddOperator) -> anyhow::Result<()> {
    let password = (!asked.no_password).then(ops::password::made_up);
    let hash = password.as_ref().map(ops::password::hash).transpose()?;
    if store.add_operator(&new(&asked.name, asked.role, hash)).await? == Added::NameTaken {
        bail!(
            "there is, or was, somebody called {0}: choose another name, or `fincore operators password {0}`",
            asked.name
        );
    }
    print_new(&asked.name, asked.role, password.as_ref());
    Ok(())
}

fn new(name: &str, role: Role, password_hash: Option<PasswordHash>) -> Operator {
    let created_at = SystemClock.now();
    let id = OperatorId::new(created_at, [SystemRandom.next(), SystemRandom.next()]);
    Operator { id, name: name.to_owned(), role, password_hash, created_at, disabled_at: None }
}

fn print_new(name: &str, role: Role, password: Option<&SecretString>) {
    println!("operator  {name}");
    println!("role      {role}");
    if let Some(password) = password {
        println!("password  {}", password.expose_secret());
        eprintln!("\n{SHOWN_ONCE}");
    }
}

async fn list(store: &Arc<dyn Operators>, asked: &ListOperators) -> anyhow::Result<()> {
    let operators = store.operators(MOST).await?;
    if asked.json {
        for operator in &operators {
            println!("{}", as_json(operator));
        }
        return Ok(());
    }
    if operators.is_empty() {
        println!("There are no operators. Add one with `fincore operators add NAME --role operator`.");
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["operator", "role", "logs in by", "added", "disabled"]);
    let time = |at: Option<Timestamp>| at.map_or_else(|| "–".to_owned(), |at| format!("{at:.0}"));
    for operator in &operators {
        let by = if operator.password_hash.is_some() { "password" } else { "proxy" };
        let (added, disabled) = (time(Some(operator.created_at)), time(operator.disabled_at));
        table.add_row([&operator.name, &operator.role.to_string(), by, &added, &disabled]);
    }
    println!("{table}");
    Ok(())
}

fn as_json(operator: &Operator) -> serde_json::Value {
    json!({
        "id": operator.id, "name": operator.name, "role": operator.role.to_string(),
        "password": operator.password_hash.is_some(), "added": operator.created_at, "disabled": operator.disabled_at,
    })
}

async fn named(store: &Arc<dyn Operators>, name: &str) -> anyhow::Result<Operator> {
    store.operator(name).await?.with_context(|| format!("nobody is called {name}: see `fincore operators list`"))
}

async fn disable(store: &Arc<dyn Operators>, asked: &NamedOperator) -> anyhow::Result<()> {
    let operator = named(store, &asked.name).await?;
    let since = operator.disabled_at.unwrap_or_else(|| SystemClock.now());
    store.change_operator(&Operator { disabled_at: Some(since), ..operator }).await?;
    println!("{} is disabled since {since:.0}, and logged out everywhere.", asked.name);
    Ok(())
}

async fn password(store: &Arc<dyn Operators>, asked: &NamedOperator) -> anyhow::Result<()> {
    let operator = named(store, &asked.name).await?;
    let password = ops::password::made_up();
    set(store, &operator.name, operator.role, &password).await?;
    print_new(&operator.name, operator.role, Some(&password));
    Ok(())
}

/// Gives somebody this password and lets them in, whether they are here already or not.
pub(crate) async fn set(
    store: &Arc<dyn Operators>,
    name: &str,
    role: Role,
    password: &SecretString,
) -> anyhow::Result<()> {
    let password_hash = Some(ops::password::hash(password)?);
    match store.operator(name).await? {
        Some(known) => store.change_operator(&Operator { role, password_hash, disabled_at: None, ..known }).await?,
        None => drop(store.add_operator(&new(name, role, password_hash)).await?),
    }
    Ok(())
}
