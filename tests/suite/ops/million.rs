//! The operators' pages over a million payments: how long each takes, and by which plan. On demand, since it takes minutes:
//!
//! `cargo nextest run -p fincore-tests --run-ignored only --no-capture -E 'test(pages_over_a_million)'`
//!
//! What it prints is in docs/BENCHMARK.md. It fails when a page takes longer than an operator would wait.

use std::time::{Duration, Instant};

use fincore_tests::database::TestDatabase;
use fincore_tests::pages::{Pages, Visitor};
use reqwest::StatusCode;
use workflow::port::operators::Role;

use crate::million::{MILLION, charges, index};
use crate::store_conformance::schema::saved_queries;

/// How often a page is asked for.
const TIMES: usize = 40;
/// Nobody waits longer for a page.
const PATIENCE: Duration = Duration::from_secs(5);

/// The pages, with what is common and what is rare. What is rarest is at the far end: the newest payments are looked at first.
const PAGES: [(&str, &str); 20] = [
    ("overview", "/ops"),
    ("PSPs", "/ops/psps"),
    ("definition", "/ops/definition"),
    ("dead letters", "/ops/dead-letters"),
    ("webhooks", "/ops/webhooks"),
    ("audit log", "/ops/audit"),
    ("payments", "/ops/payments"),
    ("from the middle", "/ops/payments?after={middle}"),
    ("a common state", "/ops/payments?state=succeeded"),
    ("an ended state of 50 in a million", "/ops/payments?state=expired"),
    ("an open state of 20 among 1,000 open", "/ops/payments?state=in_review"),
    ("waiting longer than", "/ops/payments?waiting=10m"),
    ("one merchant", "/ops/payments?merchant={merchant}"),
    ("one merchant, a rare state", "/ops/payments?merchant={merchant}&state=expired"),
    ("worst: an amount that nobody has", "/ops/payments?least=888888888"),
    ("worst: an error that nobody had", "/ops/payments?error=none"),
    ("worst: a version that nobody runs", "/ops/payments?version=99"),
    ("one merchant, worst", "/ops/payments?merchant={merchant}&currency=jpy"),
    ("search by a PSP's reference", "/ops/search?q=pi_777"),
    ("a payment", "/ops/payments/{middle}"),
];

async fn time_pages(visitor: &mut Visitor, fill: impl Fn(&str) -> String) {
    eprintln!("| page | bytes | median | p95 |\n|---|---:|---:|---:|");
    for (name, path) in PAGES {
        let path = fill(path);
        let (mut took, mut bytes) = (Vec::new(), 0);
        for _ in 0..TIMES {
            let begun = Instant::now();
            let answer = visitor.get(&path).await;
            took.push(begun.elapsed());
            bytes = answer.text.len();
            assert!(matches!(answer.status, StatusCode::OK | StatusCode::SEE_OTHER), "{name}: {}", answer.text);
        }
        took.sort();
        let p95 = took[TIMES * 95 / 100];
        eprintln!("| {name}: `{path}` | {bytes} | {:.1?} | {p95:.1?} |", took[TIMES / 2]);
        assert!(p95 < PATIENCE, "{name} took {took:?}");
    }
}

/// Histories of the latest payments, as long as a charge's that nothing goes wrong with.
fn histories(is_postgres: bool) -> String {
    let (events, hash) = if is_postgres {
        (
            "(values (1, 'started', 'client:k'), (2, 'attempt_started', 'worker:a'), (3, 'registered', 'worker:a'), (4, 'authorized', 'worker:a'), (5, 'attempt_started', 'worker:a'), (6, 'captured', 'worker:a')) as event (seq, name, actor)",
            "sha256('')",
        )
    } else {
        (
            "(select 1 as seq, 'started' as name, 'client:k' as actor union all select 2, 'attempt_started', 'worker:a' union all select 3, 'registered', 'worker:a' union all select 4, 'authorized', 'worker:a' union all select 5, 'attempt_started', 'worker:a' union all select 6, 'captured', 'worker:a') as event",
            "zeroblob(32)",
        )
    };
    format!(
        "insert into payment_history (payment_id, seq, at_us, event, actor, from_state, to_state, attempt, verdict, data, hash)
        select id, event.seq, created_at_us + event.seq * 5000, event.name, event.actor,
            case when event.seq > 1 then 'authorizing' end, 'authorizing', 1, 'applied', '{{}}', {hash}
        from (select id, created_at_us from payments order by id desc limit 1000) as recent cross join {events}"
    )
}

/// How PostgreSQL goes about the statements behind the pages.
async fn explain(database: &TestDatabase) {
    let saved = saved_queries("postgres");
    let settings = "set enable_seqscan = off; set enable_bitmapscan = off; set enable_mergejoin = off; set jit = off; set plan_cache_mode = force_generic_plan;";
    let find = |source: &str, more: &str| {
        format!(
            "'{source}', '00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff', 40000, 200000, {more}"
        )
    };
    let nothing = "null, null, null, 0, 999999999999, null, null, null, 0, 99, 50";
    for (name, part, arguments) in [
        ("open payments, counted", "min(state_since_us)", "0, 200000, 0".to_owned()),
        (
            "the latest payments",
            "created_at_us, updated_at_us from payments order by id desc limit $1",
            "2500".to_owned(),
        ),
        ("what workers wrote", "actor like 'worker%'", "500".to_owned()),
        ("a search over all", "definition_version = $15)\n                order by id desc", find("all", nothing)),
        (
            "a search over open ones",
            "definition_version = $15)\n                order by id desc",
            find("open", nothing),
        ),
    ] {
        let Some(query) = saved.iter().find(|query| query.contains(part)) else { panic!("no query has {part}") };
        let sql = format!(
            "{settings} prepare page as {query}; explain (analyze, costs off, timing off, summary on, buffers) execute page ({arguments})"
        );
        eprintln!("\n{name}:\n{}", database.texts(&sql, "QUERY PLAN").await.join("\n"));
    }
}

async fn look_over_a_million(database: TestDatabase) {
    let pages = Pages::over(&database).await;
    let begun = Instant::now();
    database.execute(&charges(&pages.world, database.is_postgres())).await.unwrap();
    index(&database, &pages.world).await;
    database.execute(&histories(database.is_postgres())).await.unwrap();
    eprintln!("filled in {:.0?}", begun.elapsed());
    let mut ada = pages.logged_in("ada", Role::Operator).await;
    let page = ada.get("/ops/payments").await.text;
    let newest = page.split("/ops/payments/ch_").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let merchant = pages.world.merchant.to_string();
    let middle = page_in_the_middle(&mut ada).await;
    eprintln!("of {MILLION}, the newest is ch_{newest}");
    time_pages(&mut ada, |path| path.replace("{middle}", &middle).replace("{merchant}", &merchant)).await;
    if database.is_postgres() {
        explain(&database).await;
    }
}

/// A payment from the middle, by its time.
async fn page_in_the_middle(visitor: &mut Visitor) -> String {
    let after = format!("ch_{:012x}70008000000000000000", 1_767_225_600_000_u64 + MILLION / 2 * 1_000);
    let page = visitor.get(&format!("/ops/payments?after={}0", &after[..after.len() - 1])).await.text;
    let id = page.split("/ops/payments/ch_").nth(1).unwrap_or_else(|| panic!("{page}"));
    format!("ch_{}", id.split('"').next().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "fills a million rows, which takes minutes: run it on demand"]
async fn pages_over_a_million_are_fast_on_postgres() {
    let Some(database) = TestDatabase::postgres().await else { return };
    look_over_a_million(database).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "fills a million rows, which takes minutes: run it on demand"]
async fn pages_over_a_million_are_fast_on_sqlite() {
    look_over_a_million(TestDatabase::sqlite()).await;
}
