//! Every magic payment method from the merchant's side: what the calls answer, which webhooks arrive, what happened to
//! the money. `scenarios.txt` has it as a table for people; a method that is not in it fails the test.
//!
//! Not here: how an engine takes it (the suite's `sandbox_scenarios`).

#![expect(clippy::unwrap_used, reason = "the helpers of a test may stop at the first surprise, too")]

#[path = "support/merchant.rs"]
mod merchant;

use std::fmt::Write;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use merchant::{Inbox, Merchant, charge, path};
use reqwest::Client;
use sandbox::scenario::{Aftermath, On, SCENARIOS, Scenario};
use sandbox::{Authentication, Config, Fault};
use serde_json::Value;

/// For answers that never come, or never end: nobody likes to wait for them.
const IMPATIENCE: Duration = Duration::from_millis(700);
/// For all others, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// Payments at one time: each has a sandbox and two HTTP clients of its own.
const AT_ONE_TIME: usize = 4;
/// More steps than any scenario has still to come.
const STEPS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_payment_method_does_what_its_row_says() {
    let stories = SCENARIOS.iter().map(|scenario| tokio::spawn(story(scenario)));
    let told = stream::iter(stories).buffered(AT_ONE_TIME).map(Result::unwrap).collect::<String>().await;
    assert!(told == include_str!("scenarios.txt"), "tests/sandbox/tests/scenarios.txt should be\n{told}");
}

/// One payment from the confirmation to the end of everything.
async fn story(scenario: &Scenario) -> String {
    let hour = Duration::from_hours(1);
    let merchant = Merchant::new(Config { processing_delay: hour, long_delay: hour, ..Config::default() }).await;
    let fault = scenario.plan.map(|plan| plan.fault);
    let patience = if matches!(fault, Some(Fault::NeverAnswers | Fault::SlowDrip)) { IMPATIENCE } else { PATIENCE };
    let client = Client::builder().no_proxy().timeout(patience).build().unwrap();
    let merchant = Merchant { client, ..merchant };
    let inbox = Inbox::default();
    merchant.sandbox.set_webhook_url(inbox.open().await);
    let mut teller = Teller { merchant, inbox, told: format!("{}\n", scenario.name) };

    let form = charge(scenario.name);
    let Some(intent) = teller.insist("confirm", "/v1/payment_intents", &form).await else { return teller.books() };
    if intent["status"] == "requires_action" {
        teller.payer_answers(&intent).await;
    }
    if teller.status(&intent).await != "requires_capture" {
        teller.wait(&intent).await;
    }
    if teller.status(&intent).await == "requires_capture" {
        teller.insist("capture", &path(&intent, "/capture"), &[]).await;
        teller.wait(&intent).await;
    }
    let is_refunded = matches!(scenario.aftermath, Aftermath::RefundPending | Aftermath::RefundFails)
        || scenario.plan.is_some_and(|plan| plan.on == On::Refund);
    if is_refunded {
        let id = intent["id"].as_str().unwrap();
        teller.insist("refund", "/v1/refunds", &[("payment_intent", id), ("amount", "300")]).await;
        teller.wait(&intent).await;
    }
    teller.books()
}

struct Teller {
    merchant: Merchant,
    inbox: Inbox,
    told: String,
}

impl Teller {
    /// Calls, and calls again under the same key when the outcome is unknown; then once under another key.
    async fn insist(&mut self, what: &str, path: &str, form: &[(&str, &str)]) -> Option<Value> {
        for key in ["1", "1", "1", "2"] {
            let (told, intent) = self.call(path, &format!("{what}-{key}"), form).await;
            self.line(&format!("{what} {key}"), &told).await;
            if told.starts_with("200 ") || told.starts_with("402 ") {
                return intent;
            }
        }
        None
    }

    async fn call(&self, path: &str, key: &str, form: &[(&str, &str)]) -> (String, Option<Value>) {
        let response = match self.merchant.post(path, key, form).await {
            Ok(response) => response,
            Err(error) if error.is_timeout() => return ("no answer".to_owned(), None),
            Err(_) => return ("connection closed".to_owned(), None),
        };
        let status = response.status().as_u16();
        let again = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        let body: Value = match response.json().await {
            Ok(body) => body,
            Err(error) if error.is_timeout() => return (format!("{status}, endless body"), None),
            Err(error) if error.is_decode() => return (format!("{status}, unreadable"), None),
            Err(error) => return (format!("{status}, {error}"), None),
        };
        let mut told = status.to_string();
        let error = &body["error"];
        for word in [&body["status"], &error["code"], &error["decline_code"], &error["advice_code"]] {
            if let Some(word) = word.as_str() {
                write!(told, " {word}").unwrap();
            }
        }
        if let Some(seconds) = again {
            write!(told, ", retry after {seconds}").unwrap();
        }
        let intent = if error.is_object() { error["payment_intent"].clone() } else { body };
        (told, Some(intent))
    }

    async fn payer_answers(&mut self, intent: &Value) {
        // This one shows what it does when nobody waits for the payer.
        if intent["payment_method"] == "pm_sandbox_success_after_cancel" {
            self.insist("cancel", &path(intent, "/cancel"), &[]).await;
            return;
        }
        let page = intent["next_action"]["redirect_to_url"]["url"].as_str().unwrap();
        assert!(self.merchant.client.get(page).send().await.unwrap().status().is_success());
        self.merchant.sandbox.authenticate(intent["id"].as_str().unwrap(), Authentication::Complete);
        let status = self.status(intent).await;
        self.line("payer succeeds", &status).await;
    }

    /// Lets everything happen that is still to come.
    async fn wait(&mut self, intent: &Value) {
        for _ in 0..STEPS {
            if self.merchant.sandbox.settle() == 0 {
                return;
            }
            let status = self.status(intent).await;
            self.line("later", &status).await;
        }
        panic!("more is still to come after {STEPS} steps:\n{}", self.told);
    }

    async fn status(&self, intent: &Value) -> String {
        self.merchant.get(&path(intent, "")).await["status"].as_str().unwrap().to_owned()
    }

    /// One line, with the webhooks that came with it.
    async fn line(&mut self, what: &str, came: &str) {
        self.merchant.sandbox.webhooks_idle().await;
        let kinds: Vec<_> = self.inbox.kinds().iter().map(|kind| format!("«{kind}»")).collect();
        let line = format!("    {what:<14}  {came:<62}  {}", kinds.join(" "));
        writeln!(self.told, "{}", line.trim_end()).unwrap();
    }

    fn books(mut self) -> String {
        let books = self.merchant.ledger();
        let books: Vec<_> = books.iter().map(|(kind, amount)| format!("{kind:?} {amount}")).collect();
        let books = if books.is_empty() { "nothing".to_owned() } else { books.join(", ") };
        writeln!(self.told, "    books           {books}").unwrap();
        self.told
    }
}
