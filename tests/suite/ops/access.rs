//! Who may: roles over every route, forms that are not ours, sessions that end, tries that are counted.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use fincore_tests::pages::{Answer, Pages, Visitor};
use ops::{Access, Cookies, OpsConfig};
use reqwest::StatusCode;
use secrecy::SecretString;
use workflow::port::audit::{AuditAct, AuditFilter, AuditOutcome};
use workflow::port::operators::{Operator, Role};

/// Just longer than a session holds without being used.
const IDLE: Duration = Duration::from_secs(60 * 60 + 1);

/// A path of the table with something in its places.
fn path(of: &str, payment: &str) -> String {
    of.replace("{id}", payment)
        .replace("{act}", "note")
        .replace("{endpoint}", "we_00000000000070008000000000000000")
        .replace("{psp}", "sandbox")
        .replace("{file}", "icon.svg")
}

async fn asked(visitor: &mut Visitor, method: &str, path: &str) -> Answer {
    if method == "POST" { visitor.post(path, &[]).await } else { visitor.get(path).await }
}

/// Whether the answer is about who asks, and not about what was asked for.
fn is_turned_away(answer: &Answer) -> bool {
    answer.location().starts_with("/ops/login?")
        || answer.status == StatusCode::UNAUTHORIZED
        || (answer.status == StatusCode::FORBIDDEN)
}

fincore_tests::on_each_database! {
    async fn every_route_opens_to_whom_it_is_for_and_to_nobody_else(database: TestDatabase) {
        let pages = Pages::over(&database).await;
        let payment = pages.world.charge("pm_card_visa", "automatic").await.to_string();
        let mut seen = BTreeSet::new();
        for (number, route) in ops::all_routes().into_iter().enumerate() {
            let path = path(route.path, &payment);
            // Logging out ends a session, so each route has people of its own; and nobody logs in so often at once.
            pages.world.clock.skip(Duration::from_secs(60));
            let mut nobody = pages.visitor();
            nobody.get("/ops/login").await;
            let mut reader = pages.logged_in(&format!("reader{number}"), Role::Reader).await;
            let mut operator = pages.logged_in(&format!("operator{number}"), Role::Operator).await;
            let mut turned_away = Vec::new();
            for (who, visitor) in [("nobody", &mut nobody), ("reader", &mut reader), ("operator", &mut operator)] {
                let answer = asked(visitor, route.method, &path).await;
                assert!(!answer.status.is_server_error(), "{} {path} for {who}: {}", route.method, answer.text);
                assert_eq!(answer.headers["x-frame-options"], "DENY", "{path}");
                if is_turned_away(&answer) {
                    turned_away.push(who);
                }
            }
            let expected: &[&str] = match (route.access, route.method) {
                // Without a name and a password nobody gets in; the form itself was taken from a visitor.
                (Access::LoggingIn, "POST") => &["nobody", "reader", "operator"],
                (Access::Everybody | Access::LoggingIn, _) => &[],
                (Access::Readers, _) => &["nobody"],
                (Access::Operators, _) => &["nobody", "reader"],
            };
            assert_eq!(turned_away, expected, "{} {path}", route.method);
            seen.insert((route.method, route.path));
        }
        assert_eq!(seen.len(), ops::all_routes().len(), "no route stands there twice");
        assert!(ops::all_routes().iter().all(|route| route.method == "GET" || route.access != Access::Everybody));
    }

    async fn a_form_that_is_not_ours_does_nothing(database: TestDatabase) {
        let pages = Pages::over(&database).await;
        let payment = pages.world.charge("pm_card_visa", "manual").await;
        let ada = pages.logged_in("ada", Role::Operator).await;
        let mut bob = pages.logged_in("bob", Role::Operator).await;
        let path = format!("/ops/payments/{payment}/acts/note");
        let before = pages.world.store.history(payment).await.unwrap();
        let note = ("why", "a note");
        for csrf in ["", "0", &bob.csrf, &ada.csrf.to_uppercase()] {
            let answer = ada.clone().post_as_it_is(&path, &[note, ("csrf", csrf)]).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{csrf}");
        }
        assert_eq!(ada.clone().post_as_it_is(&path, &[note]).await.status, StatusCode::FORBIDDEN);
        for site in ["cross-site", "same-site", "none"] {
            let mut foreign = ada.clone();
            foreign.headers.push(("sec-fetch-site".to_owned(), site.to_owned()));
            assert_eq!(foreign.post(&path, &[note]).await.status, StatusCode::FORBIDDEN, "{site}");
        }
        let mut plain = ada.clone();
        let body = format!("why=a+note&csrf={}", ada.csrf);
        let request = axum::http::Request::post(&path).header("content-type", "text/plain").body(body.into());
        assert_eq!(plain.ask(request).await.status, StatusCode::FORBIDDEN);
        assert_eq!(pages.world.store.history(payment).await.unwrap(), before);
        bob.headers.push(("sec-fetch-site".to_owned(), "same-origin".to_owned()));
        assert_eq!(bob.post(&path, &[note]).await.status, StatusCode::SEE_OTHER);
        assert_eq!(pages.world.store.history(payment).await.unwrap().len(), before.len() + 1);
    }

    async fn the_log_in_form_is_checked_too_and_its_token_ends_with_it(database: TestDatabase) {
        let pages = Pages::over(&database).await;
        let password = pages.add("ada", Role::Reader).await;
        let mut stranger = pages.visitor();
        stranger.csrf = "0".repeat(64);
        let fields = [("name", "ada"), ("password", secrecy::ExposeSecret::expose_secret(&password))];
        assert_eq!(stranger.post("/ops/login", &fields).await.status, StatusCode::FORBIDDEN);
        let mut ada = pages.visitor();
        ada.get("/ops/login").await;
        let (visit, csrf) = (ada.cookies.clone(), ada.csrf.clone());
        assert_eq!(ada.log_in("ada", &password).await.status, StatusCode::SEE_OTHER);
        assert_ne!(ada.cookies, visit, "what came before the log-in is no session");
        ada.get("/ops").await;
        assert_ne!(ada.csrf, csrf);
    }

    async fn a_session_ends_when_it_rests_when_it_is_old_and_when_its_owner_says_so(database: TestDatabase) {
        let pages = Pages::over(&database).await;
        let is_in = async |visitor: &mut Visitor| visitor.get("/ops").await.status == StatusCode::OK;
        let mut rests = pages.logged_in("rests", Role::Reader).await;
        let mut works = pages.logged_in("works", Role::Reader).await;
        for _ in 0..2 {
            pages.world.clock.skip(IDLE / 2);
            assert!(is_in(&mut works).await);
        }
        assert!(!is_in(&mut rests).await, "nobody was there for an hour");
        for _ in 0..23 {
            pages.world.clock.skip(IDLE / 2);
            is_in(&mut works).await;
        }
        assert!(!is_in(&mut works).await, "no session holds for longer than twelve hours");
        let mut leaves = pages.logged_in("leaves", Role::Reader).await;
        let mut thief = leaves.clone();
        assert_eq!(leaves.post("/ops/logout", &[]).await.location(), "/ops/login");
        assert!(!is_in(&mut leaves).await && !is_in(&mut thief).await, "the token is worth nothing any more");
    }

    async fn who_is_disabled_is_out_at_once_and_does_not_get_in(database: TestDatabase) {
        let pages = Pages::over(&database).await;
        let mut ada = pages.logged_in("ada", Role::Operator).await;
        let password = pages.add("bob", Role::Operator).await;
        for name in ["ada", "bob"] {
            let operator = pages.operators.operator(name).await.unwrap().unwrap();
            let disabled_at = Some(operator.created_at);
            pages.operators.change_operator(&Operator { disabled_at, ..operator }).await.unwrap();
        }
        assert_eq!(ada.get("/ops").await.location(), "/ops/login?next=%2Fops");
        assert_eq!(pages.visitor().log_in("bob", &password).await.status, StatusCode::UNAUTHORIZED);
    }

    async fn tries_to_log_in_are_counted_by_name_and_by_address(database: TestDatabase) {
        let pages = Pages::over(&database).await;
        let (right, other) = (pages.add("ada", Role::Reader).await, pages.add("bob", Role::Reader).await);
        let wrong = SecretString::from("not her password".to_owned());
        let from = |number: u8| {
            let mut visitor = pages.visitor();
            visitor.address = SocketAddr::from(([198, 51, 100, number], 1));
            visitor
        };
        for number in 0..10 {
            let answer = from(number).log_in("ada", &wrong).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", answer.text);
        }
        let locked = from(11).log_in("ada", &right).await;
        assert_eq!(locked.status, StatusCode::TOO_MANY_REQUESTS, "also with the right password, from anywhere");
        assert!(locked.headers.contains_key("retry-after"));
        assert_eq!(from(11).log_in("bob", &other).await.status, StatusCode::SEE_OTHER, "nobody else is locked out");
        pages.world.clock.skip(Duration::from_secs(15));
        assert_eq!(from(12).log_in("ada", &right).await.status, StatusCode::SEE_OTHER, "after a while it may be tried");
        for number in 0..30 {
            from(77).log_in(&format!("nobody{number}"), &wrong).await;
        }
        assert_eq!(from(77).log_in("bob", &other).await.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(from(78).log_in("bob", &other).await.status, StatusCode::SEE_OTHER);
    }

    async fn every_log_in_stands_in_the_audit_log_and_no_password_does(database: TestDatabase) {
        let pages = Pages::over(&database).await;
        let password = pages.add("ada", Role::Reader).await;
        let wrong = SecretString::from("a slip of the finger".to_owned());
        let mut visitor = pages.visitor();
        visitor.log_in("ada", &wrong).await;
        pages.world.clock.skip(Duration::from_millis(1));
        // Somebody who is in a hurry types the password where the name belongs.
        visitor.log_in("hunter2hunter2hunter2", &wrong).await;
        pages.world.clock.skip(Duration::from_millis(1));
        visitor.log_in("ada", &password).await;
        pages.world.clock.skip(Duration::from_millis(1));
        visitor.get("/ops").await;
        visitor.post("/ops/logout", &[]).await;
        let entries = pages.world.store.entries(&AuditFilter::default(), None, 10).await.unwrap();
        let told: Vec<_> = entries
            .iter()
            .rev()
            .map(|entry| (entry.actor.as_str(), entry.act, entry.outcome == AuditOutcome::Done))
            .collect();
        assert_eq!(
            told,
            [
                ("ada", AuditAct::LogIn, false),
                ("unknown", AuditAct::LogIn, false),
                ("ada", AuditAct::LogIn, true),
                ("ada", AuditAct::LogOut, true)
            ]
        );
        assert!(entries.iter().all(|entry| entry.remote.as_deref() == Some("192.0.2.7")));
        assert!(!format!("{entries:?}").contains("hunter2"));
    }

    async fn cookies_are_for_this_host_and_for_no_script(database: TestDatabase) {
        let secure = Pages::with(&database, OpsConfig::default()).await;
        let password = secure.add("ada", Role::Reader).await;
        let answer = secure.visitor().log_in("ada", &password).await;
        let cookies: Vec<&str> =
            answer.headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap()).collect();
        let session = cookies.iter().find(|cookie| cookie.starts_with("__Host-fincore_ops=")).unwrap();
        assert!(session.ends_with("; Path=/; HttpOnly; SameSite=Strict; Secure"), "{session}");
        assert!(cookies.iter().any(|cookie| cookie.starts_with("__Host-fincore_visit=;") && cookie.contains("Max-Age=0")));
        let config = OpsConfig { cookies: Cookies::Plain, ..OpsConfig::default() };
        let plain = Pages::with(&database, config).await;
        let answer = plain.visitor().log_in("ada", &password).await;
        assert!(answer.headers["set-cookie"].to_str().unwrap().ends_with("; Path=/; HttpOnly; SameSite=Strict"));
    }

    async fn nothing_may_be_framed_sniffed_kept_or_loaded_from_elsewhere(database: TestDatabase) {
        let pages = Pages::over(&database).await;
        let mut ada = pages.logged_in("ada", Role::Operator).await;
        let payment = pages.world.charge("pm_card_visa", "automatic").await;
        let assets = ada.get("/ops").await.text;
        let style = assets.split("href=\"").find(|part| part.contains(".css")).unwrap().split('"').next().unwrap();
        let all = ["/ops", "/ops/login", "/ops/nothing", "/ops/payments?state=odd", style, "/ops/assets/none.js"];
        let of_payment = [format!("/ops/payments/{payment}"), format!("/ops/payments/{payment}/raw.json")];
        for path in all.into_iter().chain(of_payment.iter().map(String::as_str)) {
            let answer = ada.get(path).await;
            let policy = answer.headers["content-security-policy"].to_str().unwrap();
            for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "form-action 'self'"] {
                assert!(policy.contains(part), "{path}: {policy}");
            }
            assert!(!policy.contains("unsafe"), "{path}: {policy}");
            assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{path}");
            assert_eq!(answer.headers["referrer-policy"], "no-referrer", "{path}");
            let kept = answer.headers["cache-control"].to_str().unwrap();
            assert_eq!(kept == "no-store", path != style, "{path}: {kept}");
            assert!(!answer.text.contains("style=\"") && !answer.text.contains("onclick"), "{path} has something inline");
        }
    }
}
