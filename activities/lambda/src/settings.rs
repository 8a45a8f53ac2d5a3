//! What the function is told by its environment; checked once per cold start.

use std::collections::BTreeMap;

use activities::gateway::accounts::{Account, with_environment};
use activities::gateway::client::Roots;
use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use workflow_aws::sfn::{Keeping, SfnOptions};
use workflow_aws::sqs::SqsOptions;
use workflow_otel::OtelOptions;
use workflow_postgres::{Pooler, PostgresOptions};
use workflow_redis::RedisOptions;

/// A function works on one batch at a time, and group commit needs one connection to write and one to read. What a
/// thousand functions use at once is the database's limit divided by this.
const DATABASE_CONNECTIONS: u32 = 2;

/// What the function goes by.
#[derive(Debug)]
pub(crate) struct Settings {
    database_url: SecretString,
    database_connections: u32,
    pooler: Pooler,
    pub(crate) sqs: SqsOptions,
    /// How Step Functions is reached, should it keep the time of payments, or still keep that of some.
    pub(crate) step_functions: Option<SfnOptions>,
    /// Where the fast state is that processes share, if anywhere.
    pub(crate) redis: Option<RedisOptions>,
    pub(crate) psps: BTreeMap<String, Account>,
    /// Whose word is taken for who a PSP is.
    pub(crate) roots: Roots,
    /// A webhook that is told of charges that need a person, beside the log: its URL and its secrets.
    pub(crate) alert_webhook: Option<(SecretString, SecretString)>,
    pub(crate) dead_letter_queue: Option<SqsOptions>,
    /// The topic, and where AWS is.
    pub(crate) alert_sns_topic: Option<(String, Option<String>)>,
    /// Where traces are sent, if anywhere.
    pub(crate) otel: Option<OtelOptions>,
    /// Names this function in leases and history.
    pub(crate) name: String,
    pub(crate) log: String,
}

impl Settings {
    /// Reads and checks the settings.
    pub(crate) fn read(variable: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let needed = |name: &str, what: &str| {
            let value = variable(name).filter(|value| !value.trim().is_empty());
            value.with_context(|| format!("{name} is not set: it must be {what}"))
        };
        let database_url = needed("FINCORE_DATABASE_URL", "postgres://user:password@host/database")?;
        anyhow::ensure!(
            database_url.starts_with("postgres://") || database_url.starts_with("postgresql://"),
            "FINCORE_DATABASE_URL must begin with postgres://: a function has no files that last"
        );
        let queue_url = needed("FINCORE_SQS_QUEUE_URL", "the URL of the queue that feeds this function")?;
        let database_connections = match variable("FINCORE_DATABASE_CONNECTIONS") {
            None => DATABASE_CONNECTIONS,
            Some(text) => text
                .parse()
                .ok()
                .filter(|number| (2..=100).contains(number))
                .with_context(|| format!("FINCORE_DATABASE_CONNECTIONS is {text}, but must be from 2 to 100"))?,
        };
        let alert = |name| variable(name).map(SecretString::from);
        let alert_webhook = match (alert("FINCORE_ALERT_WEBHOOK_URL"), alert("FINCORE_ALERT_WEBHOOK_SECRET")) {
            (None, None) => None,
            (Some(url), Some(secrets)) => Some((url, secrets)),
            (Some(_), None) | (None, Some(_)) => anyhow::bail!(
                "FINCORE_ALERT_WEBHOOK_URL and FINCORE_ALERT_WEBHOOK_SECRET go together: set both or none"
            ),
        };
        let sqs = SqsOptions::new(queue_url, variable("FINCORE_AWS_ENDPOINT_URL"));
        let stream = variable("AWS_LAMBDA_LOG_STREAM_NAME").unwrap_or_else(|| std::process::id().to_string());
        Ok(Self {
            database_url: database_url.into(),
            database_connections,
            pooler: match variable("FINCORE_DATABASE_POOLER").as_deref() {
                None | Some("none") => Pooler::None,
                Some("transaction") => Pooler::Transaction,
                Some(other) => anyhow::bail!("FINCORE_DATABASE_POOLER is {other}, but must be none or transaction"),
            },
            step_functions: step_functions(variable, &sqs)?,
            sqs,
            redis: variable("FINCORE_REDIS_URL").map(|url| {
                let password = variable("FINCORE_REDIS_PASSWORD").map(SecretString::from);
                let options = RedisOptions { password, ..RedisOptions::new(url.into()) };
                match variable("FINCORE_REDIS_PREFIX") {
                    Some(prefix) => RedisOptions { prefix, ..options },
                    None => options,
                }
            }),
            psps: psps(variable)?,
            // Reading the machine's takes longer than everything else in a cold start. Who has others says so.
            roots: match (variable("SSL_CERT_FILE"), variable("SSL_CERT_DIR")) {
                (None, None) => Roots::Bundled,
                (Some(_), _) | (_, Some(_)) => Roots::Machine,
            },
            alert_webhook,
            dead_letter_queue: variable("FINCORE_SQS_DEAD_LETTER_QUEUE_URL")
                .map(|url| SqsOptions::new(url, variable("FINCORE_AWS_ENDPOINT_URL"))),
            alert_sns_topic: variable("FINCORE_ALERT_SNS_TOPIC")
                .map(|topic| (topic, variable("FINCORE_AWS_ENDPOINT_URL"))),
            otel: otel(variable)?,
            // The end of a log stream's name tells one function from another, and where its log is.
            name: format!("lambda-{}", stream.rsplit(['/', ']']).next().unwrap_or_default()),
            log: variable("FINCORE_LOG").unwrap_or_else(|| "info".to_owned()),
        })
    }

    /// How the database is reached.
    pub(crate) fn database(&self) -> PostgresOptions {
        let url = self.database_url.expose_secret().to_owned();
        PostgresOptions { pooler: self.pooler, ..PostgresOptions::new(url, self.database_connections) }
    }
}

/// Traces, as `fincore` takes it from its environment.
fn otel(variable: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<Option<OtelOptions>> {
    let ratio = match variable("FINCORE_TRACE_RATIO") {
        None => 1.0,
        Some(text) => text
            .parse()
            .ok()
            .filter(|ratio| (0.0..=1.0).contains(ratio))
            .with_context(|| format!("FINCORE_TRACE_RATIO is {text}, but must be from 0 to 1"))?,
    };
    let (service, version) = ("fincore-lambda".to_owned(), env!("CARGO_PKG_VERSION"));
    let options = |endpoint| OtelOptions { endpoint, ratio, service, version };
    Ok(variable("FINCORE_OTLP_ENDPOINT").map(options))
}

/// Step Functions, as `fincore` takes it from its environment.
fn step_functions(variable: &dyn Fn(&str) -> Option<String>, queue: &SqsOptions) -> anyhow::Result<Option<SfnOptions>> {
    let keeping = match variable("FINCORE_TIMEOUTS").as_deref() {
        None | Some("database") => Keeping::WhatItHas,
        Some("step-functions") => Keeping::All,
        Some(other) => anyhow::bail!("FINCORE_TIMEOUTS is {other}, but must be database or step-functions"),
    };
    match (variable("FINCORE_STATE_MACHINE_ARN"), keeping) {
        (None, Keeping::WhatItHas) => Ok(None),
        (None, Keeping::All) => {
            anyhow::bail!("FINCORE_TIMEOUTS is step-functions, so FINCORE_STATE_MACHINE_ARN must be set")
        }
        (Some(arn), _) => {
            let options = SfnOptions::new(&arn, queue, keeping, variable("FINCORE_AWS_ENDPOINT_URL"));
            Ok(Some(options.context("cannot use Step Functions")?))
        }
    }
}

/// The accounts: the first as `fincore` takes it from its environment, others as JSON in `FINCORE_PSPS`, by name.
fn psps(variable: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<BTreeMap<String, Account>> {
    let others = variable("FINCORE_PSPS").unwrap_or_else(|| "{}".to_owned());
    // Only where, not what: the text may hold a secret.
    let mut psps: BTreeMap<String, Account> = serde_json::from_str(&others).map_err(|error| {
        anyhow::anyhow!(
            "FINCORE_PSPS is not a JSON object of PSP accounts (line {}, column {})",
            error.line(),
            error.column()
        )
    })?;
    psps = with_environment(psps, variable);
    let first = variable("FINCORE_PSP").unwrap_or_else(|| "stripe".to_owned());
    let secret = |name: &str| SecretString::from(variable(name).unwrap_or_default());
    psps.entry(first).or_insert_with(|| Account::Stripe {
        mode: None,
        url: variable("FINCORE_STRIPE_URL"),
        api_key: secret("FINCORE_STRIPE_SECRET_KEY"),
        webhook_secret: secret("FINCORE_STRIPE_WEBHOOK_SECRET"),
    });
    Ok(psps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &[(&str, &str)]) -> anyhow::Result<Settings> {
        Settings::read(&|name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    const DATABASE: (&str, &str) = ("FINCORE_DATABASE_URL", "postgres://fincore@db/fincore");
    const QUEUE: (&str, &str) =
        ("FINCORE_SQS_QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com/123456789012/payments");

    #[test]
    fn a_function_needs_a_database_and_a_queue() {
        let settings = read(&[DATABASE, QUEUE, ("FINCORE_STRIPE_SECRET_KEY", "sk_test_1")]).unwrap();
        assert_eq!(settings.sqs.aws.region.as_deref(), Some("eu-central-1"));
        assert!(
            matches!(&settings.psps["stripe"], Account::Stripe { api_key, .. } if api_key.expose_secret() == "sk_test_1")
        );
        let told = |set: &[(&str, &str)]| format!("{:#}", read(set).unwrap_err());
        assert!(told(&[QUEUE]).contains("FINCORE_DATABASE_URL is not set"));
        assert!(told(&[DATABASE, ("FINCORE_SQS_QUEUE_URL", " ")]).contains("FINCORE_SQS_QUEUE_URL is not set"));
        assert!(told(&[("FINCORE_DATABASE_URL", "sqlite:x"), QUEUE]).contains("postgres://"));
        assert!(told(&[DATABASE, QUEUE, ("FINCORE_DATABASE_POOLER", "session")]).contains("none or transaction"));
        assert!(told(&[DATABASE, QUEUE, ("FINCORE_DATABASE_CONNECTIONS", "1")]).contains("from 2 to 100"));
        assert!(told(&[DATABASE, QUEUE, ("FINCORE_ALERT_WEBHOOK_URL", "https://a.example/")]).contains("go together"));
    }

    #[test]
    fn the_password_of_redis_may_come_in_a_variable_of_its_own() {
        let redis = ("FINCORE_REDIS_URL", "rediss://cache:6379");
        assert!(read(&[DATABASE, QUEUE, redis]).unwrap().redis.unwrap().password.is_none());
        let options = read(&[DATABASE, QUEUE, redis, ("FINCORE_REDIS_PASSWORD", "token")]).unwrap().redis.unwrap();
        assert_eq!(options.password.unwrap().expose_secret(), "token");
    }

    #[test]
    fn certificates_that_somebody_names_are_trusted_instead_of_the_bundled_ones() {
        assert_eq!(read(&[DATABASE, QUEUE]).unwrap().roots, Roots::Bundled);
        for variable in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
            assert_eq!(read(&[DATABASE, QUEUE, (variable, "/opt/ours")]).unwrap().roots, Roots::Machine);
        }
    }

    #[test]
    fn accounts_that_cannot_be_read_are_refused_without_being_repeated() {
        let error =
            read(&[DATABASE, QUEUE, ("FINCORE_PSPS", "{\"a\": {\"kind\": \"stripe\", \"api_key\": sk_live_1}}")]);
        let error = format!("{:#}", error.unwrap_err());
        assert!(error.contains("FINCORE_PSPS") && !error.contains("sk_live_1"), "{error}");
    }

    #[test]
    fn other_accounts_take_their_secrets_from_the_environment() {
        let adyen = r#"{"adyen_eu": {"kind": "adyen", "url": "https://x.example/v71", "merchant_account": "Shop"}}"#;
        let settings =
            read(&[DATABASE, QUEUE, ("FINCORE_PSPS", adyen), ("FINCORE_PSPS_ADYEN_EU_API_KEY", "AQE")]).unwrap();
        assert!(
            matches!(&settings.psps["adyen_eu"], Account::Adyen { api_key, .. } if api_key.expose_secret() == "AQE")
        );
    }
}
