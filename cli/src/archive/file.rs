//! A file of archived histories: one line of JSON a payment, compressed with gzip, named by the times at which its payments were
//! accepted and by the hash of its bytes. Equal histories make equal files, so a run that is repeated writes what it wrote.
//!
//! Not here: what a line holds ([`Archived`]).

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use workflow::history::{Archived, Hash, HistoryRow};
use workflow::payment::Payment;

/// The longest file that is read, compressed and not. Ours are a thousandth of it.
const MAX_BYTES: u64 = 1 << 30;

/// Characters of the hash in a name: more than enough to tell files apart.
const HASH_IN_NAME: usize = 24;

/// A file that is safe on disk.
pub(super) struct Written {
    /// Its name, without the folder.
    pub(super) name: String,
    /// Of its bytes.
    pub(super) sha256: Hash,
}

/// Writes these histories, which are in the order of their payments' ids. When it returns, the file is there for good, under its
/// name and whole: nobody has ever seen a part of it.
pub(super) fn write<'a>(
    folder: &Path,
    histories: impl Iterator<Item = (&'a Payment, &'a [HistoryRow])>,
) -> anyhow::Result<Written> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let mut times: Option<[Timestamp; 2]> = None;
    for (payment, rows) in histories {
        let first = times.map_or(payment.created_at, |[first, _]| first);
        times = Some([first, payment.created_at]);
        encoder.write_all(Archived::line(payment, rows).as_bytes())?;
        encoder.write_all(b"\n")?;
    }
    let bytes = encoder.finish()?;
    let sha256 = Hash::of(&bytes);
    let [first, last] = times.context("a file has at least one history")?.map(|at| at.strftime("%Y%m%dT%H%M%SZ"));
    let hash = sha256.to_string();
    let name = format!("histories-{first}-{last}-{}.jsonl.gz", &hash[..HASH_IN_NAME]);
    let path = folder.join(&name);
    let mut file = tempfile::Builder::new().prefix(".fincore-").suffix(".tmp").tempfile_in(folder)?;
    file.write_all(&bytes)?;
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|error| error.error)?;
    // The name is safe when the folder is.
    File::open(folder)?.sync_all()?;
    Ok(Written { name, sha256 })
}

/// Reads a file whose bytes have to have this hash.
pub(super) fn read(path: &Path, sha256: Hash) -> anyhow::Result<Vec<Archived>> {
    let file = File::open(path)?;
    if file.metadata()?.len() > MAX_BYTES {
        bail!("it is longer than any file of ours");
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes)?;
    let found = Hash::of(&bytes);
    if found != sha256 {
        bail!("its SHA-256 is {found}, not {sha256}");
    }
    let lines = BufReader::new(GzDecoder::new(&bytes[..]).take(MAX_BYTES)).lines();
    lines.map(|line| Ok(Archived::read(&line?)?)).collect()
}
