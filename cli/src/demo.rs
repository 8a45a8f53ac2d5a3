//! `fincore demo`: one charge per interesting ending, through the whole running system, told as it happens.
//!
//! Charges are made over HTTP like any client's; only the waiting is shortened, by a clock that can be moved.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use jiff::SignedDuration;
use sandbox::{Authentication, WebhookMode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use workflow::definition::State;
use workflow::history::HistoryRow;
use workflow::ids::PaymentId;
use workflow::port::clock::Clock;
use workflow::timeline::{self, duration};

use crate::args::Demo;
use crate::clock::MovableClock;
use crate::dev::{Parts, System};
use crate::settings::{Knobs, Settings};
use crate::{app, keys, telemetry};

/// How often the history is read for something new to tell.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A scenario that has not come to its end by then is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// What somebody does in the middle of a scenario.
#[derive(Clone, Copy)]
enum Act {
    Nothing,
    Authenticate,
    CapturePart,
    Cancel,
    LoseWebhookAndSkipDeadline,
}

struct Scenario {
    name: &'static str,
    told: &'static str,
    payment_method: &'static str,
    capture_method: &'static str,
    act: Act,
    /// Where the charge rests before somebody acts, then where it ends.
    rests: State,
    ends: State,
}

const fn plain(name: &'static str, told: &'static str, payment_method: &'static str, ends: State) -> Scenario {
    Scenario { name, told, payment_method, capture_method: "automatic", act: Act::Nothing, rests: ends, ends }
}

const SCENARIOS: [Scenario; 10] = [
    plain("success", "A good card.", "pm_card_visa", State::Succeeded),
    plain(
        "decline",
        "The bank says no. A no is an answer: nothing is tried again.",
        "pm_card_chargeDeclinedInsufficientFunds",
        State::Failed,
    ),
    Scenario {
        act: Act::Authenticate,
        rests: State::RequiresAction,
        ..plain(
            "3ds",
            "The bank wants the customer to confirm; the customer does.",
            "pm_card_authenticationRequired",
            State::Succeeded,
        )
    },
    plain(
        "lost-answer",
        "The PSP reserves the money, but its answer never arrives: we ask, and do not charge twice.",
        "pm_sandbox_answer_lost",
        State::Succeeded,
    ),
    plain("throttled", "The PSP asks us to slow down, twice.", "pm_sandbox_throttled_twice", State::Succeeded),
    plain(
        "webhook",
        "The PSP needs a moment and tells the result by webhook.",
        "pm_sandbox_processing",
        State::Succeeded,
    ),
    Scenario {
        capture_method: "manual",
        act: Act::CapturePart,
        rests: State::Authorized,
        ..plain("manual", "Reserved now, and half of it captured later.", "pm_card_visa", State::Succeeded)
    },
    Scenario {
        capture_method: "manual",
        act: Act::Cancel,
        rests: State::Authorized,
        ..plain("cancel", "Reserved, then given up by the client.", "pm_card_visa", State::Canceled)
    },
    plain(
        "mismatch",
        "The PSP reserved another amount than we asked for: a person has to look.",
        "pm_sandbox_amount_mismatch",
        State::InReview,
    ),
    Scenario {
        act: Act::LoseWebhookAndSkipDeadline,
        rests: State::AwaitingWebhook,
        ..plain(
            "lost-webhook",
            "The webhook never comes. After the deadline we ask.",
            "pm_sandbox_processing",
            State::Succeeded,
        )
    },
];

/// Runs the demo.
pub(crate) async fn run(knobs: &Knobs, demo: &Demo) -> anyhow::Result<ExitCode> {
    let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
    let mut knobs = knobs.clone();
    knobs.database_url.get_or_insert_with(|| format!("sqlite:{}", folder.path().join("demo.db").display()));
    // The payment that needs a person is reported as an error, as it should be; here it would interrupt the story.
    knobs.telemetry.log.get_or_insert_with(|| "off".to_owned());
    knobs.sweep_every_ms.get_or_insert(100);
    let settings = Settings::read(&knobs)?;
    let telemetry = telemetry::start(&settings, "demo")?;
    let clock = Arc::new(MovableClock::default());
    let parts = Parts {
        settings,
        listener: app::listen(([127, 0, 0, 1], 0).into()).await?,
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        metrics: telemetry::start_metrics()?,
        journal: None,
        stop: CancellationToken::new(),
    };
    let system = System::start(parts).await?;
    let secret = keys::create(&system.store, keys::new_merchant(clock.as_ref())).await?;
    let stage = Stage { system, clock, secret, http: reqwest::Client::builder().no_proxy().build()? };
    let mut failed = 0;
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.name.contains(demo.only.as_deref().unwrap_or(""))) {
        if let Err(error) = stage.play(scenario).await {
            failed += 1;
            println!("   {error:#}\n");
        }
    }
    let ledger = stage.system.sandbox.ledger();
    println!("The sandbox PSP's books have {} entries; each charge was captured at most once.", ledger.len());
    stage.system.stop().await?;
    telemetry.close().await;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Stage {
    system: System,
    clock: Arc<MovableClock>,
    secret: SecretString,
    http: reqwest::Client,
}

impl Stage {
    async fn play(&self, scenario: &Scenario) -> anyhow::Result<()> {
        println!("── {} ── {}", scenario.name, scenario.told);
        let silent = matches!(scenario.act, Act::LoseWebhookAndSkipDeadline);
        if silent {
            self.system.sandbox.set_webhooks(WebhookMode::Off);
        }
        let body = json!({
            "amount": 1200, "currency": "eur",
            "payment_method": scenario.payment_method, "capture_method": scenario.capture_method,
        });
        let charge = self.post("/v1/charges", scenario.name, &body).await?;
        let id: PaymentId = charge["id"].as_str().context("the answer has no id")?.parse()?;
        println!("   POST /v1/charges {} → 202 {id}", scenario.payment_method);
        let told = self.tell_until(id, scenario.rests, 0).await?;
        self.act(scenario, id).await?;
        self.tell_until(id, scenario.ends, told).await?;
        println!();
        Ok(())
    }

    async fn act(&self, scenario: &Scenario, id: PaymentId) -> anyhow::Result<()> {
        match scenario.act {
            Act::Nothing => {}
            Act::Authenticate => {
                let payment = self.system.store.load(&[id]).await?.pop().flatten().context("no such charge")?;
                let reference = payment.psp_reference.context("not known at the PSP")?;
                println!("   the customer opens the bank's page and confirms");
                self.system.sandbox.authenticate(&reference, Authentication::Complete);
            }
            Act::CapturePart => {
                println!("   POST /v1/charges/{id}/capture of 6.00 EUR");
                let path = format!("/v1/charges/{id}/capture");
                self.post(&path, scenario.name, &json!({"amount": 600})).await?;
            }
            Act::Cancel => {
                println!("   POST /v1/charges/{id}/cancel");
                let path = format!("/v1/charges/{id}/cancel");
                self.post(&path, scenario.name, &json!({"reason": "requested_by_customer"})).await?;
            }
            Act::LoseWebhookAndSkipDeadline => {
                // The PSP finishes meanwhile; nobody tells us.
                while self.system.sandbox.settle_processing() > 0 {}
                println!("   (the clock is moved forward by 31 minutes)");
                self.clock.skip(SignedDuration::from_mins(31));
            }
        }
        Ok(())
    }

    async fn post(&self, path: &str, key: &str, body: &Value) -> anyhow::Result<Value> {
        let response = self
            .http
            .post(format!("http://{}{path}", self.system.address))
            .bearer_auth(self.secret.expose_secret())
            .header("Idempotency-Key", format!("demo-{key}-{path}"))
            .json(body)
            .send()
            .await?;
        let (status, answer) = (response.status(), response.text().await?);
        if !status.is_success() {
            bail!("POST {path} was answered {status}: {answer}");
        }
        Ok(serde_json::from_str(&answer)?)
    }

    /// Prints new rows until the charge stands in `state`; returns how many rows were told.
    async fn tell_until(&self, id: PaymentId, state: State, mut told: usize) -> anyhow::Result<usize> {
        let waiting_since = std::time::Instant::now();
        loop {
            let rows = self.system.store.history(id).await?;
            tell(&rows, told);
            told = rows.len();
            match rows.last() {
                Some(row) if row.fact.to == state => return Ok(told),
                Some(row) if waiting_since.elapsed() > PATIENCE => {
                    bail!("still {} after {PATIENCE:?}, expected {state}", row.fact.to)
                }
                Some(_) | None => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }
}

fn tell(rows: &[HistoryRow], told: usize) {
    for line in timeline::lines(rows).into_iter().skip(told) {
        let line = format!(
            "   {:>9}  {:<8} {:<17} {:<32} {}",
            duration(line.since_start_ms),
            line.who,
            line.event,
            line.state,
            line.told
        );
        println!("{}", line.trim_end());
    }
}
