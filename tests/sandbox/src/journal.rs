//! Keeps the state across restarts: one JSON line per call with everything the call changed, so that a line is there
//! as a whole or not at all.
//!
//! Not here: webhooks under way. They are lost with the process, which an engine has to survive anyway. Nothing is
//! synced to disk: a killed process loses nothing, a power failure may lose the last calls.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::intent::{Intent, Refund};
use crate::ledger::Entry;

/// What one call changed.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) intent: Option<Cow<'a, Intent>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refund: Option<Cow<'a, Refund>>,
    #[serde(default, skip_serializing_if = "<[Entry]>::is_empty")]
    pub(crate) entries: Cow<'a, [Entry]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) answer: Option<AnswerRecord<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fired: Option<Fired>,
    #[serde(default, skip_serializing_if = "Keys::are_kept")]
    pub(crate) keys: Keys,
}

/// Whether the idempotency keys so far were forgotten.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Keys {
    #[default]
    Kept,
    Forgotten,
}

impl Keys {
    fn are_kept(&self) -> bool {
        *self == Self::Kept
    }
}

/// A finished answer and its key.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AnswerRecord<'a> {
    pub(crate) key: Cow<'a, str>,
    pub(crate) fingerprint: String,
    pub(crate) status: u16,
    pub(crate) body: Cow<'a, str>,
}

/// How often a "first time" fault has struck.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Fired {
    pub(crate) subject: String,
    pub(crate) times: u32,
}

/// An open journal.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    line: Vec<u8>,
}

impl Journal {
    /// Reads what is there into `apply`, cuts off a torn last line and goes on behind it.
    ///
    /// # Errors
    /// The file cannot be read or written, or a line that is not the last one is damaged.
    pub(crate) fn open(path: &Path, mut apply: impl FnMut(Record<'static>) -> io::Result<()>) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let mut reader = BufReader::new(&file);
        let mut good = 0;
        let mut line = Vec::new();
        loop {
            line.clear();
            let length = reader.read_until(b'\n', &mut line)?;
            if length == 0 || line.last() != Some(&b'\n') {
                break;
            }
            apply(serde_json::from_slice(&line)?)?;
            good += length as u64;
        }
        file.set_len(good)?;
        Ok(Self { file, line })
    }

    pub(crate) fn append(&mut self, record: &Record<'_>) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, record)?;
        self.line.push(b'\n');
        self.file.write_all(&self.line)
    }
}
