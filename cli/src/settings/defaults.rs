//! What settings are when nobody says otherwise.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use secrecy::SecretString;

use super::{DatabasePooler, LogFormat, QueueKind, Settings, TimeoutsKind};

impl Default for Settings {
    fn default() -> Self {
        Self {
            database_url: "sqlite:fincore.db".into(),
            // Group commit needs few: two lanes of writes, and readers.
            database_connections: 16,
            database_pooler: DatabasePooler::None,
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            psp: "stripe".into(),
            fallback_psps: Vec::new(),
            psps: BTreeMap::new(),
            merchants: BTreeMap::new(),
            stripe_url: "https://api.stripe.com".into(),
            stripe_secret_key: SecretString::default(),
            stripe_webhook_secret: SecretString::default(),
            queue: QueueKind::Local,
            sqs_queue_url: String::new(),
            sqs_dead_letter_queue_url: None,
            timeouts: TimeoutsKind::Database,
            state_machine_arn: None,
            alert_sns_topic: None,
            aws_endpoint_url: None,
            redis_url: None,
            redis_password: None,
            redis_prefix: workflow_redis::PREFIX.into(),
            rate_limit_per_second: 0,
            rate_limit_burst: 0,
            docs_url: None,
            worker_concurrency: 256,
            sweep_every_ms: 500,
            drain_timeout_ms: 25_000,
            alert_webhook_url: None,
            alert_webhook_secret: None,
            deliver_webhooks: true,
            allow_loopback_endpoints: false,
            webhook_retention_days: 30,
            ops_secure_cookies: true,
            ops_trusted_proxies: String::new(),
            ops_user_header: None,
            log: "info".into(),
            log_format: LogFormat::Text,
            metrics_listen: None,
            otlp_endpoint: None,
            trace_ratio: 1.0,
        }
    }
}
