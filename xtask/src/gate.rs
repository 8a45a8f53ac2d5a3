//! `cargo xtask test`: everything that must hold before a change goes in, in one command.
//!
//! Deliberately not here: what the steps check; each has a file of its own, or is a cargo command.

use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use clap::Args;
use tokio::process::Command;

use crate::previous::{self, Previous};
use crate::services::{self, Services};
use crate::{generated, package, prerequisites, process, queries, tidy, tools};

/// Tells the tests that PostgreSQL and all other servers are left out on purpose.
const SQLITE_ONLY_VARIABLE: &str = "FINCORE_TEST_SQLITE_ONLY";

#[derive(Args)]
pub(crate) struct Options {
    /// Only formatting, lints and the tests on SQLite. Not enough for a change to go in.
    #[arg(long)]
    quick: bool,
    /// Leave the PostgreSQL server up at the end and print how to reach and how to stop it.
    #[arg(long, conflicts_with = "quick")]
    keep: bool,
}

/// Runs the steps in order, stops at the first that fails, and says where the time went.
pub(crate) async fn run(options: Options) -> Result<()> {
    let (mut started, mut left_out) = (None, Vec::new());
    let mut times = Times::new(if options.quick { QUICK_STEPS } else { STEPS });
    let outcome =
        if options.quick { quick(&mut times).await } else { full(&mut times, &mut started, &mut left_out).await };
    let kept = started.filter(|_| options.keep).map(|services: Services| services.postgres.keep());
    println!("\n{}", times.table());
    if let Some(kept) = kept {
        println!("The PostgreSQL server stays up:\n{kept}\n");
    }
    outcome?;
    for part in &left_out {
        println!("{part}\n");
    }
    match options.quick {
        false if left_out.is_empty() => println!("The gate is passed."),
        false => println!("The gate is passed, EXCEPT for what is named above as not run."),
        true => println!("The QUICK checks are passed, on SQLite only. The gate is: cargo xtask test"),
    }
    Ok(())
}

const STEPS: usize = 15;

async fn full(times: &mut Times, started: &mut Option<Services>, left_out: &mut Vec<String>) -> Result<()> {
    let installed = times.step(&PREREQUISITES, find_prerequisites()).await?;
    let services = &*started.insert(times.step(&SERVICES, Services::start(installed)).await?);
    let tools = times.step(&TOOLS, tools::install()).await?;
    times.step(&FORMATTING, process::run(&mut formatting())).await?;
    times.step(&LINTS, process::run(&mut lints())).await?;
    times.step(&GENERATED, async { generated::check() }).await?;
    times.step(&TIDY, async { tidy::check() }).await?;
    let previous = times.step(&PREVIOUS, previous::build()).await?;
    left_out.extend(previous.left_out());
    let function = times.step(&PACKAGE, package::function_here()).await?;
    let written = crate::root().join("target/written");
    process::empty_folder(&written)?;
    let found = Found::All { services, previous: &previous, function: &function, written: &written };
    times.step(&TESTS, tests(found)).await?;
    times.step(&LIBRARIES, async { package::check_unpacked() }).await?;
    times.step(&THIRD_PARTY, tools::check(&tools, |command| found.tell(command))).await?;
    times.step(&SECRETS, process::run(&mut search(&written))).await?;
    times.step(&QUERIES, queries::check(&services.postgres)).await?;
    times.step(&DOCS, process::run(&mut docs())).await
}

const QUICK_STEPS: usize = 3;

async fn quick(times: &mut Times) -> Result<()> {
    println!(
        "QUICK: no PostgreSQL, Redis, emulators, third-party checks, tidy rules, generated files, checked queries or docs."
    );
    prerequisites::c_compiler()?;
    times.step(&FORMATTING, process::run(&mut formatting())).await?;
    times.step(&LINTS, process::run(&mut lints())).await?;
    times.step(&QUICK_TESTS, tests(Found::Nothing)).await
}

/// What a person reads about a step: what it is, and what to do when it fails.
struct Step {
    title: &'static str,
    remedy: &'static str,
}

const PREREQUISITES: Step =
    Step { title: "prerequisites", remedy: "install what is named above, then run the gate again" };
const SERVICES: Step = Step { title: "servers", remedy: "read the server's words above; alone: cargo xtask services" };
const TOOLS: Step = Step { title: "third-party tools", remedy: "see above what could not be installed" };
const FORMATTING: Step = Step { title: "formatting", remedy: "cargo fmt --all" };
const LINTS: Step = Step {
    title: "lints",
    remedy: "see the warnings above (clippy.toml gives the house's reasons); a query without cached data: cargo xtask sqlx",
};
const GENERATED: Step = Step { title: "generated files", remedy: "cargo xtask generate, and commit what it writes" };
const TIDY: Step = Step { title: "tidy rules", remedy: "each line above says what to do; alone: cargo xtask tidy" };
const PREVIOUS: Step =
    Step { title: "previous release", remedy: "see what its build says above; alone: cargo xtask previous" };
const PACKAGE: Step =
    Step { title: "function's package", remedy: "see what its build says above; alone: cargo xtask package" };
const TESTS: Step =
    Step { title: "tests", remedy: "to debug against servers that stay up, in another terminal: cargo xtask services" };
const QUICK_TESTS: Step = Step { title: "tests (SQLite only)", remedy: "see the failed tests above" };
const LIBRARIES: Step = Step { title: "libraries", remedy: "see above; of what is packed: cargo xtask package" };
const THIRD_PARTY: Step =
    Step { title: "third-party checks", remedy: "see the failed tests above; alone: cargo xtask third-party" };
const SECRETS: Step = Step {
    title: "search for secrets",
    remedy: "see above what was found, and where; the files are in target/written",
};
const QUERIES: Step = Step { title: "checked queries", remedy: "cargo xtask sqlx, and commit what it writes" };
const DOCS: Step = Step { title: "docs", remedy: "see rustdoc's warnings above" };

async fn find_prerequisites() -> Result<services::Installed> {
    prerequisites::c_compiler()?;
    services::install().await
}

fn formatting() -> Command {
    process::cargo(["fmt", "--all", "--check"])
}

fn lints() -> Command {
    process::cargo(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])
}

fn docs() -> Command {
    let mut command = process::cargo(["doc", "--workspace", "--no-deps", "--locked"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    command
}

/// What the tests find beside their own programs.
#[derive(Clone, Copy)]
enum Found<'a> {
    All {
        services: &'a Services,
        previous: &'a Previous,
        function: &'a Path,
        /// The folder in which they keep what they write.
        written: &'a Path,
    },
    /// No server but SQLite, which is none.
    Nothing,
}

impl Found<'_> {
    fn tell(self, command: &mut Command) {
        match self {
            Self::All { services, previous, function, written } => {
                previous.tell(command);
                command.env_remove(SQLITE_ONLY_VARIABLE).envs(services.variables());
                command.env(package::VARIABLE, function).env(tools::WRITTEN_VARIABLE, written);
            }
            Self::Nothing => {
                for variable in services::URL_VARIABLES {
                    command.env_remove(variable);
                }
                command.env(SQLITE_ONLY_VARIABLE, "1");
            }
        }
    }
}

/// All tests but those with third-party tools, which are a step of their own. With nextest where it is installed,
/// which runs no examples in docs; those always run with cargo's own runner.
async fn tests(found: Found<'_>) -> Result<()> {
    let mut runs = vec![process::cargo(["test", "--workspace", "--locked", "--", "--skip", tools::MODULE])];
    if process::has_nextest().await {
        runs = vec![
            process::cargo(["nextest", "run", "--workspace", "--locked", "-E", tools::ALL_BUT_THOSE]),
            process::cargo(["test", "--workspace", "--doc", "--locked"]),
        ];
    }
    for mut run in runs {
        found.tell(&mut run);
        process::run(&mut run).await?;
    }
    Ok(())
}

/// Looks for secrets in everything that the tests have written.
fn search(written: &Path) -> Command {
    let name = "secrets::nothing_that_was_written_holds_a_secret";
    let mut command = process::cargo(["test", "--package", "fincore-tests", "--test", "suite", "--locked", "--"]);
    command
        .args(["--exact", name, "--nocapture"])
        .env(tools::WRITTEN_VARIABLE, written)
        .env("FINCORE_TEST_SEARCH", "1");
    command
}

/// The steps so far and what each took.
struct Times {
    planned: usize,
    taken: Vec<(&'static str, Duration, Ended)>,
}

#[derive(Clone, Copy)]
enum Ended {
    Passed,
    Failed,
}

impl Times {
    fn new(planned: usize) -> Self {
        Self { planned, taken: Vec::new() }
    }

    async fn step<T>(&mut self, step: &Step, work: impl Future<Output = Result<T>>) -> Result<T> {
        let number = self.taken.len() + 1;
        println!("\n[{number}/{}] {}", self.planned, step.title);
        let started = Instant::now();
        let outcome = work.await;
        let ended = if outcome.is_ok() { Ended::Passed } else { Ended::Failed };
        self.taken.push((step.title, started.elapsed(), ended));
        outcome.map_err(|cause| {
            // The cause here, next to the step's own output; what to do comes last, where the eye is.
            eprintln!("\n{cause:#}");
            anyhow!("the gate is not passed: {} failed. Next: {}", step.title, step.remedy)
        })
    }

    fn table(&self) -> String {
        let total: Duration = self.taken.iter().map(|(_, duration, _)| *duration).sum();
        let width = self.taken.iter().map(|(title, ..)| title.len()).max().unwrap_or(0);
        let row = |title: &str, duration: Duration, note: &str| {
            format!("{title:<width$}  {:>9}  {note}", seconds(duration)).trim_end().to_owned()
        };
        let mut rows: Vec<String> = self
            .taken
            .iter()
            .map(|(title, duration, ended)| match ended {
                Ended::Passed => row(title, *duration, "passed"),
                Ended::Failed => row(title, *duration, "FAILED"),
            })
            .collect();
        let left_out = self.planned - self.taken.len();
        if left_out > 0 {
            rows.push(format!("({left_out} more not run)"));
        }
        rows.push(row("total", total, ""));
        rows.join("\n")
    }
}

fn seconds(duration: Duration) -> String {
    format!("{}.{} s", duration.as_secs(), duration.subsec_millis() / 100)
}

#[cfg(test)]
mod table_tests {
    use super::{Duration, Ended, Times};

    #[test]
    fn the_table_shows_where_the_time_went_and_where_it_stopped() {
        let taken = vec![
            ("formatting", Duration::from_millis(1_270), Ended::Passed),
            ("lints", Duration::from_millis(61_000), Ended::Failed),
        ];
        let table = Times { planned: 3, taken }.table();
        assert_eq!(
            table,
            "formatting      1.2 s  passed\nlints          61.0 s  FAILED\n(1 more not run)\ntotal          62.2 s"
        );
    }
}
