//! A request as it reached the mock PSP, for dialects to read.

use std::collections::BTreeMap;

use serde_json::Value;
use workflow::port::gateway::{Method, Request};

/// A request, whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Incoming {
    /// The HTTP method, in upper case.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The query, without the question mark.
    pub query: String,
    /// Headers, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Incoming {
    /// The header of this name (lower case), when it is there and not empty.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
        found.filter(|value| !value.is_empty())
    }

    /// The body as a form.
    #[must_use]
    pub fn form(&self) -> BTreeMap<String, String> {
        url::form_urlencoded::parse(&self.body).into_owned().collect()
    }

    /// The query as a form.
    #[must_use]
    pub fn query_form(&self) -> BTreeMap<String, String> {
        url::form_urlencoded::parse(self.query.as_bytes()).into_owned().collect()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// It is none; the text says where it ends to be.
    pub fn json(&self) -> Result<Value, String> {
        serde_json::from_slice(&self.body).map_err(|error| format!("the body is not JSON: {error}"))
    }

    /// The request as a person would write it down; long bodies are cut.
    #[must_use]
    pub fn written(&self) -> String {
        const MAX_SHOWN: usize = 600;
        let query = if self.query.is_empty() { String::new() } else { format!("?{}", self.query) };
        let mut text = format!("{} {}{query}\n", self.method, self.path);
        for (name, value) in &self.headers {
            let secret = matches!(name.as_str(), "authorization" | "x-api-key");
            text.push_str(&format!("  {name}: {}\n", if secret { "(a secret)" } else { value }));
        }
        let body = String::from_utf8_lossy(&self.body);
        let shown: String = body.chars().take(MAX_SHOWN).collect();
        let cut = if shown.len() < body.len() { " …" } else { "" };
        text.push_str(&format!("  {}{cut}\n", if body.is_empty() { "(no body)" } else { &shown }));
        text
    }
}

impl From<&Request> for Incoming {
    /// A gateway's request, as it would come without its credentials.
    fn from(request: &Request) -> Self {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let method = match request.method {
            Method::Get => "GET",
            Method::Post => "POST",
        };
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: request.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
            body: request.body.clone().into_bytes(),
        }
    }
}

impl From<&wiremock::Request> for Incoming {
    fn from(request: &wiremock::Request) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            method: request.method.to_string(),
            path: request.url.path().to_owned(),
            query: request.url.query().unwrap_or_default().to_owned(),
            headers: request.headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect(),
            body: request.body.clone(),
        }
    }
}
