//! FinCore as it is deployed: real processes on a real database, with the sandbox PSP beside them; and, in the production
//! shape, SQS and the Lambda function of an emulator between the API and the PSP.
//!
//! Not here: an owned clock. Time is real, and so are crashes.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use sandbox::Sandbox;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::AbortHandle;
use workflow::definition;
use workflow::ids::PaymentId;
use workflow::payment::Payment;
use workflow::port::store::{Store, StoreError};
use workflow::timeline;

use crate::conduct::{self, Conduct};
use crate::database::TestDatabase;
use crate::emulators::Emulator;
use crate::lambda::{Lambda, Setup};
use crate::process::{Program, Running, free_port};
use crate::queue::{Shape, TestQueue};
use crate::state_machine::StateMachine;
use crate::world::{SECRET_KEY, WEBHOOK_SECRET, http_client};
use crate::written::{self, Kind};

/// Leases of killed workers run out after a minute; then there is a little work left.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Between two schedules of a function. In production it is a minute; what is forgotten waits for so long.
const SCHEDULE: Duration = Duration::from_millis(700);

/// Where the work is done.
#[derive(Clone, Copy, Debug)]
pub enum Workers {
    /// In the process that serves the API.
    Inside,
    /// In a process of their own, fed by a queue.
    Apart,
    /// In a Lambda function, fed by a queue.
    Lambda,
}

/// How a site is put together.
pub struct Plan<'a> {
    /// The program.
    pub binary: &'static str,
    /// Where the work is done.
    pub workers: Workers,
    /// The Lambda function, should there be one.
    pub function: &'a Path,
    /// Where the queue is, should there be one.
    pub emulator: Option<Emulator>,
    /// Whether the PSP sends webhooks.
    pub webhooks: Webhooks,
    /// For how many seconds a message that was handed out is not handed out again.
    pub visibility_s: u32,
    /// The document of the state machine that keeps the time, should there be one.
    pub state_machine: Option<Value>,
    /// More settings, of every program.
    pub env: Vec<(&'static str, String)>,
}

/// Whether the PSP sends webhooks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Webhooks {
    /// As things happen.
    Sent,
    /// Never: what happens is found by asking.
    Lost,
}

/// What a site is made of.
pub struct Parts {
    /// How its processes are started.
    pub program: Program,
    /// How commands are run that people run.
    pub admin: Program,
    /// The PSP.
    pub sandbox: Sandbox,
    /// Where the API will be.
    pub api: String,
    /// The queue between its parts.
    pub queue: Option<TestQueue>,
    /// The function.
    pub lambda: Option<Lambda>,
    /// What its processes do.
    pub commands: &'static [&'static [&'static str]],
    /// Where the function finds what it is told beside its messages.
    pub folder: TempDir,
}

/// A deployed FinCore.
pub struct Site {
    /// How its processes are started.
    pub program: Program,
    /// The PSP.
    pub sandbox: Sandbox,
    /// The database, seen from outside.
    pub store: Arc<dyn Store>,
    /// The queue between its parts.
    pub queue: Option<TestQueue>,
    /// The function.
    pub lambda: Option<Lambda>,
    /// What keeps the time beside the database.
    pub machine: Option<StateMachine>,
    /// What the function is told beside its messages.
    pub conduct: Conduct,
    /// Where the API is.
    pub api: String,
    /// What opens it.
    pub secret: String,
    http: reqwest::Client,
    commands: &'static [&'static [&'static str]],
    schedule: Option<AbortHandle>,
    _folder: TempDir,
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(schedule) = &self.schedule {
            schedule.abort();
        }
    }
}

impl Site {
    /// Puts everything up but the processes.
    pub async fn build(database: &TestDatabase, plan: Plan<'_>) -> Self {
        let port = free_port();
        let api = format!("http://127.0.0.1:{port}");
        let sandbox = Sandbox::start(sandbox::Config {
            secret_key: SECRET_KEY.to_owned(),
            webhook_secret: WEBHOOK_SECRET.to_owned(),
            webhook_url: (plan.webhooks == Webhooks::Sent).then(|| format!("{api}/v1/webhooks/stripe")),
            ..sandbox::Config::default()
        })
        .await
        .expect("a loopback port is free");
        let mut env = vec![
            ("FINCORE_DATABASE_URL", database.url()),
            ("FINCORE_LISTEN", format!("127.0.0.1:{port}")),
            ("FINCORE_STRIPE_URL", sandbox.url().to_owned()),
            ("FINCORE_STRIPE_SECRET_KEY", SECRET_KEY.to_owned()),
            ("FINCORE_STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET.to_owned()),
        ];
        env.extend(plan.env.iter().cloned());
        let folder = tempfile::tempdir().expect("the machine has room for a folder");
        let machine = state_machine(&plan, &mut env).await;
        let (queue, lambda) = queue_and_function(&plan, &mut env, folder.path()).await;
        let program = Program { binary: plan.binary, env };
        let commands: &[&[&str]] = match plan.workers {
            Workers::Inside => &[&["serve", "--with-worker"]],
            Workers::Apart => &[&["serve"], &["work"]],
            Workers::Lambda => &[&["serve"]],
        };
        let admin = program.clone();
        let mut site =
            Self::of(database, Parts { program, admin, sandbox, api, queue, lambda, commands, folder }).await;
        site.machine = machine;
        site
    }

    /// A site of parts that are up but for the processes. Makes the schema, and a key.
    ///
    /// # Panics
    /// When the commands for that fail.
    pub async fn of(database: &TestDatabase, parts: Parts) -> Self {
        let Parts { program, admin, sandbox, api, queue, lambda, commands, folder } = parts;
        admin.run(&["migrate"]);
        let created = admin.run(&["keys", "create"]);
        let secret = created.lines().find_map(|line| line.strip_prefix("secret")).expect("a key has a secret");
        let schedule = lambda.clone().map(|lambda| tokio::spawn(schedule(lambda)).abort_handle());
        written::is_secret(secret.trim());
        let (secret, store, http) = (secret.trim().to_owned(), database.unmigrated_store().await, http_client());
        let conduct = Conduct::in_folder(folder.path());
        Self {
            program,
            sandbox,
            store,
            queue,
            lambda,
            machine: None,
            conduct,
            api,
            secret,
            http,
            commands,
            schedule,
            _folder: folder,
        }
    }

    /// Starts the processes.
    #[must_use]
    pub fn start(&self) -> Vec<Running> {
        self.commands.iter().map(|command| self.program.start(command)).collect()
    }

    /// Sends a signal to the function's processes, where there are any; returns how many there were.
    #[allow(clippy::must_use_candidate, reason = "it is sent for what it does")]
    pub fn signal_functions(&self, signal: &str) -> usize {
        let Some(queue) = &self.queue else { return 0 };
        let mut signaled = 0;
        for process in std::fs::read_dir("/proc").expect("there are processes").flatten() {
            // Others come and go while we look; those of other users are not ours.
            let Ok(environment) = std::fs::read(process.path().join("environ")) else { continue };
            let Ok(binary) = std::fs::read_link(process.path().join("exe")) else { continue };
            let is_ours = binary.ends_with("lambda-under-test")
                && environment.windows(queue.url.len()).any(|window| window == queue.url.as_bytes());
            if is_ours {
                let sent = std::process::Command::new("kill").args(["-s", signal]).arg(process.file_name()).status();
                signaled += usize::from(sent.is_ok_and(|status| status.success()));
            }
        }
        signaled
    }

    /// A client that repeats its request, under the same key, until it is accepted.
    ///
    /// # Panics
    /// When it never is.
    pub async fn charge(&self, key: &str, body: &Value) -> PaymentId {
        let charge = self.insist("/v1/charges", key, body).await;
        charge["id"].as_str().expect("a charge has an id").parse().expect("of our kind")
    }

    /// A POST that is repeated, under the same key, until it is answered well; returns the answer.
    ///
    /// # Panics
    /// When it never is.
    pub async fn insist(&self, path: &str, key: &str, body: &Value) -> Value {
        self.insist_among(std::slice::from_ref(&self.api), path, key, body).await
    }

    /// The same with several processes that serve the API, one after the other.
    ///
    /// # Panics
    /// When it never is.
    pub async fn insist_among(&self, apis: &[String], path: &str, key: &str, body: &Value) -> Value {
        let begun = Instant::now();
        for api in apis.iter().cycle().take_while(|_| begun.elapsed() < PATIENCE) {
            if let Ok((status, answer)) = self.try_post(api, path, key, body).await
                && status.is_success()
            {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{path} was never answered well");
    }

    async fn try_post(&self, api: &str, path: &str, key: &str, body: &Value) -> reqwest::Result<(StatusCode, Value)> {
        let request = self.http.post(format!("{api}{path}")).bearer_auth(&self.secret);
        let response = request.header("Idempotency-Key", key).json(body).send().await?;
        Ok((response.status(), response.json().await?))
    }

    /// A POST of the client's, to an API that runs or is being started.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn post(&self, path: &str, key: &str, body: &Value) -> (StatusCode, Value) {
        let begun = Instant::now();
        loop {
            match self.try_post(&self.api, path, key, body).await {
                Ok(answer) => return answer,
                Err(error) => assert!(begun.elapsed() < PATIENCE, "the API does not answer: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A GET of the client's.
    ///
    /// # Panics
    /// When the API does not answer.
    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        let request = self.http.get(format!("{}{path}", self.api)).bearer_auth(&self.secret);
        let response = request.send().await.expect("the API answers");
        (response.status(), response.json().await.expect("answers are JSON"))
    }

    /// Posts a webhook with this signature.
    ///
    /// # Panics
    /// When the API does not answer.
    pub async fn deliver(&self, body: Vec<u8>, signature: &str) -> StatusCode {
        let request = self.http.post(format!("{}/v1/webhooks/stripe", self.api));
        let request = request.header("Stripe-Signature", signature).header("Content-Type", "application/json");
        request.body(body).send().await.expect("the API answers").status()
    }

    /// What the function has written, where there is one.
    pub async fn log(&self) -> String {
        match &self.lambda {
            Some(lambda) => lambda.logs().await.join("\n"),
            None => String::new(),
        }
    }

    /// A client that says no more than how it pays.
    pub async fn charge_with(&self, payment_method: &str) -> PaymentId {
        let body = json!({"amount": 1200, "currency": "eur", "payment_method": payment_method});
        self.charge(&crate::emulators::unique("key"), &body).await
    }

    /// Waits until all of these have ended, or wait for a person.
    ///
    /// # Panics
    /// When some do not.
    pub async fn until_ended(&self, ids: &[PaymentId]) -> Vec<Payment> {
        let begun = Instant::now();
        loop {
            let loaded = match self.store.load(ids).await {
                // A test that cuts connections cuts ours too; the next read gets another one.
                Err(StoreError::Unavailable(_)) if begun.elapsed() < PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
                loaded => loaded.expect("the store answers"),
            };
            let payments: Vec<Payment> = loaded.into_iter().map(|payment| payment.expect("it was accepted")).collect();
            let is_open = |payment: &&Payment| {
                !definition::has_ended(payment.state) && payment.state != definition::State::InReview
            };
            let open = payments.iter().filter(is_open).count();
            if open == 0 {
                written::keep(Kind::ProcessLog, self.log().await.as_bytes());
                return payments;
            }
            if begun.elapsed() > PATIENCE {
                let stuck = payments.iter().find(is_open).expect("some are open");
                let log = self.log().await;
                panic!("{open} charges are still open, one of them:\n{}\n{log}", self.ledger(stuck.id).await);
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    /// A payment's history as a ledger.
    pub async fn ledger(&self, id: PaymentId) -> String {
        timeline::ledger(&self.store.history(id).await.expect("the store answers"))
    }
}

async fn state_machine(plan: &Plan<'_>, env: &mut Vec<(&'static str, String)>) -> Option<StateMachine> {
    let machine = StateMachine::deploy(plan.emulator.clone()?, plan.state_machine.as_ref()?).await;
    env.extend([("FINCORE_TIMEOUTS", "step-functions".to_owned()), ("FINCORE_STATE_MACHINE_ARN", machine.arn.clone())]);
    Some(machine)
}

async fn queue_and_function(
    plan: &Plan<'_>,
    env: &mut Vec<(&'static str, String)>,
    folder: &Path,
) -> (Option<TestQueue>, Option<Lambda>) {
    let Some(emulator) = &plan.emulator else { return (None, None) };
    let shape = Shape { visibility_s: plan.visibility_s, ..Shape::default() };
    let queue = TestQueue::create(emulator.clone(), "payments", shape).await;
    env.extend([
        ("FINCORE_QUEUE", "sqs".to_owned()),
        ("FINCORE_SQS_QUEUE_URL", queue.url.clone()),
        ("FINCORE_SQS_DEAD_LETTER_QUEUE_URL", queue.dead_letter_url.clone()),
        ("FINCORE_AWS_ENDPOINT_URL", emulator.url().to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
    ]);
    if !matches!(plan.workers, Workers::Lambda) {
        return (Some(queue), None);
    }
    let mut env: Vec<_> = env.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let filter = if written::folder().is_some() { written::FILTER } else { "warn" };
    env.push(("FINCORE_LOG".to_owned(), filter.to_owned()));
    env.push((conduct::FOLDER.to_owned(), folder.display().to_string()));
    let setup = Setup { env, ..Setup::default() };
    let lambda = Lambda::deploy(queue.clone(), plan.function, &setup).await;
    (Some(queue), Some(lambda))
}

/// What a schedule of EventBridge does.
async fn schedule(lambda: Lambda) {
    loop {
        tokio::time::sleep(SCHEDULE).await;
        // Whatever comes of it; the next one is soon.
        let _ = lambda.invoke(json!({"source": "aws.events", "detail-type": "Scheduled Event"})).await;
    }
}
