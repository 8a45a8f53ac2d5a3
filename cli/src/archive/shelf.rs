//! Where files of archived histories are looked up, by what statements say of them.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context as _, bail};
use workflow::history::{Archived, HistoryRow, Prefix};
use workflow::ids::PaymentId;
use workflow::port::archives::Statement;

use super::file;

/// Files that are kept in memory: payments come in the order of their ids, as they do in files, but those that ended late are in
/// files of later runs.
const KEPT: usize = 8;

/// What a file has, or why it has nothing.
type Contents = Rc<Result<HashMap<PaymentId, Vec<HistoryRow>>, String>>;

/// Folders with files, and files.
pub(crate) struct Shelf {
    paths: Vec<PathBuf>,
    kept: VecDeque<(String, Contents)>,
}

impl Shelf {
    /// A shelf of these folders and files.
    pub(crate) fn of(paths: Vec<PathBuf>) -> Self {
        Self { paths, kept: VecDeque::new() }
    }

    /// Whether there is nothing to look into.
    pub(crate) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Recomputes what a statement speaks of from its file; returns the number of rows.
    ///
    /// # Errors
    /// The file is missing or another one, or file and statement disagree; says how.
    pub(crate) fn verify(&mut self, statement: &Statement) -> anyhow::Result<usize> {
        let contents = self.contents(statement);
        let of = match contents.as_ref() {
            Ok(histories) => {
                histories.get(&statement.payment_id).context("the payment is not in it").map(Vec::as_slice)
            }
            Err(why) => Err(anyhow::anyhow!(why.clone())),
        };
        of.and_then(|rows| agree(statement, rows)).with_context(|| format!("archived in {}", statement.file))
    }

    /// Each file is read once, as long as it is kept: also one that cannot be read.
    fn contents(&mut self, statement: &Statement) -> Contents {
        let known = self.kept.iter().find(|(name, _)| *name == statement.file);
        if let Some((_, contents)) = known {
            return Rc::clone(contents);
        }
        let contents = Rc::new(self.read(statement).map_err(|error| format!("{error:#}")));
        self.kept.push_back((statement.file.clone(), Rc::clone(&contents)));
        if self.kept.len() > KEPT {
            self.kept.pop_front();
        }
        contents
    }

    fn read(&self, statement: &Statement) -> anyhow::Result<HashMap<PaymentId, Vec<HistoryRow>>> {
        let path = self.paths.iter().find_map(|path| at(path, &statement.file)).context("the file is missing")?;
        let histories = file::read(&path, statement.file_sha256)?;
        Ok(histories.into_iter().map(|Archived { payment_id, rows }| (payment_id, rows)).collect())
    }
}

/// Where the file is, if it is the one at this path or in this folder.
fn at(path: &Path, name: &str) -> Option<PathBuf> {
    let path = if path.is_dir() { path.join(name) } else { path.to_owned() };
    (path.file_name().is_some_and(|found| found == name) && path.is_file()).then_some(path)
}

/// Whether rows come to what the statement says they do.
pub(super) fn agree(statement: &Statement, rows: &[HistoryRow]) -> anyhow::Result<usize> {
    let prefix = Prefix::default().followed_by(statement.payment_id, rows)?;
    if prefix != statement.prefix {
        bail!(
            "the statement says that the archived rows end at row {} with hash {}, the file says row {} with hash {}{}",
            statement.prefix.seq,
            statement.prefix.hash,
            prefix.seq,
            prefix.hash,
            if prefix.told == statement.prefix.told { "" } else { "; what they tell of the payment differs" }
        );
    }
    Ok(rows.len())
}
