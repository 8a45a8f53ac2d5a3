//! The second floor under the Lambda function: what no function can do without that takes payments from SQS to a PSP and keeps
//! them in PostgreSQL: `lambda_runtime`, a driver, an HTTPS client and a client of SQS, as ours sets them up, and one call of each.
//! What `FinCore` has beyond that (the workflow, its other adapters, Redis, SNS, Step Functions, traces) is the difference.
//!
//! Deliberately not here: anything of ours.

use aws_config::BehaviorVersion;
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use sqlx::postgres::{PgPool, PgPoolOptions};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let _already = rustls::crypto::ring::default_provider().install_default();
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let tls = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let psp = reqwest::Client::builder().tls_backend_preconfigured(tls).build()?;
    let http = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let config = aws_config::defaults(BehaviorVersion::latest()).http_client(http).load().await;
    let queue = aws_sdk_sqs::Client::new(&config);
    let url = std::env::var("FINCORE_DATABASE_URL")?;
    // Connected before the first poll, as ours is.
    let database = PgPoolOptions::new().max_connections(1).connect(&url).await?;
    let work = |batch: LambdaEvent<SqsEvent>| work(batch, &database, &psp, &queue);
    lambda_runtime::run(service_fn(work)).await
}

async fn work(
    batch: LambdaEvent<SqsEvent>,
    database: &PgPool,
    psp: &reqwest::Client,
    queue: &aws_sdk_sqs::Client,
) -> Result<SqsBatchResponse, Error> {
    for message in batch.payload.records {
        sqlx::query("select $1").bind(message.message_id).execute(database).await?;
        let answer = psp.post("https://psp.invalid/").form(&[("amount", "1")]).send().await?.text().await?;
        queue.send_message().queue_url("https://sqs.invalid/").message_body(answer).send().await?;
    }
    Ok(SqsBatchResponse::default())
}
