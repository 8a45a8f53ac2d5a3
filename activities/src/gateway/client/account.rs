//! A PSP account: where it is reached and what opens its door.
//!
//! Deliberately not here: which PSP it is; its gateway file says how it wants to be greeted.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

/// What the PSP wants to see before it listens.
pub enum Credentials {
    /// `Authorization: Bearer …`.
    Bearer(SecretString),
    /// The secret in a header of the PSP's own.
    Header {
        /// The header's name, in lower case.
        name: &'static str,
        /// The secret.
        secret: SecretString,
    },
}

/// The account cannot be used as configured. Fix the configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AccountInvalid {
    /// The base URL cannot be read, or carries a user, a query or a fragment.
    #[error("the PSP's base URL must be an absolute URL without user, query or fragment")]
    BaseUrl,
    /// The secret would travel readable for everybody.
    #[error("the PSP's base URL must be https (http is for this machine and container names only)")]
    NotEncrypted,
    /// The secret is empty, or has characters that no secret has.
    #[error("the PSP's credentials are empty or contain spaces or control characters")]
    Credentials,
}

/// A PSP account. Its secret is kept as a ready-made header that no `Debug` shows.
#[derive(Clone)]
pub struct Account {
    pub(super) psp: Arc<str>,
    base: Url,
    header: HeaderName,
    secret: HeaderValue,
}

impl Account {
    /// An account reached below `base_url` that a bearer token opens. `psp` is the name its gateway is configured by.
    ///
    /// # Errors
    /// When URL or token cannot be right.
    pub fn bearer(psp: &str, base_url: &str, token: SecretString) -> Result<Self, AccountInvalid> {
        Self::new(psp, base_url, &Credentials::Bearer(token))
    }

    /// An account reached below `base_url`. `psp` is the name its gateway is configured by.
    ///
    /// # Errors
    /// When URL or credentials cannot be right.
    pub fn new(psp: &str, base_url: &str, credentials: &Credentials) -> Result<Self, AccountInvalid> {
        let mut base = Url::parse(base_url).map_err(|_| AccountInvalid::BaseUrl)?;
        let extras = base.query().is_some() || base.fragment().is_some() || base.password().is_some();
        if base.host().is_none() || extras || !base.username().is_empty() {
            return Err(AccountInvalid::BaseUrl);
        }
        if base.scheme() != "https" && !(base.scheme() == "http" && is_near(&base)) {
            return Err(AccountInvalid::NotEncrypted);
        }
        // Paths are appended: `https://host/base` and `https://host/base/` are the same place.
        let path = base.path().trim_end_matches('/').to_owned();
        base.set_path(&path);
        let (header, text) = greeting(credentials)?;
        let mut secret = HeaderValue::from_str(text.expose_secret()).map_err(|_| AccountInvalid::Credentials)?;
        secret.set_sensitive(true);
        Ok(Self { psp: psp.into(), base, header, secret })
    }

    /// The URL of a path below the base; none when it would leave the base.
    pub(super) fn url(&self, path: &str) -> Option<Url> {
        // The URL standard treats `%2e` as a dot and a backslash as a slash.
        let has_dots = path.contains("..") || path.contains("%2e") || path.contains("%2E");
        if !path.starts_with('/') || has_dots || path.contains(['\\', '#']) {
            return None;
        }
        let base = self.base.as_str().trim_end_matches('/');
        let mut text = String::with_capacity(base.len() + path.len());
        text.push_str(base);
        text.push_str(path);
        Url::parse(&text).ok()
    }

    pub(super) fn authenticate(&self, headers: &mut HeaderMap) {
        headers.insert(self.header.clone(), self.secret.clone());
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("psp", &self.psp).field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

/// Whether plain http stays where nobody listens: this machine, or a name without a dot (a container's).
pub(crate) fn is_near(base: &Url) -> bool {
    match base.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => !name.contains('.'),
        None => false,
    }
}

fn greeting(credentials: &Credentials) -> Result<(HeaderName, SecretString), AccountInvalid> {
    let (name, secret, text) = match credentials {
        Credentials::Bearer(secret) => (header::AUTHORIZATION, secret, format!("Bearer {}", secret.expose_secret())),
        Credentials::Header { name, secret } => {
            let name = HeaderName::from_lowercase(name.as_bytes()).map_err(|_| AccountInvalid::Credentials)?;
            (name, secret, secret.expose_secret().to_owned())
        }
    };
    let secret = secret.expose_secret();
    if secret.is_empty() || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(AccountInvalid::Credentials);
    }
    Ok((name, text.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(base_url: &str) -> Result<Account, AccountInvalid> {
        Account::bearer("psp", base_url, "sk_test_51abcdef".into())
    }

    #[test]
    fn a_secret_travels_encrypted_or_not_at_all() {
        for near in
            ["https://psp.example", "http://127.0.0.1:8080", "http://[::1]/", "http://localhost:1", "http://sandbox"]
        {
            assert!(account(near).is_ok(), "{near}");
        }
        for far in ["http://psp.example", "http://10.0.0.1", "ftp://localhost"] {
            assert_eq!(account(far).err(), Some(AccountInvalid::NotEncrypted), "{far}");
        }
        for bad in [
            "",
            "psp.example",
            "https://user@psp.example",
            "https://:secret@psp.example",
            "https://psp.example?a=b",
            "data:x",
        ] {
            assert_eq!(account(bad).err(), Some(AccountInvalid::BaseUrl), "{bad}");
        }
    }

    #[test]
    fn credentials_that_cannot_be_any_are_refused() {
        for bad in ["", "with space", "line\nbreak", "ümlaut"] {
            let refused = Account::bearer("psp", "https://psp.example", bad.into()).err();
            assert_eq!(refused, Some(AccountInvalid::Credentials), "{bad:?}");
        }
    }

    #[test]
    fn a_path_stays_below_the_base_url() {
        let account = account("https://psp.example/base/").unwrap();
        assert_eq!(account.url("/v1/a?b[]=c").unwrap().as_str(), "https://psp.example/base/v1/a?b[]=c");
        assert_eq!(account.url("//evil.example/").unwrap().host_str(), Some("psp.example"));
        for bad in ["", "v1", "@evil.example", "/../x", "/%2e%2E/x", "/a\\b", "/a#b"] {
            assert!(account.url(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn no_debug_output_shows_the_secret() {
        let account = Account::new(
            "psp",
            "https://psp.example",
            &Credentials::Header { name: "x-api-key", secret: "sk_test_51abcdef".into() },
        );
        let mut headers = HeaderMap::new();
        account.as_ref().unwrap().authenticate(&mut headers);
        assert_eq!(headers["x-api-key"], "sk_test_51abcdef");
        assert!(!format!("{account:?} {headers:?}").contains("51abcdef"));
    }
}
