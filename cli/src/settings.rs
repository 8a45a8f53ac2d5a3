//! Configuration: flags, then environment, then file, then defaults; checked once at start.
//!
//! [`Knobs`] is what a person may say, [`Settings`] what the program then goes by. Every knob names its unit and has
//! its reason in `docs/CONFIGURATION.md`, which a test compares with this file.

pub mod accounts;
mod bounds;
mod defaults;
mod kinds;
mod meaning;
mod ops;
mod redis;
mod telemetry;
mod timeouts;
mod webhooks;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, bail};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use accounts::Merchant;
use activities::gateway::accounts::{self as psp_accounts, Account};
use bounds::{in_bounds, is_http};
pub use kinds::{DatabasePooler, LogFormat, QueueKind, TimeoutsKind};
pub use ops::OpsKnobs;
pub use redis::RedisKnobs;
pub use telemetry::TelemetryKnobs;
pub use timeouts::TimeoutKnobs;
pub use webhooks::WebhookKnobs;

/// Settings as given on the command line or in the environment. Every one may also stand in the file, under the same
/// name.
#[derive(clap::Args, Serialize, Debug, Default, Clone)]
#[command(next_help_heading = "Settings (flag, environment, or the same name in the file)")]
pub struct Knobs {
    /// TOML file with any of these settings
    #[arg(long, global = true, env = "FINCORE_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Database: sqlite:PATH or postgres://…
    #[arg(long, global = true, env = "FINCORE_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_url: Option<String>,
    /// Connections to the database, at most
    #[arg(long, global = true, env = "FINCORE_DATABASE_CONNECTIONS", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_connections: Option<u32>,
    /// What stands between this program and PostgreSQL
    #[arg(long, global = true, env = "FINCORE_DATABASE_POOLER", value_name = "none|transaction")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_pooler: Option<DatabasePooler>,
    /// Address and port of the API
    #[arg(long, global = true, env = "FINCORE_LISTEN", value_name = "ADDR:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// Name of the PSP account that new charges go to; also the name in its webhook URL
    #[arg(long, global = true, env = "FINCORE_PSP", value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psp: Option<String>,
    /// Base URL of the PSP's API
    #[arg(long, global = true, env = "FINCORE_STRIPE_URL", value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stripe_url: Option<String>,
    /// Secret key for the PSP's API; prefer the environment or the file
    #[arg(long, global = true, env = "FINCORE_STRIPE_SECRET_KEY", hide_env_values = true, value_name = "KEY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stripe_secret_key: Option<String>,
    /// Signing secret of the PSP's webhooks; during a rotation, both, separated by a comma
    #[arg(long, global = true, env = "FINCORE_STRIPE_WEBHOOK_SECRET", hide_env_values = true, value_name = "SECRET")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stripe_webhook_secret: Option<String>,
    /// What tells workers of payments: local (within this process; others sweep) or sqs
    #[arg(long, global = true, env = "FINCORE_QUEUE", value_name = "local|sqs")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueKind>,
    /// URL of the SQS queue; a FIFO queue's ends in .fifo
    #[arg(long, global = true, env = "FINCORE_SQS_QUEUE_URL", value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sqs_queue_url: Option<String>,
    /// URL of its dead-letter queue, which is told of charges that need a person
    #[arg(long, global = true, env = "FINCORE_SQS_DEAD_LETTER_QUEUE_URL", value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sqs_dead_letter_queue_url: Option<String>,
    /// SNS topic that is told of charges that need a person: arn:aws:sns:REGION:ACCOUNT:NAME
    #[arg(long, global = true, env = "FINCORE_ALERT_SNS_TOPIC", value_name = "ARN")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert_sns_topic: Option<String>,
    /// Endpoint of AWS instead of the region's own: a VPC endpoint, or an emulator
    #[arg(long, global = true, env = "FINCORE_AWS_ENDPOINT_URL", value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws_endpoint_url: Option<String>,
    /// What processes share.
    #[command(flatten)]
    #[serde(flatten)]
    pub redis: RedisKnobs,
    /// Requests an API key may make each second; 0 sets no limit
    #[arg(long, global = true, env = "FINCORE_RATE_LIMIT_PER_SECOND", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit_per_second: Option<u32>,
    /// Requests an API key may make at once, after a pause; 0 for two seconds' worth
    #[arg(long, global = true, env = "FINCORE_RATE_LIMIT_BURST", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit_burst: Option<u32>,
    /// Where the table of error codes can be read, when not at /problems of this server; problems link to it
    #[arg(long, global = true, env = "FINCORE_DOCS_URL", value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docs_url: Option<String>,
    /// Payments one worker works on at the same time
    #[arg(long, global = true, env = "FINCORE_WORKER_CONCURRENCY", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker_concurrency: Option<usize>,
    /// Milliseconds between two sweeps for what the queue forgot
    #[arg(long, global = true, env = "FINCORE_SWEEP_EVERY_MS", value_name = "MS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sweep_every_ms: Option<u64>,
    /// Milliseconds that work in hand may take to finish after SIGTERM or Ctrl-C
    #[arg(long, global = true, env = "FINCORE_DRAIN_TIMEOUT_MS", value_name = "MS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain_timeout_ms: Option<u64>,
    /// URL that is told of each charge that needs a person, signed by Standard Webhooks
    #[arg(long, global = true, env = "FINCORE_ALERT_WEBHOOK_URL", hide_env_values = true, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert_webhook_url: Option<String>,
    /// What it is signed with: whsec_ and base64; during a rotation two, separated by a comma
    #[arg(long, global = true, env = "FINCORE_ALERT_WEBHOOK_SECRET", hide_env_values = true, value_name = "SECRET")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert_webhook_secret: Option<String>,
    /// Who keeps the time of payments.
    #[command(flatten)]
    #[serde(flatten)]
    pub timeouts: TimeoutKnobs,
    /// What is sent to merchants.
    #[command(flatten)]
    #[serde(flatten)]
    pub webhooks: WebhookKnobs,
    /// The operators' pages.
    #[command(flatten)]
    #[serde(flatten)]
    pub ops: OpsKnobs,
    /// What is told about the program itself.
    #[command(flatten)]
    #[serde(flatten)]
    pub telemetry: TelemetryKnobs,
}

/// What the program goes by.
#[derive(Deserialize, Debug, Clone)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where payments are kept. May hold a password, so it is never printed.
    pub database_url: SecretString,
    /// Connections to the database, at most.
    pub database_connections: u32,
    /// What stands between this program and PostgreSQL.
    pub database_pooler: DatabasePooler,
    /// Where the API listens.
    pub listen: SocketAddr,
    /// The PSP account that new charges go to.
    pub psp: String,
    /// Accounts that a charge may be tried at after the first, in this order.
    pub fallback_psps: Vec<String>,
    /// Accounts by name, beside the one that the settings `stripe_…` describe.
    pub psps: BTreeMap<String, Account>,
    /// Merchants whose charges go elsewhere.
    pub merchants: BTreeMap<String, Merchant>,
    /// Base URL of the PSP's API.
    pub stripe_url: String,
    /// Secret key for the PSP's API.
    pub stripe_secret_key: SecretString,
    /// Signing secrets of the PSP's webhooks, separated by a comma.
    pub stripe_webhook_secret: SecretString,
    /// What tells workers of payments.
    pub queue: QueueKind,
    /// The SQS queue.
    pub sqs_queue_url: String,
    /// Its dead-letter queue, if it is told of dead letters.
    pub sqs_dead_letter_queue_url: Option<String>,
    /// Who keeps the time of payments.
    pub timeouts: TimeoutsKind,
    /// The state machine of Step Functions, should it keep the time of payments, or of some.
    pub state_machine_arn: Option<String>,
    /// The SNS topic that is told of dead letters, if any.
    pub alert_sns_topic: Option<String>,
    /// Endpoint of AWS, if not the region's own.
    pub aws_endpoint_url: Option<String>,
    /// Where processes share their fast state. May hold a password, so it is never printed.
    pub redis_url: Option<SecretString>,
    /// Its password, if that is not in the URL.
    pub redis_password: Option<SecretString>,
    /// What keys in Redis begin with.
    pub redis_prefix: String,
    /// Requests an API key may make each second; 0 for no limit.
    pub rate_limit_per_second: u32,
    /// Requests an API key may make at once; 0 for two seconds' worth.
    pub rate_limit_burst: u32,
    /// Where the table of error codes can be read, if not at this server.
    pub docs_url: Option<String>,
    /// Payments one worker works on at the same time.
    pub worker_concurrency: usize,
    /// Time between two sweeps.
    pub sweep_every_ms: u64,
    /// Time for work in hand to finish.
    pub drain_timeout_ms: u64,
    /// Where alerts are posted, if anywhere. May hold a token, so it is never printed.
    pub alert_webhook_url: Option<SecretString>,
    /// What they are signed with, separated by a comma.
    pub alert_webhook_secret: Option<SecretString>,
    /// Whether this process delivers events to webhook endpoints.
    pub deliver_webhooks: bool,
    /// Whether webhook endpoints may be on this machine.
    pub allow_loopback_endpoints: bool,
    /// Days for which events and the log of their deliveries are kept.
    pub webhook_retention_days: u32,
    /// Whether the cookies of the operators' pages travel over TLS alone.
    pub ops_secure_cookies: bool,
    /// Proxies in front, addresses and networks separated by commas.
    pub ops_trusted_proxies: String,
    /// Where they say who it is, if they do the log-in.
    pub ops_user_header: Option<String>,
    /// What to log.
    pub log: String,
    /// How to log.
    pub log_format: LogFormat,
    /// Where a worker shows its metrics, if anywhere.
    pub metrics_listen: Option<SocketAddr>,
    /// Who gets traces, if anybody.
    pub otlp_endpoint: Option<String>,
    /// Which share of them.
    pub trace_ratio: f64,
}

impl Settings {
    /// Reads and checks the settings.
    ///
    /// # Errors
    /// A file that cannot be read, a setting nobody knows, or a value outside its bounds; says which and what to do.
    pub fn read(knobs: &Knobs) -> anyhow::Result<Self> {
        let mut table = match &knobs.config {
            None => toml::Table::new(),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read the settings file {}", path.display()))?;
                // Only the message: the parser's full text repeats the line, and a line may hold a secret.
                text.parse::<toml::Table>()
                    .map_err(|error| anyhow::anyhow!("{} is not TOML: {}", path.display(), error.message()))?
            }
        };
        table.extend(toml::Table::try_from(knobs).context("cannot read the flags")?);
        let mut settings: Self = toml::Value::Table(table).try_into().context("cannot use the settings")?;
        settings.psps = psp_accounts::with_environment(settings.psps, &|name| std::env::var(name).ok());
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> anyhow::Result<()> {
        in_bounds("database_connections", u64::from(self.database_connections), 2, 1_000)?;
        in_bounds("worker_concurrency", self.worker_concurrency as u64, 1, 10_000)?;
        in_bounds("sweep_every_ms", self.sweep_every_ms, 10, 600_000)?;
        in_bounds("drain_timeout_ms", self.drain_timeout_ms, 0, 600_000)?;
        if self.queue == QueueKind::Sqs && !is_http(&self.sqs_queue_url) {
            bail!(
                "queue is sqs, so sqs_queue_url must be the queue's URL (https://sqs.REGION.amazonaws.com/ACCOUNT/NAME)"
            );
        }
        if self.sqs_dead_letter_queue_url.as_deref().is_some_and(|url| !is_http(url)) {
            bail!("sqs_dead_letter_queue_url must be the queue's URL (https://sqs.REGION.amazonaws.com/ACCOUNT/NAME)");
        }
        self.step_functions()?;
        if self.alert_sns_topic.as_deref().is_some_and(|arn| !arn.starts_with("arn:") || arn.split(':').count() != 6) {
            bail!("alert_sns_topic must be a topic's ARN (arn:aws:sns:REGION:ACCOUNT:NAME)");
        }
        for (name, url) in [("aws_endpoint_url", &self.aws_endpoint_url), ("docs_url", &self.docs_url)] {
            if url.as_deref().is_some_and(|url| !is_http(url)) {
                bail!("{name} must begin with https:// or http://");
            }
        }
        in_bounds("webhook_retention_days", self.webhook_retention_days.into(), 4, 3_650)?;
        in_bounds("rate_limit_per_second", self.rate_limit_per_second.into(), 0, 10_000)?;
        in_bounds("rate_limit_burst", self.rate_limit_burst.into(), 0, 1_000_000)?;
        self.redis()?;
        if self.alert_webhook_url.is_some() != self.alert_webhook_secret.is_some() {
            bail!("alert_webhook_url and alert_webhook_secret go together: set both or none");
        }
        self.check_telemetry()?;
        self.ops()?;
        accounts::check(&self.psp, &self.fallback_psps, &self.psps, &self.merchants)
    }
}

#[cfg(test)]
mod tests {
    use workflow::port::rate_limits::RateLimit;

    use super::*;

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "psp = \"acme\"\nworker_concurrency = 7\n").unwrap();
        let knobs = Knobs { config: Some(file.path().into()), worker_concurrency: Some(9), ..Knobs::default() };
        let settings = Settings::read(&knobs).unwrap();
        assert_eq!((settings.psp.as_str(), settings.worker_concurrency, settings.sweep_every_ms), ("acme", 9, 500));
    }

    #[test]
    fn a_setting_nobody_knows_is_refused_by_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "worker_concurency = 7\n").unwrap();
        let knobs = Knobs { config: Some(file.path().into()), ..Knobs::default() };
        let error = format!("{:#}", Settings::read(&knobs).unwrap_err());
        assert!(error.contains("worker_concurency"), "{error}");
    }

    #[test]
    fn values_outside_their_bounds_are_refused_with_the_bounds() {
        let knobs = Knobs { sweep_every_ms: Some(1), ..Knobs::default() };
        let error = format!("{:#}", Settings::read(&knobs).unwrap_err());
        assert_eq!(error, "sweep_every_ms is 1, but must be from 10 to 600000");
    }

    #[test]
    fn a_rate_limit_has_a_burst_of_two_seconds_unless_told_otherwise_and_is_off_by_default() {
        let limit = |per_second, burst| {
            let (rate_limit_per_second, rate_limit_burst) = (per_second, burst);
            Settings { rate_limit_per_second, rate_limit_burst, ..Settings::default() }.rate_limit()
        };
        assert_eq!(limit(0, 0), None);
        assert_eq!(limit(50, 0), Some(RateLimit { per_second: 50, burst: 100 }));
        assert_eq!(limit(50, 7), Some(RateLimit { per_second: 50, burst: 7 }));
    }

    #[test]
    fn an_alert_that_nobody_could_believe_is_refused() {
        let knobs = Knobs { alert_webhook_url: Some("https://alerts.example/".into()), ..Knobs::default() };
        assert!(Settings::read(&knobs).unwrap_err().to_string().contains("go together: set both or none"));
    }

    #[test]
    fn every_setting_is_documented() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/CONFIGURATION.md")).unwrap();
        let command = <crate::args::Args as clap::CommandFactory>::command();
        for knob in command.get_arguments().filter_map(clap::Arg::get_long) {
            let name = knob.replace('-', "_");
            if ["help", "version"].contains(&knob) {
                continue;
            }
            assert!(page.contains(&format!("| `{name}` |")), "docs/CONFIGURATION.md does not explain {name}");
        }
    }
}
