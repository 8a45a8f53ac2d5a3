//! The whole of `deploy/aws`, put up by an emulator: a charge goes through it to its end, another meets a dead PSP and comes
//! to people, and what the processes ask of AWS meanwhile is what their roles allow, and nothing more.
//!
//! Not here: templates as texts (`third_party::templates`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use fincore_tests::cloud::{Allowed, Cloud};
use fincore_tests::database::TestDatabase;
use fincore_tests::emulators::Emulator;
use fincore_tests::lambda::{Feeding, Lambda};
use fincore_tests::package;
use fincore_tests::process::{Program, free_port};
use fincore_tests::queue::{Shape, TestQueue};
use fincore_tests::recorder::Recorder;
use fincore_tests::redis::OwnRedis;
use fincore_tests::site::{Parts, Site};
use fincore_tests::stage::{Deployed, Stage};
use fincore_tests::state_machine::StateMachine;
use fincore_tests::world::{SECRET_KEY, WEBHOOK_SECRET};
use sandbox::scenario::ALWAYS;
use sandbox::{Fault, Operation, Sandbox};
use serde_json::{Value, json};
use workflow::definition::State;
use workflow::ids::PaymentId;

use crate::alerts::DISAGREES;

/// A deployed system, and the processes that are tested with it.
struct Deployment<'a> {
    cloud: Cloud,
    database: &'a TestDatabase,
    stage: Deployed,
    admin: Program,
    redis: OwnRedis,
    asked: BTreeMap<&'static str, Recorder>,
}

/// Servers that the emulator only keeps in mind are the test's own, and AWS is the emulator behind a recorder.
fn instead(recorder: &Recorder, database: &TestDatabase, redis: &OwnRedis) -> Vec<(String, String)> {
    [
        ("FINCORE_DATABASE_URL", database.url()),
        ("PGSSLMODE", "prefer".to_owned()),
        ("FINCORE_REDIS_URL", redis.part().url),
        ("FINCORE_AWS_ENDPOINT_URL", recorder.url.clone()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

/// A process of a container, as its task tells it to be.
async fn program(cloud: &Cloud, task: &str, instead: Vec<(String, String)>) -> Program {
    let mut env = cloud.environment_of(task).await;
    env.extend(instead);
    // Otherwise its log would be this test's.
    env.insert("FINCORE_LOG".to_owned(), "error".to_owned());
    let env = env.into_iter().map(|(name, value)| (&*name.leak(), value)).collect();
    Program { binary: env!("CARGO_BIN_EXE_fincore-under-test"), env }
}

async fn deployment<'a>(database: &'a TestDatabase, emulator: &Emulator, redis: OwnRedis) -> Deployment<'a> {
    let api = format!("127.0.0.1:{}", free_port());
    let sandbox = Sandbox::start(sandbox::Config {
        secret_key: SECRET_KEY.to_owned(),
        webhook_secret: WEBHOOK_SECRET.to_owned(),
        webhook_url: Some(format!("http://{api}/v1/webhooks/stripe")),
        ..sandbox::Config::default()
    });
    let sandbox = sandbox.await.unwrap();
    let psp = json!({ "secret_key": SECRET_KEY, "webhook_secret": WEBHOOK_SECRET });
    let parameters = [("StripeUrl", sandbox.url()), ("StepFunctions", "yes")];
    let function = package::function(Path::new(env!("CARGO_BIN_EXE_lambda-under-test")));
    let cloud = Cloud::deploy(emulator, function, &psp, &parameters).await;

    let mut asked = BTreeMap::new();
    for who in ["Worker.Role", "Api.ApiRole", "Api.AdminRole"] {
        asked.insert(who, Recorder::before(emulator).await);
    }
    let folder = tempfile::tempdir().unwrap();
    let queue = TestQueue {
        emulator: emulator.clone(),
        url: cloud.output("Messages.QueueUrl").to_owned(),
        dead_letter_url: cloud.output("Messages.DeadLetterQueueUrl").to_owned(),
    };
    let (function, feed) = (cloud.output("Worker.Worker").to_owned(), cloud.output("Worker.Feed").to_owned());
    let lambda = Lambda::deployed(queue.clone(), function, feed);
    lambda.feed(Feeding::Off).await;
    let mut told = cloud.environment_of_function().await;
    assert_eq!(told["FINCORE_STRIPE_SECRET_KEY"], SECRET_KEY, "the function has the PSP's secret, not its name");
    let token = told["FINCORE_REDIS_PASSWORD"].clone();
    redis.part().run::<()>(&["CONFIG", "SET", "requirepass", &token]).await;
    told.extend(instead(&asked["Worker.Role"], database, &redis));
    lambda.set_env(&told.into_iter().collect::<Vec<_>>()).await;
    lambda.feed(Feeding::On).await;

    let mut serve = program(&cloud, "Api.Api", instead(&asked["Api.ApiRole"], database, &redis)).await;
    serve.env.push(("FINCORE_LISTEN", api.clone()));
    let admin = program(&cloud, "Api.Admin", instead(&asked["Api.AdminRole"], database, &redis)).await;
    let parts = Parts {
        program: serve,
        admin: admin.clone(),
        sandbox,
        api: format!("http://{api}"),
        queue: Some(queue),
        lambda: Some(lambda),
        commands: &[&["serve"]],
        folder,
    };
    Deployment { stage: Deployed::of(Site::of(database, parts).await), cloud, database, admin, redis, asked }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn charges_go_through_the_deployed_system_to_their_end_or_to_people() {
    let (Some(database), Some(emulator)) = (TestDatabase::postgres().await, Emulator::ministack()) else { return };
    let Some(redis) = OwnRedis::start() else { return };
    let deployed = deployment(&database, &emulator, redis).await;
    is_configured_as_meant(&deployed.cloud).await;
    let running = deployed.stage.site.start();
    succeeds(&deployed).await;
    comes_to_people(&deployed).await;
    measures_what_alarms_need(&deployed.cloud).await;
    asks_for_what_it_may_and_may_what_it_asks(&deployed).await;
    drop(running);
    deployed.cloud.delete().await;
}

/// What AWS goes by, read back from where it was deployed.
async fn is_configured_as_meant(cloud: &Cloud) {
    for (task, command) in [("Api.Api", "serve"), ("Api.Admin", "migrate")] {
        assert_eq!(cloud.container(task).await["command"], json!([command]));
    }
    let queue = json!({ "QueueUrl": cloud.output("Messages.QueueUrl"), "AttributeNames": ["All"] });
    let queue = cloud.emulator.sqs("GetQueueAttributes", queue).await["Attributes"].clone();
    let redrive: Value = serde_json::from_str(queue["RedrivePolicy"].as_str().unwrap()).unwrap();
    assert_eq!(redrive["deadLetterTargetArn"], cloud.output("Messages.DeadLetterQueueArn"));
    assert!(redrive["maxReceiveCount"].to_string().trim_matches('"').parse::<u32>().unwrap() >= 200);
    let function = cloud.function().await;
    let visibility_s: u64 = queue["VisibilityTimeout"].as_str().unwrap().parse().unwrap();
    assert!(visibility_s >= 6 * function["Timeout"].as_u64().unwrap());
    let feed = format!("/2015-03-31/event-source-mappings/{}", cloud.output("Worker.Feed"));
    let feed = cloud.emulator.lambda("GET", &feed, Value::Null).await;
    assert_eq!(feed["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]));
    assert_eq!(feed["EventSourceArn"], cloud.output("Messages.QueueArn"));
    assert_eq!(feed["ScalingConfig"]["MaximumConcurrency"].to_string().trim_matches('"'), "20");
    let alarms = cloud.alarms().await;
    assert!(alarms.len() >= 14, "{:?}", alarms.keys());
    for (name, alarm) in alarms {
        assert_eq!(alarm["AlarmActions"], json!([cloud.output("Messages.Alarms")]), "{name}");
    }
}

/// Request, queue, mapping, function, PSP, webhook, and Step Functions beside.
async fn succeeds(deployed: &Deployment<'_>) {
    let (site, cloud) = (&deployed.stage.site, &deployed.cloud);
    let id = site.charge_with("pm_sandbox_processing").await;
    let payment = site.until_ended(&[id]).await.remove(0);
    let ledger = site.ledger(id).await;
    assert_eq!(payment.state, State::Succeeded, "{ledger}");
    assert!(ledger.contains("psp") && ledger.contains("worker"), "{ledger}");
    deployed.stage.agree(id).await;
    let machine = StateMachine::deployed(cloud.emulator.clone(), cloud.output("Messages.ClockArn").to_owned());
    machine.until(&id.to_string(), "SUCCEEDED").await;
    // The token of Redis, which closed its door before anybody came, let them in.
    let password = &cloud.environment_of("Api.Api").await["FINCORE_REDIS_PASSWORD"];
    let password: String = url::form_urlencoded::byte_serialize(password.as_bytes()).collect();
    let url = deployed.redis.part().url.replace("redis://", &format!("redis://:{password}@"));
    let keys: Vec<String> =
        fincore_tests::redis::TestRedis { url, prefix: String::new() }.run(&["KEYS", "fincore:*"]).await;
    assert!(!keys.is_empty(), "nobody uses Redis");
    // What the schedule says is understood.
    let schedule = cloud.emulator.rest("scheduler", &format!("/schedules/{}", cloud.output("Worker.Sweep"))).await;
    assert_eq!((&schedule["ScheduleExpression"], &schedule["State"]), (&json!("rate(1 minute)"), &json!("ENABLED")));
    let event = serde_json::from_str(schedule["Target"]["Input"].as_str().unwrap()).unwrap();
    let swept = site.lambda.as_ref().unwrap().invoke(event).await;
    assert!(!swept.failed && swept.payload["swept"].is_u64(), "{swept:?}");
}

/// A PSP that is dead for longer than anybody retries; then people are told, and bring the charge to its end.
async fn comes_to_people(deployed: &Deployment<'_>) {
    let (stage, cloud) = (&deployed.stage, &deployed.cloud);
    let site = &stage.site;
    let people = TestQueue::create(cloud.emulator.clone(), "people", Shape::default()).await;
    let subscription = [
        ("TopicArn".to_owned(), cloud.output("Messages.Alarms").to_owned()),
        ("Protocol".to_owned(), "sqs".to_owned()),
        ("Endpoint".to_owned(), people.arn(&people.url).await),
    ];
    cloud.emulator.query("sns", "Subscribe", &subscription).await;
    let queue = site.queue.as_ref().unwrap();
    // What cannot be read is put off again and again, and holds up nobody.
    queue.send(&["not one of ours"]).await;
    let name = cloud.output("Messages.DeadLetterQueueName");
    // The emulator takes the numbers of all queues together, so those of a run of a minute ago have to be over.
    while cloud.alarms().await["DeadLetterQueueNotEmpty"]["StateValue"] != "OK" {
        cloud.measure(name, queue.counts(&queue.dead_letter_url).await.ready).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    let dead = [Operation::Create, Operation::Confirm, Operation::Capture, Operation::Retrieve, Operation::Cancel];
    dead.iter().for_each(|operation| site.sandbox.fail_next(*operation, Fault::DropBefore, ALWAYS));
    let id = site.charge_with("pm_card_visa").await;
    while stage.payment(id).await.state != State::InReview {
        // No policy asks for more than a day.
        age(deployed.database, id, Duration::from_hours(25)).await;
        stage.rest(id).await;
    }
    queue.until_dead_letters(1).await;
    let told = until_told(&people, "dead_letter.created").await;
    assert!(told.contains(&id.to_string()), "{told}");
    cloud.measure(name, queue.counts(&queue.dead_letter_url).await.ready).await;
    let told = until_told(&people, "DeadLetterQueueNotEmpty").await;
    assert!(told.contains("ALARM") && told.contains(cloud.name()), "{told}");

    dead.iter().for_each(|operation| site.sandbox.fail_next(*operation, Fault::DropBefore, 0));
    // The letter of a charge that nobody may simply repeat lies there as well, and one of somebody else: both are to stay.
    let disagrees = site.charge_with(DISAGREES).await;
    while stage.payment(disagrees).await.state != State::InReview {
        stage.rest(disagrees).await;
    }
    queue.until_dead_letters(2).await;
    let other = json!({ "QueueUrl": queue.dead_letter_url, "MessageBody": "not one of ours" });
    cloud.emulator.sqs("SendMessage", other).await;
    let (both, why) = ([id, disagrees].map(|id| id.to_string()), "the PSP is back");
    let redriven = deployed.admin.print(&["dlq", "redrive", &both[0], &both[1], "--why", why]);
    assert!(redriven.text.contains("1 of 2 redriven, 1 refused."), "{}{}", redriven.text, redriven.complaint);
    let payment = site.until_ended(&[id]).await.remove(0);
    assert_eq!(payment.state, State::Succeeded, "{}", site.ledger(id).await);
    queue.until_dead_letters(2).await;
    let left = queue.take(&queue.dead_letter_url).await;
    assert!(left.iter().any(|letter| letter.body.contains(&disagrees.to_string())), "{left:?}");
    stage.agree(id).await;
    people.delete().await;
}

/// Nobody's clock can be moved here: the function is the one that ships. So everything that has a time lies longer ago.
async fn age(database: &TestDatabase, id: PaymentId, by: Duration) {
    let columns = ["created_at_us", "state_since_us", "key_since_us", "next_wake_at_us", "updated_at_us"];
    let earlier = columns.map(|column| format!("{column} = {column} - {}", by.as_micros())).join(", ");
    database.execute(&format!("update payments set {earlier} where id = '{}'", id.uuid())).await.unwrap();
}

/// Waits until the topic has said something with these words, and returns it.
async fn until_told(people: &TestQueue, words: &str) -> String {
    for _ in 0..200 {
        for letter in people.take(&people.url).await {
            let envelope: Value = serde_json::from_str(&letter.body).unwrap();
            if letter.body.contains(words) {
                return envelope["Message"].as_str().unwrap().to_owned();
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("nobody is told of {words}");
}

/// Each metric filter matches a line that the function wrote, and the number it takes from there is one.
async fn measures_what_alarms_need(cloud: &Cloud) {
    let lines: Vec<Value> = cloud.log().await.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let filters = cloud.metric_filters().await;
    assert_eq!(filters.len(), 4, "{filters:?}");
    for filter in filters {
        let pattern = filter["filterPattern"].as_str().unwrap();
        let (path, wanted) = pattern.trim_matches(['{', '}', ' ']).split_once(" = ").unwrap();
        let is_meant =
            |line: &&Value| at(line, path).as_str().is_some_and(|text| is_like(text, wanted.trim_matches('"')));
        let matching: Vec<_> = lines.iter().filter(is_meant).collect();
        assert!(!matching.is_empty() && matching.len() < lines.len(), "{pattern} matches {}", matching.len());
        let value = filter["metricTransformations"][0]["metricValue"].as_str().unwrap();
        if value.starts_with('$') {
            let all_have_it = matching.iter().all(|line| at(line, value).is_number());
            assert!(all_have_it, "{value} is no number of {}", matching[0]);
        }
    }
}

/// `$.fields.message`
fn at<'a>(line: &'a Value, path: &str) -> &'a Value {
    path.trim_start_matches("$.").split('.').fold(line, |value, name| &value[name])
}

/// Whether a text is as a pattern says, in which `*` stands for anything.
fn is_like(text: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        None => text == pattern,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            let mut ends = text.char_indices().map(|(at, _)| &text[at..]).chain([""]);
            ends.any(|end| is_like(end, rest))
        }),
    }
}

/// Actions that a role is allowed and that are not, or not each time, seen here, with the reason why they are needed.
const NEEDED: [(&str, &str, &str); 23] = [
    ("Worker.Role", "sqs:ReceiveMessage", "Lambda does it for the function, with its role"),
    ("Worker.Role", "sqs:DeleteMessage", "the same"),
    ("Worker.Role", "sqs:GetQueueAttributes", "the same"),
    ("Worker.Role", "states:SendTaskFailure", "for a version of the workflow that only a newer release knows"),
    (
        "Worker.Role",
        "kms:Decrypt",
        "Lambda does it, to read the function's environment; SNS does it for an encrypted topic",
    ),
    ("Worker.Role", "kms:GenerateDataKey", "SNS does it for an encrypted topic, with the right of who publishes"),
    ("Worker.Role", "logs:CreateLogStream", "Lambda does it with the function's role"),
    ("Worker.Role", "logs:PutLogEvents", "the same"),
    ("Worker.Role", "xray:PutTraceSegments", "the same"),
    ("Worker.Role", "xray:PutTelemetryRecords", "the same"),
    ("Worker.Role", "ec2:CreateNetworkInterface", "the same, for the private subnets; denied to the function itself"),
    ("Worker.Role", "ec2:DescribeNetworkInterfaces", "the same"),
    ("Worker.Role", "ec2:DescribeSubnets", "the same"),
    ("Worker.Role", "ec2:DeleteNetworkInterface", "the same"),
    ("Worker.Role", "ec2:AssignPrivateIpAddresses", "the same"),
    ("Worker.Role", "ec2:UnassignPrivateIpAddresses", "the same"),
    ("Worker.Role", "states:StartExecution", "for a payment that comes to rest and whose execution was not started"),
    ("Worker.Role", "states:SendTaskHeartbeat", "for one that another message brought meanwhile"),
    ("Api.ApiRole", "states:SendTaskSuccess", "a webhook, or a client, moves a payment whose task is kept"),
    ("Api.ApiRole", "states:SendTaskHeartbeat", "a client cancels while a worker is at its charge"),
    ("Api.AdminRole", "states:StartExecution", "an act moves a payment that has no execution"),
    ("Api.AdminRole", "states:SendTaskSuccess", "or one that has"),
    ("Api.AdminRole", "states:SendTaskHeartbeat", "an operator cancels while a worker is at it"),
];

async fn asks_for_what_it_may_and_may_what_it_asks(deployed: &Deployment<'_>) {
    for (role, recorder) in &deployed.asked {
        let allowed: Allowed = deployed.cloud.allowed(role).await;
        let mut used = Allowed::new();
        for call in recorder.calls() {
            // A task's token says in which state machine it is.
            let machine = deployed.cloud.output("Messages.ClockArn").rsplit(':').next().unwrap().to_owned();
            let wanted = (call.action, call.resource.unwrap_or(machine));
            assert!(allowed.contains(&wanted), "{role} asks for {wanted:?} and may do {allowed:?}");
            used.insert(wanted);
        }
        let needed: BTreeSet<_> = NEEDED.iter().filter(|(who, ..)| who == role).map(|(_, action, _)| *action).collect();
        for (action, resource) in &allowed {
            let is_used = used.contains(&(action.clone(), resource.clone()));
            assert!(is_used || needed.contains(action.as_str()), "{role} may {action} on {resource}, and never does");
        }
        assert!(needed.iter().all(|action| allowed.iter().any(|(allowed, _)| allowed == action)), "{role}: {needed:?}");
    }
}
