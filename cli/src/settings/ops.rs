//! Settings of the operators' pages.

use anyhow::{Context, bail};
use axum::http::HeaderName;
use serde::Serialize;

use super::Settings;

/// As given on the command line or in the environment.
#[derive(clap::Args, Serialize, Debug, Default, Clone)]
pub struct OpsKnobs {
    /// Whether cookies of /ops travel over TLS alone, which is in front of this program; false only on one's own machine
    #[arg(
        long,
        global = true,
        env = "FINCORE_OPS_SECURE_COOKIES",
        value_name = "true|false",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ops_secure_cookies: Option<bool>,
    /// Proxies in front of /ops whose word about where a request came from is taken: addresses and networks, comma between
    #[arg(long, global = true, env = "FINCORE_OPS_TRUSTED_PROXIES", value_name = "ADDRESSES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ops_trusted_proxies: Option<String>,
    /// Header in which those proxies name the operator; set, it is the only way to log in
    #[arg(long, global = true, env = "FINCORE_OPS_USER_HEADER", value_name = "HEADER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ops_user_header: Option<String>,
}

impl Settings {
    /// What the operators' pages are told.
    ///
    /// # Errors
    /// A network or a header cannot be read, or anybody could send the header.
    pub fn ops(&self) -> anyhow::Result<ops::OpsConfig> {
        let words = self.ops_trusted_proxies.split(',').map(str::trim).filter(|word| !word.is_empty());
        let trusted_proxies =
            words.map(str::parse).collect::<Result<Vec<ops::Network>, _>>().context("ops_trusted_proxies")?;
        let user_header = self.ops_user_header.as_deref().map(str::parse::<HeaderName>).transpose();
        let user_header = user_header.context("ops_user_header must be a header's name, like X-Forwarded-User")?;
        if user_header.is_some() && trusted_proxies.is_empty() {
            bail!("ops_user_header needs ops_trusted_proxies: anybody could send the header otherwise");
        }
        let cookies = if self.ops_secure_cookies { ops::Cookies::Secure } else { ops::Cookies::Plain };
        Ok(ops::OpsConfig { cookies, trusted_proxies, user_header })
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::Settings;

    fn told(proxies: &str, header: Option<&str>) -> String {
        let (ops_trusted_proxies, ops_user_header) = (proxies.to_owned(), header.map(str::to_owned));
        let settings = Settings { ops_trusted_proxies, ops_user_header, ..Settings::default() };
        settings.ops().map_or_else(|error| format!("{error:#}"), |config| format!("{:?}", config.trusted_proxies.len()))
    }

    #[test]
    fn a_header_that_anybody_could_send_is_refused() {
        assert!(told("", Some("X-Forwarded-User")).contains("needs ops_trusted_proxies"));
        assert_eq!(told("10.0.0.1, fd00::/8", Some("X-Forwarded-User")), "2");
        assert!(told("10.0.0.1", Some("not a header")).contains("must be a header's name"));
        assert!(told("proxy.example", None).contains("neither an address"));
    }
}
