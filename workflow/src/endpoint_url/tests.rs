//! Hostile URLs and addresses, one by one.

use proptest::prelude::*;

use super::*;

/// What people have tried elsewhere to get a server to call its own network.
const HOSTILE: &[(&str, UrlRefused)] = &[
    ("https://127.0.0.1/", UrlRefused::Host),
    ("https://127.1/", UrlRefused::Host),
    ("https://127.0.1/", UrlRefused::Host),
    ("https://2130706433/", UrlRefused::Host),
    ("https://0x7f000001/", UrlRefused::Host),
    ("https://0x7f.0x0.0x0.0x1/", UrlRefused::Host),
    ("https://0177.0.0.1/", UrlRefused::Host),
    ("https://017700000001/", UrlRefused::Host),
    ("https://127.0.0.1./", UrlRefused::Host),
    ("https://127。0。0。1/", UrlRefused::Host),
    ("https://①②⑦.⓪.⓪.①/", UrlRefused::Host),
    ("https://%31%32%37.0.0.1/", UrlRefused::Host),
    ("https://0/", UrlRefused::Host),
    ("https://0.0.0.0/", UrlRefused::Host),
    ("https://10.0.0.1/", UrlRefused::Host),
    ("https://167772161/", UrlRefused::Host),
    ("https://100.64.0.1/", UrlRefused::Host),
    ("https://100.100.100.200/latest/meta-data/", UrlRefused::Host),
    ("https://168.63.129.16/", UrlRefused::Host),
    ("https://169.254.169.254/latest/meta-data/", UrlRefused::Host),
    ("https://2852039166/latest/meta-data/", UrlRefused::Host),
    ("https://0xa9fea9fe/", UrlRefused::Host),
    ("https://0251.0376.0251.0376/", UrlRefused::Host),
    ("https://169.254.43518/", UrlRefused::Host),
    ("https://172.16.0.1/", UrlRefused::Host),
    ("https://172.31.255.255/", UrlRefused::Host),
    ("https://192.168.1.1/", UrlRefused::Host),
    ("https://192.0.0.192/", UrlRefused::Host),
    ("https://198.18.0.1/", UrlRefused::Host),
    ("https://203.0.113.7/", UrlRefused::Host),
    ("https://224.0.0.1/", UrlRefused::Host),
    ("https://240.0.0.1/", UrlRefused::Host),
    ("https://255.255.255.255/", UrlRefused::Host),
    ("https://[::]/", UrlRefused::Host),
    ("https://[::1]/", UrlRefused::Host),
    ("https://[0:0:0:0:0:0:0:1]/", UrlRefused::Host),
    ("https://[::ffff:127.0.0.1]/", UrlRefused::Host),
    ("https://[::ffff:7f00:1]/", UrlRefused::Host),
    ("https://[::ffff:169.254.169.254]/", UrlRefused::Host),
    // Also where what is embedded is public: whoever wants that can name it plainly.
    ("https://[::ffff:93.184.216.34]/", UrlRefused::Host),
    ("https://[::127.0.0.1]/", UrlRefused::Host),
    ("https://[::ffff:0:127.0.0.1]/", UrlRefused::Host),
    ("https://[64:ff9b::10.0.0.1]/", UrlRefused::Host),
    ("https://[64:ff9b:1::a00:1]/", UrlRefused::Host),
    ("https://[2002:7f00:1::]/", UrlRefused::Host),
    ("https://[2002:a9fe:a9fe::]/", UrlRefused::Host),
    ("https://[2001:0:4136:e378:8000:63bf:80ff:fffe]/", UrlRefused::Host),
    ("https://[2001:db8::1]/", UrlRefused::Host),
    ("https://[3fff::1]/", UrlRefused::Host),
    ("https://[100::1]/", UrlRefused::Host),
    ("https://[5f00::1]/", UrlRefused::Host),
    ("https://[fd00:ec2::254]/latest/meta-data/", UrlRefused::Host),
    ("https://[fc00::1]/", UrlRefused::Host),
    ("https://[fe80::1]/", UrlRefused::Host),
    ("https://[fec0::1]/", UrlRefused::Host),
    ("https://[ff02::1]/", UrlRefused::Host),
    ("https://localhost/", UrlRefused::Host),
    ("https://LOCALHOST/", UrlRefused::Host),
    ("https://localhost./", UrlRefused::Host),
    ("https://app.localhost/", UrlRefused::Host),
    ("https://metadata.google.internal/computeMetadata/v1/", UrlRefused::Host),
    ("https://printer.local/", UrlRefused::Host),
    ("https://router.home.arpa/", UrlRefused::Host),
    ("https://postgres/", UrlRefused::Host),
    ("https://./", UrlRefused::Host),
    ("https://hidden.onion/", UrlRefused::Host),
    ("http://shop.example.com/", UrlRefused::NotHttps),
    ("http://127.0.0.1/", UrlRefused::NotHttps),
    ("ftp://shop.example.com/", UrlRefused::NotHttps),
    ("file:///etc/passwd", UrlRefused::NotHttps),
    ("gopher://127.0.0.1:6379/_INFO", UrlRefused::NotHttps),
    ("dict://127.0.0.1:11211/stats", UrlRefused::NotHttps),
    ("javascript:alert(1)", UrlRefused::NotHttps),
    ("https://user@shop.example.com/", UrlRefused::Credentials),
    ("https://:secret@shop.example.com/", UrlRefused::Credentials),
    ("https://shop.example.com@127.0.0.1/", UrlRefused::Credentials),
    ("https://shop.example.com:25/", UrlRefused::Port),
    ("https://shop.example.com:22/", UrlRefused::Port),
    ("https://shop.example.com:80/", UrlRefused::Port),
    ("https://shop.example.com:0/", UrlRefused::Port),
    ("https://shop.example.com/#@127.0.0.1", UrlRefused::Form),
    ("https://shop.example.com/\r\nHost: 127.0.0.1", UrlRefused::Form),
    ("https://shop.example.com /", UrlRefused::Form),
    ("https://127.0.0.1%2f@/", UrlRefused::Form),
    ("//shop.example.com/", UrlRefused::Form),
    ("/hooks", UrlRefused::Form),
    ("shop.example.com", UrlRefused::Form),
    ("", UrlRefused::Form),
];

#[test]
fn hostile_urls_are_refused() {
    assert!(HOSTILE.len() >= 40);
    for (url, why) in HOSTILE {
        assert_eq!(parse(url, Reach::Public).map(String::from), Err(*why), "{url}");
    }
    assert_eq!(
        parse(&format!("https://shop.example.com/{}", "x".repeat(MAX_LENGTH)), Reach::Public),
        Err(UrlRefused::Form)
    );
}

#[test]
fn public_urls_are_taken_as_they_are() {
    for url in [
        "https://shop.example.com/hooks?tenant=7",
        "https://shop.example.com:8443/",
        "https://shop.example.com:443/",
        "https://93.184.216.34/hooks",
        "https://[2606:4700:4700::1111]/",
        "https://xn--bcher-kva.example/",
        "https://bücher.example/",
    ] {
        assert!(parse(url, Reach::Public).is_ok(), "{url}");
    }
}

#[test]
fn the_development_switch_opens_this_machine_and_nothing_else() {
    let open = Reach::PublicAndLoopback;
    for url in [
        "http://localhost:3000/hooks",
        "http://127.0.0.1:1/",
        "http://[::1]:8080/",
        "https://localhost/",
        "http://127.9.9.9/",
    ] {
        assert!(parse(url, open).is_ok(), "{url}");
    }
    let still_refused = HOSTILE.iter().filter(|(url, _)| parse(url, open).is_err()).count();
    let opened: Vec<_> = HOSTILE.iter().filter(|(url, _)| parse(url, open).is_ok()).map(|(url, _)| *url).collect();
    let is_near = |url: &&str| Url::parse(url).is_ok_and(|url| is_loopback(&url));
    assert!(opened.iter().all(is_near), "{opened:?}");
    assert!(still_refused > 60, "{still_refused}");
}

#[test]
fn addresses_at_the_edges_of_each_block_are_told_apart() {
    for (first, length, what) in SPECIAL_V4 {
        let last = Ipv4Addr::from_bits(first.to_bits() | u32::MAX.checked_shr(*length).unwrap_or_default());
        assert!(!is_public((*first).into()) && !is_public(last.into()), "{what}: {first} to {last}");
    }
    for (first, length, what) in SPECIAL_V6 {
        let last = Ipv6Addr::from_bits(first.to_bits() | (u128::MAX >> length));
        assert!(!is_public((*first).into()) && !is_public(last.into()), "{what}: {first} to {last}");
    }
    for public in
        ["1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.1"]
    {
        assert!(is_public(public.parse().unwrap()), "{public}");
    }
    for public in [
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.1",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "168.63.129.15",
    ] {
        assert!(is_public(public.parse().unwrap()), "{public}");
    }
    for public in ["2001:200::1", "2001:db7::1", "2001:db9::1", "2003::1", "3ffe::1", "2600::1"] {
        assert!(is_public(public.parse().unwrap()), "{public}");
    }
}

proptest! {
    #[test]
    fn an_ipv6_address_that_carries_an_ipv4_address_is_never_public(bits: u32) {
        let address = Ipv4Addr::from_bits(bits);
        let (high, low) = ((bits >> 16) as u16, bits as u16);
        for carrier in [
            address.to_ipv6_mapped(),
            address.to_ipv6_compatible(),
            Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
            Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
            Ipv6Addr::new(0x2001, 0, 0x4136, 0xe378, 0x8000, 0x63bf, !high, !low),
        ] {
            prop_assert!(!is_public(carrier.into()), "{}", carrier);
        }
    }

    #[test]
    fn what_is_private_to_the_standard_library_is_private_to_us(bits: u32) {
        let address = Ipv4Addr::from_bits(bits);
        let special = address.is_private() || address.is_loopback() || address.is_link_local() || address.is_broadcast()
            || address.is_documentation() || address.is_multicast() || address.is_unspecified();
        prop_assert!(!(special && is_public(address.into())), "{}", address);
    }
}
