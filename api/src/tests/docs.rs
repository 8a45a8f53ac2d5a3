//! The page needs nobody but us.

use axum::body::Body;
use http::Request;
use serde_json::Value;

use super::store::Mood;
use super::{Answered, Served, serve};

async fn get(served: &Served, path: &str) -> Answered {
    let answered = served.send(Request::get(path).body(Body::empty()).unwrap()).await;
    assert_eq!(answered.status, 200, "{path}");
    assert_eq!(answered.header("x-content-type-options"), "nosniff", "{path}");
    answered
}

/// What a page's elements and a script's settings point to.
fn named(text: &str) -> Vec<&str> {
    let after = |key: &str| text.split(key).skip(1).filter_map(|rest| rest.split('"').next()).collect::<Vec<_>>();
    ["href=\"", "src=\"", "url: \""].into_iter().flat_map(after).collect()
}

#[tokio::test]
async fn everything_that_the_page_names_is_served_from_here() {
    let served = serve(Mood::Down);
    let page = get(&served, "/docs").await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(get(&served, "/docs/").await.body, page.body);
    let Value::String(text) = &page.body else { panic!("the page is no JSON") };
    let script = get(&served, "/docs/page.js").await;
    let names = [named(text), named(script.body.as_str().unwrap())].concat();
    for kind in ["/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css", "/docs/favicon-32x32.png", "/openapi.json"] {
        assert!(names.contains(&kind), "{kind} is not among {names:?}");
    }
    for name in names {
        let response = served.raw(name).await;
        assert_eq!(response.0, 200, "{name}");
        assert!(response.1 > 0, "{name} is empty");
    }
    let missing = served.send(Request::get("/docs/swagger-ui.js").body(Body::empty()).unwrap()).await;
    assert_eq!((missing.status.as_u16(), missing.code()), (404, "route_not_found"));
}

#[tokio::test]
async fn the_pages_policy_lets_it_ask_nobody_else() {
    let page = get(&serve(Mood::Down), "/docs").await;
    let policy = page.header("content-security-policy");
    let rules: Vec<Vec<&str>> = policy.split(';').map(|rule| rule.split_whitespace().collect()).collect();
    assert!(rules.contains(&vec!["default-src", "'none'"]), "{policy}");
    for rule in &rules {
        for source in &rule[1..] {
            let is_ours = matches!(*source, "'none'" | "'self'") || (rule[0] == "img-src" && *source == "data:");
            assert!(is_ours, "{rule:?}");
        }
    }
    let Value::String(text) = &page.body else { panic!("the page is no JSON") };
    assert!(!text.contains("<style") && !text.contains(" style=") && !text.contains("onload"), "nothing inline");
    assert_eq!(text.matches("<script").count(), text.matches("<script src=").count(), "no script in the page");
}
