//! The whole workflow against a fake of the PSP by somebody else, which keeps books but ignores idempotency keys: only
//! our own order of calls stands between a lost answer and a second charge.
//!
//! What the fake lacks is added to its answers on their way (`adapt`); our requests reach it as they are, but for the
//! metadata of a capture, which it does not know. Nor does it know `description` and `return_url`: these charges have
//! none. It cannot tell us by webhook that a payer authenticated, so that course ends with a cancellation.

use std::collections::BTreeMap;
use std::sync::Arc;

use activities::gateway::client::PspClient;
use activities::gateway::stripe;
use activities::psps::{Psp, Psps};
use fincore_tests::database::TestDatabase;
use fincore_tests::lossy::{LossyProxy, Lost};
use fincore_tests::third_party::{Listening, SECRET_KEY, Tools};
use fincore_tests::world::{World, worker};
use reqwest::StatusCode;
use serde_json::{Value, json};
use workflow::definition::{self, State};
use workflow::history;
use workflow::ids::PaymentId;
use workflow::port::clock::Clock;

const CREATE: Lost = ("POST", "/payment_intents");
const CONFIRM: Lost = ("POST", "/confirm");
const CAPTURE: Lost = ("POST", "/capture");
const CANCEL: Lost = ("POST", "/cancel");
const INQUIRE: Lost = ("GET", "");

/// A whole FinCore in front of the fake.
struct Shop {
    world: World,
    fake: Listening,
    proxy: LossyProxy,
    /// Gone when dropped.
    _database: TestDatabase,
}

/// Adds what the PSP always says and the fake does not: how much is reserved and was received; and that a decline is a
/// card's.
fn adapt(status: u16, document: &mut Value) {
    if status == 402 && document["error"]["code"] == "card_declined" {
        document["error"]["type"] = json!("card_error");
    }
    if document["object"] != "payment_intent" {
        return;
    }
    let charge = &document["latest_charge"];
    let kept = charge["amount"].as_i64().unwrap_or(0) - charge["amount_refunded"].as_i64().unwrap_or(0);
    let (capturable, received) = match document["status"].as_str() {
        Some("requires_capture") => (document["amount"].clone(), json!(0)),
        // It captures all and gives back what was not asked for.
        Some("succeeded") => (json!(0), json!(kept)),
        Some(_) | None => (json!(0), json!(0)),
    };
    document["amount_capturable"] = capturable;
    document["amount_received"] = received;
}

/// The PSP takes metadata with a capture; the fake refuses it.
fn without_metadata(path: &str, body: Vec<u8>) -> Vec<u8> {
    if !path.ends_with("/capture") {
        return body;
    }
    let form = String::from_utf8_lossy(&body).into_owned();
    let known: Vec<&str> = form.split('&').filter(|pair| !pair.starts_with("metadata")).collect();
    known.join("&").into_bytes()
}

impl Shop {
    async fn open(tools: &Tools) -> Self {
        let fake = tools.listening_script("localstripe_on_loopback.py").await;
        let proxy = LossyProxy::before(&fake.url, without_metadata, adapt).await;
        let database = TestDatabase::sqlite();
        let mut world = World::over(database.store().await).await;
        let account = stripe::account("sandbox", &proxy.url, SECRET_KEY.into()).unwrap();
        let client = PspClient::new(account, Arc::clone(&world.clock) as Arc<dyn Clock>).unwrap();
        let gateway = stripe::Stripe::new(stripe::StripeConfig::calls_only("sandbox").unwrap());
        world.psps = Arc::new(Psps::new(vec![Psp { gateway: Arc::new(gateway), client }]));
        world.worker = worker(&world.engine, &world.psps, "test");
        Self { world, fake, proxy, _database: database }
    }

    async fn ends_as(&self, id: PaymentId, state: State) {
        self.world.work_patiently().await;
        let payment = self.world.payment(id).await;
        assert_eq!(payment.state, state, "{}\n{:#?}", self.world.ledger(id).await, self.proxy.passed());
        assert_eq!((payment.is_leased(), payment.next_wake_at.is_none()), (false, definition::has_ended(state)));
        history::verify(&payment, &self.world.store.history(id).await.unwrap()).unwrap();
    }

    /// A list in the fake's own words.
    async fn list(&self, of: &str) -> Vec<Value> {
        let request = self.world.http.get(format!("{}/v1/{of}?limit=1000", self.fake.url)).bearer_auth(SECRET_KEY);
        let list: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(list["has_more"], false);
        list["data"].as_array().unwrap().clone()
    }

    /// What happened to each payment's money in the fake's books.
    async fn books(&self) -> BTreeMap<String, Book> {
        let movements = self.list("balance_transactions").await;
        let mut books: BTreeMap<String, Book> = BTreeMap::new();
        for intent in self.list("payment_intents").await {
            let book = books.entry(intent["metadata"]["fincore_payment"].as_str().unwrap().to_owned()).or_default();
            book.intents += 1;
            let charge = &intent["latest_charge"];
            book.charges += usize::from(charge.is_object());
            book.held += usize::from(intent["status"] == "requires_capture");
            let of_charge =
                movements.iter().filter(|movement| charge["id"].is_string() && movement["source"] == charge["id"]);
            book.captures += of_charge.count();
            book.kept += match charge["captured"].as_bool() {
                Some(true) => charge["amount"].as_i64().unwrap() - charge["amount_refunded"].as_i64().unwrap(),
                Some(false) | None => 0,
            };
        }
        books
    }

    /// One effective capture and no other charge, of as much as our row says; nothing is held.
    async fn captured_once(&self, id: PaymentId) {
        let payment = self.world.payment(id).await;
        let book = self.books().await.remove(&id.to_string()).unwrap();
        assert_eq!((book.charges, book.captures, book.held), (1, 1, 0), "{id} {book:?}");
        assert_eq!(book.kept, payment.amount_captured_minor, "{id} {book:?}");
    }
}

#[derive(Default, Debug)]
struct Book {
    intents: usize,
    charges: usize,
    captures: usize,
    held: usize,
    kept: i64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_answers_are_lost_the_money_is_captured_once() {
    let Some(tools) = Tools::find() else { return };
    let shop = Shop::open(&tools).await;
    let courses: [&[Lost]; 9] = [
        &[],
        &[CREATE],
        &[CREATE, CREATE],
        &[CONFIRM],
        &[CAPTURE],
        &[CREATE, CONFIRM, CAPTURE],
        &[CONFIRM, INQUIRE],
        &[CAPTURE, INQUIRE, INQUIRE],
        &[CREATE, CONFIRM, INQUIRE, CAPTURE, INQUIRE],
    ];
    for lost in courses {
        lost.iter().for_each(|call| shop.proxy.lose(*call));
        let before = shop.proxy.passed().len();
        let id = shop.world.charge("pm_card_visa", "automatic").await;
        shop.ends_as(id, State::Succeeded).await;
        shop.captured_once(id).await;
        let passed = shop.proxy.passed().split_off(before);
        assert_eq!(passed.iter().filter(|call| call.lost).count(), lost.len(), "{lost:?} {passed:#?}");
        let creations: Vec<_> = passed.iter().filter(|call| call.path.ends_with(CREATE.1)).collect();
        assert!(creations.iter().all(|call| call.key.is_some() && call.key == creations[0].key), "{creations:#?}");
        let intents = shop.books().await[&id.to_string()].intents;
        assert_eq!(intents, creations.len(), "the fake ignores keys: a repeated creation made another intent");
    }
    let books = shop.books().await;
    eprintln!("{} charges over {} calls: each captured once", books.len(), shop.proxy.passed().len());
}

/// Why the books above prove something: a client that relies on its key alone is charged twice here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fake_charges_twice_under_one_key_and_its_books_show_it() {
    let Some(tools) = Tools::find() else { return };
    let shop = Shop::open(&tools).await;
    let form = [
        ("amount", "1200"),
        ("currency", "eur"),
        ("payment_method", "pm_card_visa"),
        ("confirm", "true"),
        ("metadata[fincore_payment]", "ch_1"),
    ];
    for _ in 0..2 {
        let request = shop.world.http.post(format!("{}/v1/payment_intents", shop.proxy.url)).bearer_auth(SECRET_KEY);
        let request = request.header("Idempotency-Key", "the same").form(&form);
        assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
    }
    let book = &shop.books().await["ch_1"];
    assert_eq!((book.intents, book.charges, book.captures, book.kept), (2, 2, 2, 2_400), "{book:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_is_captured_once_and_a_cancellation_releases_all_whatever_is_lost() {
    let Some(tools) = Tools::find() else { return };
    let shop = Shop::open(&tools).await;
    for lost in [None, Some(CAPTURE)] {
        let id = shop.world.charge("pm_card_visa", "manual").await;
        shop.ends_as(id, State::Authorized).await;
        lost.into_iter().for_each(|call| shop.proxy.lose(call));
        let part = json!({"amount": 700});
        let (status, answer) =
            shop.world.post(&format!("/v1/charges/{id}/capture"), &format!("capture-{id}"), &part).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        shop.ends_as(id, State::Succeeded).await;
        assert_eq!(shop.world.payment(id).await.amount_captured_minor, 700);
        // The fake captures all and gives back the rest, so its books have a second movement, of a refund.
        let book = shop.books().await.remove(&id.to_string()).unwrap();
        assert_eq!((book.charges, book.captures, book.held, book.kept), (1, 1, 0, 700), "{book:?}");
    }
    for lost in [None, Some(CANCEL)] {
        let id = shop.world.charge("pm_card_visa", "manual").await;
        shop.ends_as(id, State::Authorized).await;
        lost.into_iter().for_each(|call| shop.proxy.lose(call));
        let (status, answer) =
            shop.world.post(&format!("/v1/charges/{id}/cancel"), &format!("cancel-{id}"), &json!({})).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        shop.ends_as(id, State::Canceled).await;
        let book = shop.books().await.remove(&id.to_string()).unwrap();
        assert_eq!((book.charges, book.captures, book.held, book.kept), (1, 0, 0, 0), "{book:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_declined_card_fails_and_an_authentication_is_waited_for() {
    let Some(tools) = Tools::find() else { return };
    let shop = Shop::open(&tools).await;
    for lost in [None, Some(CONFIRM)] {
        lost.into_iter().for_each(|call| shop.proxy.lose(call));
        let id = shop.world.charge("pm_card_chargeCustomerFail", "automatic").await;
        shop.ends_as(id, State::Failed).await;
        let failure = shop.world.payment(id).await.failure.unwrap();
        assert_eq!(failure.code, "card_declined");
        assert_eq!(shop.books().await[&id.to_string()].captures, 0);
    }
    let card = [
        ("type", "card"),
        ("card[number]", "4000002500003155"),
        ("card[exp_month]", "12"),
        ("card[exp_year]", "2030"),
        ("card[cvc]", "123"),
    ];
    let request = shop.world.http.post(format!("{}/v1/payment_methods", shop.fake.url)).bearer_auth(SECRET_KEY);
    let method: Value = request.form(&card).send().await.unwrap().json().await.unwrap();
    let id = shop.world.charge(method["id"].as_str().unwrap(), "automatic").await;
    shop.ends_as(id, State::RequiresAction).await;
    shop.proxy.lose(CANCEL);
    let (status, answer) = shop.world.post(&format!("/v1/charges/{id}/cancel"), "cancel", &json!({})).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    shop.ends_as(id, State::Canceled).await;
    assert_eq!(shop.books().await[&id.to_string()].charges, 0);
}
