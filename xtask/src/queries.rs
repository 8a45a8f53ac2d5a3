//! The offline data of the checked queries: `.sqlx` in each database crate, in step with migrations and queries.
//!
//! A build takes these files at their word, so the gate makes them again from freshly migrated databases and
//! compares. The macros of sqlx write them while they compile: with `SQLX_OFFLINE` off and the crate's URL variable
//! set they ask the database, and with `SQLX_OFFLINE_DIR` set they save the answers there.
//!
//! Deliberately not here: what the queries do; and the files are never edited by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use tempfile::TempDir;

use crate::postgres::Server;
use crate::{prerequisites, process};

/// How to bring the files back in step.
const REMEDY: &str = "cargo xtask sqlx";
/// The database the PostgreSQL queries are checked on.
const DATABASE: &str = "fincore_queries";

/// A crate with checked queries.
struct Crate {
    package: &'static str,
    folder: &'static str,
    /// Named as `database-url-var` in the crate's `sqlx.toml`.
    url_variable: &'static str,
    migrations: &'static str,
}

const POSTGRES: Crate = Crate {
    package: "workflow-postgres",
    folder: "workflow/postgres",
    url_variable: "FINCORE_POSTGRES_URL",
    migrations: "migrations/postgres",
};

const SQLITE: Crate = Crate {
    package: "workflow-sqlite",
    folder: "workflow/sqlite",
    url_variable: "FINCORE_SQLITE_URL",
    migrations: "migrations/sqlite",
};

/// File name to contents.
type Files = BTreeMap<String, String>;

/// Writes the committed files of both crates again, on a server of its own.
pub(crate) async fn write() -> Result<()> {
    let server = Server::start(prerequisites::postgres().await?).await?;
    // Both, before either is written: a query that does not compile leaves everything as it was.
    let rendered = [(POSTGRES, postgres(&server).await?), (SQLITE, sqlite().await?)];
    for (owner, files) in rendered {
        replace(&owner.committed(), &files)?;
        println!("{}: {} queries", owner.committed().display(), files.len());
    }
    Ok(())
}

/// Fails if a committed file differs from what the databases say.
pub(crate) async fn check(server: &Server) -> Result<()> {
    let mut differences = Vec::new();
    for (owner, files) in [(POSTGRES, postgres(server).await?), (SQLITE, sqlite().await?)] {
        let found = read(&owner.committed())?;
        println!("{}: {} queries", owner.package, files.len());
        differences.extend(compare(&found, &files).into_iter().map(|line| format!("{}/.sqlx/{line}", owner.folder)));
    }
    if differences.is_empty() {
        return Ok(());
    }
    bail!("the offline query data is out of step:\n{}\nto fix it: {REMEDY}", differences.join("\n"))
}

async fn postgres(server: &Server) -> Result<Files> {
    let url = server.fresh_database(DATABASE).await?;
    let mut connection = PgConnection::connect(&url).await.context("cannot connect to the fresh database")?;
    POSTGRES.migrator().await?.run(&mut connection).await.context("cannot apply migrations/postgres")?;
    connection.close().await?;
    POSTGRES.render(&url).await
}

async fn sqlite() -> Result<Files> {
    let folder = TempDir::new().context("no temporary folder")?;
    let file = folder.path().join("queries.db");
    let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
    let mut connection = options.connect().await.context("cannot create a fresh SQLite database")?;
    SQLITE.migrator().await?.run(&mut connection).await.context("cannot apply migrations/sqlite")?;
    connection.close().await?;
    SQLITE.render(&format!("sqlite://{}", file.display())).await
}

impl Crate {
    fn committed(&self) -> PathBuf {
        crate::root().join(self.folder).join(".sqlx")
    }

    /// The migrations, applied the way the program applies them.
    async fn migrator(&self) -> Result<Migrator> {
        let read = Migrator::new(crate::root().join(self.migrations)).await;
        read.with_context(|| format!("cannot read {}", self.migrations))
    }

    /// Compiles the crate against the database and collects what the macros saved.
    async fn render(&self, url: &str) -> Result<Files> {
        let folder = TempDir::new().context("no temporary folder")?;
        let _touched = Touched::new(crate::root().join(self.folder).join("src/lib.rs"), folder.path())?;
        // Naming this package too makes the features, and so the compiled dependencies, those it was built with.
        let ours = env!("CARGO_PKG_NAME");
        let mut build = process::cargo(["build", "--locked", "--lib", "--package", self.package, "--package", ours]);
        build.env("SQLX_OFFLINE", "false").env("SQLX_OFFLINE_DIR", folder.path()).env(self.url_variable, url);
        process::run(&mut build).await.with_context(|| format!("cannot check the queries of {}", self.package))?;
        read(folder.path())
    }
}

/// A source file that looks just changed, so that its crate is compiled once more; dropping it puts the old time
/// back, so that everything compiled from it before still counts as fresh.
struct Touched {
    path: PathBuf,
    modified: SystemTime,
}

impl Touched {
    /// `just_made` is a file or folder whose own time is "now".
    fn new(path: PathBuf, just_made: &Path) -> Result<Self> {
        let modified = modified(&path)?;
        set_modified(&path, self::modified(just_made)?)?;
        Ok(Self { path, modified })
    }
}

impl Drop for Touched {
    fn drop(&mut self) {
        if let Err(error) = set_modified(&self.path, self.modified) {
            eprintln!("{error:#}");
        }
    }
}

fn modified(path: &Path) -> Result<SystemTime> {
    let time = fs::metadata(path).and_then(|metadata| metadata.modified());
    time.with_context(|| format!("cannot read the time of {}", path.display()))
}

fn set_modified(path: &Path, time: SystemTime) -> Result<()> {
    let set = File::options().append(true).open(path).and_then(|file| file.set_modified(time));
    set.with_context(|| format!("cannot set the time of {}", path.display()))
}

/// No folder is an empty one: a crate without queries needs none.
fn read(folder: &Path) -> Result<Files> {
    let mut files = Files::new();
    if !folder.exists() {
        return Ok(files);
    }
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let entry = entry?;
        let text =
            fs::read_to_string(entry.path()).with_context(|| format!("cannot read {}", entry.path().display()))?;
        files.insert(entry.file_name().to_string_lossy().into_owned(), text);
    }
    Ok(files)
}

fn replace(folder: &Path, files: &Files) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for name in read(folder)?.keys().filter(|name| !files.contains_key(*name)) {
        fs::remove_file(folder.join(name)).with_context(|| format!("cannot remove {name}"))?;
    }
    for (name, text) in files {
        fs::write(folder.join(name), text).with_context(|| format!("cannot write {name}"))?;
    }
    Ok(())
}

/// One line per file that differs, with the query it is about.
fn compare(found: &Files, wanted: &Files) -> Vec<String> {
    let names: BTreeSet<_> = found.keys().chain(wanted.keys()).collect();
    let line = |name: &String| match (found.get(name), wanted.get(name)) {
        (None, Some(text)) => Some(format!("{name} is missing: {}", query(text))),
        (Some(text), None) => Some(format!("{name} belongs to no query: {}", query(text))),
        (Some(old), Some(new)) if old != new => Some(format!("{name} is outdated: {}", query(new))),
        (Some(_), Some(_)) | (None, None) => None,
    };
    names.into_iter().filter_map(line).collect()
}

/// The beginning of the query's text, on one line.
fn query(file: &str) -> String {
    const LENGTH: usize = 90;
    let json: serde_json::Value = serde_json::from_str(file).unwrap_or_default();
    let text = json.get("query").and_then(serde_json::Value::as_str).unwrap_or("(not a query file)");
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(LENGTH).collect()
}

#[cfg(test)]
mod tests {
    use super::{Files, compare};

    fn files(entries: &[(&str, &str)]) -> Files {
        entries.iter().map(|(name, query)| (name.to_string(), format!("{{\"query\": \"{query}\"}}"))).collect()
    }

    #[test]
    fn files_in_step_are_not_mentioned() {
        assert!(compare(&files(&[("a", "select 1")]), &files(&[("a", "select 1")])).is_empty());
    }

    #[test]
    fn every_kind_of_difference_is_named_with_its_query() {
        let found = files(&[("a", "select 1"), ("b", "select 2")]);
        let wanted = files(&[("b", "select  3"), ("c", "select 4")]);
        let told = compare(&found, &wanted);
        let expected = ["a belongs to no query: select 1", "b is outdated: select 3", "c is missing: select 4"];
        assert_eq!(told, expected);
    }
}
