//! Settings that are a choice among few.

use serde::{Deserialize, Serialize};

/// How log lines are written.
#[derive(clap::ValueEnum, Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs: one JSON object a line.
    Json,
}

/// What carries wakes from those who commit to those who work.
#[derive(clap::ValueEnum, Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub enum QueueKind {
    /// Memory, within one process. Workers in other processes sweep.
    Local,
    /// Amazon SQS.
    Sqs,
}

/// Who keeps the time of payments.
#[derive(clap::ValueEnum, Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
pub enum TimeoutsKind {
    /// The database: sweeps find what is due.
    Database,
    /// AWS Step Functions, and the database where that does not.
    StepFunctions,
}

/// What stands between this program and PostgreSQL.
#[derive(clap::ValueEnum, Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub enum DatabasePooler {
    /// Nothing that shares connections.
    None,
    /// A pooler that hands out the server's connections by transaction.
    Transaction,
}

impl From<DatabasePooler> for workflow_postgres::Pooler {
    fn from(pooler: DatabasePooler) -> Self {
        match pooler {
            DatabasePooler::None => Self::None,
            DatabasePooler::Transaction => Self::Transaction,
        }
    }
}
