//! Proxies in front: who they name, and where a request came from, is believed from configured addresses alone.

use std::net::SocketAddr;
use std::time::Duration;

use fincore_tests::database::TestDatabase;
use fincore_tests::pages::{Pages, Visitor};
use ops::{Cookies, OpsConfig};
use reqwest::StatusCode;
use secrecy::SecretString;
use workflow::port::audit::{AuditAct, AuditFilter};
use workflow::port::operators::{Operator, Role};

const HEADER: &str = "x-forwarded-user";

async fn pages(database: &TestDatabase) -> Pages {
    let config = OpsConfig {
        cookies: Cookies::Plain,
        trusted_proxies: vec!["10.0.0.0/24".parse().unwrap()],
        user_header: Some(HEADER.parse().unwrap()),
    };
    Pages::with(database, config).await
}

fn through(pages: &Pages, peer: [u8; 4], named: &[&str]) -> Visitor {
    let mut visitor = pages.visitor();
    visitor.address = SocketAddr::from((peer, 9));
    visitor.headers = named.iter().map(|name| (HEADER.to_owned(), (*name).to_owned())).collect();
    visitor
}

fincore_tests::on_each_database! {
    async fn the_proxy_logs_people_in_that_we_know_and_says_nothing_of_their_role(database: TestDatabase) {
        let pages = pages(&database).await;
        pages.add("ada@example.com", Role::Reader).await;
        let mut ada = through(&pages, [10, 0, 0, 3], &["Ada@Example.com"]);
        ada.headers.push(("x-forwarded-role".to_owned(), "operator".to_owned()));
        assert_eq!(ada.get("/ops").await.status, StatusCode::OK);
        assert_eq!(ada.get("/ops/payments").await.status, StatusCode::OK);
        assert_eq!(ada.post("/ops/psps/sandbox/pause", &[("why", "x")]).await.status, StatusCode::FORBIDDEN);
        let log_ins = AuditFilter { act: Some(AuditAct::LogIn), ..AuditFilter::default() };
        assert_eq!(pages.world.store.entries(&log_ins, None, 10).await.unwrap().len(), 1, "one session, one log-in");
    }

    async fn nobody_else_is_let_in_whatever_they_send(database: TestDatabase) {
        let pages = pages(&database).await;
        let password = pages.add("ada", Role::Operator).await;
        let gone = pages.add("gone", Role::Operator).await;
        let operator = pages.operators.operator("gone").await.unwrap().unwrap();
        let disabled_at = Some(operator.created_at);
        pages.operators.change_operator(&Operator { disabled_at, ..operator }).await.unwrap();
        for (peer, named) in [
            ([10, 0, 1, 3], vec!["ada"]),
            ([10, 0, 0, 3], vec![]),
            ([10, 0, 0, 3], vec!["ada", "ada"]),
            ([10, 0, 0, 3], vec![""]),
            ([10, 0, 0, 3], vec!["nobody"]),
            ([10, 0, 0, 3], vec!["gone"]),
        ] {
            let answer = through(&pages, peer, &named).get("/ops").await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{peer:?} {named:?}");
        }
        let mut stolen = through(&pages, [10, 0, 0, 3], &["ada"]);
        stolen.get("/ops").await;
        stolen.address = SocketAddr::from(([203, 0, 113, 5], 1));
        assert_eq!(stolen.get("/ops").await.status, StatusCode::FORBIDDEN, "a session does not replace the proxy");
        let mut direct = pages.visitor();
        for password in [&password, &gone] {
            assert_eq!(direct.log_in("ada", password).await.status, StatusCode::FORBIDDEN, "there are no passwords here");
        }
    }

    async fn another_name_in_the_same_browser_is_another_session(database: TestDatabase) {
        let pages = pages(&database).await;
        pages.add("ada", Role::Operator).await;
        pages.add("bob", Role::Reader).await;
        let mut browser = through(&pages, [10, 0, 0, 3], &["ada"]);
        assert!(browser.get("/ops").await.text.contains("ada <span"));
        browser.headers[0].1 = "bob".to_owned();
        assert!(browser.get("/ops").await.text.contains("bob <span"));
        assert_eq!(browser.get("/ops/dead-letters/redrive?group=0").await.status, StatusCode::FORBIDDEN);
    }

    async fn the_address_behind_a_trusted_proxy_is_the_one_that_is_counted(database: TestDatabase) {
        let trusted_proxies = vec!["10.0.0.0/24".parse().unwrap()];
        let config = OpsConfig { cookies: Cookies::Plain, trusted_proxies, user_header: None };
        let pages = Pages::with(&database, config).await;
        pages.add("ada", Role::Reader).await;
        let wrong = SecretString::from("not her password".to_owned());
        for (peer, told) in [
            ([10, 0, 0, 3], "203.0.113.9, 198.51.100.4"),
            ([10, 0, 0, 3], "198.51.100.4, 10.0.0.8"),
            // Whoever is not trusted may tell what they like.
            ([203, 0, 113, 5], "198.51.100.4"),
        ] {
            let mut visitor = pages.visitor();
            visitor.address = SocketAddr::from((peer, 9));
            visitor.headers.push(("x-forwarded-for".to_owned(), told.to_owned()));
            visitor.log_in("ada", &wrong).await;
            pages.world.clock.skip(Duration::from_millis(1));
        }
        let entries = pages.world.store.entries(&AuditFilter::default(), None, 10).await.unwrap();
        let from: Vec<_> = entries.iter().rev().filter_map(|entry| entry.remote.as_deref()).collect();
        assert_eq!(from, ["198.51.100.4", "198.51.100.4", "203.0.113.5"]);
    }
}
