//! Where merchants may have events sent: public places on the internet, and nothing that only this machine or its network
//! can reach (server-side request forgery). A URL is judged when it is given and again before it is called; an address
//! is judged where it counts, after its name was resolved and right before the connection.
//!
//! Source of the addresses: the IANA registries of special-purpose IPv4 and IPv6 addresses. Not here: resolving names
//! and connecting (`activities::outbound`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Characters of a URL.
pub const MAX_LENGTH: usize = 2_048;

/// The port of https.
const HTTPS: u16 = 443;

/// Ports below this one belong to protocols, and but for [`HTTPS`] none of them is ours.
const FIRST_FREE_PORT: u16 = 1_024;

/// How far endpoints may reach.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Reach {
    /// Public addresses, by https.
    #[default]
    Public,
    /// This machine too, by http as well: for development.
    PublicAndLoopback,
}

/// Why a URL is none that events are sent to; fit for the merchant's eyes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UrlRefused {
    /// It is no absolute URL, too long, or has a fragment, white space or control characters.
    #[error("it is not an absolute URL of at most 2048 characters without fragment")]
    Form,
    /// It carries a user or a password.
    #[error("it carries credentials")]
    Credentials,
    /// It is not https.
    #[error("it is not https")]
    NotHttps,
    /// Its port belongs to another protocol.
    #[error("its port is neither 443 nor 1024 or above")]
    Port,
    /// Its host is a name of private networks, or an address that is not public.
    #[error("its host is not on the public internet")]
    Host,
}

/// A URL that events may be sent to, as far as the URL itself can tell.
///
/// # Errors
/// Why not.
pub fn parse(text: &str, reach: Reach) -> Result<Url, UrlRefused> {
    // The parser would silently drop line breaks and spaces.
    if text.len() > MAX_LENGTH || text.chars().any(|letter| letter.is_control() || letter.is_whitespace()) {
        return Err(UrlRefused::Form);
    }
    let url = Url::parse(text).map_err(|_| UrlRefused::Form)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlRefused::Credentials);
    }
    if url.fragment().is_some() {
        return Err(UrlRefused::Form);
    }
    let near = reach == Reach::PublicAndLoopback && is_loopback(&url);
    match url.scheme() {
        "https" => {}
        "http" if near => {}
        _ => return Err(UrlRefused::NotHttps),
    }
    if near {
        return Ok(url);
    }
    let is_public = match url.host() {
        Some(Host::Domain(name)) => is_public_name(name),
        Some(Host::Ipv4(address)) => is_public(address.into()),
        Some(Host::Ipv6(address)) => is_public(address.into()),
        None => false,
    };
    let port = url.port_or_known_default().unwrap_or_default();
    if !is_public {
        Err(UrlRefused::Host)
    } else if port != HTTPS && port < FIRST_FREE_PORT {
        Err(UrlRefused::Port)
    } else {
        Ok(url)
    }
}

/// Whether a connection to this address may be made.
#[must_use]
pub fn may_reach(address: IpAddr, reach: Reach) -> bool {
    match reach {
        Reach::Public => is_public(address),
        Reach::PublicAndLoopback => is_public(address) || address.is_loopback(),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Names that mean something only inside of a network: those of one label, and those under the ends that were set apart
/// for it. Whatever a name is, its addresses are looked at before a connection is made.
fn is_public_name(name: &str) -> bool {
    const PRIVATE_ENDS: [&str; 10] =
        ["localhost", "local", "internal", "intranet", "lan", "home", "corp", "private", "test", "invalid"];
    let name = name.strip_suffix('.').unwrap_or(name);
    match name.rsplit_once('.') {
        Some((before, end)) => {
            !before.is_empty() && !PRIVATE_ENDS.contains(&end) && !name.ends_with(".home.arpa") && end != "onion"
        }
        None => false,
    }
}

/// First address, length of the prefix, and what it is for: IPv4 addresses that are not anybody's on the internet.
const SPECIAL_V4: &[(Ipv4Addr, u32, &str)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8, "this network"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "carrier-grade NAT, and a cloud's metadata (100.100.100.200)"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "loopback"),
    (Ipv4Addr::new(168, 63, 129, 16), 32, "a cloud's platform, as its machines see it"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local, and clouds' metadata (169.254.169.254)"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "protocol assignments"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "documentation"),
    (Ipv4Addr::new(192, 31, 196, 0), 24, "AS112"),
    (Ipv4Addr::new(192, 52, 193, 0), 24, "multicast tunnels"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "6to4 relays"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private"),
    (Ipv4Addr::new(192, 175, 48, 0), 24, "AS112"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "benchmarking"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "documentation"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved, and broadcast"),
];

/// Of IPv6, only this is given to anybody on the internet: 2000::/3. All else is refused without a list: unspecified,
/// loopback, IPv4-mapped and -compatible, NAT64, discard-only, segment routing, unique local (a cloud's metadata among it,
/// fd00:ec2::254), link-local, multicast.
const GLOBAL_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// And of that, these are for something special.
const SPECIAL_V6: &[(Ipv6Addr, u32, &str)] = &[
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "protocol assignments: Teredo, benchmarking, ORCHID"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "documentation"),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, "6to4: carries an IPv4 address"),
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48, "AS112"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "documentation"),
];

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !SPECIAL_V4.iter().any(|(first, length, _)| {
            let shift = 32 - length;
            address.to_bits() >> shift == first.to_bits() >> shift
        }),
        IpAddr::V6(address) => {
            let within = |first: Ipv6Addr, length: u32| {
                let shift = 128 - length;
                address.to_bits() >> shift == first.to_bits() >> shift
            };
            within(GLOBAL_V6.0, GLOBAL_V6.1) && !SPECIAL_V6.iter().any(|(first, length, _)| within(*first, *length))
        }
    }
}

#[cfg(test)]
mod tests;
