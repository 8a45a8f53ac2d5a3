//! A PSP that fails for longer than anybody retries, in the production shape: retries on the queue, a dead letter, one
//! alert, and the way back when the PSP has recovered.

use std::time::Duration;

use fincore_tests::database::TestDatabase;
use fincore_tests::emulators::Emulator;
use fincore_tests::site::{PATIENCE, Plan, Site, Webhooks, Workers};
use fincore_tests::stage::{Deployed, Stage};
use jiff::SignedDuration;
use reqwest::StatusCode;
use sandbox::scenario::ALWAYS;
use sandbox::{Fault, Operation};
use serde_json::{Value, json};
use workflow::definition::{EventKind, State};
use workflow::history::HistoryRow;
use workflow::ids::PaymentId;

use crate::alerts::{posted, receiver};
use crate::plan;

/// Retries that are watched in real time. Each waits twice as long as the one before, at most.
const RETRIES: usize = 3;

/// From the end of a backoff to the next attempt: a poll of the queue, and a start of the function.
const LATE: SignedDuration = SignedDuration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_charge_that_exhausts_its_retries_is_told_of_once_and_redriven_to_its_end_when_the_psp_is_back() {
    let (Some(database), Some(emulator)) = (TestDatabase::postgres().await, Emulator::ministack()) else { return };
    let alerts = receiver([StatusCode::OK]).await;
    let plan = Plan {
        // A message that nobody puts off comes back long after the retries that are watched.
        visibility_s: 120,
        env: vec![
            ("FINCORE_ALERT_WEBHOOK_URL", format!("{}/alerts", alerts.uri())),
            ("FINCORE_ALERT_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned()),
        ],
        ..plan(Workers::Lambda, Some(emulator), Webhooks::Lost)
    };
    let stage = Deployed::of(Site::build(&database, plan).await);
    let (site, running) = (&stage.site, stage.site.start());
    let queue = site.queue.as_ref().unwrap();

    // The PSP does not say what became of a call. A sweep brings what is overdue for ten seconds; sooner than that, only
    // the message does.
    site.sandbox.fail_next(Operation::Retrieve, Fault::Error500, ALWAYS);
    let id = site.charge_with("pm_sandbox_answer_lost").await;
    let waits = until_retried(&stage, id).await;
    for (backoff, waited) in waits {
        assert!((backoff..backoff + LATE).contains(&waited), "{waited:#} after a backoff of {backoff:#}");
    }
    // No policy asks for more than a day.
    while stage.payment(id).await.state != State::InReview {
        stage.skip(Duration::from_hours(25)).await;
        stage.rest(id).await;
    }

    queue.until_dead_letters(1).await;
    let letter = queue.take(&queue.dead_letter_url).await.remove(0);
    let told =
        |name: &str| letter.raw["MessageAttributes"][name]["StringValue"].as_str().unwrap_or_default().to_owned();
    assert_eq!((told("payment"), told("reason")), (id.to_string(), "retries_exhausted".to_owned()));
    assert!(!told("last_error").is_empty(), "{}", letter.raw);
    assert_eq!(serde_json::from_str::<Value>(&letter.body).unwrap()["payment"], json!(id));
    let back = json!({"QueueUrl": queue.dead_letter_url, "MessageBody": letter.body});
    queue.emulator.sqs("SendMessage", back).await;
    let listed = site.program.run(&["dlq", "list"]);
    assert!(listed.contains(&id.to_string()) && listed.contains("1 charge is waiting"), "{listed}");

    // It is back. Whoever redrives moves the message, too.
    site.sandbox.fail_next(Operation::Retrieve, Fault::Error500, 0);
    stage.set_clock_right().await;
    let redriven = site.program.run(&["dlq", "redrive", &id.to_string(), "--why", "the PSP is back"]);
    assert!(redriven.contains("1 messages moved") && redriven.contains("1 of 1 redriven, 0 refused."), "{redriven}");
    fincore_tests::stage::until(&stage, id, State::Succeeded).await;
    stage.agree(id).await;
    queue.until_dead_letters(0).await;
    for _ in 0..3 {
        // Each sweep looks for what is still to be told.
        site.lambda.as_ref().unwrap().invoke(json!({"source": "aws.events"})).await;
    }
    let posted = posted(&alerts).await;
    assert_eq!(posted.len(), 1, "{posted:?}");
    assert_eq!(serde_json::from_slice::<Value>(&posted[0].body).unwrap()["data"]["charge"], json!(id));
    drop(running);
}

/// Waits for some retries. Returns how long each backed off, by the history, and how long it was until the next attempt.
async fn until_retried(stage: &Deployed, id: PaymentId) -> Vec<(SignedDuration, SignedDuration)> {
    let begun = std::time::Instant::now();
    while begun.elapsed() < PATIENCE {
        let rows = stage.store().history(id).await.unwrap();
        let retried = |pair: &[HistoryRow]| {
            let backoff = SignedDuration::from_millis(pair[0].fact.data["backoff_ms"].as_i64()?);
            assert_eq!(pair[1].fact.event, EventKind::AttemptStarted);
            Some((backoff, pair[1].fact.at.duration_since(pair[0].fact.at)))
        };
        let waits: Vec<_> = rows.windows(2).filter_map(retried).collect();
        if waits.len() >= RETRIES {
            return waits;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it is not tried again:\n{}", stage.ledger(id).await);
}
