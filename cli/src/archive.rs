//! `fincore archive`: writes the histories of payments that ended long ago into files, and removes them from the database.
//!
//! What is removed was verified, is in a file that is safe on disk and was read back, and has a statement in its place. A run may
//! be stopped at any moment and repeated. Not here: which payments qualify ([`workflow::archive`]).

mod file;
pub(crate) mod shelf;

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use serde_json::json;
use workflow::archive::{Stays, stays};
use workflow::history::{self, BrokenChain, HistoryRow, Prefix};
use workflow::ids::{AuditId, PaymentId};
use workflow::payment::Payment;
use workflow::port::archives::Statement;
use workflow::port::audit::{AuditAct, AuditEntry, AuditOutcome};
use workflow::port::clock::{Clock as _, SystemClock};
use workflow::port::store::{Bounds, HistoryPlace, ROWS_SINCE, Store, Updated};

use crate::app::{self, Schema};
use crate::args::archive::Archive;
use crate::operate::{NOT_CONFIRMED, by, confirmed};
use crate::settings::{Knobs, Settings};
use file::Written;

/// Payments looked at together.
const PAGE: u32 = 250;

/// Payments between two lines of progress.
const PROGRESS_EVERY: usize = 10_000;

/// Runs it.
pub(crate) async fn run(knobs: &Knobs, archive: &Archive) -> anyhow::Result<ExitCode> {
    let settings = Settings::read(knobs)?;
    let store = app::open_store(&settings, Schema::Expect).await?;
    // One that is not mounted must not be taken for an empty one.
    if !archive.to.is_dir() {
        bail!("{} is no folder; make it first", archive.to.display());
    }
    let is_asked = archive.remove && !archive.dry_run && !archive.yes;
    if is_asked && std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
        eprintln!("Histories are removed from the database; from then on they are only in {}.", archive.to.display());
        if !confirmed() {
            return Ok(ExitCode::from(NOT_CONFIRMED));
        }
    }
    let before = archive.older_than.before(SystemClock.now());
    let mut run = Run { store, archive, before, chosen: Vec::new(), tally: Tally::default() };
    run.walk().await?;
    run.tally.print(archive)?;
    Ok(if run.tally.broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A payment whose history goes into the next file.
struct Chosen {
    payment: Payment,
    rows: Vec<HistoryRow>,
    prefix: Prefix,
}

/// What came of it.
#[derive(Default)]
struct Tally {
    looked_at: usize,
    payments: usize,
    rows: usize,
    removed: usize,
    /// Moved between reading and removing.
    moved: usize,
    broken: usize,
    left: BTreeMap<Stays, usize>,
    files: Vec<Written>,
}

struct Run<'a> {
    store: Arc<dyn Store>,
    archive: &'a Archive,
    before: Timestamp,
    chosen: Vec<Chosen>,
    tally: Tally,
}

impl Run<'_> {
    /// From the oldest history that is in the database to the youngest that may be old enough.
    async fn walk(&mut self) -> anyhow::Result<()> {
        let mut between = Bounds::accepted_before(self.before);
        loop {
            let ids = self.store.unarchived(between, PAGE).await?;
            let Some(last) = ids.last() else { break };
            between.above = last.uuid();
            self.choose(&ids).await?;
            while self.chosen.len() >= self.per_file() {
                let rest = self.chosen.split_off(self.per_file());
                let full = std::mem::replace(&mut self.chosen, rest);
                self.put_away(full).await?;
            }
            let looked_at = self.tally.looked_at;
            self.tally.looked_at += ids.len();
            if looked_at / PROGRESS_EVERY != self.tally.looked_at / PROGRESS_EVERY {
                let Tally { looked_at, payments, removed, broken, .. } = self.tally;
                eprintln!("… {looked_at} payments looked at, {payments} archived, {removed} removed, {broken} broken");
            }
        }
        let rest = std::mem::take(&mut self.chosen);
        if rest.is_empty() { Ok(()) } else { self.put_away(rest).await }
    }

    /// Takes those that qualify and verify.
    async fn choose(&mut self, ids: &[PaymentId]) -> anyhow::Result<()> {
        let mut payments = Vec::with_capacity(ids.len());
        for (payment, id) in self.store.load(ids).await?.into_iter().zip(ids) {
            match payment {
                None => self.is_broken(*id, "it has a history, and no row"),
                Some(payment) => match stays(&payment, self.before) {
                    Some(why) => *self.tally.left.entry(why).or_default() += 1,
                    None => payments.push(payment),
                },
            }
        }
        let from_the_start = |payment: &Payment| HistoryPlace { payment_id: payment.id, seq: 0 };
        let places: Vec<HistoryPlace> = payments.iter().map(from_the_start).collect();
        let histories = self.store.history_since(&places).await?;
        for (payment, mut rows) in payments.into_iter().zip(histories) {
            // A long one was not read to its end, and one with a gap not beyond it.
            if rows.len() >= ROWS_SINCE as usize || rows.last().is_none_or(|last| last.seq != payment.seq) {
                rows = self.store.history(payment.id).await?;
            }
            match verified(&payment, &rows) {
                Ok(prefix) => self.chosen.push(Chosen { payment, rows, prefix }),
                // Another row than the payment's last one is there: it moved after it was read, and is not so old.
                Err(_) if rows.last().is_some_and(|last| last.seq > payment.seq) => self.tally.moved += 1,
                Err(broken) => self.is_broken(payment.id, &broken.to_string()),
            }
        }
        Ok(())
    }

    fn per_file(&self) -> usize {
        self.archive.per_file.into()
    }

    fn is_broken(&mut self, id: PaymentId, why: &str) {
        self.tally.broken += 1;
        eprintln!("{id}  left as it is: {why}");
    }

    /// Writes these into a file, and removes them.
    async fn put_away(&mut self, chosen: Vec<Chosen>) -> anyhow::Result<()> {
        self.tally.payments += chosen.len();
        self.tally.rows += chosen.iter().map(|chosen| chosen.rows.len()).sum::<usize>();
        if self.archive.dry_run {
            return Ok(());
        }
        let written = self.write(&chosen)?;
        if self.archive.remove {
            self.remove(&chosen, &written).await?;
        }
        self.tally.files.push(written);
        Ok(())
    }

    /// Nothing is believed of the file but what is read back from it.
    fn write(&self, chosen: &[Chosen]) -> anyhow::Result<Written> {
        let to = &self.archive.to;
        let histories = chosen.iter().map(|chosen| (&chosen.payment, chosen.rows.as_slice()));
        let written = file::write(to, histories).with_context(|| format!("cannot write to {}", to.display()))?;
        let read = file::read(&to.join(&written.name), written.sha256);
        let read = read.with_context(|| format!("cannot read back {}", written.name))?;
        let is_same = read.len() == chosen.len()
            && read
                .iter()
                .zip(chosen)
                .all(|(read, chosen)| read.payment_id == chosen.payment.id && read.rows == chosen.rows);
        if !is_same {
            bail!("{} does not read back as what was written: nothing of it was removed", written.name);
        }
        Ok(written)
    }

    async fn remove(&mut self, chosen: &[Chosen], written: &Written) -> anyhow::Result<()> {
        let now = SystemClock.now();
        let statements: Vec<Statement> = chosen
            .iter()
            .map(|chosen| Statement {
                payment_id: chosen.payment.id,
                prefix: chosen.prefix.clone(),
                archived_at: now,
                file: written.name.clone(),
                file_sha256: written.sha256,
            })
            .collect();
        let results = self.store.archive(&statements, &self.entry(chosen.len(), written, now)).await?;
        for (result, statement) in results.iter().zip(&statements) {
            match result {
                Updated::Applied => self.tally.removed += 1,
                Updated::Conflict => {
                    self.tally.moved += 1;
                    eprintln!("{}  moved meanwhile: its history stays", statement.payment_id);
                }
            }
        }
        Ok(())
    }

    /// One for each file, written with the removal. It is a note: release 0.1.0, which may still run beside this one, cannot show
    /// a log with an act that it does not know.
    fn entry(&self, histories: usize, written: &Written, at: Timestamp) -> AuditEntry {
        let by = by(&self.archive.operator, self.archive.why.as_deref().unwrap_or_default());
        AuditEntry {
            id: AuditId::new(at, rand::random()),
            at,
            actor: by.operator,
            role: by.role,
            act: AuditAct::Note,
            payment_id: None,
            subject: Some(written.name.clone()),
            reason: Some(format!("archived and removed {histories} histories, SHA-256 {}: {}", written.sha256, by.why)),
            outcome: AuditOutcome::Done,
            via: by.via,
            remote: by.remote,
        }
    }
}

/// What the rows come to, when they verify: alone, and as the statement that will stand in their place.
fn verified(payment: &Payment, rows: &[HistoryRow]) -> Result<Prefix, BrokenChain> {
    let prefix = Prefix::default().followed_by(payment.id, rows)?;
    history::verify_after(prefix.clone(), payment, &[])?;
    Ok(prefix)
}

impl Tally {
    fn print(&self, archive: &Archive) -> anyhow::Result<()> {
        let Self { payments, rows, removed, moved, broken, .. } = self;
        if archive.json {
            let files: Vec<_> =
                self.files.iter().map(|file| json!({"name": file.name, "sha256": file.sha256.to_string()})).collect();
            let left: BTreeMap<&str, usize> = self.left.iter().map(|(why, count)| (why.into(), *count)).collect();
            let told = json!({
                "dry_run": archive.dry_run, "archived": payments, "rows": rows, "removed": removed,
                "moved_meanwhile": moved, "broken": broken, "left": left, "files": files,
            });
            println!("{}", serde_json::to_string_pretty(&told).context("cannot write JSON")?);
            return Ok(());
        }
        for file in &self.files {
            println!("{}  {}", file.sha256, file.name);
        }
        let would = if archive.dry_run { "would be " } else { "" };
        println!(
            "{payments} histories with {rows} rows {would}archived in {} files; {removed} removed from the database, {moved} moved \
             meanwhile; {broken} broken and left.",
            if archive.dry_run { payments.div_ceil(usize::from(archive.per_file)) } else { self.files.len() },
        );
        for (why, count) in &self.left {
            println!("{count} left: {}", why.told());
        }
        Ok(())
    }
}
