//! Cookies, read and written. Names begin with `__Host-` where TLS is in front: browsers then take them from this very host
//! alone, and over TLS alone.

use http::HeaderMap;
use http::header::{COOKIE, HeaderValue};

use crate::Cookies;

/// What a cookie is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// Who is logged in.
    Session,
    /// Who is about to log in.
    Visit,
}

impl Purpose {
    const fn name(self, cookies: Cookies) -> &'static str {
        match (self, cookies) {
            (Self::Session, Cookies::Secure) => "__Host-fincore_ops",
            (Self::Session, Cookies::Plain) => "fincore_ops",
            (Self::Visit, Cookies::Secure) => "__Host-fincore_visit",
            (Self::Visit, Cookies::Plain) => "fincore_visit",
        }
    }
}

/// A cookie's value, should it have the form of one of ours.
pub(crate) fn read(headers: &HeaderMap, purpose: Purpose, cookies: Cookies) -> Option<String> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(name, _)| *name == purpose.name(cookies))?;
    let is_token = value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_token.then(|| value.to_owned())
}

/// Has the browser keep a token until it is closed. How long it holds is for the server to say.
pub(crate) fn keep(token: &str, purpose: Purpose, cookies: Cookies) -> HeaderValue {
    written(token, purpose, cookies, "")
}

/// Has the browser forget it.
pub(crate) fn forget(purpose: Purpose, cookies: Cookies) -> HeaderValue {
    written("", purpose, cookies, "; Max-Age=0")
}

fn written(value: &str, purpose: Purpose, cookies: Cookies, end: &str) -> HeaderValue {
    let secure = match cookies {
        Cookies::Secure => "; Secure",
        Cookies::Plain => "",
    };
    let text = format!("{}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{end}", purpose.name(cookies));
    HeaderValue::try_from(text).expect("a token is hexadecimal")
}

/// A new token: 256 random bits.
pub(crate) fn token() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}
