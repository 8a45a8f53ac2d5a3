//! A rollout with payments in flight: the previous release and this one on one database, on a schema that the previous
//! one does not know; forth, and back again.
//!
//! Not here: which release may start on which schema (`rollouts.rs`).

use std::sync::Arc;
use std::time::Duration;

use fincore_tests::books;
use fincore_tests::database::TestDatabase;
use fincore_tests::previous;
use fincore_tests::process::{Program, Running, free_port};
use fincore_tests::site::{PATIENCE, Site, Webhooks, Workers};
use fincore_tests::world::http_client;
use jiff::Timestamp;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tokio::task::JoinHandle;
use workflow::definition::State;
use workflow::ids::PaymentId;
use workflow::payment::Payment;
use workflow::port::clock::{Clock as _, SystemClock};

use crate::plan;

/// Charges in one rollout, and the time over which they come: the whole of it.
const CHARGES: usize = 120;
const ARRIVALS: Duration = Duration::from_secs(12);
/// Between two steps of the rollout.
const PAUSE: Duration = Duration::from_millis(1_800);
/// What a later release might do to the schema: only add.
const EXPANSION: &str = "alter table payments add column later_release text;
    create index payments_later_release on payments (later_release);
    create table later_things (id bigint primary key)";

/// How a process goes.
#[derive(Clone, Copy)]
enum Leaving {
    /// It is asked to, and finishes what it has in hand.
    Asked,
    /// It is killed.
    Killed,
}

/// One of the processes that serve the API and work.
struct Replica {
    listen: String,
    running: Option<Running>,
}

impl Replica {
    fn new() -> Self {
        Self { listen: format!("127.0.0.1:{}", free_port()), running: None }
    }

    fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    /// Puts this program in the place of the one that runs, and waits until it takes requests.
    async fn becomes(&mut self, program: &Program, leaving: Leaving) -> Timestamp {
        match (self.running.take(), leaving) {
            (Some(running), Leaving::Asked) => assert!(running.terminate().await, "it ends well"),
            (Some(running), Leaving::Killed) => running.kill(),
            (None, Leaving::Asked | Leaving::Killed) => {}
        }
        let mut program = program.clone();
        program.env.push(("FINCORE_LISTEN", self.listen.clone()));
        self.running = Some(program.start(&["serve", "--with-worker"]));
        let ready = async {
            while !http_client()
                .get(format!("{}/readyz", self.url()))
                .send()
                .await
                .is_ok_and(|answer| answer.status().is_success())
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, ready).await.expect("it is ready in time; its words are above");
        SystemClock.now()
    }
}

/// A deployment, with both releases at hand and clients at work.
struct Rollout {
    site: Arc<Site>,
    old: Program,
    new: Program,
    clients: Vec<JoinHandle<Vec<PaymentId>>>,
    apis: Vec<String>,
}

impl Rollout {
    /// The previous release is installed, and its clients begin to send.
    async fn begin(database: &TestDatabase, old: &'static str, replicas: &mut [Replica]) -> Self {
        let seed: u64 = rand::random();
        eprintln!("seed {seed}");
        let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
        let this = plan(Workers::Inside, None, Webhooks::Sent);
        let (new, mut site) =
            (this.binary, Site::build(database, fincore_tests::site::Plan { binary: old, ..this }).await);
        site.api = replicas[0].url();
        site.sandbox.set_webhook_url(format!("{}/v1/webhooks/stripe", site.api));
        let old = site.program.clone();
        let new = Program { binary: new, env: old.env.clone() };
        let version = |program: &Program| program.run(&["--version"]).trim().to_owned();
        assert_ne!(version(&old), version(&new), "two releases");
        for replica in replicas.iter_mut() {
            replica.becomes(&old, Leaving::Asked).await;
        }
        let apis: Vec<String> = replicas.iter().map(Replica::url).collect();
        let site = Arc::new(site);
        let clients = (0..CHARGES)
            .map(|number| {
                let (start, think) = (rng.random_range(Duration::ZERO..ARRIVALS), rng.random_range(0..4_000));
                let (site, mut apis) = (Arc::clone(&site), apis.clone());
                let turn = number % apis.len();
                apis.rotate_left(turn);
                tokio::spawn(async move {
                    tokio::time::sleep(start).await;
                    client(&site, &apis, number, Duration::from_millis(think)).await
                })
            })
            .collect();
        tokio::time::sleep(PAUSE).await;
        Self { site, old, new, clients, apis }
    }

    /// The new release's schema, and one that is newer than both, while what runs goes on.
    async fn migrate(&self, database: &TestDatabase) {
        self.new.run(&["migrate"]);
        database.migrate_further(EXPANSION).await;
        let told = self.old.run(&["migrate"]);
        assert!(told.contains("Nothing to do"), "{told}");
        tokio::time::sleep(PAUSE).await;
    }

    /// Every charge that was accepted ends, once; whoever looks finds all histories intact.
    async fn end(self, replicas: Vec<Replica>) -> Vec<Payment> {
        let mut ids = Vec::new();
        for client in self.clients {
            ids.extend(client.await.unwrap());
        }
        let payments = self.site.until_ended(&ids).await;
        let again = self.site.insist_among(&self.apis, "/v1/charges", "client-0", &body(0)).await;
        assert_eq!(again["id"], ids[0].to_string(), "a request that both releases have seen is one charge");
        for replica in replicas {
            assert!(replica.running.unwrap().terminate().await, "SIGTERM ends the process well");
        }
        let stored = self.site.store.walk(None, 1_000).await.unwrap();
        assert_eq!(stored.len(), payments.len(), "nothing but what clients asked for");
        assert_eq!(payments.iter().filter(|payment| payment.refund_of.is_none()).count(), CHARGES);
        assert!(payments.iter().all(|payment| payment.state == State::Succeeded));
        let books = self.site.sandbox.ledger();
        for charge in payments.iter().filter(|payment| payment.refund_of.is_none()) {
            books::agree(charge, books.clone());
        }
        for program in [&self.old, &self.new] {
            let verified = program.run(&["verify"]);
            assert!(verified.contains(&format!("{} payments", payments.len())), "{verified}");
            assert!(verified.contains("0 broken"), "{verified}");
        }
        payments
    }
}

/// How client number so pays, and what it does when it may.
fn wish(number: usize) -> (&'static str, &'static str, Option<(&'static str, State)>) {
    let wishes = [
        ("pm_card_visa", "automatic", None),
        ("pm_card_visa", "manual", Some(("capture", State::Authorized))),
        ("pm_sandbox_processing", "automatic", None),
        ("pm_card_visa", "automatic", Some(("refunds", State::Succeeded))),
        ("pm_sandbox_answer_lost", "automatic", None),
        ("pm_sandbox_throttled_twice", "automatic", None),
    ];
    wishes[number % wishes.len()]
}

fn body(number: usize) -> serde_json::Value {
    let (method, capture, _) = wish(number);
    json!({"amount": 1000 + number, "currency": "eur", "payment_method": method, "capture_method": capture})
}

/// A client that asks whichever process answers, and takes its time before it goes on; returns its payments.
async fn client(site: &Site, apis: &[String], number: usize, think: Duration) -> Vec<PaymentId> {
    let id = |answer: &serde_json::Value| answer["id"].as_str().unwrap().parse().unwrap();
    let charge: PaymentId =
        id(&site.insist_among(apis, "/v1/charges", &format!("client-{number}"), &body(number)).await);
    let Some((act, state)) = wish(number).2 else { return vec![charge] };
    let may = async {
        while site.store.load(&[charge]).await.unwrap()[0].as_ref().unwrap().state != state {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, may).await.expect("it comes so far");
    tokio::time::sleep(think).await;
    let path = format!("/v1/charges/{charge}/{act}");
    let answer = site.insist_among(apis, &path, &format!("{act}-{number}"), &json!({"amount": 500})).await;
    if act == "refunds" { vec![charge, id(&answer)] } else { vec![charge] }
}

/// Payments that one release had begun and another ended.
fn across(payments: &[Payment], change: Timestamp) -> usize {
    payments.iter().filter(|payment| payment.created_at < change && payment.updated_at > change).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_releases_side_by_side_on_postgres_lose_nothing_forth_and_back() {
    let (Some(old), Some(database)) = (previous::program(), TestDatabase::postgres().await) else { return };
    let mut replicas = vec![Replica::new(), Replica::new()];
    let rollout = Rollout::begin(&database, old, &mut replicas).await;
    rollout.migrate(&database).await;
    let mut changes = Vec::new();
    // One after the other; one of them dies of it. Then the same back.
    for (place, program, leaving) in [
        (1, &rollout.new, Leaving::Asked),
        (0, &rollout.new, Leaving::Killed),
        (1, &rollout.old, Leaving::Killed),
        (0, &rollout.old, Leaving::Asked),
    ] {
        changes.push(replicas[place].becomes(program, leaving).await);
        tokio::time::sleep(PAUSE).await;
    }
    let payments = rollout.end(replicas).await;
    assert!(changes.iter().all(|change| across(&payments, *change) > 0), "payments were in flight: {changes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_release_after_the_other_on_sqlite_loses_nothing_forth_and_back() {
    let Some(old) = previous::program() else { return };
    let database = TestDatabase::sqlite();
    let mut replicas = vec![Replica::new()];
    let rollout = Rollout::begin(&database, old, &mut replicas).await;
    rollout.migrate(&database).await;
    let mut changes = Vec::new();
    for (program, leaving) in [(&rollout.new, Leaving::Asked), (&rollout.old, Leaving::Killed)] {
        changes.push(replicas[0].becomes(program, leaving).await);
        tokio::time::sleep(PAUSE).await;
    }
    let payments = rollout.end(replicas).await;
    assert!(changes.iter().all(|change| across(&payments, *change) > 0), "payments were in flight: {changes:?}");
}

/// Runs by itself everywhere, so that a run without the previous release shows: `.config/nextest.toml` prints what it says.
#[test]
fn a_run_without_the_previous_release_says_so() {
    let _told = previous::program();
}
