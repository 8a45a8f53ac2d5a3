//! `fincore keys list`.

use std::sync::Arc;

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use jiff::Timestamp;
use serde_json::json;
use workflow::port::clock::{Clock, SystemClock};
use workflow::port::store::{ApiKey, Store};

use crate::args::keys::ListKeys;

/// Keys read at a time.
pub(super) const PAGE: u32 = 200;

pub(super) async fn run(store: &Arc<dyn Store>, asked: &ListKeys) -> anyhow::Result<()> {
    let now = SystemClock.now();
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["key", "merchant", "mode", "name", "scopes", "created", "last used", "revoked"]);
    let (mut after, mut shown) = (None, 0_usize);
    loop {
        let page = store.api_keys(asked.merchant, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for key in page.iter().filter(|key| asked.revoked || !key.is_revoked(now)) {
            shown += 1;
            if asked.json {
                println!("{}", as_json(key));
            } else {
                table.add_row(row(key));
            }
        }
    }
    if !asked.json {
        if shown == 0 {
            println!("There are no keys. Create one with `fincore keys create`.");
        } else {
            println!("{table}");
        }
    }
    Ok(())
}

fn as_json(key: &ApiKey) -> serde_json::Value {
    json!({
        "id": key.id, "merchant": key.merchant_id, "mode": key.mode.to_string(), "name": key.name,
        "scopes": key.scopes.to_string().split(' ').collect::<Vec<_>>(), "created": key.created_at,
        "last_used": key.last_used_at, "revoked": key.revoked_at,
    })
}

fn row(key: &ApiKey) -> Vec<String> {
    let time = |at: Option<Timestamp>| at.map_or_else(|| "–".to_owned(), |at| format!("{at:.0}"));
    vec![
        key.id.to_string(),
        key.merchant_id.to_string(),
        key.mode.to_string(),
        key.name.clone(),
        key.scopes.to_string().replace(' ', "\n"),
        time(Some(key.created_at)),
        time(key.last_used_at),
        time(key.revoked_at),
    ]
}
