//! Settings of the fast state that processes share.

use anyhow::bail;
use serde::Serialize;
use workflow_redis::RedisOptions;

use super::Settings;

/// As given on the command line or in the environment.
#[derive(clap::Args, Serialize, Debug, Default, Clone)]
pub struct RedisKnobs {
    /// Redis for the fast state that processes share: redis://… or rediss://…
    #[arg(long, global = true, env = "FINCORE_REDIS_URL", hide_env_values = true, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis_url: Option<String>,
    /// Its password, where a secret comes in a variable of its own
    #[arg(long, global = true, env = "FINCORE_REDIS_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis_password: Option<String>,
    /// What this installation's keys in Redis begin with
    #[arg(long, global = true, env = "FINCORE_REDIS_PREFIX", value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis_prefix: Option<String>,
}

impl Settings {
    /// How Redis is used, if it is.
    ///
    /// # Errors
    /// A setting cannot be used; says which.
    pub fn redis(&self) -> anyhow::Result<Option<RedisOptions>> {
        let is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b':');
        if !(1..=64).contains(&self.redis_prefix.len()) || !self.redis_prefix.bytes().all(is_plain) {
            bail!("redis_prefix must be 1 to 64 of a-z, 0-9, _, - and :");
        }
        let Some(url) = &self.redis_url else {
            if self.redis_password.is_some() {
                bail!("redis_password needs redis_url: there is nobody to tell it to");
            }
            return Ok(None);
        };
        let (password, prefix) = (self.redis_password.clone(), self.redis_prefix.clone());
        Ok(Some(RedisOptions { password, prefix, ..RedisOptions::new(url.clone()) }))
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use crate::settings::Settings;

    #[test]
    fn a_password_of_its_own_goes_with_the_url_and_is_refused_without() {
        let (url, password) = (Some("rediss://cache:6379".into()), Some("token".into()));
        let alone = Settings { redis_password: password.clone(), ..Settings::default() };
        assert!(alone.redis().unwrap_err().to_string().contains("needs redis_url"));
        let both = Settings { redis_url: url, redis_password: password, ..Settings::default() };
        assert_eq!(both.redis().unwrap().unwrap().password.unwrap().expose_secret(), "token");
        assert!(Settings::default().redis().unwrap().is_none());
    }
}
