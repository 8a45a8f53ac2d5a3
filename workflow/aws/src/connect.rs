//! How AWS is reached: region, endpoint, credentials, time limits and repeats, each chosen here and not by default.
//!
//! Credentials come from where AWS's tools look for them: environment, profile, web identity, container or instance role.

use std::time::Duration;

pub use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;

/// A connection that takes longer comes from a network that is broken; the next try may go another way.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// What one try may take. Calls take some milliseconds; only a long poll takes longer, and has a limit of its own.
pub(crate) const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

/// What a call may take with all its tries. What is not told by then, the sweeper tells.
const CALL_TIMEOUT: Duration = Duration::from_secs(12);

/// Tries of one call. AWS throttles and restarts in passing; what lasts longer is not helped by more of them.
const ATTEMPTS: u32 = 3;

/// Where AWS is.
#[derive(Clone, Debug, Default)]
pub struct AwsOptions {
    /// An endpoint instead of the region's own: a VPC endpoint, or an emulator.
    pub endpoint_url: Option<String>,
    /// The region, where neither the environment nor the profile says it.
    pub region: Option<String>,
}

/// Reads region and credentials from where AWS's tools look for them. Nothing is called before it is needed.
pub async fn config(options: &AwsOptions) -> SdkConfig {
    let http = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(CALL_TIMEOUT)
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS));
    if let Some(endpoint_url) = &options.endpoint_url {
        loader = loader.endpoint_url(endpoint_url);
    }
    let config = loader.load().await;
    if config.region().is_some() {
        return config;
    }
    match options.region.clone() {
        Some(region) => config.into_builder().region(Region::new(region)).build(),
        None => config,
    }
}
