//! Every magic payment method of the sandbox through the whole system: webhooks arrive as the sandbox sends them, and
//! the charge must end where the table says, with the books at the PSP to match. A new row of the table is run without
//! a change here.
//!
//! Not here: what the sandbox does on the wire (its own tests).

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State as Held;
use axum::http::StatusCode as Status;
use axum::routing::post;
use fincore_tests::books::refund_at_the_psp;
use fincore_tests::clock::TestClock;
use fincore_tests::emulators::unique;
use fincore_tests::process::{Program, free_port};
use fincore_tests::site::Webhooks;
use fincore_tests::stage::{InProcess, Stage};
use fincore_tests::world::{BACKOFF, LEASE, WEBHOOK_SECRET, World};
use reqwest::StatusCode;
use sandbox::scenario::{Aftermath, DisputeKind, On, Outcome, SCENARIOS, Scenario, Verdict};
use sandbox::{Authentication, EntryKind, Fault, WebhookMode};
use serde_json::{Value, json};
use workflow::definition::{self, State};
use workflow::ids::PaymentId;
use workflow::port::clock::Clock;

use crate::scenarios::on_a_site_with;

/// Rounds in which a backoff runs out; after these, policies and deadlines do.
const SHORT_ROUNDS: usize = 12;
/// More than any policy allows.
const ROUNDS: usize = 120;
/// Longer than every delay between two tries, and than the deadlines of waiting for the PSP.
const LONG: Duration = Duration::from_mins(31);
/// What `World::charge` asks for.
const AMOUNT: i64 = 1200;
/// What is refunded at the PSP, behind the engine's back, as from its dashboard.
const REFUND: i64 = 300;

/// What must be true at the end besides the state.
struct Expected {
    /// The PSP's books, in order.
    books: Vec<(EntryKind, i64)>,
    /// Words that the history must contain.
    tells: Vec<&'static str>,
}

fn expected(scenario: &Scenario) -> Expected {
    use EntryKind::{Authorized, CaptureFailed, Captured, RefundFailed, Refunded, Reinstated, Voided, Withdrawn};

    let mut books = match (scenario.name, scenario.ends) {
        ("pm_sandbox_always_500", _) => vec![],
        ("pm_sandbox_amount_mismatch", _) => vec![(Authorized, AMOUNT + 1)],
        ("pm_sandbox_capture_declined", _) => vec![(Authorized, AMOUNT)],
        ("pm_sandbox_capture_processing_fails" | "pm_sandbox_success_after_cancel", _) => {
            vec![(Authorized, AMOUNT), (Voided, AMOUNT)]
        }
        ("pm_sandbox_capture_fails_later", _) => {
            vec![(Authorized, AMOUNT), (Captured, AMOUNT), (CaptureFailed, AMOUNT)]
        }
        (_, "succeeded") => vec![(Authorized, AMOUNT), (Captured, AMOUNT)],
        _ => vec![],
    };
    if is_refunded(scenario) {
        books.push((Refunded, REFUND));
    }
    let mut tells = Vec::new();
    match scenario.aftermath {
        Aftermath::Quiet
        | Aftermath::CaptureProcessing
        | Aftermath::CaptureProcessingFails
        | Aftermath::CaptureFails
        | Aftermath::RefundPending => {}
        Aftermath::RefundFails => {
            books.push((RefundFailed, REFUND));
            tells.push("refund_failed");
        }
        Aftermath::Disputed(plan) => {
            tells.push("dispute");
            if plan.kind == DisputeKind::Chargeback {
                books.push((Withdrawn, AMOUNT));
            }
            match plan.verdict {
                None => {}
                Some(Verdict::Won) => {
                    books.push((Reinstated, AMOUNT));
                    tells.extend(["dispute_closed", "chargeback_reversed"]);
                }
                Some(Verdict::Lost) => tells.extend(["charged_back", "dispute_closed"]),
            }
        }
    }
    Expected { books, tells }
}

fn is_refunded(scenario: &Scenario) -> bool {
    matches!(scenario.aftermath, Aftermath::RefundPending | Aftermath::RefundFails)
        || scenario.plan.is_some_and(|plan| plan.on == On::Refund)
}

crate::on_each_store! {
    async fn every_payment_method_ends_as_its_row_says_in_one_process(world: World) {
        relay(&world).await;
        every_payment_method_ends_as_its_row_says(&InProcess::of(world), |_| true).await;
    }

    async fn a_payer_who_fails_or_leaves_is_not_charged(world: World) {
        relay(&world).await;
        for (answer, end) in [(Authentication::Fail, State::Failed), (Authentication::Abandon, State::Expired)] {
            let id = world.charge("pm_card_threeDSecure2Required", "automatic").await;
            settle_in(&world).await;
            let reference = world.payment(id).await.psp_reference.unwrap();
            world.sandbox.authenticate(&reference, answer);
            settle_in(&world).await;
            world.clock.skip(Duration::from_hours(1));
            settle_in(&world).await;
            assert_eq!(world.payment(id).await.state, end, "{}", world.ledger(id).await);
        }
        assert!(world.sandbox.ledger().is_empty());
        world.finish().await;
    }

    async fn a_success_long_after_the_client_gave_up_is_undone(world: World) {
        relay(&world).await;
        let id = world.charge("pm_sandbox_late_success", "automatic").await;
        settle_in(&world).await;
        let (status, _) = world.post(&format!("/v1/charges/{id}/cancel"), "c", &json!({})).await;
        assert_eq!(status, StatusCode::ACCEPTED);
        for _ in 0..4 {
            world.clock.skip(LONG);
            settle_in(&world).await;
        }
        assert_eq!(world.payment(id).await.state, State::AwaitingWebhook, "the PSP has not decided");
        assert_eq!(world.sandbox.settle(), 1);
        settle_in(&world).await;
        assert_eq!(world.payment(id).await.state, State::Canceled, "{}", world.ledger(id).await);
        let books: Vec<_> = world.sandbox.ledger().iter().map(|entry| entry.kind).collect();
        assert_eq!(books, [EntryKind::Authorized, EntryKind::Voided]);
        world.finish().await;
    }

    async fn a_dispute_on_any_charge_leaves_it_succeeded_and_its_webhooks_accepted(world: World) {
        relay(&world).await;
        let id = world.charge("pm_card_visa", "automatic").await;
        settle_in(&world).await;
        let reference = world.payment(id).await.psp_reference.unwrap();
        let plan = sandbox::DisputePlan { kind: DisputeKind::Chargeback, reason: "general", verdict: Some(Verdict::Won) };
        assert_eq!(world.sandbox.open_dispute(&reference, plan), sandbox::Settled::Now);
        settle_in(&world).await;
        assert_eq!(world.payment(id).await.state, State::Succeeded, "{}", world.ledger(id).await);
        for event in world.events(id).await.iter().filter(|event| event.kind.starts_with("charge.dispute.")) {
            assert!(world.store.webhook("sandbox", &event.id).await.unwrap().is_some(), "{} was not kept", event.kind);
        }
        world.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_payment_method_ends_as_its_row_says_with_a_lambda_function() {
    // Those that exhaust every retry take a hundred rounds. Another test takes one charge through them.
    let exhausts =
        |row: &Scenario| row.ends == "in_review" && row.plan.is_some_and(|plan| plan.fault != Fault::AmountMismatch);
    on_a_site_with(Webhooks::Sent, async |stage| {
        every_payment_method_ends_as_its_row_says(stage, |row| !exhausts(row)).await;
    })
    .await;
}

/// Every row of the table that is meant, each with a charge of its own.
async fn every_payment_method_ends_as_its_row_says(stage: &dyn Stage, is_meant: impl Fn(&Scenario) -> bool) {
    let (mut wrong, mut told) = (Vec::new(), String::new());
    for scenario in SCENARIOS.iter().filter(|scenario| is_meant(scenario)) {
        let id = play(stage, scenario).await;
        if let Err(difference) = compare(stage, id, scenario).await {
            wrong.push(scenario.name);
            writeln!(told, "{}: {difference}\n{}", scenario.name, stage.ledger(id).await).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong:?} do not end as their rows say:\n{told}");
}

/// One charge until nothing is still to come for it, neither here nor at the PSP.
async fn play(stage: &dyn Stage, scenario: &Scenario) -> PaymentId {
    stage.set_clock_right().await;
    let body = json!({"amount": AMOUNT, "currency": "eur", "payment_method": scenario.name});
    let (status, charge) = stage.post("/v1/charges", &unique(scenario.name), &body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{charge}");
    let id = charge["id"].as_str().unwrap().parse().unwrap();
    let mut refund = is_refunded(scenario);
    for round in 0..ROUNDS {
        settle(stage, id).await;
        let payment = stage.payment(id).await;
        if payment.state == State::RequiresAction && scenario.outcome != Outcome::ApprovedAfterCancel {
            let reference = payment.psp_reference.as_deref().unwrap();
            stage.sandbox().authenticate(reference, Authentication::Complete);
            continue;
        }
        if payment.state == State::Succeeded && std::mem::take(&mut refund) {
            refund_at_the_psp(stage.sandbox(), payment.psp_reference.as_deref().unwrap(), REFUND).await;
        }
        let came = stage.sandbox().settle();
        settle(stage, id).await;
        let state = stage.payment(id).await.state;
        if came == 0 && (definition::has_ended(state) || state == State::InReview) {
            return id;
        }
        stage.skip(if round < SHORT_ROUNDS { BACKOFF } else { LONG }).await;
    }
    panic!("{} does not come to rest:\n{}", scenario.name, stage.ledger(id).await);
}

/// Works and takes webhooks until neither is left.
async fn settle_in(world: &World) {
    for _ in 0..3 {
        world.work().await;
        world.sandbox.webhooks_idle().await;
    }
}

/// The same as far as one charge goes, wherever work is done.
async fn settle(stage: &dyn Stage, id: PaymentId) {
    for _ in 0..3 {
        stage.rest(id).await;
        stage.sandbox().webhooks_idle().await;
    }
}

async fn compare(stage: &dyn Stage, id: PaymentId, scenario: &Scenario) -> Result<(), String> {
    let payment = stage.verified(id).await;
    assert!(!payment.is_leased(), "{id} is still leased");
    let (_, charge) = stage.get(&format!("/v1/charges/{id}")).await;
    if charge["status"] != scenario.ends {
        return Err(format!("it is {}, and should be {}", charge["status"], scenario.ends));
    }
    // What the page tells developers of a decline is what their clients are told.
    for (word, category) in
        [("(soft)", "soft_decline"), ("(hard)", "hard_decline"), ("(authentication)", "authentication")]
    {
        let told = &charge["failure"]["category"];
        if scenario.summary.ends_with(word) && told != category {
            return Err(format!("its failure is {told}, and should be {category}"));
        }
    }
    let expected = expected(scenario);
    let reference = id.to_string();
    let books = stage.sandbox().ledger().into_iter().filter(|entry| entry.reference.as_deref() == Some(&reference));
    let books: Vec<_> = books.map(|entry| (entry.kind, entry.amount_minor)).collect();
    if books != expected.books {
        return Err(format!("the PSP's books are {books:?}, and should be {:?}", expected.books));
    }
    let sum = |kind| books.iter().filter(|entry| entry.0 == kind).map(|entry| entry.1).sum::<i64>();
    let captured = sum(EntryKind::Captured) - sum(EntryKind::CaptureFailed);
    let refunded = sum(EntryKind::Refunded) - sum(EntryKind::RefundFailed);
    let ours = (payment.amount_captured_minor, payment.amount_refunded_minor);
    if ours != (captured, refunded) && payment.state != State::InReview {
        return Err(format!("captured and refunded are {ours:?}, and {:?} at the PSP", (captured, refunded)));
    }
    let ledger = stage.ledger(id).await;
    match expected.tells.iter().find(|word| !ledger.contains(*word)) {
        Some(word) => Err(format!("its history does not tell of {word:?}")),
        None => Ok(()),
    }
}

#[derive(Clone)]
struct Relay {
    clock: Arc<TestClock>,
    api: String,
    http: reqwest::Client,
}

/// Lets the sandbox deliver its own webhooks: as they come, signed again at this world's time.
async fn relay(world: &World) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let api = format!("http://{}/v1/webhooks/sandbox", world.api);
    let relay = Relay { clock: Arc::clone(&world.clock), api, http: world.http.clone() };
    let router = axum::Router::new().route("/", post(pass_on)).with_state(relay);
    tokio::spawn(async move { axum::serve(listener, router).await });
    world.sandbox.set_webhook_url(url);
    world.sandbox.set_webhooks(WebhookMode::On);
}

async fn pass_on(Held(relay): Held<Relay>, body: Bytes) -> Status {
    let signature = sandbox::sign(WEBHOOK_SECRET, relay.clock.now().as_second(), &body);
    let request = relay.http.post(&relay.api).header("Stripe-Signature", signature);
    let answer = request.header("Content-Type", "application/json").body(body).send().await;
    answer.map_or(Status::BAD_GATEWAY, |answer| Status::from_u16(answer.status().as_u16()).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sandbox_is_a_program_of_its_own_that_keeps_its_books_and_stops_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let (port, api_port) = (free_port().to_string(), free_port());
    let journal = folder.path().join("sandbox.jsonl");
    let hook = format!("http://127.0.0.1:{api_port}/v1/webhooks/sandbox");
    let (url, api) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{api_port}"));
    let secret = "whsec_0123456789abcdef0123456789abcdef";
    let program = Program {
        binary: env!("CARGO_BIN_EXE_fincore-under-test"),
        env: vec![
            ("FINCORE_DATABASE_URL", format!("sqlite:{}", folder.path().join("fincore.db").display())),
            ("FINCORE_LISTEN", format!("127.0.0.1:{api_port}")),
            ("FINCORE_PSP", "sandbox".to_owned()),
            ("FINCORE_STRIPE_URL", url.clone()),
            // What `fincore sandbox` prints.
            ("FINCORE_STRIPE_SECRET_KEY", "sk_test_sandbox_of_this_machine".to_owned()),
            ("FINCORE_STRIPE_WEBHOOK_SECRET", secret.to_owned()),
        ],
    };
    let journal = journal.to_str().unwrap();
    let options = [
        "sandbox",
        "--port",
        &port,
        "--webhook-url",
        &hook,
        "--webhook-secret",
        secret,
        "--journal",
        journal,
        "--delay-ms",
        "50",
    ];
    let psp = program.start(&options);
    program.run(&["migrate"]);
    let created = program.run(&["keys", "create"]);
    let key = created.lines().find_map(|line| line.strip_prefix("secret")).unwrap().trim().to_owned();
    let serving = program.start(&["serve", "--with-worker"]);
    let http = fincore_tests::world::http_client();
    until_up(&http, &format!("{url}/sandbox/ledger")).await;
    until_up(&http, &format!("{api}/healthz")).await;

    // Processing: it ends by the sandbox's own signed webhook, long before any deadline.
    let body = json!({"amount": 1200, "currency": "eur", "payment_method": "pm_sandbox_processing"});
    let request = http.post(format!("{api}/v1/charges")).bearer_auth(&key);
    let charge: Value =
        request.header("Idempotency-Key", "one").json(&body).send().await.unwrap().json().await.unwrap();
    let id = charge["id"].as_str().unwrap();
    let ended = async {
        loop {
            let answer = http.get(format!("{api}/v1/charges/{id}")).bearer_auth(&key).send().await.unwrap();
            let charge: Value = answer.json().await.unwrap();
            if charge["status"] == "succeeded" {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LEASE, ended).await.expect("the webhook moves it");
    let books = |answer: reqwest::Response| async move { answer.json::<Value>().await.unwrap() };
    let before = books(http.get(format!("{url}/sandbox/ledger")).send().await.unwrap()).await;
    assert_eq!(before.as_array().unwrap().len(), 2);
    assert!(psp.terminate().await, "the sandbox ends well when asked");

    let psp = program.start(&options);
    until_up(&http, &format!("{url}/sandbox/ledger")).await;
    assert_eq!(books(http.get(format!("{url}/sandbox/ledger")).send().await.unwrap()).await, before);
    assert!(psp.terminate().await);
    assert!(serving.terminate().await);
}

async fn until_up(http: &reqwest::Client, url: &str) {
    let up = async {
        while !http.get(url).send().await.is_ok_and(|answer| answer.status().is_success()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LEASE, up).await.unwrap_or_else(|_| panic!("{url} does not answer"));
}
