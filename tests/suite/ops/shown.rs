//! What the pages show: lists and searches that find, a payment with its way and its story, and nothing that was smuggled in.

use std::time::Duration;

use fincore_tests::pages::Pages;
use fincore_tests::world::OTHER_PSP;
use reqwest::StatusCode;
use serde_json::{Value, json};
use workflow::definition::State;
use workflow::port::clock::Clock;
use workflow::port::operators::Role;
use workflow::port::store::{WebhookEvent, WebhookOutcome};

/// What would run if it were not escaped.
const HOSTILE: &str = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>";

fincore_tests::on_each_database! {
    async fn whatever_a_merchant_writes_is_text(database: TestDatabase) {
        let pages = Pages::over(&database).await;
        let body = json!({
            "amount": 1200, "currency": "eur", "payment_method": "pm_card_visa",
            "description": HOSTILE, "metadata": {HOSTILE[..28]: HOSTILE},
        });
        let (status, charge) = pages.world.post("/v1/charges", "key-1", &body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{charge}");
        pages.world.work().await;
        let event = WebhookEvent {
            psp: "sandbox".to_owned(),
            event_id: HOSTILE.to_owned(),
            event_type: HOSTILE.to_owned(),
            body: b"{}".to_vec(),
            received_at: pages.world.clock.now(),
            payment_id: None,
            outcome: WebhookOutcome::Unmatched,
        };
        pages.world.store.keep_webhooks(&[event]).await.unwrap();
        let mut ada = pages.logged_in("ada", Role::Operator).await;
        let id = charge["id"].as_str().unwrap();
        let query = "%3Cscript%3Ealert(1)%3C/script%3E%22%3E%3Cimg%20src=x%20onerror=alert(1)%3E";
        for path in [
            format!("/ops/payments/{id}"),
            format!("/ops/search?q={query}"),
            format!("/ops/payments?psp={query}&error={query}"),
            format!("/ops/payments?state={query}"),
            format!("/ops/login?next={query}"),
            format!("/ops/audit?actor={query}"),
            "/ops/webhooks".to_owned(),
        ] {
            let answer = ada.get(&path).await;
            assert!(!answer.text.contains("<script>") && !answer.text.contains("<img src=x"), "{path}");
        }
        let page = ada.get(&format!("/ops/payments/{id}")).await.text;
        assert!(page.contains("&#60;script&#62;alert("), "it is shown, as text");
    }

    async fn lists_and_searches_find_payments_of_all_merchants(database: TestDatabase) {
        let pages = Pages::over(&database).await;
        let world = &pages.world;
        let mut all = Vec::new();
        for payment_method in
            ["pm_card_visa", "pm_card_chargeDeclined", "pm_sandbox_amount_mismatch", "pm_card_authenticationRequired"]
        {
            all.push(world.charge(payment_method, "automatic").await);
            world.clock.skip(Duration::from_millis(1));
        }
        let [good, declined, review, action] = all[..] else { panic!("four were charged") };
        world.work().await;
        let mut ada = pages.logged_in("ada", Role::Reader).await;
        let mut found = async |query: &str| {
            let page = ada.get(&format!("/ops/payments?{query}")).await;
            assert_eq!(page.status, StatusCode::OK, "{query}: {}", page.text);
            let is_there = |id: &&workflow::ids::PaymentId| page.text.contains(&format!("/ops/payments/{id}\""));
            all.iter().filter(is_there).copied().collect::<Vec<_>>()
        };
        assert_eq!(found("").await, all);
        assert_eq!(found("state=in_review").await, [review]);
        assert_eq!(found("state=failed").await, [declined]);
        assert_eq!(found("error=card_declined").await, [declined]);
        assert_eq!(found("least=1201").await, []);
        assert_eq!(found("waiting=10m").await, []);
        assert_eq!(found(&format!("merchant={}&state=succeeded", world.merchant)).await, [good]);
        assert_eq!(found(&format!("psp={OTHER_PSP}")).await, []);
        assert_eq!(found(&format!("after={review}")).await, [good, declined]);
        world.clock.skip(Duration::from_secs(601));
        assert_eq!(found("waiting=10m").await, [review, action]);
        let reference = world.store.load(&[good]).await.unwrap().remove(0).unwrap().psp_reference.unwrap();
        for named in [good.to_string(), format!("{good}-1-authorize"), reference] {
            let answer = ada.get(&format!("/ops/search?q={named}")).await;
            assert_eq!(answer.location(), format!("/ops/payments/{good}"), "{named}");
        }
        assert!(ada.get("/ops/search?q=nothing").await.text.contains("Nothing is called"));
    }

    async fn a_payment_shows_why_it_stands_where_it_stands_and_how_it_got_there(database: TestDatabase) {
        let pages = Pages::over(&database).await;
        let id = pages.world.charge("pm_sandbox_amount_mismatch", "automatic").await;
        pages.world.work().await;
        let mut ada = pages.logged_in("ada", Role::Reader).await;
        let overview = ada.get("/ops").await.text;
        assert!(overview.contains("wait for a person") && overview.contains("/ops/dead-letters"));
        let letters = ada.get("/ops/dead-letters").await.text;
        assert!(letters.contains(&id.to_string()) && letters.contains("12.00 EUR"));
        assert!(!letters.contains("Redrive these"), "a reader is offered nothing that they may not do");
        let page = ada.get(&format!("/ops/payments/{id}")).await.text;
        for told in ["amounts disagree", "expected 12.00 EUR, the PSP says 12.01 EUR", "operator", "class=\"arrow lit\"", "Raw JSON"] {
            assert!(page.contains(told), "{told} is missing:\n{page}");
        }
        let raw: Value = serde_json::from_str(&ada.get(&format!("/ops/payments/{id}/raw.json")).await.text).unwrap();
        let rows = pages.world.store.history(id).await.unwrap();
        assert_eq!(raw["charge"]["id"], json!(id));
        assert_eq!(raw["history"]["data"].as_array().unwrap().len(), rows.len());
        let file = ada.get(&format!("/ops/payments/{id}/raw.json?file=1")).await;
        assert!(file.headers["content-disposition"].to_str().unwrap().contains(&id.to_string()));
    }

    async fn a_page_is_sent_again_only_when_the_payment_has_moved(database: TestDatabase) {
        let pages = Pages::over(&database).await;
        let id = pages.world.charge("pm_card_visa", "automatic").await;
        let mut ada = pages.logged_in("ada", Role::Reader).await;
        let live = async |visitor: &mut fincore_tests::pages::Visitor, seq: i64| {
            visitor.get(&format!("/ops/payments/{id}/live?seq={seq}")).await
        };
        assert_eq!(live(&mut ada, 1).await.status, StatusCode::NO_CONTENT);
        pages.world.work().await;
        let moved = live(&mut ada, 1).await;
        assert!(moved.status == StatusCode::OK && moved.text.contains("data-ended") && moved.text.contains("succeeded"));
        assert!(!moved.text.contains("<html"), "a part of a page, not a page in a page");
        let seq = pages.world.store.history(id).await.unwrap().len();
        assert_eq!(live(&mut ada, i64::try_from(seq).unwrap()).await.status, StatusCode::NO_CONTENT);
        let mut stranger = pages.visitor();
        stranger.headers.push(("x-fragment".to_owned(), "1".to_owned()));
        assert_eq!(live(&mut stranger, 1).await.status, StatusCode::UNAUTHORIZED);
    }

    async fn the_definition_counts_its_payments_and_every_page_has_something_to_say_when_empty(database: TestDatabase) {
        let pages = Pages::over(&database).await;
        let mut ada = pages.logged_in("ada", Role::Operator).await;
        for (path, told) in [
            ("/ops", "Nothing needs you"),
            ("/ops/payments", "No payment was ever accepted here"),
            ("/ops/payments?state=failed", "No payment is like that"),
            ("/ops/dead-letters", "No payment waits for a person"),
            ("/ops/webhooks", "No merchant has an endpoint"),
            ("/ops/definition", "Charges, version 1"),
        ] {
            let page = ada.get(path).await.text;
            assert!(page.contains(told), "{path}: {told}");
        }
        pages.world.charge("pm_card_authenticationRequired", "automatic").await;
        pages.world.work().await;
        let page = ada.get("/ops/definition").await.text;
        let row = page.split("<tr>").find(|row| row.contains("state=requires_action&#38;version=1")).unwrap();
        assert!(row.contains("<td class=\"number\">1</td>"), "{row}");
        let open = pages.world.store.open_payments(pages.world.clock.now()).await.unwrap();
        let counts: Vec<_> = open.standings.iter().map(|standing| (standing.state, standing.count)).collect();
        assert_eq!(counts, [(State::RequiresAction, 1)]);
    }
}
