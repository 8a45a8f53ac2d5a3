//! Settings of what is sent to merchants.

use serde::Serialize;

/// As given on the command line or in the environment.
#[derive(clap::Args, Serialize, Debug, Default, Clone)]
pub struct WebhookKnobs {
    /// Whether this process delivers events to merchants' webhook endpoints
    #[arg(
        long,
        global = true,
        env = "FINCORE_DELIVER_WEBHOOKS",
        value_name = "true|false",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deliver_webhooks: Option<bool>,
    /// Lets webhook endpoints be on this machine, also by http: for development only
    #[arg(
        long,
        global = true,
        env = "FINCORE_ALLOW_LOOPBACK_ENDPOINTS",
        value_name = "true|false",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_loopback_endpoints: Option<bool>,
    /// Days for which events and the log of their deliveries are kept
    #[arg(long, global = true, env = "FINCORE_WEBHOOK_RETENTION_DAYS", value_name = "DAYS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_retention_days: Option<u32>,
}
