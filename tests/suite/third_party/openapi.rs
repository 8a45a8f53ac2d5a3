//! The gateway's calls against the provider's published description of its API: every request it can build is valid,
//! and any answer of the described shape can be read.
//!
//! Prism finds wrong types, values and missing fields. It lets unknown fields pass and looks into no nested object, so
//! the fields' names are looked up here. The document is of a later API version than the gateway is pinned to: what is
//! removed between the two shows here first.

use std::collections::BTreeSet;

use activities::gateway::stripe::{Stripe, StripeConfig};
use fincore_tests::build;
use fincore_tests::third_party::{Listening, Tools};
use fincore_tests::world::http_client;
use reqwest::Url;
use sandbox::Sandbox;
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};
use workflow::definition::Goal;
use workflow::money::MAX_AMOUNT_MINOR;
use workflow::payment::{CaptureMethod, Payment};
use workflow::port::gateway::{Answer, Call, Gateway, Method, Operation, Request};

/// Examples asked for at each call, beside the plain ones: the mock makes up new ones every time.
const RANDOM_EXAMPLES: usize = 8;

const OPERATIONS: [Operation; 6] = [
    Operation::Register,
    Operation::Authorize,
    Operation::Capture,
    Operation::Void,
    Operation::Refund,
    Operation::Inquire,
];

fn gateway() -> Stripe {
    Stripe::new(StripeConfig::calls_only("psp").unwrap())
}

/// Charges that differ in everything a request could depend on, at the ends of what the API lets in.
fn payments() -> Vec<Payment> {
    let currencies = [("eur", 1), ("usd", MAX_AMOUNT_MINOR), ("jpy", 500), ("isk", 7), ("kwd", 5_120), ("mga", 300)];
    let mut payments = Vec::new();
    for (code, amount_minor) in currencies {
        for description in [None, Some(String::new()), Some("Füße & 'more' [x]=1 🧾".repeat(20))] {
            for return_url in [None, Some(format!("https://shop.example/{}?a[]=1&b=ü", "x".repeat(2_000)))] {
                payments.push(Payment {
                    amount_minor,
                    currency: code.parse().unwrap(),
                    amount_captured_minor: amount_minor,
                    psp_reference: Some("pi_3Nq".to_owned()),
                    description: description.clone(),
                    return_url,
                    ..build::payment(1)
                });
            }
        }
    }
    let plain = payments[0].clone();
    for goal in [Goal::Capture, Goal::Hold, Goal::Cancel, Goal::Reverse] {
        for capture_method in [CaptureMethod::Automatic, CaptureMethod::Manual] {
            payments.push(Payment { goal, capture_method, psp_reference: None, ..plain.clone() });
        }
    }
    payments.push(Payment { amount_minor: 900, amount_to_capture_minor: Some(7), ..plain.clone() });
    payments.push(Payment { amount_captured_minor: 900, amount_refunded_minor: 200, ..plain.clone() });
    payments.push(Payment { payment_method: format!("pm_{}", "x".repeat(252)), ..plain.clone() });
    payments.push(Payment { currency: "eur".parse().unwrap(), amount_captured_minor: 1_200, ..build::full(2) });
    payments.push(Payment { metadata: build::full(2).metadata, psp_reference: Some("x".repeat(255)), ..plain });
    payments
}

/// Every different request the gateway builds for them. It refuses some amounts beforehand; those are never sent.
fn requests() -> Vec<(Operation, Request)> {
    let key = "k".repeat(255);
    let mut requests: Vec<(Operation, Request)> = Vec::new();
    for payment in payments() {
        assert_eq!(gateway().supports(payment.asked()), Ok(()));
        for operation in OPERATIONS {
            // Only an intent that is known is called about.
            if payment.psp_reference.is_none() && operation != Operation::Register {
                continue;
            }
            let request = (operation, gateway().request(Call { operation, payment: &payment, key: &key }));
            if !requests.contains(&request) {
                requests.push(request);
            }
        }
    }
    requests
}

/// What came back, and what Prism says is wrong with the call.
struct Validated {
    answer: Answer,
    violations: Vec<Value>,
}

async fn send(prism: &Listening, http: &reqwest::Client, request: &Request, prefer: &str) -> Validated {
    let url = format!("{}{}", prism.url, request.path);
    let mut call = match request.method {
        Method::Get => http.get(url),
        Method::Post => http.post(url),
    };
    for (name, value) in &request.headers {
        call = call.header(*name, value);
    }
    let key = fincore_tests::third_party::SECRET_KEY;
    let response = call.bearer_auth(key).header("prefer", prefer).body(request.body.clone()).send().await.unwrap();
    let violations = response.headers().get("sl-violations").map_or_else(Vec::new, |header| {
        // Too many are cut off, and then they are no JSON any more.
        serde_json::from_slice(header.as_bytes()).unwrap_or_else(|_| vec![Value::from(header.to_str().unwrap())])
    });
    let status = response.status().as_u16();
    let answer = Answer { status, retry_after_ms: None, body: response.bytes().await.unwrap().to_vec() };
    Validated { answer, violations }
}

/// The names in the request's query and form that the document does not have for this call.
fn unknown_names(document: &Value, request: &Request) -> Vec<String> {
    let url = Url::parse(&format!("http://psp.example{}", request.path)).unwrap();
    let (method, call) = described(document, request.method, url.path());
    let form = &call["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]["properties"];
    let query = |name: &str| {
        let parameters = call["parameters"].as_array().into_iter().flatten();
        parameters.into_iter().find(|one| one["in"] == "query" && one["name"] == name).map(|one| &one["schema"])
    };
    let body = Url::parse(&format!("http://psp.example/?{}", request.body)).unwrap();
    let in_query = url.query_pairs().filter(|(name, _)| !is_known(name, query));
    let in_form = body.query_pairs().filter(|(name, _)| !is_known(name, |name| form.get(name)));
    in_query.chain(in_form).map(|(name, _)| format!("{method} {}: {name}", url.path())).collect()
}

/// The one call of this method whose path fits.
fn described<'a>(document: &'a Value, method: Method, path: &str) -> (&'static str, &'a Value) {
    let method = match method {
        Method::Get => "get",
        Method::Post => "post",
    };
    let fits = |template: &str| {
        let (ours, theirs): (Vec<_>, Vec<_>) = (path.split('/').collect(), template.split('/').collect());
        ours.len() == theirs.len()
            && ours.iter().zip(&theirs).all(|(our, their)| their.starts_with('{') || our == their)
    };
    let mut calls = document["paths"].as_object().unwrap().iter().filter(|(template, _)| fits(template));
    let call = calls.find_map(|(_, calls)| calls.get(method));
    (method, call.unwrap_or_else(|| panic!("{method} {path} is not in the document")))
}

/// Whether a form's name, such as `a`, `a[b]` or `a[]`, is one of the described fields.
fn is_known<'a>(name: &str, field: impl Fn(&str) -> Option<&'a Value>) -> bool {
    let (root, rest) = name.split_once('[').map_or((name, None), |(root, rest)| (root, Some(rest)));
    let Some(schema) = field(root) else { return false };
    let shapes = schema["anyOf"].as_array().map_or_else(|| vec![schema], |shapes| shapes.iter().collect());
    shapes.iter().any(|shape| match rest {
        None => !matches!(shape["type"].as_str(), Some("array" | "object")),
        Some("]") => shape["type"] == "array",
        // A nested object without any description was cut away: name it in cut_openapi.py.
        Some(_) => shape["additionalProperties"].is_object(),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_is_one_the_provider_describes_and_every_example_answer_can_be_read() {
    let Some(tools) = Tools::find() else { return };
    let (document, http, prism) = (tools.document(), http_client(), tools.prism(None).await);
    let requests = requests();
    for (operation, request) in &requests {
        assert_eq!(unknown_names(&document, request), Vec::<String>::new(), "{operation}");
        let validated = send(&prism, &http, request, "code=200").await;
        assert!(validated.violations.is_empty(), "{operation} {request:?}\n{:#?}", validated.violations);
        assert_eq!(validated.answer.status, 200, "{operation} {request:?}");
    }
    let mut examples = 0;
    for operation in OPERATIONS {
        let (_, request) = requests.iter().find(|(of, _)| *of == operation).unwrap();
        for code in [200, 402] {
            for round in 0..=RANDOM_EXAMPLES {
                let prefer = format!("code={code}{}", if round == 0 { "" } else { ", dynamic=true" });
                let answer = send(&prism, &http, request, &prefer).await.answer;
                // What the mock cannot make up it answers with an error of its own: read as well, but not counted.
                examples += usize::from(answer.status == code);
                read_as_anything(&answer);
            }
        }
    }
    eprintln!("{} requests are valid; {examples} example answers were read", requests.len());
    assert!(examples >= OPERATIONS.len() * 4, "the mock made up only {examples} answers");
}

/// Reads an answer as if it were one to each operation, of payments it may and may not be about.
fn read_as_anything(answer: &Answer) {
    let id = serde_json::from_slice(&answer.body).ok().and_then(|body: Value| Some(body["id"].as_str()?.to_owned()));
    for psp_reference in [None, Some("pi_3Nq".to_owned()), id] {
        let payment = Payment { psp_reference, amount_captured_minor: 1_200, ..build::payment(1) };
        for operation in OPERATIONS {
            let _read = gateway().read(operation, &payment, answer);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_request_is_noticed() {
    let Some(tools) = Tools::find() else { return };
    let (document, http, prism) = (tools.document(), http_client(), tools.prism(None).await);
    let (_, right) = requests().into_iter().find(|(operation, _)| *operation == Operation::Register).unwrap();
    for (from, to) in [
        ("amount=1&", "amount=one&"),
        ("amount=1&", ""),
        ("capture_method=manual", "capture_method=later"),
        ("&currency=eur", ""),
    ] {
        assert!(right.body.contains(from), "{}", right.body);
        let wrong = Request { body: right.body.replace(from, to), ..right.clone() };
        assert!(!send(&prism, &http, &wrong, "code=200").await.violations.is_empty(), "{from} as {to:?}");
    }
    for name in ["surprise", "metadata", "payment_method_types", "amount[]", "shipping[name]", "surprise[a]"] {
        let wrong = Request { body: format!("{}&{name}=1", right.body), ..right.clone() };
        assert_eq!(unknown_names(&document, &wrong), [format!("post /v1/payment_intents: {name}")]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_answer_is_noticed() {
    let Some(tools) = Tools::find() else { return };
    let psp = MockServer::start().await;
    let (http, prism) = (http_client(), tools.prism(Some(&psp.uri())).await);
    for operation in OPERATIONS {
        let (_, request) = requests().into_iter().find(|(of, _)| *of == operation).unwrap();
        for (status, body) in [(200, json!({"id": 5})), (402, json!({"error": {"message": "no"}})), (500, json!({}))] {
            psp.reset().await;
            Mock::given(any()).respond_with(ResponseTemplate::new(status).set_body_json(body)).mount(&psp).await;
            let violations = send(&prism, &http, &request, "").await.violations;
            let of_answer = violations.iter().filter(|violation| violation["location"][0] == "response");
            assert!(of_answer.count() > 0, "{operation} {status} {violations:?}");
        }
    }
}

/// Calls that end in an answer, for each payment method: the sandbox's faults of the connection end in none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sandbox_answers_as_the_provider_describes() {
    let Some(tools) = Tools::find() else { return };
    let config =
        sandbox::Config { secret_key: fincore_tests::third_party::SECRET_KEY.to_owned(), ..sandbox::Config::default() };
    let sandbox = Sandbox::start(config).await.unwrap();
    let (http, prism) = (http_client(), tools.prism(Some(sandbox.url())).await);
    let (mut seen, mut calls) = (BTreeSet::new(), 0);
    let methods = sandbox::scenario::SCENARIOS.iter().filter(|scenario| scenario.plan.is_none());
    for method in methods.map(|scenario| scenario.name).chain(["pm_unheard_of"]) {
        for course in COURSES {
            let number = calls;
            let mut payment = Payment { payment_method: method.to_owned(), ..build::payment(number) };
            for (step, operation) in course.iter().enumerate() {
                let key = format!("{number}-{step}");
                let request = gateway().request(Call { operation: *operation, payment: &payment, key: &key });
                let validated = send(&prism, &http, &request, "").await;
                calls += 1;
                seen.extend(validated.violations.iter().map(|one| one["message"].to_string().replace('"', "")));
                let body: Value = serde_json::from_slice(&validated.answer.body).unwrap();
                if *operation == Operation::Register {
                    payment.psp_reference = body["id"].as_str().map(str::to_owned);
                }
                payment.amount_captured_minor = payment.amount_minor;
            }
        }
    }
    eprintln!("{calls} calls to the sandbox were validated");
    assert!(seen.is_empty(), "{seen:?}");
}

/// What is asked of the sandbox with each payment method. Some of it is refused, which is an answer too.
const COURSES: &[&[Operation]] = {
    use Operation::{Authorize, Capture, Inquire, Refund, Register, Void};
    &[
        &[Register, Inquire, Authorize, Inquire, Capture, Inquire, Refund, Inquire, Refund, Void, Authorize],
        &[Register, Refund, Capture, Void, Inquire, Capture, Authorize],
        &[Register, Authorize, Void, Inquire, Capture, Refund],
    ]
};
