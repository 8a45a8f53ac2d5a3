//! A backup made while charges run, the machine lost, the backup restored: the PSP remembers calls that the database has
//! forgotten.
//!
//! Charges that the backup knows go on and are charged once, because their calls have the keys they had before. Charges that were
//! accepted after the backup are gone from the database, and only the PSP knows them.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fincore_tests::books;
use fincore_tests::database::TestDatabase;
use fincore_tests::process::Running;
use fincore_tests::site::{PATIENCE, Site, Webhooks, Workers};
use rand::{RngExt, SeedableRng};
use sandbox::{Delivery, EntryKind};
use serde_json::json;
use tempfile::TempDir;
use workflow::definition::{self, State};
use workflow::ids::PaymentId;

use crate::plan;

/// Charges in one run, the time over which they come, and when the backup is made.
const CHARGES: usize = 120;
const ARRIVALS: Duration = Duration::from_secs(6);
const BACKUP_AFTER: Duration = Duration::from_secs(3);
/// How long the PSP is down before it.
const DOWN: Duration = Duration::from_millis(500);

/// A backup, and how this kind of database is restored from it.
struct Copy {
    file: PathBuf,
    _folder: TempDir,
}

impl Copy {
    /// Made by what `docs/OPERATIONS.md` says, while the database is in use.
    fn make(site: &Site, database: &TestDatabase) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("backup");
        if database.is_postgres() {
            let to = format!("--file={}", file.display());
            postgres("pg_dump", &["--format=custom", &to, &plain(&database.url())]);
        } else {
            let made = site.program.run(&["backup", file.to_str().unwrap()]);
            assert!(made.contains("The database is in"), "{made}");
            let again = site.program.print(&["backup", file.to_str().unwrap()]);
            assert!(!again.is_success && again.complaint.contains("exists already"), "{}", again.complaint);
        }
        Self { file, _folder: folder }
    }

    async fn restore(&self) -> TestDatabase {
        match TestDatabase::postgres().await.filter(|_| !is_sqlite(&self.file)) {
            Some(database) => {
                let to = format!("--dbname={}", plain(&database.url()));
                postgres("pg_restore", &["--exit-on-error", "--no-owner", &to, self.file.to_str().unwrap()]);
                database
            }
            None => {
                let database = TestDatabase::sqlite();
                let url = database.url();
                std::fs::copy(&self.file, url.strip_prefix("sqlite:").unwrap()).unwrap();
                database
            }
        }
    }
}

fn is_sqlite(file: &Path) -> bool {
    std::fs::read(file).unwrap().starts_with(b"SQLite format 3")
}

/// The programs of PostgreSQL do not know our driver's parameters.
fn plain(url: &str) -> String {
    url.split('?').next().unwrap().to_owned()
}

fn postgres(program: &str, arguments: &[&str]) {
    let folder = std::env::var("FINCORE_PG_BIN").expect("who starts PostgreSQL says where its programs are");
    let output = Command::new(Path::new(&folder).join(program)).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Charges come and end; returns all of them, and the backup from the middle.
async fn first_life(site: &Arc<Site>, database: &TestDatabase) -> (Vec<PaymentId>, Copy) {
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
    let running = site.start();
    let clients: Vec<_> = (0..CHARGES)
        .map(|number| {
            let (site, start) = (Arc::clone(site), rng.random_range(Duration::ZERO..ARRIVALS));
            tokio::spawn(async move {
                tokio::time::sleep(start).await;
                site.charge(&format!("client-{number}"), &body(number)).await
            })
        })
        .collect();
    tokio::time::sleep(BACKUP_AFTER).await;
    // So that the backup has charges about which the PSP has heard nothing yet, but will.
    site.sandbox.set_down(true);
    tokio::time::sleep(DOWN).await;
    let copy = Copy::make(site, database);
    site.sandbox.set_down(false);
    let mut accepted = Vec::new();
    for client in clients {
        accepted.push(client.await.unwrap());
    }
    site.until_ended(&accepted).await;
    running.into_iter().for_each(Running::kill);
    (accepted, copy)
}

fn body(number: usize) -> serde_json::Value {
    let processing = "pm_sandbox_processing";
    let methods = ["pm_card_visa", processing, "pm_sandbox_answer_lost", processing, "pm_sandbox_throttled_twice"];
    json!({"amount": 1000 + number, "currency": "eur", "payment_method": methods[number % methods.len()]})
}

/// The PSP's news went to the database that is lost. After half an hour a worker would ask by itself; here a person does, as
/// soon as nothing but news is waited for.
async fn ask_what_was_missed(site: &Site) {
    let begun = Instant::now();
    let waiting = loop {
        let open = site.store.walk(None, 1_000).await.unwrap();
        let open: Vec<_> = open.into_iter().filter(|payment| !definition::has_ended(payment.state)).collect();
        if open.iter().all(|payment| payment.state == State::AwaitingWebhook) {
            break open;
        }
        assert!(begun.elapsed() < PATIENCE, "{:?}", open.iter().map(|payment| payment.state).collect::<Vec<_>>());
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert!(!waiting.is_empty(), "some of the news that was missed mattered");
    let ids: Vec<String> = waiting.iter().map(|payment| payment.id.to_string()).collect();
    let mut inquire = vec!["inquire", "--operator", "ada", "--why", "restored from a backup", "--yes"];
    inquire.extend(ids.iter().map(String::as_str));
    site.program.run(&inquire);
}

fincore_tests::on_each_database! {
    async fn restored_to_an_earlier_moment_no_payment_is_charged_twice(database: TestDatabase) {
        let mut site = Arc::new(Site::build(&database, plan(Workers::Inside, None, Webhooks::Sent)).await);
        let (accepted, copy) = first_life(&site, &database).await;
        let restored = copy.restore().await;
        let site_again = Arc::get_mut(&mut site).unwrap();
        site_again.program.env.push(("FINCORE_DATABASE_URL", restored.url()));
        site_again.store = restored.unmigrated_store().await;
        let verified = site.program.run(&["verify"]);
        assert!(verified.contains("0 broken"), "{verified}");

        let known = site.store.walk(None, 1_000).await.unwrap();
        let ids: Vec<PaymentId> = known.iter().map(|payment| payment.id).collect();
        let orphans: Vec<_> = accepted.iter().filter(|id| !ids.contains(id)).map(ToString::to_string).collect();
        let captured = |id: &str| {
            let of = |entry: &sandbox::Entry| entry.kind == EntryKind::Captured && entry.reference.as_deref() == Some(id);
            site.sandbox.ledger().iter().any(of)
        };
        let unheard = known.iter().filter(|payment| payment.psp_reference.is_none()).count();
        assert!(unheard > 0, "some were not registered yet");
        let forgotten = known.iter().filter(|payment| !definition::has_ended(payment.state));
        let forgotten = forgotten.filter(|payment| captured(&payment.id.to_string())).count();
        assert!(forgotten > 0, "the PSP has captured what the backup believes to be open");
        assert!(orphans.iter().any(|id| captured(id)), "and what the backup has never heard of");

        let running = site.start();
        ask_what_was_missed(&site).await;
        let payments = site.until_ended(&ids).await;
        let books = site.sandbox.ledger();
        for payment in &payments {
            assert_eq!(payment.state, State::Succeeded, "{}", site.ledger(payment.id).await);
            books::agree(payment, books.clone());
        }
        let captures: Vec<_> = books.iter().filter(|entry| entry.kind == EntryKind::Captured).collect();
        let references: HashSet<_> = captures.iter().map(|entry| entry.reference.clone()).collect();
        assert_eq!(captures.len(), references.len(), "orphans, too, were captured at most once");

        // What the PSP still tells of orphans is kept for a person.
        let from_orphans = captures.iter().filter(|entry| orphans.contains(entry.reference.as_ref().unwrap()));
        let intents: HashSet<_> = from_orphans.map(|entry| entry.payment_intent.clone()).collect();
        let of_orphans = |event: &sandbox::EventRecord| {
            event.kind == "payment_intent.succeeded" && intents.contains(&event.payment_intent)
        };
        let news = site.sandbox.events().into_iter().find(of_orphans).unwrap();
        assert_eq!(site.sandbox.resend_webhook(&news.id).await, Delivery::Delivered);
        assert!(restored.number("select count(*) from webhook_events where outcome = 'unmatched'").await > 0);
        for process in running {
            assert!(process.terminate().await, "SIGTERM ends the process well");
        }
        let verified = site.program.run(&["verify"]);
        assert!(verified.contains(&format!("{} payments", ids.len())) && verified.contains("0 broken"), "{verified}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_fincores_is_backed_up_and_only_sqlite() {
    let database = TestDatabase::sqlite();
    let program = |url: String| fincore_tests::process::Program {
        binary: env!("CARGO_BIN_EXE_fincore-under-test"),
        env: vec![("FINCORE_DATABASE_URL", url)],
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup");
    let file = file.to_str().unwrap();
    let refused = program(database.url()).print(&["backup", file]);
    assert!(!refused.is_success && refused.complaint.contains("fincore migrate"), "{}", refused.complaint);
    let refused = program("postgres://nobody@127.0.0.1:1/nothing".to_owned()).print(&["backup", file]);
    assert!(!refused.is_success && refused.complaint.contains("pg_dump"), "{}", refused.complaint);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
}
