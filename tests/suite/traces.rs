//! A payment's trace, as a collector of somebody else's protocol sees it.

use std::time::Instant;

use fincore_tests::collector::{Collector, Span};
use fincore_tests::database::TestDatabase;
use fincore_tests::emulators::Emulator;
use fincore_tests::site::{PATIENCE, Plan, Site, Webhooks, Workers};
use serde_json::{Value, json};
use workflow::definition::State;
use workflow::ids::PaymentId;

use crate::plan;

const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const CONSUMER: i32 = 5;

/// Of a client that traces, too.
const CALLER: (&str, &str) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");

/// A queue may be so late that a sweep comes first; not three times.
const PAYMENTS: usize = 3;

/// Takes payments that webhooks end, and returns their traces and all spans once their whole ways have been told.
async fn traced(database: &TestDatabase, workers: Workers, emulator: Option<Emulator>) -> (Vec<String>, Vec<Span>) {
    let collector = Collector::start().await;
    let site = Site::build(database, Plan { env: collector.env(), ..plan(workers, emulator, Webhooks::Sent) }).await;
    let running = site.start();
    // The first one waits for the API to be there.
    site.charge_with("pm_card_visa").await;
    let traceparent = format!("00-{}-{}-01", CALLER.0, CALLER.1);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut ids: Vec<PaymentId> = Vec::new();
    for number in 0..PAYMENTS {
        let request = http.post(format!("{}/v1/charges", site.api)).bearer_auth(&site.secret);
        let request = request.header("Idempotency-Key", number).header("traceparent", &traceparent);
        let body = json!({"amount": 1200, "currency": "eur", "payment_method": "pm_sandbox_processing"});
        let charge: Value = request.json(&body).send().await.unwrap().json().await.unwrap();
        ids.push(charge["id"].as_str().unwrap().parse().unwrap());
    }
    assert!(site.until_ended(&ids).await.iter().all(|payment| payment.state == State::Succeeded));
    let traces: Vec<String> = ids.iter().map(|id| id.uuid().simple().to_string()).collect();
    let is_told = |spans: &[Span], trace: &String| {
        let of_it = || spans.iter().filter(|span| span.trace == *trace);
        of_it().any(|span| span.parent.is_empty()) && of_it().any(|span| span.name.starts_with("payment_intent."))
    };
    let spans = collector.until(|spans| traces.iter().all(|trace| is_told(spans, trace))).await;
    drop(running);
    (traces, spans)
}

/// One tree: everything is below the payment's whole way.
fn below<'a>(spans: &[&'a Span], of: &'a Span) -> Vec<&'a str> {
    let mut names = Vec::new();
    let mut next = Some(of);
    while let Some(span) = next {
        names.push(span.name.as_str());
        next = spans.iter().copied().find(|above| above.id == span.parent);
    }
    names
}

fn tell_the_whole_way(traces: &[String], spans: &[Span], worker: &str) {
    traces.iter().for_each(|trace| tells_the_whole_way(trace, spans, worker));
    // API, queue, worker, PSP: each led to the next.
    let calls = spans.iter().filter(|span| span.kind == CLIENT && traces.contains(&span.trace));
    let all: Vec<&Span> = spans.iter().collect();
    let ways: Vec<Vec<&str>> = calls.map(|call| below(&all, call)).collect();
    let wanted = ["psp_call", "authorize", "work", "start", "charge"];
    assert!(ways.iter().any(|way| *way == wanted), "{ways:?}");
}

fn tells_the_whole_way(trace: &str, spans: &[Span], worker: &str) {
    let of_it: Vec<&Span> = spans.iter().filter(|span| span.trace == trace).collect();
    let named = |name: &str| {
        let found = of_it.iter().copied().find(|span| span.name == name);
        found.unwrap_or_else(|| panic!("no {name} among {of_it:#?}"))
    };
    let whole = named("charge");
    assert_eq!((whole.id.as_str(), whole.parent.as_str()), (&trace[16..], ""), "named by the payment");
    assert_eq!(whole.attributes["fincore.payment.id"], format!("ch_{trace}"));
    assert_eq!(whole.attributes["fincore.payment.state"], "succeeded");
    for span in &of_it {
        assert_eq!(below(&of_it, span).last(), Some(&"charge"), "{span:?} is somewhere else: {of_it:#?}");
    }
    let call = of_it.iter().copied().find(|span| span.kind == CLIENT && span.attributes["operation"] == "authorize");
    let call = call.unwrap_or_else(|| panic!("no authorize call among {of_it:#?}"));
    assert_eq!((call.attributes["psp"].as_str(), call.attributes["outcome"].as_str()), ("stripe", "done"));
    let work = of_it.iter().find(|span| span.name == "work").unwrap();
    assert_eq!((work.kind, work.service.as_str()), (CONSUMER, worker));
    // What the caller sees in its own trace, and how one finds from here to there.
    let requests = || spans.iter().filter(|span| span.trace == CALLER.0);
    let is_link = |span: &&Span| named("start").links == [(span.trace.clone(), span.id.clone())];
    let request = requests().find(is_link).unwrap_or_else(|| panic!("{:?}", requests().collect::<Vec<_>>()));
    assert_eq!((request.name.as_str(), request.kind), ("POST /v1/charges", SERVER));
    assert_eq!((request.parent.as_str(), request.service.as_str()), (CALLER.1, "fincore-serve"));
    let news = of_it.iter().find(|span| span.name.starts_with("payment_intent.")).unwrap();
    let (delivered, _) = &news.links[0];
    let delivery = spans.iter().find(|span| span.trace == *delivered).unwrap();
    assert_eq!((delivery.name.as_str(), delivery.kind), ("POST /v1/webhooks/{psp}", SERVER));
}

fincore_tests::on_each_database! {
    async fn one_trace_follows_a_payment_through_one_process(database: TestDatabase) {
        let (traces, spans) = traced(&database, Workers::Inside, None).await;
        tell_the_whole_way(&traces, &spans, "fincore-serve");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trace_follows_a_payment_through_the_queue_and_a_lambda_function() {
    let (Some(database), Some(emulator)) = (TestDatabase::postgres().await, Emulator::ministack()) else { return };
    let (traces, spans) = traced(&database, Workers::Lambda, Some(emulator)).await;
    tell_the_whole_way(&traces, &spans, "fincore-lambda");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_slow_holds_up_no_invocation() {
    let (Some(database), Some(emulator)) = (TestDatabase::postgres().await, Emulator::ministack()) else { return };
    let (slow, collector) = (PATIENCE, Collector::slow(PATIENCE).await);
    let plan = Plan { env: collector.env(), ..plan(Workers::Lambda, Some(emulator), Webhooks::Sent) };
    let site = Site::build(&database, plan).await;
    let running = site.start();
    let id = site.charge_with("pm_card_visa").await;
    assert_eq!(site.until_ended(&[id]).await[0].state, State::Succeeded);
    let begun = Instant::now();
    while !site.log().await.contains("the collector of traces is slow") {
        assert!(begun.elapsed() < slow, "nobody noticed, or everybody waited for it");
        let swept = site.lambda.as_ref().unwrap().invoke(json!({"source": "aws.scheduler"})).await;
        assert!(!swept.failed, "{swept:?}");
    }
    drop(running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_holds_up_nobody() {
    let database = TestDatabase::sqlite();
    let env = vec![
        ("FINCORE_OTLP_ENDPOINT", format!("http://127.0.0.1:{}", fincore_tests::process::free_port())),
        ("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned()),
    ];
    let site = Site::build(&database, Plan { env, ..plan(Workers::Inside, None, Webhooks::Sent) }).await;
    let running = site.start();
    let id = site.charge_with("pm_card_visa").await;
    assert_eq!(site.until_ended(&[id]).await[0].state, State::Succeeded);
    for process in running {
        assert!(process.terminate().await, "SIGTERM ends the process well");
    }
}
