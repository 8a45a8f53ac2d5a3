//! How batches of spans reach the collector. The exporter waits on a thread of its own, where no runtime is; sending is done
//! on the process's runtime.

use std::time::Duration;

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use tokio::runtime::Handle;

#[derive(Debug)]
pub(crate) struct Sender {
    http: reqwest::Client,
    runtime: Handle,
}

impl Sender {
    pub(crate) fn new(timeout: Duration) -> Result<Self, reqwest::Error> {
        // Whoever was first has installed a provider; reqwest uses that one, so an error here means nothing.
        let _already = rustls::crypto::ring::default_provider().install_default();
        let redirects = reqwest::redirect::Policy::none();
        let http = reqwest::Client::builder().timeout(timeout).redirect(redirects).no_proxy().build()?;
        Ok(Self { http, runtime: Handle::current() })
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (http, request) = (self.http.clone(), reqwest::Request::try_from(request)?);
        let sent = self.runtime.spawn(async move {
            let answer = http.execute(request).await?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            Ok::<_, reqwest::Error>((status, headers, answer.bytes().await?))
        });
        let (status, headers, body) = sent.await??;
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}
