//! Alerts: each adapter is told of each dead letter once, whatever breaks on the way.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use activities::alerts::webhook::WebhookAlert;
use activities::gateway::client::Connections;
use activities::worker::Worker;
use async_trait::async_trait;
use fincore_tests::build;
use fincore_tests::clock::TestClock;
use fincore_tests::world::{self, World};
use reqwest::StatusCode;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};
use workflow::decide::Decided;
use workflow::definition::State;
use workflow::ids::PaymentId;
use workflow::port::alert::{Alert, Alerter, NotTold};
use workflow::port::clock::Clock;

pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// A card whose charge goes to a person at once.
pub(crate) const DISAGREES: &str = "pm_sandbox_amount_mismatch";
/// Longer than any pause after a failure.
const PAUSE: Duration = Duration::from_mins(10);
/// Longer than a claim lasts.
const LEASE: Duration = Duration::from_secs(61);
/// Processes that run side by side.
const PROCESSES: usize = 3;

crate::on_each_store_and_behind_a_pooler! {
    async fn of_many_workers_that_race_one_tells_each_adapter_of_each_letter_once(world: World) {
        let receiver = receiver([StatusCode::OK]).await;
        let recorder = Recorder::new("recorder", How::Tells);
        let workers: Vec<Worker> = (0..PROCESSES).map(|number| {
            let engine = world::engine(&world.store, &world.psps, &world.clock);
            let adapters: [Arc<dyn Alerter>; 2] = [webhook(&receiver, &world.clock), recorder.clone()];
            world::worker(&engine, &world.psps, &format!("process-{number}")).alerting(adapters.into())
        }).collect();
        world.sandbox.fail_next(sandbox::Operation::Create, sandbox::Fault::Throttled, 1_000);
        let mut ids = Vec::new();
        for _ in 0..4 {
            ids.push(world.charge("pm_card_visa", "automatic").await);
        }
        // Attempts pause for five minutes at most and are made for two hours.
        for _ in 0..40 {
            world.clock.skip(Duration::from_mins(5));
            let rounds = workers.iter().cloned().map(|worker| tokio::spawn(async move { worker.run_once().await }));
            for round in rounds.collect::<Vec<_>>() {
                round.await.unwrap().unwrap();
            }
        }
        let mut expected = Vec::new();
        for id in &ids {
            assert_eq!(world.payment(*id).await.state, State::InReview, "{}", world.ledger(*id).await);
            let letters = world.store.dead_letters_of(*id, 10).await.unwrap();
            assert_eq!(letters.len(), 1, "retries come to an end once");
            assert_eq!(letters[0].letter.told(), "throttled", "the last error has a name");
            expected.push(Alert::of(&letters[0]).id());
        }
        expected.sort();
        let mut posted: Vec<String> = posted(&receiver).await.iter().map(|request| header(request, "webhook-id")).collect();
        posted.sort();
        let mut recorded = recorder.told();
        recorded.sort();
        assert_eq!((&posted, &recorded), (&expected, &expected));

        // The PSP has recovered. Each charge ends with one capture, which `finish` looks up in the PSP's books.
        world.sandbox.fail_next(sandbox::Operation::Create, sandbox::Fault::Throttled, 0);
        for id in &ids {
            build::redriven(&world.engine, *id, Decided::No).await;
        }
        world.work_patiently().await;
        for id in ids {
            assert_eq!(world.payment(id).await.state, State::Succeeded, "{}", world.ledger(id).await);
        }
        assert_eq!(recorder.told().len(), expected.len(), "nobody is told twice");
        world.finish().await;
    }

    async fn a_webhook_says_what_happened_and_what_to_do_and_nothing_secret(world: World) {
        let receiver = receiver([StatusCode::OK]).await;
        let worker = world.worker.clone().alerting(vec![webhook(&receiver, &world.clock)]);
        let id = in_review(&world, &worker).await;
        let requests = posted(&receiver).await;
        assert_eq!(requests.len(), 1);
        assert_eq!(header(&requests[0], "content-type"), "application/json");
        assert_eq!(header(&requests[0], "webhook-timestamp"), world.clock.now().as_second().to_string());
        let letter = world.store.dead_letters_of(id, 1).await.unwrap().remove(0);
        let said: Value = requests[0].body_json().unwrap();
        let reference = world.payment(id).await.psp_reference.unwrap();
        let decide = "decide before you redrive: the PSP has other money than was asked for, perhaps a second payment: a redrive can only come back or charge once more; void or refund what is wrong at the PSP first";
        assert_eq!(said, json!({
            "type": "dead_letter.created",
            "timestamp": letter.at,
            "data": {
                "id": header(&requests[0], "webhook-id"),
                "charge": id,
                "seq": 4,
                "reason": "amounts_disagree",
                "last_error": format!("expected 12.00 EUR, the PSP says 12.01 EUR · {reference}"),
                "merchant": world.merchant,
                "psp": "sandbox",
                "amount": 1200,
                "currency": "eur",
                "status": "in_review",
                "advice": decide,
                "command": format!("fincore dlq show {id}"),
            },
        }));
        world.finish().await;
    }

    async fn an_adapter_that_fails_is_tried_again_under_the_same_id_until_it_has_told(world: World) {
        let answers = [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::FOUND, StatusCode::GONE, StatusCode::NO_CONTENT];
        let receiver = receiver(answers).await;
        let worker = world.worker.clone().alerting(vec![webhook(&receiver, &world.clock)]);
        let id = in_review(&world, &worker).await;
        worker.run_once().await.unwrap();
        assert_eq!(posted(&receiver).await.len(), 1, "not at once");
        for _ in 0..6 {
            world.clock.skip(PAUSE);
            worker.run_once().await.unwrap();
        }
        let requests = posted(&receiver).await;
        assert_eq!(requests.len(), answers.len(), "until it is told, and no more");
        assert!(requests.iter().all(|request| header(request, "webhook-id") == header(&requests[0], "webhook-id")));
        assert_ne!(header(&requests[0], "webhook-timestamp"), header(&requests[1], "webhook-timestamp"));
        let notices = world.store.notices_of(id, 10).await.unwrap();
        assert!(notices.len() == 1 && notices[0].told_at.is_some() && notices[0].attempts == 4, "{notices:?}");
        world.finish().await;
    }

    async fn a_worker_that_dies_between_telling_and_remembering_is_followed_by_one_that_says_the_same_again(world: World) {
        let dying = Recorder::new("recorder", How::TellsAndHangs);
        let worker = world.worker.clone().alerting(vec![dying.clone()]);
        let id = world.charge(DISAGREES, "automatic").await;
        let dies = tokio::spawn(async move { worker.run_once().await });
        dying.reached.notified().await;
        dies.abort();
        let recorder = Recorder::new("recorder", How::Tells);
        let worker = world.worker.clone().alerting(vec![recorder.clone()]);
        worker.run_once().await.unwrap();
        assert_eq!(recorder.told(), Vec::<String>::new(), "somebody else may still be telling");
        world.clock.skip(LEASE);
        worker.run_once().await.unwrap();
        worker.run_once().await.unwrap();
        assert_eq!(recorder.told(), dying.told(), "the same id, once");
        assert_eq!(world.store.notices_of(id, 10).await.unwrap()[0].attempts, 2);
        world.finish().await;
    }

    async fn an_adapter_that_hangs_keeps_no_other_from_being_told(world: World) {
        let hanging = Recorder::new("hanging", How::TellsAndHangs);
        let recorder = Recorder::new("recorder", How::Tells);
        let worker = world.worker.clone().alerting(vec![hanging.clone(), recorder.clone()]);
        let working = tokio::spawn(async move { worker.run(CancellationToken::new()).await });
        world.charge(DISAGREES, "automatic").await;
        hanging.reached.notified().await;
        recorder.reached.notified().await;
        world.charge(DISAGREES, "automatic").await;
        recorder.reached.notified().await;
        assert_eq!((hanging.told().len(), recorder.told().len()), (1, 2));
        working.abort();
        world.finish().await;
    }

    async fn a_second_letter_of_the_same_charge_is_told_of_too(world: World) {
        let recorder = Recorder::new("recorder", How::Tells);
        let worker = world.worker.clone().alerting(vec![recorder.clone()]);
        let id = in_review(&world, &worker).await;
        build::redriven(&world.engine, id, Decided::Yes).await;
        worker.run_once().await.unwrap();
        assert_eq!(world.payment(id).await.state, State::InReview, "the PSP says the same again");
        let told = recorder.told();
        assert!(told.len() == 2 && told[0] != told[1], "{told:?}");
        world.finish().await;
    }

    async fn an_adapter_that_is_configured_later_is_told_of_the_last_day_only(world: World) {
        let (first, later) = (Recorder::new("first", How::Tells), Recorder::new("later", How::Tells));
        let worker = world.worker.clone().alerting(vec![first.clone()]);
        in_review(&world, &worker).await;
        world.clock.skip(Duration::from_hours(23));
        in_review(&world, &worker).await;
        world.clock.skip(Duration::from_hours(2));
        let worker = world.worker.clone().alerting(vec![first.clone(), later.clone()]);
        worker.run_once().await.unwrap();
        assert_eq!(first.told().len(), 2);
        assert_eq!(later.told(), first.told()[1..]);
        world.work().await;
        world.finish().await;
    }
}

/// Charges, and works until that charge waits for a person.
async fn in_review(world: &World, worker: &Worker) -> PaymentId {
    let id = world.charge(DISAGREES, "automatic").await;
    worker.run_once().await.unwrap();
    assert_eq!(world.payment(id).await.state, State::InReview);
    id
}

/// Posts to the receiver.
fn webhook(receiver: &MockServer, clock: &Arc<TestClock>) -> Arc<dyn Alerter> {
    Arc::new(signing(receiver, &[SECRET], Arc::clone(clock) as Arc<dyn Clock>))
}

/// Posts to the receiver, signed with these secrets.
pub(crate) fn signing(receiver: &MockServer, secrets: &[&str], clock: Arc<dyn Clock>) -> WebhookAlert {
    let secrets: Vec<SecretString> = secrets.iter().map(|secret| (*secret).into()).collect();
    let url = format!("{}/alerts?token=t", receiver.uri());
    WebhookAlert::new(&Connections::new().unwrap(), &url, &secrets, clock).unwrap()
}

/// Answers with these in turn, then with the last one. Whoever follows its redirects is answered with success.
pub(crate) async fn receiver<const N: usize>(answers: [StatusCode; N]) -> MockServer {
    let receiver = MockServer::start().await;
    let next = AtomicUsize::new(0);
    let answer = move |_: &Request| {
        let turn = next.fetch_add(1, Ordering::SeqCst).min(N - 1);
        ResponseTemplate::new(answers[turn].as_u16()).insert_header("location", "/elsewhere")
    };
    Mock::given(method("POST")).and(path("/alerts")).respond_with(answer).mount(&receiver).await;
    Mock::given(path("/elsewhere")).respond_with(ResponseTemplate::new(200)).mount(&receiver).await;
    receiver
}

/// What was posted, in order; nothing went elsewhere.
pub(crate) async fn posted(receiver: &MockServer) -> Vec<Request> {
    let requests = receiver.received_requests().await.unwrap();
    assert!(requests.iter().all(|request| request.url.path() == "/alerts"), "a redirect was followed");
    requests
}

pub(crate) fn header(request: &Request, name: &str) -> String {
    request.headers[name].to_str().unwrap().to_owned()
}

/// An adapter that remembers what it was told.
struct Recorder {
    name: &'static str,
    how: How,
    told: Mutex<Vec<String>>,
    reached: Notify,
}

/// How an adapter behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Tells,
    /// It tells, and never comes back to say so.
    TellsAndHangs,
}

impl Recorder {
    fn new(name: &'static str, how: How) -> Arc<Self> {
        Arc::new(Self { name, how, told: Mutex::default(), reached: Notify::new() })
    }

    fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }
}

#[async_trait]
impl Alerter for Recorder {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn tell(&self, alert: &Alert) -> Result<(), NotTold> {
        self.told.lock().unwrap().push(alert.id());
        self.reached.notify_one();
        match self.how {
            How::Tells => Ok(()),
            How::TellsAndHangs => std::future::pending().await,
        }
    }
}
