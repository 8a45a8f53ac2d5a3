//! Our own OpenAPI document against things we did not write: what it says is well-formed, is what a real server answers,
//! and is enough to generate a client from that takes a payment.
//!
//! Everything goes by the served document: a new route is checked as soon as it is in there.

use std::path::Path;
use std::time::Duration;

use fincore_tests::dev::Dev;
use fincore_tests::third_party::{Listening, Tools};
use fincore_tests::world::http_client;
use serde_json::{Value, json};

/// Requests made up for each operation in each phase. More, for as long as one likes: `cargo xtask contract`.
const EXAMPLES: &str = "12";
/// The same ones in every run of the gate, so that it fails for those who changed something.
const SEED: &str = "1";
/// `cargo xtask contract` says here how many to make up, and perhaps from which seed.
const EXAMPLES_VARIABLE: &str = "FINCORE_CONTRACT_EXAMPLES";
const SEED_VARIABLE: &str = "FINCORE_CONTRACT_SEED";
/// How long that may take in the gate.
const WITHIN: Duration = Duration::from_secs(280);

/// Signed by PSPs, by rules of their own: there is no example that everybody can send.
const SIGNED: &str = "receive_webhook";

async fn dev() -> Dev {
    Dev::start(env!("CARGO_BIN_EXE_fincore-under-test")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_linter_finds_nothing_in_the_served_document() {
    let Some(tools) = Tools::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let lint = async |document: &str| {
        let path = folder.path().join("openapi.json");
        std::fs::write(&path, document).unwrap();
        tools.spectral(&path).await
    };
    let document = dev().await.document().await;
    assert_eq!(lint(&document).await, "");
    let wrong = document.replace(r#""status": "succeeded""#, r#""status": "done""#);
    assert!(lint(&wrong).await.contains("status"), "an example that is no charge would be found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_made_up_by_the_document_are_answered_as_it_says() {
    let Some(tools) = Tools::find() else { return };
    let dev = dev().await;
    let examples = std::env::var(EXAMPLES_VARIABLE);
    let within = if examples.is_ok() { Duration::MAX } else { WITHIN };
    let examples = examples.unwrap_or_else(|_| EXAMPLES.to_owned());
    let mut options = vec!["--max-examples", &examples];
    let seed = std::env::var(SEED_VARIABLE).ok();
    match &seed {
        Some(seed) => options.extend(["--seed", seed]),
        None if within == WITHIN => options.extend(["--seed", SEED]),
        None => options.push("--continue-on-failure"),
    }
    let document = format!("{}/openapi.json", dev.url);
    let (is_well, said) = tools.schemathesis(&document, dev.key.trim(), &options, within).await;
    eprintln!("{said}");
    assert!(is_well, "schemathesis has found something");
    for phase in ["Examples", "Coverage", "Fuzzing", "Stateful"] {
        assert!(said.contains(&format!("✅ {phase}")), "{phase} was not played");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_that_is_not_true_is_noticed() {
    let Some(tools) = Tools::find() else { return };
    let dev = dev().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("openapi.json");
    let served: Value = serde_json::from_str(&dev.document().await).unwrap();

    let mut other_type = served.clone();
    other_type["components"]["schemas"]["Charge"]["properties"]["amount"] = json!({"type": "string"});
    std::fs::write(&path, other_type.to_string()).unwrap();
    let contract = Contract::read(&tools, &path, &dev).await;
    let creation = contract.operations.iter().find(|operation| operation.id() == "create_charge").unwrap();
    let example = &creation.examples()[0].1;
    let (_, violations) = contract.exchange(creation, &creation.path, Some(example)).await;
    assert!(violations.unwrap().contains("amount"));
    let (_, violations) = contract.exchange(creation, &creation.path, Some(&json!({"amount": "1"}))).await;
    assert!(violations.unwrap().contains("currency"));

    let mut other_code = served;
    let missing = &mut other_code["paths"]["/v1/charges/{id}"]["get"]["responses"]["404"]["content"];
    missing["application/problem+json"]["examples"] = json!({"route_not_found": {"value": {}}});
    std::fs::write(&path, other_code.to_string()).unwrap();
    let options =
        ["--url", &dev.url, "--include-operation-id", "retrieve_charge", "--phases", "fuzzing", "--seed", SEED];
    let (is_well, said) = tools.schemathesis(path.to_str().unwrap(), dev.key.trim(), &options, WITHIN).await;
    assert!(!is_well && said.contains("charge_not_found is not documented for 404"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generated_client_takes_a_payment_from_request_to_refund() {
    let Some(tools) = Tools::find() else { return };
    let dev = dev().await;
    let order = json!({"url": dev.url, "key": dev.key.trim()}).to_string();
    let told: Value = serde_json::from_str(&tools.script("generated_client.py", &order).await).unwrap();
    assert_eq!(
        told,
        json!({
            "created": 202, "status": "created", "version": "2026-11-22", "replayed": ["true", true],
            "waited": ["authorized", 1999, {"order": "7"}],
            "captured": ["succeeded", 1500], "history": ["started", "succeeded"],
            "listed": true, "missing": ["Problem", "charge_not_found", 404],
            "refunded": ["succeeded", 500, true]
        })
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_example_of_a_request_runs_and_is_answered_as_described() {
    let Some(tools) = Tools::find() else { return };
    let dev = dev().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("openapi.json");
    std::fs::write(&path, dev.document().await).unwrap();
    let contract = Contract::read(&tools, &path, &dev).await;
    let mut run = 0;
    for operation in &contract.operations {
        let examples = operation.examples();
        let takes_a_body = operation.described["requestBody"].is_object();
        assert_eq!(examples.is_empty(), !takes_a_body || operation.id() == SIGNED, "{}", operation.id());
        for (name, example) in examples {
            let answers = contract.run(operation, &example).await;
            let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
            assert!(statuses.iter().any(|status| *status < 300), "{} {name}: {statuses:?}", operation.id());
            run += 1;
        }
    }
    eprintln!("{run} examples ran");
}

/// The document, and a validator in front of the server it comes from.
struct Contract {
    operations: Vec<Operation>,
    prism: Listening,
    key: String,
}

struct Operation {
    method: String,
    path: String,
    described: Value,
}

struct Answered {
    status: u16,
    body: Value,
}

impl Contract {
    async fn read(tools: &Tools, path: &Path, dev: &Dev) -> Self {
        let document: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let mut operations = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, described) in item.as_object().unwrap() {
                let (method, path) = (method.to_uppercase(), path.clone());
                operations.push(Operation { method, path, described: described.clone() });
            }
        }
        let prism = tools.prism_by(path, Some(&dev.url)).await;
        Self { operations, prism, key: dev.key.trim().to_owned() }
    }

    /// Runs an example: of what needs something that exists, once for each way to create that.
    async fn run(&self, operation: &Operation, example: &Value) -> Vec<Answered> {
        if !operation.path.contains('{') {
            return vec![self.send(operation, &operation.path, Some(example)).await];
        }
        let mut answers = Vec::new();
        for (creation, parameter) in self.creations(operation) {
            for (_, creating) in creation.examples() {
                let created = self.send(creation, &creation.path, Some(&creating)).await;
                assert!(created.status < 300, "{}: {}", creation.id(), created.body);
                let mut path =
                    operation.path.replace(&format!("{{{parameter}}}"), created.body["id"].as_str().unwrap());
                if path.contains("{event}") {
                    path = path.replace("{event}", &self.delivered(creation, &created).await);
                }
                answers.push(self.send(operation, &path, Some(example)).await);
                for read in self.operations.iter().filter(|other| other.method == "GET" && other.path == operation.path)
                {
                    assert_eq!(self.send(read, &path, None).await.status, 200, "{}", read.id());
                }
            }
        }
        assert!(!answers.is_empty(), "nothing that is created links to {}", operation.id());
        answers
    }

    /// An event that was sent to an endpoint that was just created.
    async fn delivered(&self, creation: &Operation, endpoint: &Answered) -> String {
        let test = self.operations.iter().find(|operation| operation.id() == "test_webhook_endpoint").unwrap();
        let path = format!("{}/{}/test", creation.path, endpoint.body["id"].as_str().unwrap());
        let sent = self.send(test, &path, Some(&json!({}))).await;
        sent.body["event"].as_str().unwrap().to_owned()
    }

    /// The operations that create what this one needs, with the parameter that its id goes to.
    fn creations(&self, operation: &Operation) -> Vec<(&Operation, String)> {
        let link = |creation: &Operation| {
            let mut answers = creation.described["responses"].as_object().unwrap().values();
            let link = answers.find_map(|answer| answer["links"].get(operation.id()))?;
            link["parameters"].as_object()?.keys().next().cloned()
        };
        let free = self.operations.iter().filter(|creation| !creation.path.contains('{'));
        free.filter_map(|creation| Some((creation, link(creation)?))).collect()
    }

    /// Sends a request through the validator, which has to find nothing wrong with it or with the answer.
    async fn send(&self, operation: &Operation, path: &str, body: Option<&Value>) -> Answered {
        let (answered, violations) = self.exchange(operation, path, body).await;
        assert_eq!(violations, None, "{} {} {}", operation.id(), answered.status, answered.body);
        answered
    }

    /// What is answered, and what the validator finds wrong.
    async fn exchange(&self, operation: &Operation, path: &str, body: Option<&Value>) -> (Answered, Option<String>) {
        let url = format!("{}{path}", self.prism.url);
        let request = http_client().request(operation.method.parse().unwrap(), url).bearer_auth(&self.key);
        let request = request.header("Idempotency-Key", format!("{:032x}", rand::random::<u128>()));
        // Waits where that can be asked for, so that what comes next finds it come to rest.
        let request = request.header("Prefer", "wait=20").header("FinCore-Version", "2026-11-22");
        let request = body.into_iter().fold(request, reqwest::RequestBuilder::json);
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let violations = response.headers().get("sl-violations").map(|header| header.to_str().unwrap().to_owned());
        (Answered { status, body: response.json().await.unwrap() }, violations)
    }
}

impl Operation {
    fn id(&self) -> &str {
        self.described["operationId"].as_str().unwrap()
    }

    /// The examples of its request.
    fn examples(&self) -> Vec<(String, Value)> {
        let content = self.described["requestBody"]["content"]["application/json"]["examples"].as_object();
        let examples = content.into_iter().flatten();
        examples.map(|(name, example)| (name.clone(), example["value"].clone())).collect()
    }
}
