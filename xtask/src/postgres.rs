//! A throw-away PostgreSQL: as durable as a real one, gone when it is dropped.
//!
//! Deliberately not here: finding or installing the programs (`prerequisites`), and any schema of ours.

use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use tempfile::TempDir;

use crate::prerequisites::{self, Programs};
use crate::process::{self, free_port};
use crate::services;

/// What a test or the program is told: the tests create databases of their own from it, so it is a superuser's.
pub(crate) const URL_VARIABLE: &str = "FINCORE_TEST_POSTGRES_URL";
/// The database that URL names.
pub(crate) const TEST_DATABASE: &str = "fincore_test";

/// The superuser of the throw-away server.
pub(crate) const SUPERUSER: &str = "fincore";
/// Users a minimal system may have for us, the best first: the server refuses to run as root.
const UNPRIVILEGED_USERS: [&str; 2] = ["postgres", "nobody"];
/// Another program may take the free port before the server does.
const START_TRIES: u32 = 3;
/// A start takes well below a second; a busy two-core machine has been seen to need several.
const READY_POLL: Duration = Duration::from_millis(100);
const READY_POLLS: u32 = 300;

/// Differences from the server's defaults. Durability is spelled out: commits must cost what they cost in earnest.
const SETTINGS: [(&str, &str); 5] = [
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("max_connections", "200"),
    ("listen_addresses", "127.0.0.1"),
    ("unix_socket_directories", ""),
];

/// A running server. Dropping it stops the server and removes its data.
pub(crate) struct Server {
    programs: Programs,
    owner: Option<User>,
    /// Holds `data` and the log.
    folder: TempDir,
    port: u16,
    process: Option<Child>,
}

impl Server {
    /// Creates a fresh cluster and starts it on a free port of the loopback interface.
    pub(crate) async fn start(programs: Programs) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("fincore-postgres-").tempdir().context("no temporary folder")?;
        let owner = if prerequisites::is_root()? { Some(unprivileged_user()?) } else { None };
        if let Some(owner) = &owner {
            chown(folder.path(), Some(owner.uid), Some(owner.gid))
                .with_context(|| format!("cannot give {} to user {}", folder.path().display(), owner.name))?;
        }
        let mut server = Self { programs, owner, folder, port: 0, process: None };
        server.create_cluster().await?;
        for attempt in 1..=START_TRIES {
            match server.try_to_start().await {
                Ok(()) => break,
                Err(error) if attempt == START_TRIES => return Err(error),
                Err(error) => eprintln!("PostgreSQL did not start, trying another port: {error:#}"),
            }
        }
        server.create_database(TEST_DATABASE).await?;
        Ok(server)
    }

    /// The superuser's URL of a database on this server.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://{SUPERUSER}@{}:{}/{database}", Ipv4Addr::LOCALHOST, self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Whom the server runs as, if not as ourselves.
    pub(crate) fn owner(&self) -> Option<&User> {
        self.owner.as_ref()
    }

    /// Drops the database if it is there, creates it, and returns its URL.
    pub(crate) async fn fresh_database(&self, name: &str) -> Result<String> {
        self.administer(format!("drop database if exists {name} with (force)")).await?;
        self.create_database(name).await?;
        Ok(self.url(name))
    }

    /// The variables child programs find this server by.
    pub(crate) fn variables(&self) -> [(&'static str, String); 2] {
        let folder = self.programs.folder.display().to_string();
        [(URL_VARIABLE, self.url(TEST_DATABASE)), (prerequisites::FOLDER_VARIABLE, folder)]
    }

    /// Lets go of the server: it stays up, and the returned text says how to use and how to stop it.
    pub(crate) fn keep(mut self) -> String {
        self.process = None;
        self.folder.disable_cleanup(true);
        let exports = self.exports();
        let (data, folder) = (self.data(), self.folder.path());
        let stop = format!("{} stop -m immediate -D {}", self.programs.path("pg_ctl").display(), data.display());
        let stop = match &self.owner {
            Some(owner) => {
                format!("setpriv --reuid={} --regid={} --clear-groups -- {stop}", owner.uid, owner.gid)
            }
            None => stop,
        };
        format!("{exports}\nTo stop it:\n{stop} && rm -r {}", folder.display())
    }

    fn exports(&self) -> String {
        services::exports(&self.variables())
    }

    async fn create_cluster(&self) -> Result<()> {
        let mut initdb = self.program("initdb");
        initdb.arg("--pgdata").arg(self.data()).args(["--username", SUPERUSER, "--auth", "trust"]);
        // Nothing of the fresh cluster needs to survive a power cut yet.
        initdb.args(["--encoding", "UTF8", "--locale", "C", "--no-sync"]);
        process::run_quietly(&mut initdb.into()).await.context("cannot create a PostgreSQL cluster")
    }

    async fn try_to_start(&mut self) -> Result<()> {
        self.port = free_port()?;
        let log = File::create(self.log()).context("cannot create the server's log")?;
        let mut postgres = self.program("postgres");
        postgres.arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]);
        for (name, value) in SETTINGS {
            postgres.args(["-c", &format!("{name}={value}")]);
        }
        postgres.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // A group of its own: a Ctrl-C in the terminal is for us, and we stop the server last.
        self.process = Some(postgres.process_group(0).spawn().context("cannot start postgres")?);
        self.wait_until_ready().await
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        for _ in 0..READY_POLLS {
            if let Some(process) = &mut self.process
                && let Some(status) = process.try_wait().context("cannot look after postgres")?
            {
                self.process = None;
                bail!("postgres ended at once ({status}):\n{}", self.log_text());
            }
            if let Ok(connection) = self.connect("postgres").await {
                return connection.close().await.context("cannot close the first connection");
            }
            tokio::time::sleep(READY_POLL).await;
        }
        bail!("postgres does not answer on port {}:\n{}", self.port, self.log_text())
    }

    async fn create_database(&self, name: &str) -> Result<()> {
        self.administer(format!("create database {name}")).await
    }

    async fn administer(&self, statement: String) -> Result<()> {
        let mut connection = self.connect("postgres").await.context("cannot connect to the throw-away PostgreSQL")?;
        let done = sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(&mut connection).await;
        done.with_context(|| statement)?;
        connection.close().await.context("cannot close a connection")
    }

    async fn connect(&self, database: &str) -> sqlx::Result<PgConnection> {
        let options: PgConnectOptions = self.url(database).parse()?;
        options.connect().await
    }

    /// One of the server's programs, run as the user the data belongs to.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.path(name));
        command.current_dir(self.folder.path()).env_remove("PGDATA");
        if let Some(owner) = &self.owner {
            command.uid(owner.uid).gid(owner.gid);
        }
        command
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("postgres.log")
    }

    fn log_text(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_else(|error| format!("(its log cannot be read: {error})"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        if let Err(error) = self.stop() {
            eprintln!("pg_ctl cannot stop PostgreSQL ({error}); killing it.");
            // It may have ended by itself; waiting for it below tells.
            let _ = process.kill();
        }
        if let Err(error) = process.wait() {
            eprintln!("cannot wait for PostgreSQL to end: {error}");
        }
    }
}

impl Server {
    /// Without a checkpoint: the data goes next.
    fn stop(&self) -> io::Result<()> {
        let mut stop = self.program("pg_ctl");
        stop.args(["stop", "--wait", "--silent", "--mode", "immediate", "--pgdata"]).arg(self.data());
        // The terminal's Ctrl-C, pressed again, must not end this halfway.
        let output = stop.process_group(0).stdin(Stdio::null()).output()?;
        if output.status.success() {
            return Ok(());
        }
        Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}

/// `cargo xtask postgres`: runs until it is interrupted.
pub(crate) async fn serve() -> Result<()> {
    let server = Server::start(prerequisites::postgres().await?).await?;
    println!("A throw-away PostgreSQL is up; Ctrl-C stops it and removes its data. In another terminal:\n");
    println!("{}", server.exports());
    std::future::pending().await
}

/// An account to run the server under.
pub(crate) struct User {
    name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

fn unprivileged_user() -> Result<User> {
    let accounts = fs::read_to_string("/etc/passwd").context("cannot read the machine's accounts")?;
    UNPRIVILEGED_USERS.iter().find_map(|name| account(&accounts, name)).with_context(|| {
        format!("PostgreSQL refuses to run as root, and there is no user {}", UNPRIVILEGED_USERS.join(" or "))
    })
}

/// A line is `name:password:uid:gid:…`.
fn account(accounts: &str, name: &str) -> Option<User> {
    let mut lines = accounts.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let fields = lines.find(|fields| fields.first() == Some(&name))?;
    let (uid, gid) = (fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?);
    Some(User { name: name.to_owned(), uid, gid })
}
