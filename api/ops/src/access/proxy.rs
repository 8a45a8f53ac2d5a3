//! What proxies in front say: where a request came from, and, where they do the log-in, who sends it.
//!
//! Their word is taken only when the connection comes from one of the configured addresses. What a role may do is never
//! theirs to say: the operator they name has to be one of ours.

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Address, Visitor, peer, session};
use crate::answer::Trouble;
use crate::desk::App;

/// Where a request came from: the other end of the connection, or what trusted proxies say was theirs.
pub(super) fn address_of(app: &App, parts: &Parts) -> Address {
    let Some(mut address) = peer(parts) else { return Address(None) };
    let is_trusted = |address| app.config().trusted_proxies.iter().any(|proxy| proxy.has(address));
    let lines = parts.headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok());
    let told: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
    // Each proxy adds whom it heard from at the end: from there on, as far as those are ours.
    for hop in told.into_iter().rev() {
        let Ok(before) = hop.parse() else { break };
        if !is_trusted(address) {
            break;
        }
        address = before;
    }
    Address(Some(address))
}

/// Whom the proxy names. Logs them in when this browser has no session of theirs.
pub(super) async fn visitor(
    app: &App,
    header: &HeaderName,
    parts: &Parts,
    address: Address,
    cookies: &mut Vec<HeaderValue>,
) -> Result<Visitor, Trouble> {
    let is_from_proxy =
        peer(parts).is_some_and(|peer| app.config().trusted_proxies.iter().any(|proxy| proxy.has(peer)));
    if !is_from_proxy {
        return Err(Trouble::Forbidden("These pages are reached through the proxy that knows you, and not otherwise."));
    }
    let Some(name) = named(&parts.headers, header) else {
        return Err(Trouble::Forbidden("The proxy does not say who you are: it has to send exactly one name."));
    };
    let operator = app.state.operators.operator(&name).await?.filter(|operator| operator.disabled_at.is_none());
    let Some(operator) = operator else {
        return Err(Trouble::Forbidden(
            "The proxy knows you, and we do not: somebody with access to this server has to run `fincore operators add`.",
        ));
    };
    if let Some(visitor) = session::visitor(app, &parts.headers, address).await?
        && visitor.operator.id == operator.id
    {
        return Ok(visitor);
    }
    let (visitor, cookie) = session::open(app, &parts.headers, operator, address).await?;
    super::login::note(app, &visitor.operator.name, address, super::login::Outcome::ThroughProxy).await?;
    cookies.push(cookie);
    Ok(visitor)
}

/// The one name in the header. Two would be a proxy that lets others' headers through.
fn named(headers: &HeaderMap, header: &HeaderName) -> Option<String> {
    let mut values = headers.get_all(header).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    value.to_str().ok().map(|name| name.trim().to_lowercase()).filter(|name| !name.is_empty())
}
