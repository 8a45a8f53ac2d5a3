//! `fincore archive`: histories of payments that ended long ago leave the database for files, and nothing is lost: by the program
//! itself, with real files.

mod interrupted;
mod rollouts;
mod tampered;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fincore_tests::books::refund_at_the_psp;
use fincore_tests::build;
use fincore_tests::database::TestDatabase;
use fincore_tests::pages::Pages;
use fincore_tests::process::{Printed, Program};
use fincore_tests::world::World;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;
use workflow::definition::State;
use workflow::engine::operator::{Act, Performed};
use workflow::ids::PaymentId;
use workflow::payment::Proposed;
use workflow::port::archives::history_of;
use workflow::port::audit::{AuditAct, AuditEntry, AuditFilter};
use workflow::port::clock::Clock as _;

/// A world, the program over its database, and a folder for files.
struct Archive {
    world: World,
    program: Program,
    folder: TempDir,
}

impl Archive {
    async fn over(database: &TestDatabase) -> Self {
        Self::of(World::over(database.store().await).await, database)
    }

    fn of(world: World, database: &TestDatabase) -> Self {
        let env = vec![("FINCORE_DATABASE_URL", database.url())];
        let program = Program { binary: env!("CARGO_BIN_EXE_fincore-under-test"), env };
        Self { world, program, folder: TempDir::new().unwrap() }
    }

    /// Charges that have succeeded.
    async fn charges(&self, count: usize) -> Vec<PaymentId> {
        let mut ids = Vec::new();
        for _ in 0..count {
            ids.push(self.world.charge("pm_card_visa", "automatic").await);
            // So that ids are in the order of this.
            self.world.clock.skip(Duration::from_millis(2));
        }
        self.world.work().await;
        ids
    }

    /// The command line that archives all that has ended before this world's time.
    fn words(&self, more: &[&str]) -> Vec<String> {
        self.world.clock.skip(Duration::from_secs(1));
        let older_than = self.world.clock.now().to_string();
        let words = ["archive", "--older-than", &older_than, "--to", self.path()];
        words.iter().chain(more).map(|word| (*word).to_owned()).collect()
    }

    fn print(&self, more: &[&str]) -> Printed {
        let words = self.words(more);
        self.program.print(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// The same, which has to succeed, as JSON.
    fn run(&self, more: &[&str]) -> Value {
        let printed = self.print(&[more, &["--json"]].concat());
        assert!(printed.is_success, "{}{}", printed.text, printed.complaint);
        serde_json::from_str(&printed.text).unwrap()
    }

    fn remove(&self) -> Value {
        self.run(&REMOVE)
    }

    fn path(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    /// What `fincore verify` says, with the files, which has to find nothing broken.
    fn verified(&self) -> String {
        let without = self.program.run(&["verify"]);
        assert!(without.contains("; 0 broken."), "{without}");
        let told = self.program.run(&["verify", "--archive", self.path()]);
        assert!(told.contains("; 0 broken.") && !told.contains("were not recomputed"), "{told}");
        told
    }
}

const REMOVE: [&str; 5] = ["--remove", "--why", "retention", "--operator", "ada"];

/// The lines of a file, as another program would read them.
fn lines(file: &Path) -> Vec<Value> {
    let unpacked = std::process::Command::new("gzip").args(["-dc", file.to_str().unwrap()]).output().unwrap();
    assert!(unpacked.status.success());
    String::from_utf8(unpacked.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fincore_tests::on_each_database! {
    async fn old_histories_leave_the_database_and_everything_still_verifies(database: TestDatabase) {
        let archive = Archive::over(&database).await;
        let ids = archive.charges(5).await;
        let mut before = Vec::new();
        for id in &ids {
            before.push(archive.world.store.history(*id).await.unwrap());
        }
        let rows: usize = before.iter().map(Vec::len).sum();
        let told = archive.run(&[&REMOVE[..], &["--per-file", "2"]].concat());
        assert_eq!((&told["archived"], &told["removed"], &told["rows"]), (&json!(5), &json!(5), &json!(rows)));
        assert_eq!((&told["broken"], &told["moved_meanwhile"], &told["left"]), (&json!(0), &json!(0), &json!({})));
        let files = archive.files();
        assert_eq!(files.len(), 3, "two, two and one: {files:?}");
        // Every row, as it was, with its hash.
        let read: Vec<Value> = files.iter().flat_map(|file| lines(file)).collect();
        assert_eq!(read.len(), 5);
        for (id, rows) in ids.iter().zip(&before) {
            let line = read.iter().find(|line| line["payment"] == json!(id)).unwrap();
            let hashes: Vec<_> = line["history"].as_array().unwrap().iter().map(|row| row["hash"].clone()).collect();
            assert_eq!(hashes, rows.iter().map(|row| json!(row.hash.to_string())).collect::<Vec<_>>());
            assert_eq!(line["history"][0]["row"]["event"], "started");
        }
        assert_eq!(database.number("select count(*) from payment_history").await, 0);
        assert_eq!(database.number("select count(*) from archived_histories").await, 5);
        let told = archive.program.run(&["verify"]);
        assert!(told.contains("5 payments with 0 rows") && told.contains(&format!("{rows} rows of 5 payments are archived")), "{told}");
        assert!(archive.verified().contains(&format!("{rows} archived rows of 5 payments were recomputed")));
        let entries = archive.world.store.entries(&AuditFilter::default(), None, 10).await.unwrap();
        assert_eq!(entries.len(), 3, "one for each file");
        for file in &files {
            let is_of = |entry: &&AuditEntry| entry.subject.as_deref() == file.file_name().unwrap().to_str();
            let entry = entries.iter().find(is_of).unwrap();
            assert_eq!((entry.actor.as_str(), entry.act), ("ada", AuditAct::Note));
            let sum = workflow::history::Hash::of(&fs::read(file).unwrap()).to_string();
            let why = entry.reason.as_deref().unwrap();
            assert!(why.contains(&sum) && why.ends_with(": retention") && why.contains(" histories, "), "{why}");
        }
        // A second run finds nothing, and writes nothing.
        assert_eq!(archive.remove()["archived"], 0);
        assert_eq!(archive.files(), files);
        archive.world.finish().await;
    }

    async fn what_is_open_or_young_or_has_refunds_under_way_is_left(database: TestDatabase) {
        let archive = Archive::over(&database).await;
        let world = &archive.world;
        let old = archive.charges(1).await[0];
        let open = world.charge("pm_card_visa", "manual").await;
        let review = world.charge("pm_sandbox_amount_mismatch", "automatic").await;
        let refunded = archive.charges(1).await[0];
        let proposed = archive.charges(1).await[0];
        let propose = Act::Propose(Proposed::Refund { amount_minor: 500, refund_reason: None });
        assert!(matches!(world.engine.perform(proposed, &propose, &build::by("ada")).await.unwrap(), Performed::Done(_)));
        assert_eq!(world.payment(review).await.state, State::InReview);
        world.clock.skip(Duration::from_secs(1));
        let words = archive.words(&[&REMOVE[..], &["--json"]].concat());
        let young = archive.charges(1).await[0];
        let (_, refund) = world.post(&format!("/v1/charges/{refunded}/refunds"), "r", &json!({"amount": 500})).await;
        let told = archive.program.run(&words.iter().map(String::as_str).collect::<Vec<_>>());
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["left"], json!({"open": 2, "refund_pending": 1, "proposed": 1}), "{told}");
        assert_eq!((&told["archived"], &told["removed"]), (&json!(1), &json!(1)));
        for (id, is_there) in [(old, false), (open, true), (review, true), (refunded, true), (proposed, true), (young, true)] {
            assert_eq!(!world.store.history(id).await.unwrap().is_empty(), is_there, "{id}");
        }
        // One that was accepted long ago and heard of a moment ago is young.
        let words = archive.words(&[&REMOVE[..], &["--json"]].concat());
        world.clock.skip(Duration::from_secs(1));
        world.work().await;
        let refund: PaymentId = refund["id"].as_str().unwrap().parse().unwrap();
        assert_eq!(world.payment(refund).await.state, State::Succeeded);
        let told = archive.program.run(&words.iter().map(String::as_str).collect::<Vec<_>>());
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!((&told["removed"], &told["left"]), (&json!(1), &json!({"open": 2, "proposed": 1, "too_young": 2})), "{told}");
        // When all have rested, charge and refund go.
        let told = archive.remove();
        assert_eq!((&told["removed"], &told["left"]), (&json!(2), &json!({"open": 2, "proposed": 1})));
        archive.verified();
    }

    async fn a_dry_run_and_a_run_without_remove_change_nothing_in_the_database(database: TestDatabase) {
        let archive = Archive::over(&database).await;
        let ids = archive.charges(3).await;
        let rows = database.number("select count(*) from payment_history").await;
        let told = archive.run(&["--dry-run", "--remove", "--why", "x"]);
        assert_eq!((&told["archived"], &told["removed"], &told["files"]), (&json!(3), &json!(0), &json!([])));
        assert!(archive.files().is_empty());
        let told = archive.run(&[]);
        assert_eq!((&told["archived"], &told["removed"]), (&json!(3), &json!(0)));
        let files = archive.files();
        let bytes = fs::read(&files[0]).unwrap();
        assert_eq!(database.number("select count(*) from payment_history").await, rows);
        assert_eq!(database.number("select count(*) from archived_histories").await, 0);
        assert_eq!(archive.world.store.entries(&AuditFilter::default(), None, 10).await.unwrap(), []);
        // The same histories make the same file, which the later removal then names.
        assert_eq!(archive.remove()["removed"], 3);
        assert_eq!((archive.files(), fs::read(&files[0]).unwrap()), (files, bytes));
        assert!(history_of(archive.world.store.as_ref(), ids[0]).await.unwrap().archived.is_some());
        archive.verified();
    }

    async fn late_news_and_refunds_are_chained_to_what_went(database: TestDatabase) {
        let archive = Archive::over(&database).await;
        let world = &archive.world;
        let [told_late, refunded, approved] = archive.charges(3).await[..] else { panic!() };
        let rows = world.payment(told_late).await.seq;
        assert_eq!(archive.remove()["removed"], 3);
        // The PSP's webhooks about it were never delivered until now.
        for event in world.events(told_late).await {
            assert_eq!(world.deliver(&event).await, StatusCode::OK);
        }
        let (status, _) = world.post(&format!("/v1/charges/{refunded}/refunds"), "r", &json!({"amount": 500})).await;
        assert_eq!(status, StatusCode::ACCEPTED);
        refund_at_the_psp(&world.sandbox, &world.payment(refunded).await.psp_reference.unwrap(), 300).await;
        for event in world.events(refunded).await.iter().filter(|event| event.kind.contains("refund")) {
            assert_eq!(world.deliver(event).await, StatusCode::OK);
        }
        let propose = Act::Propose(Proposed::Refund { amount_minor: 200, refund_reason: None });
        let Performed::Done(done) = world.engine.perform(approved, &propose, &build::by("ada")).await.unwrap() else { panic!() };
        let approve = Act::Approve { proposal: done.payment.seq };
        let performed = world.engine.perform(approved, &approve, &build::by("grace")).await.unwrap();
        assert!(matches!(performed, Performed::Done(_)), "what is archived still vouches for the row: {performed:?}");
        world.work().await;
        assert!(world.payment(told_late).await.seq > rows);
        assert_eq!(world.payment(refunded).await.amount_refunded_minor, 800);
        assert_eq!(world.payment(approved).await.amount_refunded_minor, 200);
        let first = world.store.history(told_late).await.unwrap().remove(0);
        assert_eq!(first.seq, rows + 1);
        archive.verified();
        // Archived once; what came later stays, and the refunds' own histories go.
        assert_eq!(archive.remove()["removed"], 2);
        assert_eq!(world.store.history(told_late).await.unwrap()[0], first);
        archive.verified();
        archive.world.finish().await;
    }

    async fn everybody_who_shows_a_history_says_what_is_archived(database: TestDatabase) {
        let pages = Pages::over(&database).await;
        let mut ada = pages.logged_in("ada", workflow::port::audit::Role::Reader).await;
        let env = vec![("FINCORE_DATABASE_URL", database.url())];
        let program = Program { binary: env!("CARGO_BIN_EXE_fincore-under-test"), env };
        let folder = TempDir::new().unwrap();
        let world = &pages.world;
        let id = world.charge("pm_card_visa", "automatic").await;
        world.work().await;
        let seq = world.payment(id).await.seq;
        world.clock.skip(Duration::from_secs(1));
        let (_, whole) = world.get(&format!("/v1/charges/{id}/history")).await;
        assert_eq!(whole.get("archived"), None, "as it ever was");
        let older_than = world.clock.now().to_string();
        let to = folder.path().to_str().unwrap();
        program.run(&["archive", "--older-than", &older_than, "--to", to, "--remove", "--why", "retention"]);
        let archived = world.store.statements(&[id]).await.unwrap().remove(0).unwrap();
        let says = format!("ows 1 to {seq} are archived in {} since", archived.file);

        let (_, history) = world.get(&format!("/v1/charges/{id}/history")).await;
        assert_eq!((&history["data"], &history["archived"]["seq"]), (&json!([]), &json!(seq)));
        assert_eq!(history["archived"]["hash"], archived.prefix.hash.to_string());
        let (_, expanded) = world.get(&format!("/v1/charges/{id}?expand=history")).await;
        assert_eq!(expanded["history"]["archived"], history["archived"]);
        // Who follows it is not kept waiting for what does not come.
        let follow = world.http.get(format!("http://{}/v1/charges/{id}/events", world.api));
        let follow = follow.bearer_auth(secrecy::ExposeSecret::expose_secret(&world.secret)).send().await.unwrap();
        assert_eq!(follow.status(), StatusCode::NO_CONTENT);

        for event in world.events(id).await {
            world.deliver(&event).await;
        }
        let follow = world.http.get(format!("http://{}/v1/charges/{id}/events", world.api));
        let follow = follow.bearer_auth(secrecy::ExposeSecret::expose_secret(&world.secret)).send().await.unwrap();
        let followed = follow.text().await.unwrap();
        assert!(followed.contains(&format!("id: {}", seq + 1)) && !followed.contains("id: 1\n"), "{followed}");
        let shown = program.run(&["show", &id.to_string()]);
        assert!(shown.contains(&says) && shown.contains("hash chain intact"), "{shown}");
        let shown: Value = serde_json::from_str(&program.run(&["show", &id.to_string(), "--json"])).unwrap();
        assert_eq!((&shown["archived"]["file"], &shown["chain"]), (&json!(archived.file), &json!("intact")));
        assert_eq!(shown["history"][0]["seq"], seq + 1);
        let explained = program.run(&["explain", &id.to_string()]);
        assert!(explained.contains(&says), "{explained}");
        let explained: Value = serde_json::from_str(&program.run(&["explain", &id.to_string(), "--json"])).unwrap();
        assert_eq!(explained["archived"], shown["archived"]);
        let page = ada.get(&format!("/ops/payments/{id}")).await.text;
        assert!(page.contains(&says), "{page}");
        let raw: Value = serde_json::from_str(&ada.get(&format!("/ops/payments/{id}/raw.json")).await.text).unwrap();
        assert_eq!(raw["history"]["archived"], history["archived"]);
    }
}
