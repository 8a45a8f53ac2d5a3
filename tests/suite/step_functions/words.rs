//! What the engine says to Step Functions, and what it makes of the answers: as AWS gives them, which has a new token for
//! every try of a task, and as emulators do, which have one for all.

use std::sync::Arc;
use std::time::Duration;

use fincore_tests::queue::sdk_config;
use fincore_tests::world::World;
use serde_json::{Value, json};
use wiremock::matchers::header;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};
use workflow::definition::State;
use workflow::ids::PaymentId;
use workflow::port::clock::Clock;
use workflow::port::executions::Execution;
use workflow::port::queue::Settlement;
use workflow::port::timeouts::{Followed, Standing, Task, Timeouts};
use workflow_aws::sfn::{Keeping, SfnOptions, StepFunctions};
use workflow_aws::sqs::SqsOptions;

const MACHINE: &str = "arn:aws:states:us-east-1:123456789012:stateMachine:payments";

/// Step Functions, played by a test.
struct Service {
    server: MockServer,
    timeouts: StepFunctions,
}

impl Service {
    async fn of(world: &World, keeping: Keeping) -> Self {
        let server = MockServer::start().await;
        let sqs = SqsOptions::new("https://sqs.us-east-1.amazonaws.com/123456789012/payments", None);
        let options = SfnOptions::new(MACHINE, &sqs, keeping, None).unwrap();
        let (store, clock) = (Arc::clone(&world.store), Arc::clone(&world.clock) as Arc<dyn Clock>);
        let timeouts = StepFunctions::over(&sdk_config(&server.uri()).await, options, store, clock);
        Self { server, timeouts }
    }

    /// From now on an action is answered with this status and error.
    async fn answers(&self, action: &str, status: u16, error: &str) {
        let body = match status {
            200 => {
                json!({ "executionArn": "arn:aws:states:us-east-1:1:execution:payments:x", "startDate": 1_790_000_000 })
            }
            _ => json!({ "__type": format!("com.amazonaws.swf.service.v2.model#{error}"), "message": error }),
        };
        let answer = ResponseTemplate::new(status).set_body_json(body);
        let action = header("x-amz-target", format!("AWSStepFunctions.{action}").as_str());
        self.server.register(Mock::given(action).respond_with(answer).with_priority(1)).await;
    }

    /// Everything is well.
    async fn takes_everything(&self) {
        self.server.reset().await;
        for action in ["StartExecution", "SendTaskSuccess", "SendTaskFailure", "SendTaskHeartbeat"] {
            self.answers(action, 200, "").await;
        }
    }

    /// What was said, as action and input, since it was last asked for.
    async fn heard(&self) -> Vec<(String, Value)> {
        self.timeouts.flush().await;
        let said = |request: Request| {
            let action = request.headers["x-amz-target"].to_str().unwrap().split('.').nth(1).unwrap().to_owned();
            (action, request.body_json().unwrap())
        };
        let heard = self.server.received_requests().await.unwrap().into_iter().map(said).collect();
        self.takes_everything().await;
        heard
    }

    fn asks(&self, id: PaymentId, seq: i64, state: State, token: &str) {
        self.timeouts.take(id, seq, Task { token: token.to_owned(), state, timed_out: false });
    }
}

crate::on_each_store! {
    async fn a_task_is_kept_while_its_payment_stays_and_answered_when_it_moves(world: World) {
        let service = Service::of(&world, Keeping::All).await;
        service.takes_everything().await;
        let id = waiting(&world).await;
        let seq = world.payment(id).await.seq;
        service.asks(id, seq, State::Authorized, "first");
        assert_eq!(service.heard().await, []);
        // A try of the same task that came later has another token; the first one, delivered once more, is over.
        service.asks(id, seq + 1, State::Authorized, "second");
        service.timeouts.flush().await;
        service.asks(id, seq, State::Authorized, "first");
        service.timeouts.flush().await;
        let from = world.payment(id).await.state;
        moved(&world, id, &service, from).await;
        let heard = service.heard().await;
        assert_eq!(heard[0].0, "SendTaskSuccess");
        assert_eq!(heard[0].1["taskToken"], "second");
        let report: Value = serde_json::from_str(heard[0].1["output"].as_str().unwrap()).unwrap();
        assert_eq!(report["state"], "finalizing");
        assert_eq!(world.store.executions(&[id]).await.unwrap(), [], "nothing is left to say");
    }

    async fn one_token_for_all_tries_is_as_good(world: World) {
        let service = Service::of(&world, Keeping::All).await;
        service.takes_everything().await;
        let id = waiting(&world).await;
        for _ in 0..3 {
            service.asks(id, 4, State::Authorized, "only");
            service.timeouts.flush().await;
        }
        moved(&world, id, &service, State::Authorized).await;
        assert_eq!(service.heard().await.len(), 1);
        // The message comes once more: it is answered from where the payment is, and nobody minds.
        service.asks(id, 4, State::Authorized, "only");
        service.answers("SendTaskSuccess", 400, "TaskTimedOut").await;
        assert_eq!(service.heard().await.len(), 1);
        assert_eq!(world.store.executions(&[id]).await.unwrap(), []);
    }

    async fn tasks_that_are_over_and_executions_that_are_there_are_normal(world: World) {
        let service = Service::of(&world, Keeping::All).await;
        let id = waiting(&world).await;
        for error in ["TaskTimedOut", "TaskDoesNotExist", "InvalidToken"] {
            service.takes_everything().await;
            service.asks(id, 4, State::Authorized, error);
            service.timeouts.flush().await;
            service.answers("SendTaskSuccess", 400, error).await;
            service.asks(id, 1, State::Created, "of an earlier state");
            service.timeouts.flush().await;
            assert_eq!(kept(&world, id).await, [Some(error.to_owned())], "the other one stays");
        }
        service.answers("StartExecution", 400, "ExecutionAlreadyExists").await;
        let other = world.charge("pm_card_visa", "manual").await;
        service.timeouts.follow(new(&world, other).await);
        service.timeouts.flush().await;
        assert!(kept(&world, other).await.is_empty());
    }

    async fn what_is_not_heard_is_said_again_by_a_later_sweep(world: World) {
        let service = Service::of(&world, Keeping::All).await;
        service.answers("StartExecution", 500, "InternalFailure").await;
        let id = world.charge("pm_card_visa", "manual").await;
        service.timeouts.follow(new(&world, id).await);
        service.timeouts.flush().await;
        assert_eq!(kept(&world, id).await, [None], "to be started");
        service.takes_everything().await;
        assert_eq!(service.timeouts.sweep().await, 0, "not yet");
        world.clock.skip(Duration::from_secs(61));
        assert_eq!(service.timeouts.sweep().await, 1);
        let heard = service.heard().await;
        assert_eq!((heard[0].0.as_str(), &heard[0].1["name"]), ("StartExecution", &json!(id)));
        assert!(kept(&world, id).await.is_empty());
    }

    async fn a_start_says_where_the_payment_is_and_a_worker_at_work_gives_a_sign_of_life(world: World) {
        let service = Service::of(&world, Keeping::All).await;
        service.takes_everything().await;
        let id = world.charge("pm_card_visa", "automatic").await;
        service.timeouts.follow(new(&world, id).await);
        let heard = service.heard().await;
        let input: Value = serde_json::from_str(heard[0].1["input"].as_str().unwrap()).unwrap();
        assert_eq!(input["report"], json!({ "state": "created", "seq": 1, "wait_s": 0 }));
        assert_eq!((&input["payment"], &input["kind"]), (&json!(id), &json!("charge")));
        world.engine.wake(workflow::port::queue::Wake::of(id, 1), "slow").await.unwrap();
        let leased = world.payment(id).await;
        service.asks(id, leased.seq, leased.state, "at work");
        service.timeouts.flush().await;
        let (from, standing) = (Some(leased.state), Standing::of(&leased));
        service.timeouts.follow(Followed { from, standing, trace: None });
        let heard = service.heard().await;
        assert!(heard.iter().all(|(action, _)| action == "SendTaskHeartbeat") && !heard.is_empty(), "{heard:?}");
        // What this release cannot work on, it hands back.
        service.timeouts.refuse(Task { token: "t".into(), state: leased.state, timed_out: false }, "why".into());
        let heard = service.heard().await;
        assert_eq!((heard[0].0.as_str(), &heard[0].1["error"]), ("SendTaskFailure", &json!("NotWorkedOn")));
    }

    async fn a_backoff_is_answered_also_when_it_is_over_by_then(world: World) {
        let service = Service::of(&world, Keeping::All).await;
        service.takes_everything().await;
        let id = world.charge("pm_sandbox_throttled_twice", "automatic").await;
        world.work().await;
        let backing_off = world.payment(id).await;
        let left = backing_off.next_wake_at.unwrap().duration_since(world.clock.now());
        for (skip, is_over) in [(Duration::ZERO, false), (left.unsigned_abs(), true)] {
            world.clock.skip(skip);
            service.asks(id, backing_off.seq, backing_off.state, "token");
            let heard = service.heard().await;
            assert_eq!(heard.len(), 1, "{heard:?}");
            assert_eq!(heard[0].0, "SendTaskSuccess");
            let report: Value = serde_json::from_str(heard[0].1["output"].as_str().unwrap()).unwrap();
            assert_eq!(report["state"], "authorizing");
            assert_eq!(report["wait_s"] == 0, is_over, "{report}");
        }
        assert_eq!(world.store.executions(&[id]).await.unwrap(), [], "nothing is left to say");
    }

    async fn on_the_way_back_nothing_is_started_and_the_queue_keeps_its_messages(world: World) {
        let service = Service::of(&world, Keeping::WhatItHas).await;
        service.takes_everything().await;
        let id = world.charge("pm_card_visa", "automatic").await;
        service.timeouts.follow(new(&world, id).await);
        assert_eq!(service.heard().await, []);
        let delay = Duration::from_secs(7);
        assert_eq!(service.timeouts.put_off(delay), Settlement::Again(delay));
        assert_eq!(service.timeouts.grace(), Duration::ZERO);
    }
}

/// A charge that waits for its capture.
async fn waiting(world: &World) -> PaymentId {
    let id = world.charge("pm_card_visa", "manual").await;
    world.work().await;
    assert_eq!(world.payment(id).await.state, State::Authorized);
    id
}

/// The client captures, and Step Functions is told of it.
async fn moved(world: &World, id: PaymentId, service: &Service, from: State) {
    world.clock.skip(Duration::from_secs(1));
    let (status, answer) = world.post(&format!("/v1/charges/{id}/capture"), "capture", &json!({})).await;
    assert!(status.is_success(), "{answer}");
    let standing = Standing::of(&world.payment(id).await);
    service.timeouts.follow(Followed { from: Some(from), standing, trace: None });
    service.timeouts.flush().await;
}

async fn new(world: &World, id: PaymentId) -> Followed {
    Followed { from: None, standing: Standing::of(&world.payment(id).await), trace: None }
}

async fn kept(world: &World, id: PaymentId) -> Vec<Option<String>> {
    let kept: Vec<Execution> = world.store.executions(&[id]).await.unwrap();
    kept.into_iter().map(|execution| execution.token).collect()
}
