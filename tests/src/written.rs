//! What a test run writes: log lines, pages, metrics and traces are kept in the folder that the environment names, so that
//! the gate can search all of it for secrets at its end. Without a folder nothing is kept.
//!
//! Not here: the search (`suite/secrets.rs`).

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::ChildStderr;
use std::sync::{Mutex, OnceLock, PoisonError};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Names the folder.
pub const FOLDER: &str = "FINCORE_TEST_WRITTEN";

/// What is logged for the search: more of ours than anybody has in production, and of libraries as much.
pub const FILTER: &str = "info,workflow=debug,workflow_postgres=debug,workflow_sqlite=debug,workflow_aws=debug,workflow_redis=debug,\
     activities=debug,api=debug,ops=debug,fincore=debug,fincore_lambda=debug";

/// A kind of thing that is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, strum::EnumIter, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Kind {
    /// Log lines of programs.
    ProcessLog,
    /// Log lines of what runs within tests, each span with its fields among them.
    Log,
    /// The operators' pages.
    Page,
    /// What `/metrics` shows.
    Metrics,
    /// Spans, as a collector gets them.
    Spans,
    /// What commands print.
    Command,
    /// No output: what must be in none.
    Secret,
}

/// The folder, if there is one.
#[must_use]
pub fn folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

/// Keeps something that was written. Each process has a file of each kind.
///
/// # Panics
/// When the folder cannot be written to: a search over half of it would find half of it.
pub fn keep(kind: Kind, bytes: &[u8]) {
    static TURN: Mutex<()> = Mutex::new(());
    let Some(mut file) = file(kind) else { return };
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    file.write_all(bytes).and_then(|()| file.write_all(b"\n")).expect("what is written can be kept");
}

/// Remembers a secret that was made by chance.
pub fn is_secret(secret: &str) {
    keep(Kind::Secret, secret.as_bytes());
}

fn file(kind: Kind) -> Option<File> {
    let folder = folder()?.join(<&str>::from(kind));
    std::fs::create_dir_all(&folder).expect("the folder can be written to");
    let path = folder.join(format!("{}-{}", std::process::id(), started()));
    Some(OpenOptions::new().create(true).append(true).open(path).expect("the folder can be written to"))
}

/// Processes of one run may have the same number, one after the other.
fn started() -> u128 {
    static STARTED: OnceLock<u128> = OnceLock::new();
    *STARTED.get_or_init(|| {
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("the clock is not before 1970");
        since.as_nanos()
    })
}

/// Keeps what this process logs from now on; what it counts is kept with [`keep_metrics`].
pub fn begin() {
    static BEGUN: std::sync::Once = std::sync::Once::new();
    let Some(log) = file(Kind::Log) else { return };
    BEGUN.call_once(|| {
        // A test that has a subscriber of its own keeps it.
        let filter: Targets = FILTER.parse().expect("a filter");
        let log = fmt::layer().json().with_span_events(FmtSpan::CLOSE).with_writer(Mutex::new(log));
        let _ = tracing_subscriber::registry().with(log.with_filter(filter)).try_init();
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_ok() {
            let _ = METRICS.set(handle);
        }
    });
}

static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

/// Keeps what this process has counted so far.
pub fn keep_metrics() {
    if let Some(metrics) = METRICS.get() {
        keep(Kind::Metrics, metrics.render().as_bytes());
    }
}

/// Keeps a program's log, and shows what is an error.
pub fn keep_log(stderr: ChildStderr) {
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
            keep(Kind::ProcessLog, &line);
            let text = String::from_utf8_lossy(&line);
            if !text.starts_with('{') || text.contains("\"level\":\"ERROR\"") {
                eprintln!("{text}");
            }
        }
    });
}
