//! Lists of a merchant with a million charges: how long each filter takes through the API, and by which plan. On demand,
//! since it takes minutes:
//!
//! `cargo nextest run -p fincore-tests --run-ignored only --no-capture -E 'test(a_million)'`
//!
//! What it prints is in docs/BENCHMARK.md. It fails when a page takes longer than a client would wait.

use std::time::{Duration, Instant};

use fincore_tests::database::TestDatabase;
use fincore_tests::world::World;
use secrecy::ExposeSecret;
use serde_json::Value;
use workflow::port::store::metadata_entry;

use crate::store_conformance::schema::saved_queries;

/// Charges of the merchant.
pub(crate) const MILLION: u64 = 1_000_000;
/// Entries of metadata that are written at a time.
const BATCH: u64 = 20_000;
/// How often a list is asked for.
const TIMES: usize = 7;
/// Nobody waits longer for a page of a list.
const PATIENCE: Duration = Duration::from_secs(5);

/// Beside the million there are charges of others, as many as one in ten.
const OTHERS: u64 = 10;

/// The lists, common and rare. What is rarest is at the far end: the newest charges are looked at first.
const LISTS: [(&str, &str); 16] = [
    ("no filter", "limit=20"),
    ("no filter, a hundred", "limit=100"),
    ("no filter, from the middle", "starting_after={middle}"),
    ("no filter, backwards from the middle", "ending_before={middle}"),
    ("common status", "status=succeeded"),
    ("status of 50 in a million", "status=expired"),
    ("open status of 20 among 1,000 open", "status=in_review"),
    ("status nobody has", "status=requires_action"),
    ("one minute", "created[gte]=2026-01-05T00:00:00Z&created[lt]=2026-01-05T00:01:00Z"),
    ("PSP reference", "psp_reference=pi_777"),
    ("metadata of one charge", "metadata[order]=777"),
    ("metadata of 100,000 charges", "metadata[shop]=3"),
    ("metadata of 100,000 and rare status", "metadata[shop]=3&status=expired"),
    ("common currency and amount range", "currency=eur&amount[gte]=1000&amount[lte]=1100"),
    ("worst: amount of the oldest charge", "amount=777777777"),
    ("worst: currency nobody uses", "currency=jpy"),
];

/// The charges, numbered from the oldest, one a second since the first of January 2026.
pub(crate) fn charges(world: &World, is_postgres: bool) -> String {
    let merchant = world.merchant.uuid();
    let (numbers, id, other, hash) = if is_postgres {
        (
            format!("generate_series(1, {MILLION}) as numbers (n)"),
            "(lpad(to_hex(1767225600000 + n * 1000), 12, '0') || '7' || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 14) || '0')::uuid".to_owned(),
            format!("case when n % {OTHERS} = 0 then gen_random_uuid() else '{merchant}'::uuid end"),
            "sha256('')",
        )
    } else {
        (
            format!(
                "(with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < {MILLION}) select n from numbers)"
            ),
            "unhex(printf('%012x', 1767225600000 + n * 1000) || '7000' || '8' || printf('%014x', n) || '0')".to_owned(),
            format!("case when n % {OTHERS} = 0 then randomblob(16) else unhex('{}') end", merchant.simple()),
            "zeroblob(32)",
        )
    };
    format!(
        "insert into payments (id, merchant_id, psp, payment_method, amount_minor, currency, capture_method, metadata,
            definition_version, created_at_us, psp_reference, amount_authorized_minor, amount_captured_minor,
            amount_refunded_minor, amount_refund_pending_minor, amount_charged_back_minor, goal, operation, state, state_since_us, seq, fence,
            next_wake_at_us, attempt, claims, updated_at_us, head_hash)
        select {id}, {other}, 'sandbox', 'pm_card_visa',
            case when n = 1 then 777777777 else 100 + n % 5000 end, case when n % 10 = 3 then 'usd' else 'eur' end,
            'automatic', '{{\"order\":\"' || n || '\",\"shop\":\"' || (n % 10) || '\"}}', 1, (1767225600000 + n * 1000) * 1000, 'pi_' || n,
            0, 0, 0, 0, 0, 'capture', 1, state, 0, 6, 1,
            case when state in ('authorized', 'in_review') then 4102444800000000 end, 0, 1, 0, {hash}
        from (
            select n, case when n % 50000 = 1 then 'in_review' when n % 1000 = 2 then 'authorized'
                when n % 20000 = 3 then 'expired' when n % 20 = 7 then 'failed' else 'succeeded' end as state
            from {numbers}
        ) as numbered"
    )
}

/// What lists find charges by, beside the charges themselves.
pub(crate) async fn index(database: &TestDatabase, world: &World) {
    database
        .execute(
            "insert into psp_references (psp, psp_reference, payment_id) select psp, psp_reference, id from payments",
        )
        .await
        .unwrap();
    // So that the joins below are planned for what is there.
    database.execute("analyze psp_references").await.unwrap();
    let merchant = world.merchant.uuid().simple();
    for begin in (0..MILLION).step_by(usize::try_from(BATCH).unwrap()) {
        let entry = |key: &str, value: u64| metadata_entry(key, &value.to_string()).simple().to_string();
        let rows: Vec<_> = (begin + 1..=begin + BATCH)
            .flat_map(|n| [(n, entry("order", n)), (n, entry("shop", n % 10))])
            .map(|(n, entry)| format!("('{entry}', 'pi_{n}')"))
            .collect();
        let rows = rows.join(", ");
        let insert = if database.is_postgres() {
            format!(
                "insert into payment_metadata (merchant_id, entry, payment_id)
                select '{merchant}'::uuid, input.entry::uuid, payment_id from (values {rows}) as input (entry, name)
                join psp_references on psp_reference = input.name"
            )
        } else {
            format!(
                "insert into payment_metadata (merchant_id, entry, payment_id)
                select unhex('{merchant}'), unhex(input.column1), payment_id from (values {rows}) as input
                join psp_references on psp_reference = input.column2"
            )
        };
        database.execute(&insert).await.unwrap();
    }
    database.execute(if database.is_postgres() { "vacuum analyze" } else { "analyze" }).await.unwrap();
}

async fn time_lists(world: &World, middle: &str) {
    eprintln!("| list | charges | median | slowest |\n|---|---:|---:|---:|");
    for (name, query) in LISTS {
        let url = format!("http://{}/v1/charges?{}", world.api, query.replace("{middle}", middle));
        let (mut took, mut found, mut pages) = (Vec::new(), 0, "");
        for _ in 0..TIMES {
            let begun = Instant::now();
            let response = world.http.get(&url).bearer_auth(world.secret.expose_secret()).send().await.unwrap();
            let body: Value = response.json().await.unwrap();
            took.push(begun.elapsed());
            found = body["data"].as_array().unwrap_or_else(|| panic!("{name}: {body}")).len();
            pages = if body["has_more"] == true { "+" } else { "" };
        }
        took.sort();
        eprintln!("| {name}: `{query}` | {found}{pages} | {:.1?} | {:.1?} |", took[TIMES / 2], took[TIMES - 1]);
        assert!(took[TIMES / 2] < PATIENCE, "{name} took {took:?}");
    }
}

/// How PostgreSQL goes about the statement behind all lists, for each index it can walk along.
async fn explain(database: &TestDatabase, world: &World) {
    let saved = saved_queries("postgres");
    let query = saved.iter().find(|query| query.contains("order by id desc limit $15")).unwrap();
    let merchant = world.merchant.uuid();
    let entry = metadata_entry("shop", "3");
    for (name, source, standing, amount) in [
        ("all, of one amount", "merchant", "null", 777_777_777),
        ("in a rare status", "standing", "'expired'", 0),
        ("with an entry of metadata", "metadata", "null", 0),
        ("with a PSP's name", "reference", "null", 0),
    ] {
        let most = if amount == 0 { 999_999_999_999_i64 } else { amount };
        let sql = format!(
            "set enable_seqscan = off; set enable_bitmapscan = off; set enable_mergejoin = off; set jit = off;
            set plan_cache_mode = force_generic_plan; prepare list as {query};
            explain (analyze, costs off, timing off, summary on, buffers) execute list (
                '{source}', '{merchant}', '00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff',
                200000, {standing}, '{entry}', 'pi_777', null, {amount}, {most}, null, 0, 9223372036854775807, 21)"
        );
        eprintln!("\n{name}:\n{}", database.texts(&sql, "QUERY PLAN").await.join("\n"));
    }
}

async fn list_a_million(database: TestDatabase) {
    let world = World::over(database.store().await).await;
    let begun = Instant::now();
    database.execute(&charges(&world, database.is_postgres())).await.unwrap();
    index(&database, &world).await;
    eprintln!("filled in {:.0?}", begun.elapsed());
    let middle = format!("ch_{:012x}700080000000000000000000", 1_767_225_600_000_u64 + MILLION / 2 * 1_000);
    let middle = &middle[..35];
    time_lists(&world, middle).await;
    if database.is_postgres() {
        explain(&database, &world).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "fills a million rows, which takes minutes: run it on demand"]
async fn a_million_charges_are_listed_fast_on_postgres() {
    let Some(database) = TestDatabase::postgres().await else { return };
    list_a_million(database).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "fills a million rows, which takes minutes: run it on demand"]
async fn a_million_charges_are_listed_fast_on_sqlite() {
    list_a_million(TestDatabase::sqlite()).await;
}
