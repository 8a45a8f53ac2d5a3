//! The command lines of `fincore archive` and `fincore verify`.

use std::path::PathBuf;

use super::dlq::Since;

/// Options of `fincore archive`.
#[derive(clap::Args, Debug)]
pub(crate) struct Archive {
    /// Histories of payments that ended, and were last heard of, before then: so long ago (400d), or a time (2026-01-31T08:00:00Z)
    #[arg(long, value_name = "WHEN", value_parser = super::dlq::since)]
    pub(crate) older_than: Since,
    /// The folder for the files; it has to be there
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
    /// Histories in one file, which are also removed together: some milliseconds each for everybody else who writes to SQLite
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=5_000))]
    pub(crate) per_file: u16,
    /// Also remove these histories from the database, each after its file is safe on disk
    #[arg(long, requires = "why")]
    pub(crate) remove: bool,
    /// Why: goes into the audit log
    #[arg(long, value_name = "TEXT")]
    pub(crate) why: Option<String>,
    /// Who you are: goes into the audit log
    #[arg(long, env = "USER", default_value = "operator")]
    pub(crate) operator: String,
    /// Verify and count what would be archived, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask before removing
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,
    /// Print JSON for programs
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `fincore verify`.
#[derive(clap::Args, Debug)]
pub(crate) struct Verify {
    /// Also recompute what is archived: folders with its files, or the files
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(crate) archive: Vec<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::args::Args;

    #[test]
    fn what_is_removed_is_removed_for_a_reason() {
        let parse = |words: &str| Args::try_parse_from(["fincore"].into_iter().chain(words.split(' ')));
        for good in [
            "archive --older-than 400d --to /archive",
            "archive --older-than 2026-01-31T08:00:00Z --to . --dry-run --json",
            "archive --older-than 400d --to . --remove --why retention --operator ada -y",
            "verify",
            "verify --archive /archive a.jsonl.gz",
        ] {
            parse(good).unwrap_or_else(|error| panic!("{good}: {error}"));
        }
        for bad in [
            "archive --to .",
            "archive --older-than 400d",
            "archive --older-than 1d --to . --remove",
            "archive --older-than 1d --to . --per-file 0",
            "verify --archive",
        ] {
            assert!(parse(bad).is_err(), "{bad} was accepted");
        }
    }
}
