//! `fincore sandbox`: the sandbox PSP as a program of its own, for engines in other processes.
//!
//! Not here: what it does (the crate `sandbox`, described in `docs/SANDBOX.md`).

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use sandbox::scenario::SCENARIOS;

use crate::args;
use crate::dev::SANDBOX_KEY;
use crate::settings::{Knobs, Settings};
use crate::{app, telemetry};

/// Runs until it is asked to stop.
pub(crate) async fn run(knobs: &Knobs, options: &args::Sandbox) -> anyhow::Result<ExitCode> {
    let telemetry = telemetry::start(&Settings::read(knobs)?, "sandbox")?;
    let config = sandbox::Config {
        secret_key: SANDBOX_KEY.to_owned(),
        webhook_url: options.webhook_url.as_ref().map(url::Url::to_string),
        webhook_secret: options.webhook_secret.clone(),
        processing_delay: Duration::from_millis(options.delay_ms),
        long_delay: Duration::from_millis(options.long_delay_ms),
        journal: options.journal.clone(),
        port: options.port,
    };
    let sandbox = sandbox::Sandbox::start(config).await.with_context(|| match &options.journal {
        None => format!("cannot start on port {}: choose another with --port (0 takes any)", options.port),
        Some(file) => format!(
            "cannot start on port {} with the journal {}: choose another --port (0 takes any), or move a damaged journal away",
            options.port,
            file.display()
        ),
    })?;
    welcome(&sandbox, options);
    app::asked_to_stop().await;
    sandbox.stop().await;
    telemetry.close().await;
    println!("Stopped.");
    Ok(ExitCode::SUCCESS)
}

fn welcome(sandbox: &sandbox::Sandbox, options: &args::Sandbox) {
    let webhooks = options.webhook_url.as_ref().map_or("none (give --webhook-url)", url::Url::as_str);
    let journal =
        options.journal.as_ref().map_or_else(|| "none (give --journal)".to_owned(), |f| f.display().to_string());
    println!(
        r#"
The sandbox PSP is running. It speaks Stripe's wire format; no money is real.

  URL             {url}
  secret key      {SANDBOX_KEY}
  webhooks to     {webhooks}
  webhook secret  {secret}
  journal         {journal}
  its books       {url}/sandbox/ledger
  what it can do  {url}/sandbox

{table}

Point FinCore at it:

  export FINCORE_PSP=sandbox FINCORE_STRIPE_URL={url} \
    FINCORE_STRIPE_SECRET_KEY={SANDBOX_KEY} \
    FINCORE_STRIPE_WEBHOOK_SECRET={secret}

Or ask it yourself:

  curl {url}/v1/payment_intents -H 'Authorization: Bearer {SANDBOX_KEY}' \
    -d amount=1200 -d currency=eur -d confirm=true -d payment_method=pm_card_visa

Stop with Ctrl-C.
"#,
        url = sandbox.url(),
        secret = options.webhook_secret,
        table = table().trim_fmt(),
    );
}

fn table() -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["payment_method", "what happens"]);
    for scenario in SCENARIOS {
        table.add_row([scenario.name, &scenario.summary.replace('`', "")]);
    }
    table
}
