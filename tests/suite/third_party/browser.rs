//! Operators in a real browser, over FinCore as a process of its own: what they do, and pictures of every page.
//!
//! The steps are in `tests/third_party/browser.mjs`. The pictures go to `target/ops-pages`, for people to look at.

use fincore_tests::dev::Dev;
use fincore_tests::third_party::Tools;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_find_redrive_resolve_and_watch_in_a_browser() {
    let Some(tools) = Tools::find() else { return };
    let dev = Dev::start(env!("CARGO_BIN_EXE_fincore-under-test")).await;
    let people = [("dev".to_owned(), dev.operator_password()), ("bob".to_owned(), dev.add_operator("bob"))];
    let shots = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/ops-pages");
    tools.browser(&dev.url, &dev.key, &people, shots).await;
}
