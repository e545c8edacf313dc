//! What proxies say, and what clients say that they say.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue};
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::semconv::forwarded::Forwarded;

fn headers(lines: &[(&'static str, &[u8])]) -> HeaderMap {
    let line = |(name, value): &(&'static str, &[u8])| {
        (http::HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap())
    };
    let mut headers = HeaderMap::new();
    for (name, value) in lines.iter().map(line) {
        headers.append(name, value);
    }
    headers
}

fn trusting() -> ForwardedPolicy {
    ForwardedPolicy::trust_peers(["10.0.0.0/8", "2001:db8:1::/48"]).unwrap()
}

const PROXY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

/// As it is believed of a trusted peer, in one line: `client client-port scheme host host-port`.
fn told(policy: &ForwardedPolicy, lines: &[(&'static str, &str)]) -> String {
    let lines: Vec<_> = lines.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    let headers = headers(&lines);
    let Forwarded { client, scheme, host } = Forwarded::read(policy, &headers, Some(PROXY));
    let client = client.map(|(address, port)| match port {
        Some(port) => format!("{address} {port}"),
        None => address.to_string(),
    });
    let host = host.map(|(host, port)| match port {
        Some(port) => format!("{host} {port}"),
        None => host.to_owned(),
    });
    [client, scheme.map(str::to_owned), host].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[test]
fn the_right_most_address_that_is_not_a_proxy_s_counts() {
    let (policy, all) = (trusting(), ForwardedPolicy::TrustAll);
    let xff = "x-forwarded-for";
    for (chain, trusted, left_most) in [
        ("192.0.2.1", "192.0.2.1", "192.0.2.1"),
        ("6.6.6.6, 192.0.2.1", "192.0.2.1", "6.6.6.6"),
        ("6.6.6.6, 192.0.2.1, 10.0.0.2", "192.0.2.1", "6.6.6.6"),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3", "10.0.0.3"),
        ("6.6.6.6, unknown, 10.0.0.2", "10.0.0.2", "10.0.0.2"),
        ("6.6.6.6, <script>, 10.0.0.2:99", "10.0.0.2 99", "10.0.0.2 99"),
        ("192.0.2.1:4711, ::ffff:10.0.0.2", "192.0.2.1 4711", "192.0.2.1 4711"),
        ("2001:db8::1, [2001:db8:1::9]", "2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]:4711", "2001:db8::1 4711", "2001:db8::1 4711"),
        ("6.6.6.6, unknown", "", ""),
        ("6.6.6.6,", "", ""),
        ("", "", ""),
    ] {
        assert_eq!(told(&policy, &[(xff, chain)]), trusted, "{chain}");
        assert_eq!(told(&all, &[(xff, chain)]), left_most, "{chain}");
        assert_eq!(told(&ForwardedPolicy::Ignore, &[(xff, chain)]), "", "{chain}");
    }
    let lines = [(xff, "6.6.6.6, 192.0.2.1"), (xff, "10.0.0.3"), (xff, "10.0.0.2")];
    assert_eq!(told(&policy, &lines), "192.0.2.1");
}

#[test]
fn the_standard_header_is_read_with_its_quotes() {
    let policy = trusting();
    for (line, expected) in [
        ("for=192.0.2.1", "192.0.2.1"),
        (
            "For=192.0.2.1;Proto=HTTPS ; host=\"a.example:81\";by=_b",
            "192.0.2.1, https, a.example 81",
        ),
        ("for=\"[2001:db8::1]:4711\"", "2001:db8::1 4711"),
        ("for=\"192.0.2.1:_port\"", "192.0.2.1"),
        ("for=6.6.6.6, for=192.0.2.1;x=\"a,b;c=\\\"d\"", "192.0.2.1"),
        ("for=6.6.6.6;x=\", for=192.0.2.1", "192.0.2.1"),
        ("for=6.6.6.6, x=\"y, for=\"[2001:db8::1]\"", "2001:db8::1"),
        ("for=192.0.2.1;proto=https, for=10.0.0.2;proto=http", "192.0.2.1, https"),
        ("for=6.6.6.6, for=_hidden;proto=https", "https"),
        ("for=6.6.6.6, for=unknown", ""),
        ("for=6.6.6.6, proto=https;host=b", "https, b"),
        ("for=192.0.2.1;for=6.6.6.6", ""),
        ("for=192.0.2.1;proto=gopher;host=\"<b>\"", "192.0.2.1"),
        ("for=\"192.0.2.1", ""),
        ("for=192.0.2.1 x", ""),
        ("=", ""),
        ("for", ""),
        ("for=", ""),
    ] {
        assert_eq!(told(&policy, &[("forwarded", line)]), expected, "{line}");
    }
}

#[test]
fn the_scheme_and_the_host_are_those_of_the_client_s_hop() {
    let (xff, proto, host) = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host");
    let policy = trusting();
    let chain = (xff, "6.6.6.6, 192.0.2.1, 10.0.0.2");
    let lines = [chain, (proto, "gopher, https, http"), (host, "evil, a, b")];
    assert_eq!(told(&policy, &lines), "192.0.2.1, https, a");
    assert_eq!(told(&policy, &[chain, (proto, "https"), (host, "a")]), "192.0.2.1, https, a");
    assert_eq!(told(&policy, &[(proto, "http, https")]), "https");
}

#[test]
fn headers_that_contradict_each_other_are_not_believed() {
    let lines = |standard| [("forwarded", standard), ("x-forwarded-for", "192.0.2.1")];
    assert_eq!(told(&trusting(), &lines("for=192.0.2.1;proto=https")), "192.0.2.1, https");
    assert_eq!(told(&trusting(), &lines("for=6.6.6.6;proto=https;host=evil")), "");
}

#[test]
fn a_peer_that_is_not_trusted_is_not_believed() {
    let headers = headers(&[("x-forwarded-for", b"192.0.2.1"), ("x-forwarded-proto", b"https")]);
    for peer in [None, Some("192.0.2.9".parse().unwrap())] {
        assert_eq!(Forwarded::read(&trusting(), &headers, peer), Forwarded::default());
    }
    let mapped = Some("::ffff:10.0.0.1".parse().unwrap());
    assert_ne!(Forwarded::read(&trusting(), &headers, mapped), Forwarded::default());
}

#[test]
fn a_long_chain_is_not_followed_to_its_end() {
    let chain = format!("6.6.6.6{}", ", 10.0.0.2".repeat(100_000));
    assert_eq!(told(&trusting(), &[("x-forwarded-for", &chain)]), "10.0.0.2");
    assert_eq!(told(&trusting(), &[("x-forwarded-for", &",".repeat(1_000_000))]), "");
}

#[test]
fn a_network_that_is_none_is_named() {
    let error = ForwardedPolicy::trust_peers(["10.0.0.0/8", "10.0.0.0/33"]).unwrap_err();
    assert!(error.to_string().starts_with("\"10.0.0.0/33\" is no network: expected"), "{error}");
}

/// Bytes that a header may have, most of them such as these headers are made of.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let tokens = [
        "for=",
        "proto=",
        "host=",
        "by=",
        "\"",
        "\\",
        ",",
        ";",
        "=",
        "[",
        "]",
        ":",
        " ",
        "6.6.6.6",
        "10.0.0.2",
        "2001:db8:1::2",
        "https",
        "unknown",
        "_x",
        "evil",
    ];
    let token = prop_oneof![
        8 => proptest::sample::select(tokens.to_vec()).prop_map(|token| token.as_bytes().to_vec()),
        1 => vec(any::<u8>().prop_filter("of a header", |byte| *byte >= 32 && *byte != 127), 0..4),
    ];
    vec(token, 0..20).prop_map(|tokens| tokens.concat())
}

proptest! {
    #[test]
    fn nothing_a_client_writes_panics(lines in vec((0_usize..4, garbage()), 0..6)) {
        let names = ["forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"];
        let lines: Vec<_> = lines.iter().map(|(name, line)| (names[*name], &line[..])).collect();
        let headers = headers(&lines);
        let ignored = Forwarded::read(&ForwardedPolicy::Ignore, &headers, Some(PROXY));
        prop_assert_eq!(ignored, Forwarded::default());
        for policy in [trusting(), ForwardedPolicy::TrustAll] {
            let said = Forwarded::read(&policy, &headers, Some(PROXY));
            prop_assert!(said.scheme.is_none_or(|scheme| ["http", "https"].contains(&scheme)));
            prop_assert!(said.host.is_none_or(|(host, _)| !host.is_empty() && host.is_ascii()));
        }
    }

    #[test]
    fn nothing_of_these_headers_shows_unless_they_are_trusted(lines in vec((0_usize..4, garbage()), 0..6)) {
        let names = ["forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"];
        for policy in [ForwardedPolicy::Ignore, trusting()] {
            let conventions = Conventions::new().forwarded(policy);
            let request = lines.iter().fold(Request::get("/"), |request, (name, line)| {
                request.header(names[*name], &line[..])
            });
            let told = server(request, &conventions, |request| {
                let client = request.client().map(|client| client.address().into_owned());
                (client, request.scheme(), request.server().is_some())
            });
            prop_assert_eq!(told, (None, "http", false));
        }
    }

    #[test]
    fn no_address_is_chosen_that_no_proxy_vouches_for(evil in garbage(), same_line: bool, proxies in 0_usize..4) {
        let client = "192.0.2.1".parse().unwrap();
        let chain = |each: fn(&str) -> String| {
            let hops = std::iter::once("192.0.2.1").chain(std::iter::repeat_n("10.0.0.2", proxies));
            hops.map(each).collect::<Vec<_>>().join(", ")
        };
        let standard = chain(|address| format!("for=\"{address}\";proto=https;host=a"));
        for (name, honest) in [("forwarded", standard), ("x-forwarded-for", chain(str::to_owned))] {
            let joined = [&evil[..], b", ", honest.as_bytes()].concat();
            let headers = if same_line { headers(&[(name, &joined)]) } else { headers(&[(name, &evil), (name, honest.as_bytes())]) };
            let said = Forwarded::read(&trusting(), &headers, Some(PROXY));
            prop_assert_eq!(said.client, Some((client, None)));
            if name == "forwarded" {
                prop_assert_eq!((said.scheme, said.host), (Some("https"), Some(("a", None))));
            }
        }
    }
}

#[test]
fn a_standard_header_that_a_proxy_has_not_written_does_not_win_by_leaving_out_the_client() {
    let other = [
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "a.example:81"),
    ];
    for (standard, expected) in [
        ("proto=http", ""),
        ("host=evil.example", ""),
        ("for=192.0.2.1;host=evil.example", ""),
        ("for=192.0.2.1;proto=https;host=A.example", "192.0.2.1, https, A.example"),
        ("by=10.0.0.1", "192.0.2.1, https, a.example 81"),
    ] {
        let lines = [other.as_slice(), &[("forwarded", standard)]].concat();
        assert_eq!(told(&trusting(), &lines), expected, "{standard}");
    }
}
