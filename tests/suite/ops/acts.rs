//! What is done by the pages: shown before, done with a reason, refused with one, and by two where it takes two.

use std::time::Duration;

use fincore_tests::pages::{Answer, Pages, Visitor};
use reqwest::StatusCode;
use workflow::definition::State;
use workflow::ids::PaymentId;
use workflow::port::audit::{AuditAct, AuditFilter, AuditOutcome};
use workflow::port::operators::Role;

async fn state(pages: &Pages, id: PaymentId) -> State {
    pages.world.store.load(&[id]).await.unwrap().remove(0).unwrap().state
}

async fn act(visitor: &mut Visitor, id: PaymentId, act: &str, fields: &[(&str, &str)]) -> Answer {
    let path = format!("/ops/payments/{id}/acts/{act}");
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let plan = visitor.get(&format!("{path}?{query}")).await;
    assert_eq!(plan.status, StatusCode::OK, "{}", plan.text);
    visitor.post(&path, fields).await
}

fincore_tests::on_each_database! {
    async fn a_dead_letter_is_redriven_after_it_was_shown_what_that_does(database: TestDatabase) {
        let pages = Pages::over(&database).await;
        let id = pages.world.charge("pm_sandbox_amount_mismatch", "automatic").await;
        pages.world.work().await;
        let mut ada = pages.logged_in("ada", Role::Operator).await;
        let plan = ada.get(&format!("/ops/payments/{id}/acts/redrive")).await.text;
        assert!(plan.contains("reconciling") && plan.contains("nothing is done yet") && plan.contains("name=\"decided\""));
        assert_eq!(state(&pages, id).await, State::InReview, "a plan changes nothing");
        let path = format!("/ops/payments/{id}/acts/redrive");
        let undecided = ada.post(&path, &[("why", "the PSP is back")]).await;
        assert_eq!(undecided.status, StatusCode::CONFLICT);
        assert!(undecided.text.contains("the PSP is back"), "what was written is not lost");
        let unexplained = ada.post(&path, &[("decided", "yes"), ("why", " ")]).await;
        assert_eq!(unexplained.status, StatusCode::CONFLICT);
        assert_eq!(state(&pages, id).await, State::InReview);
        let done = ada.post(&path, &[("decided", "yes"), ("why", "voided at the PSP")]).await;
        assert_eq!(done.location(), format!("/ops/payments/{id}?done=redrive"));
        assert_eq!(state(&pages, id).await, State::Reconciling);
        let rows = pages.world.store.history(id).await.unwrap();
        assert_eq!(rows.last().unwrap().fact.actor, "operator:ada");
        let filter = AuditFilter { act: Some(AuditAct::Redrive), ..AuditFilter::default() };
        let entries = pages.world.store.entries(&filter, None, 10).await.unwrap();
        assert_eq!(entries.iter().filter(|entry| entry.outcome == AuditOutcome::Done).count(), 1);
        assert_eq!(entries.len(), 3, "what was refused stands there too");
        assert!(ada.get("/ops/audit").await.text.contains("voided at the PSP"));
        pages.world.work().await;
    }

    async fn a_group_is_redriven_in_batches_and_the_rest_waits(database: TestDatabase) {
        let pages = Pages::over(&database).await;
        let mut ids = Vec::new();
        for _ in 0..3 {
            ids.push(pages.world.charge("pm_sandbox_amount_mismatch", "automatic").await);
            pages.world.work().await;
            pages.world.clock.skip(Duration::from_millis(1));
        }
        let mut ada = pages.logged_in("ada", Role::Operator).await;
        let letters = ada.get("/ops/dead-letters").await.text;
        let key = letters.split("redrive?group=").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let plan = ada.get(&format!("/ops/dead-letters/redrive?group={key}")).await.text;
        assert!(ids.iter().all(|id| plan.contains(&id.to_string())) && plan.contains("36.00 EUR at stake"));
        let fields = [("group", key.as_str()), ("why", "voided at the PSP"), ("decided", "yes"), ("batch", "1")];
        let one = ada.post("/ops/dead-letters/redrive", &fields).await.text;
        assert!(one.contains("1 redriven, 0 refused. 2 of this kind wait."), "{one}");
        assert_eq!(state(&pages, ids[0]).await, State::Reconciling, "the oldest first");
        let undecided = [("group", key.as_str()), ("why", "x"), ("batch", "50")];
        let refused = ada.post("/ops/dead-letters/redrive", &undecided).await.text;
        assert!(refused.contains("0 redriven, 2 refused"), "{refused}");
        let rest = [("group", key.as_str()), ("why", "voided at the PSP"), ("decided", "yes"), ("batch", "50")];
        let rest = ada.post("/ops/dead-letters/redrive", &rest).await.text;
        assert!(rest.contains("2 redriven, 0 refused. None of this kind waits any more."), "{rest}");
        pages.world.work().await;
    }

    async fn a_payment_is_resolved_by_two_and_not_by_one(database: TestDatabase) {
        let pages = Pages::over(&database).await;
        let id = pages.world.charge("pm_sandbox_amount_mismatch", "automatic").await;
        pages.world.work().await;
        let mut ada = pages.logged_in("ada", Role::Operator).await;
        let mut bob = pages.logged_in("bob", Role::Operator).await;
        let resolved = [("outcome", "failed"), ("why", "the PSP's console shows it voided")];
        let proposed = act(&mut ada, id, "resolve", &resolved).await;
        assert_eq!(proposed.status, StatusCode::SEE_OTHER, "{}", proposed.text);
        assert_eq!(state(&pages, id).await, State::InReview, "one person decides nothing");
        let page = bob.get(&format!("/ops/payments/{id}")).await.text;
        assert!(page.contains("A second operator has to agree") && page.contains("<strong>ada</strong>"));
        let number = page.split("acts/approve?proposal=").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let mine = ada.post(&format!("/ops/payments/{id}/acts/approve"), &[("proposal", &number), ("why", "me too")]).await;
        assert_eq!((mine.status, state(&pages, id).await), (StatusCode::CONFLICT, State::InReview));
        let agreed = act(&mut bob, id, "approve", &[("proposal", &number), ("why", "seen it too")]).await;
        assert_eq!(agreed.status, StatusCode::SEE_OTHER, "{}", agreed.text);
        assert_eq!(state(&pages, id).await, State::Failed);
    }

    async fn a_psp_is_paused_and_goes_on(database: TestDatabase) {
        let pages = Pages::over(&database).await;
        let mut ada = pages.logged_in("ada", Role::Operator).await;
        assert_eq!(ada.post("/ops/psps/nothing/pause", &[("why", "x")]).await.status, StatusCode::NOT_FOUND);
        assert_eq!(ada.post("/ops/psps/sandbox/pause", &[("why", "")]).await.status, StatusCode::BAD_REQUEST);
        assert_eq!(ada.post("/ops/psps/sandbox/pause", &[("why", "an outage")]).await.location(), "/ops/psps");
        assert_eq!(pages.world.store.pauses().await.unwrap().len(), 1);
        assert!(ada.get("/ops/psps").await.text.contains("sandbox is paused"));
        assert_eq!(ada.post("/ops/psps/sandbox/resume", &[("why", "over")]).await.location(), "/ops/psps");
        assert_eq!(pages.world.store.pauses().await.unwrap(), []);
    }

    async fn what_the_table_does_not_allow_is_said_and_not_done(database: TestDatabase) {
        let pages = Pages::over(&database).await;
        let id = pages.world.charge("pm_card_visa", "automatic").await;
        pages.world.work().await;
        let mut ada = pages.logged_in("ada", Role::Operator).await;
        let page = ada.get(&format!("/ops/payments/{id}")).await.text;
        assert!(page.contains("Not now") && page.contains(">Refund"));
        let refused = ada.get(&format!("/ops/payments/{id}/acts/redrive")).await;
        assert!(refused.text.contains("Not now:") && !refused.text.contains("What it would do"));
        let before = pages.world.store.history(id).await.unwrap().len();
        let answer = ada.post(&format!("/ops/payments/{id}/acts/redrive"), &[("why", "x")]).await;
        assert_eq!(answer.status, StatusCode::CONFLICT);
        assert_eq!(pages.world.store.history(id).await.unwrap().len(), before);
        assert_eq!(ada.get(&format!("/ops/payments/{id}/acts/destroy")).await.status, StatusCode::NOT_FOUND);
    }
}
