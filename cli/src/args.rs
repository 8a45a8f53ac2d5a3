//! The command line.

pub(crate) mod archive;
pub(crate) mod dlq;
pub(crate) mod keys;
pub(crate) mod list;
pub(crate) mod operate;
pub(crate) mod operators;

use clap::{Parser, Subcommand};

use crate::settings::Knobs;

/// FinCore, the durable payment engine. Without a command it runs `dev`: everything in one process, ready to try.
#[derive(Parser, Debug)]
#[command(name = "fincore", version, max_term_width = 100)]
pub(crate) struct Args {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Settings for every command.
    #[command(flatten)]
    pub(crate) knobs: Knobs,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Run API, worker and sandbox PSP in one process on a SQLite file, and print how to try it
    Dev(Dev),
    /// Push one charge per interesting ending through a running system and print their histories as they happen
    Demo(Demo),
    /// Run the sandbox PSP by itself, until stopped; prints its key, its payment methods and how to point FinCore at it
    Sandbox(Sandbox),
    /// Serve the API
    Serve(Serve),
    /// Run a worker, until stopped
    Work(Work),
    /// Bring the database's schema up to this version
    Migrate,
    /// Show one charge: how it stands, what it waits for, and its whole history
    Show(Show),
    /// Explain one payment: what it waits for, who can unblock it, what happens next, and what you can do
    Explain(operate::Explain),
    /// Do not wait for the backoff: make payments due now
    Retry(operate::OnPayments),
    /// Ask the PSP now what became of payments whose outcome is uncertain
    Inquire(operate::OnPayments),
    /// Send payments in review back to work: the PSP is asked before anything is repeated
    Redrive(operate::RedriveOne),
    /// Propose how a payment in review ended; a second person approves
    Resolve(operate::Resolve),
    /// Give payments up for their merchant: what is reserved is released
    Cancel(operate::OnPayments),
    /// Propose to give money of a charge back; a second person approves
    Refund(operate::Refund),
    /// Approve what somebody else has proposed
    Approve(operate::OnProposal),
    /// Take a proposal back, yours or another's
    Withdraw(operate::OnProposal),
    /// Write something down in payments' histories
    Note(operate::OnPayments),
    /// PSP accounts: list, pause, resume
    #[command(subcommand)]
    Psp(operate::Psp),
    /// Who did what, when and why, and what was refused
    Audit(operate::Audit),
    /// Copy the SQLite database to a file, while FinCore runs
    Backup(Backup),
    /// Recompute the hash chain of every payment's history and report what was changed behind our back
    Verify(archive::Verify),
    /// Write the histories of payments that ended long ago to files, and remove them from the database if you say so
    Archive(archive::Archive),
    /// Charges that wait for a person: list them, show one, send them back to work
    #[command(subcommand)]
    Dlq(dlq::Dlq),
    /// API keys: create, list, revoke, rotate
    #[command(subcommand)]
    Keys(keys::Keys),
    /// List payments of all merchants, by what they have in common
    List(list::List),
    /// Count payments by state, with the age of the oldest, and how the latest ones ended
    Stats(list::Stats),
    /// People who operate: add, list, disable, give another password
    #[command(subcommand)]
    Operators(operators::Operators),
}

impl Default for Command {
    fn default() -> Self {
        Self::Dev(Dev::default())
    }
}

/// Options of `fincore dev`.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Dev {
    /// Folder for the database, the sandbox's books and the development key [default: .fincore]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<std::path::PathBuf>,
}

/// Options of `fincore demo`.
#[derive(clap::Args, Debug)]
pub(crate) struct Demo {
    /// Only the scenarios whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub(crate) only: Option<String>,
}

/// Options of `fincore sandbox`.
#[derive(clap::Args, Debug)]
pub(crate) struct Sandbox {
    /// Port on 127.0.0.1; 0 takes any
    #[arg(long, default_value_t = 12111, value_name = "PORT")]
    pub(crate) port: u16,
    /// Where webhooks go, for example http://127.0.0.1:8080/v1/webhooks/sandbox; none are sent without it
    #[arg(long, value_name = "URL")]
    pub(crate) webhook_url: Option<url::Url>,
    /// What webhooks are signed with
    #[arg(long, default_value = crate::dev::SANDBOX_WEBHOOK_SECRET, value_name = "SECRET")]
    pub(crate) webhook_secret: String,
    /// Keep everything in this file, across restarts
    #[arg(long, value_name = "FILE")]
    pub(crate) journal: Option<std::path::PathBuf>,
    /// Milliseconds until what comes later comes: late answers, disputes, refunds that fail
    #[arg(long, default_value_t = 1_000, value_name = "MS")]
    pub(crate) delay_ms: u64,
    /// Milliseconds until what comes after everybody stopped waiting
    #[arg(long, default_value_t = 3_600_000, value_name = "MS")]
    pub(crate) long_delay_ms: u64,
}

/// Options of `fincore serve`.
#[derive(clap::Args, Debug)]
pub(crate) struct Serve {
    /// Also run a worker in this process
    #[arg(long)]
    pub(crate) with_worker: bool,
}

/// Options of `fincore work`.
#[derive(clap::Args, Debug)]
pub(crate) struct Work {
    /// Work on everything that is due now, then end
    #[arg(long)]
    pub(crate) once: bool,
}

/// Options of `fincore backup`.
#[derive(clap::Args, Debug)]
pub(crate) struct Backup {
    /// The file to write; there must be none of this name
    #[arg(value_name = "FILE")]
    pub(crate) file: std::path::PathBuf,
}

/// Options of `fincore show`.
#[derive(clap::Args, Debug)]
pub(crate) struct Show {
    /// The charge, for example ch_0197f3c2a1b47c6e8d5f00112233aaba
    pub(crate) charge: workflow::ids::PaymentId,
    /// Print JSON for programs
    #[arg(long)]
    pub(crate) json: bool,
    /// Go on showing it as it changes, until it has ended
    #[arg(long, conflicts_with = "json")]
    pub(crate) watch: bool,
}
