//! What is measured: the kinds of rows, with how many clients, how often, in which order.
//!
//! Floors and engine alternate within each repetition, so that whatever disturbs the machine disturbs both.

use std::fmt;

use serde::Serialize;

use crate::load::Window;

/// The database behind the engine and behind the floors.
#[derive(clap::ValueEnum, Serialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Database {
    Postgres,
    Sqlite,
}

impl Database {
    pub(crate) const ALL: [Self; 2] = [Self::Postgres, Self::Sqlite];
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Postgres => "PostgreSQL",
            Self::Sqlite => "SQLite",
        })
    }
}

/// What one client does again and again.
#[derive(clap::ValueEnum, Serialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Floor: one row, one statement, one commit.
    BareInsert,
    /// `Engine::start`, called in the process.
    StartInProcess,
    /// `POST /v1/charges` until the 202; no worker runs.
    Start,
    /// Floor: a charge's statements without history, batched like the engine's; no PSP.
    BareFlow,
    /// Floor: the same, with the PSP calls of a charge.
    BareFlowWithPsp,
    /// `POST /v1/charges` until the charge has succeeded.
    Complete,
    /// `Engine::start` in the process, until the charge has succeeded.
    CompleteInProcess,
    /// As `Complete`, and the PSP sends its webhooks.
    CompleteWithWebhooks,
}

impl Kind {
    pub(crate) const ALL: [Self; 8] = [
        Self::BareInsert,
        Self::StartInProcess,
        Self::Start,
        Self::BareFlow,
        Self::BareFlowWithPsp,
        Self::Complete,
        Self::CompleteInProcess,
        Self::CompleteWithWebhooks,
    ];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::BareInsert => "floor: bare insert",
            Self::StartInProcess => "start, in process",
            Self::Start => "start, HTTP",
            Self::BareFlow => "floor: bare flow",
            Self::BareFlowWithPsp => "floor: bare flow + PSP",
            Self::Complete => "complete, HTTP",
            Self::CompleteInProcess => "complete, in process",
            Self::CompleteWithWebhooks => "complete, HTTP + webhooks",
        }
    }
}

/// One kind with one number of clients.
#[derive(Serialize, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cell {
    pub(crate) kind: Kind,
    pub(crate) in_flight: usize,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<25} {:>3} in flight", self.kind.title(), self.in_flight)
    }
}

/// Everything that is to be measured.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) databases: Vec<Database>,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) in_flight: Vec<usize>,
    pub(crate) repetitions: usize,
    /// How often a disturbed window is measured again.
    pub(crate) again: usize,
    pub(crate) window: Window,
}

impl Plan {
    /// The cells of one database in their order, each with the number of its repetition.
    pub(crate) fn cells(&self) -> Vec<(Cell, usize)> {
        let most = self.in_flight.iter().max();
        let mut cells = Vec::new();
        for repetition in 1..=self.repetitions {
            for in_flight in &self.in_flight {
                for &kind in &self.kinds {
                    // The same charges with webhooks on take longer and say little below full load.
                    if kind == Kind::CompleteWithWebhooks && Some(in_flight) != most {
                        continue;
                    }
                    cells.push((Cell { kind, in_flight: *in_flight }, repetition));
                }
            }
        }
        cells
    }

    /// How many cells there are, over all databases and repetitions.
    pub(crate) fn len(&self) -> usize {
        self.cells().len() * self.databases.len()
    }
}
