//! Events on their way to merchants, as operators see them and send them again.

use fincore_tests::pages::Pages;
use reqwest::StatusCode;
use workflow::port::audit::{AuditAct, AuditFilter};
use workflow::port::operators::Role;

use crate::outbound::receiver::Receiver;
use crate::outbound::{deliverer, listen};

fincore_tests::on_each_database! {
    async fn an_operator_sees_what_was_sent_where_and_sends_it_again(database: TestDatabase) {
        let pages = Pages::over(&database).await;
        let receiver = Receiver::start().await;
        let endpoint = listen(&pages.world, &receiver).await;
        let path = format!("/ops/webhooks/{}", endpoint["id"].as_str().unwrap());
        pages.world.charge("pm_card_visa", "automatic").await;
        pages.world.work().await;
        let deliverer = deliverer(&pages.world);
        deliverer.run_once().await.unwrap();
        let event = receiver.received()[0].header("webhook-id").to_owned();

        let mut reader = pages.logged_in("rita", Role::Reader).await;
        assert!(reader.get("/ops/webhooks").await.text.contains(&path), "the list leads to it");
        let seen = reader.get(&path).await.text;
        for part in ["charge.succeeded", "delivered", "answered 200", event.as_str()] {
            assert!(seen.contains(part), "{part} is not on the page: {seen}");
        }
        assert!(!seen.contains("Send again") && !seen.contains(endpoint["secret"].as_str().unwrap()), "{seen}");
        let refused = reader.post(&format!("{path}/resend"), &[("event", &event)]).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);

        let mut ada = pages.logged_in("ada", Role::Operator).await;
        assert!(ada.get(&path).await.text.contains("Send again"));
        let sent = ada.post(&format!("{path}/resend"), &[("event", &event)]).await;
        assert_eq!((sent.status, sent.location()), (StatusCode::SEE_OTHER, path.as_str()));
        deliverer.run_once().await.unwrap();
        let received = receiver.received();
        assert_eq!(received.len(), 2, "once more, and not by the reader");
        assert_eq!((received[1].header("webhook-id"), &received[1].raw), (event.as_str(), &received[0].raw));
        let of = AuditFilter { act: Some(AuditAct::ResendWebhook), ..AuditFilter::default() };
        let entries = pages.world.store.entries(&of, None, 10).await.unwrap();
        let [entry] = entries.as_slice() else { panic!("{entries:?}") };
        assert!(entry.actor == "ada" && entry.subject.as_ref().is_some_and(|subject| subject.contains(&event)), "{entry:?}");
        let nothing = ada.post(&format!("{path}/resend"), &[("event", "evt_00000000000070008000000000000001")]).await;
        assert_eq!(nothing.status, StatusCode::NOT_FOUND, "{}", nothing.text);
    }

    async fn an_endpoint_in_trouble_is_told_of_and_comes_first(database: TestDatabase) {
        let pages = Pages::over(&database).await;
        let (well, gone) = (Receiver::start().await, Receiver::start().await);
        listen(&pages.world, &well).await;
        let endpoint = listen(&pages.world, &gone).await;
        gone.answer(410);
        pages.world.charge("pm_card_visa", "automatic").await;
        pages.world.work().await;
        deliverer(&pages.world).run_once().await.unwrap();
        let mut rita = pages.logged_in("rita", Role::Reader).await;
        let path = format!("/ops/webhooks/{}", endpoint["id"].as_str().unwrap());
        let list = rita.get("/ops/webhooks").await.text;
        let first = list.find("href=\"/ops/webhooks/we_").map(|at| &list[at + 6..]).unwrap();
        assert!(first.starts_with(&path) && list.contains("disabled (gone)"), "{list}");
        assert!(rita.get(&path).await.text.contains("answered 410"));
        assert!(rita.get("/ops").await.text.contains("endpoints of merchants fail"), "the overview says so");
    }
}
