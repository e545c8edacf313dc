//! Who may look, and who may not.

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderValue, Request, StatusCode, Version};
use tower_lifecycle::inspector::{Inspector, InvalidToken};

use crate::rig::{Site, ask, from, local};

const TOKEN: &str = "0123456789abcdef";

fn with(mut request: Request<()>, headers: &[(&'static str, &str)]) -> Request<()> {
    for (name, value) in headers {
        // Instead of what is there, unless the name says twice.
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        match name.strip_suffix(" too") {
            Some(name) => _ = request.headers_mut().append(name, value),
            None => _ = request.headers_mut().insert(*name, value),
        }
    }
    request
}

fn status(inspector: &Inspector, request: Request<()>) -> u16 {
    let reply = ask(inspector, request);
    if reply.status != StatusCode::OK {
        assert!(!reply.refused(reply.status.as_u16()).is_empty());
    }
    reply.status.as_u16()
}

// ===== Loopback =====

#[test]
fn by_default_this_machine_may_look_and_no_other() {
    let inspector = Site::new().inspector();
    for peer in ["127.0.0.1:1", "127.8.9.10:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        assert_eq!(status(&inspector, from(peer, "/api/counts")), 200, "{peer}");
    }
    for peer in [
        "192.0.2.1:1",
        "10.0.0.1:1",
        "[2001:db8::1]:1",
        "[::ffff:192.0.2.1]:1",
        "0.0.0.0:1",
        "[::]:1",
    ] {
        let reply = ask(&inspector, from(peer, "/api/counts"));
        assert!(reply.refused(403).contains("the machine it runs on alone"), "{peer}");
    }
}

#[test]
fn where_nothing_tells_who_asks_the_answer_says_how_to_make_it_known() {
    let request = Request::get("/").header("host", "localhost").body(()).unwrap();
    let sentence = ask(&Site::new().inspector(), request).refused(403);
    for part in ["`with_connection`", "into_make_service_with_connect_info", "`Inspector::token`"] {
        assert!(sentence.contains(part), "{sentence}");
    }
}

#[test]
fn what_a_proxy_has_passed_on_is_refused() {
    let inspector = Site::new().inspector();
    let traces = [
        ("forwarded", "for=192.0.2.1"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "localhost"),
        ("x-forwarded-port", ""),
        ("x-real-ip", "127.0.0.1"),
        ("via", "1.1 proxy"),
        ("cf-connecting-ip", "127.0.0.1"),
        ("true-client-ip", "127.0.0.1"),
        ("x-envoy-external-address", "127.0.0.1"),
        ("x-original-uri", "/"),
    ];
    for trace in traces {
        let reply = ask(&inspector, with(local("/"), &[trace]));
        assert!(reply.refused(403).contains("by a proxy"), "{trace:?}");
    }
    for version in [Version::HTTP_10, Version::HTTP_09] {
        let mut request = local("/");
        *request.version_mut() = version;
        assert_eq!(status(&inspector, request), 403);
    }
}

#[test]
fn a_name_that_is_not_this_machine_s_is_refused_though_it_may_lead_here() {
    let inspector = Site::new().inspector();
    let own = [
        "localhost",
        "localhost:3000",
        "LocalHost:80",
        "localhost.",
        "127.0.0.1",
        "127.0.0.1:3000",
        "127.1.2.3",
        "[::1]",
        "[::1]:3000",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]:1",
        "localhost:",
    ];
    for host in own {
        assert_eq!(status(&inspector, with(local("/"), &[("host", host)])), 200, "{host}");
    }
    let foreign = [
        "evil.example",
        "evil.example:3000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil-localhost",
        "192.0.2.1",
        "[2001:db8::1]",
        "::1",
        "[::1",
        "[::1]x",
        "user@localhost",
        "localhost@evil.example",
        "127.0.0.1:3000/",
        "localhost evil.example",
        "2130706433",
        "127.1",
        "0x7f000001",
        "0.0.0.0",
        "",
        ":3000",
        "localhost..",
        "lo\u{441}alhost",
        "localhost:3000:1",
    ];
    for host in foreign {
        assert_eq!(status(&inspector, with(local("/"), &[("host", host)])), 403, "{host}");
    }
    let mut none = local("/");
    none.headers_mut().remove("host");
    assert_eq!(status(&inspector, none), 403);
    assert_eq!(status(&inspector, with(local("/"), &[("host too", "evil.example")])), 403);
}

#[test]
fn the_target_s_host_counts_as_the_header_s_does() {
    let inspector = Site::new().inspector();
    let to = |uri: &str, host: Option<&str>| {
        let mut request = local("/");
        request.headers_mut().remove("host");
        *request.uri_mut() = uri.parse().unwrap();
        *request.version_mut() = Version::HTTP_2;
        status(
            &inspector,
            with(request, &host.map(|host| ("host", host)).into_iter().collect::<Vec<_>>()),
        )
    };
    assert_eq!(to("http://localhost:3000/", None), 200);
    assert_eq!(to("http://[::1]:3000/", Some("localhost")), 200);
    assert_eq!(to("http://evil.example/", None), 403);
    assert_eq!(to("http://evil.example/", Some("localhost")), 403);
    assert_eq!(to("http://localhost/", Some("evil.example")), 403);
    assert_eq!(to("http://localhost@evil.example/", None), 403);
}

// ===== Origins =====

#[test]
fn a_page_of_another_origin_may_not_read_it_however_it_is_guarded() {
    let site = Site::new();
    let guarded =
        [site.inspector(), site.inspector().unguarded(), site.inspector().token(TOKEN).unwrap()];
    let own: [&[(&'static str, &str)]; 8] = [
        &[],
        &[("sec-fetch-site", "none")],
        &[("sec-fetch-site", "same-origin")],
        &[("origin", "http://localhost:3000")],
        &[("origin", "https://LOCALHOST:3000"), ("sec-fetch-site", "same-origin")],
        &[("origin", "http://127.0.0.1"), ("host", "127.0.0.1:80")],
        &[("origin", "https://127.0.0.1:443"), ("host", "127.0.0.1:443")],
        &[("origin", "http://[::1]:1"), ("host", "[::1]:1")],
    ];
    let foreign: [&[(&'static str, &str)]; 15] = [
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "")],
        &[("sec-fetch-site", "same-origin"), ("sec-fetch-site too", "cross-site")],
        &[("origin", "null")],
        &[("origin", "")],
        &[("origin", "http://evil.example")],
        &[("origin", "http://localhost")],
        &[("origin", "http://localhost:3001")],
        &[("origin", "http://localhost:3000.evil.example")],
        &[("origin", "http://localhost:3000/")],
        &[("origin", "http://127.0.0.1:3000")],
        &[("origin", "https://localhost"), ("host", "localhost:80")],
        &[("origin", "http://localhost:3000"), ("origin too", "http://evil.example")],
        &[("origin", "file://localhost:3000")],
    ];
    let bearer = format!("Bearer {TOKEN}");
    for inspector in &guarded {
        for headers in own {
            let request = with(with(local("/"), headers), &[("authorization", &bearer)]);
            assert_eq!(status(inspector, request), 200, "{headers:?}");
        }
        for headers in foreign {
            let request = with(with(local("/"), headers), &[("authorization", &bearer)]);
            assert!(ask(inspector, request).refused(403).contains("another origin"), "{headers:?}");
        }
    }
    let mut preflight = with(local("/"), &[("origin", "http://localhost:3000")]);
    *preflight.method_mut() = http::Method::OPTIONS;
    assert_eq!(status(&guarded[1], preflight), 405);
}

// ===== Tokens =====

fn basic(pair: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(pair))
}

#[test]
fn who_has_the_token_may_look_from_anywhere() {
    let inspector = Site::new().inspector().token(TOKEN).unwrap();
    let anywhere =
        || with(from("192.0.2.1:1", "/"), &[("host", "example.com"), ("via", "1.1 proxy")]);
    let says = |said: &str| status(&inspector, with(anywhere(), &[("authorization", said)]));
    for said in [format!("Bearer {TOKEN}"), format!("bearer {TOKEN}"), format!("BEARER  {TOKEN} ")]
    {
        assert_eq!(says(&said), 200, "{said}");
    }
    for pair in [format!("user:{TOKEN}"), format!(":{TOKEN}"), format!("\u{fc}ser:{TOKEN}")] {
        assert_eq!(says(&basic(&pair)), 200, "{pair}");
    }
    let wrong = [
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        TOKEN.to_owned(),
        format!("Token {TOKEN}"),
        format!("Bearer {}", &TOKEN[1..]),
        format!("Bearer {TOKEN}0"),
        format!("Bearer {}", TOKEN.to_uppercase()),
        format!("Bearer \u{ff}{TOKEN}"),
        format!("Basic {TOKEN}"),
        basic(TOKEN),
        basic(&format!("{TOKEN}:")),
        basic(&format!("user:{TOKEN}\n")),
        basic(&format!("user:name:{TOKEN}")),
        format!("{} x", basic(&format!("user:{TOKEN}"))),
        format!("Bearer {}", "x".repeat(10_000)),
    ];
    for said in wrong {
        assert_eq!(says(&said), 401, "{said}");
    }
    let twice =
        [("authorization", "Bearer x"), ("authorization too", &format!("Bearer {TOKEN}")[..])];
    assert_eq!(status(&inspector, with(anywhere(), &twice)), 401);
}

#[test]
fn who_has_none_is_asked_for_it_though_it_is_this_machine() {
    let inspector = Site::new().inspector().token(TOKEN).unwrap();
    for path in ["/", "/?asset=page.js", "/api/counts", "/nothing", "/text?x=1", "/api/events"] {
        let reply = ask(&inspector, local(path));
        assert!(reply.refused(401).contains("Authorization: Bearer"), "{path}");
        let challenge = reply.headers["www-authenticate"].to_str().unwrap();
        assert!(challenge.starts_with("Basic realm=\""), "{challenge}");
    }
    assert!(!format!("{inspector:?}").contains(TOKEN));
}

#[test]
fn a_token_that_is_soon_guessed_or_cannot_be_sent_is_none() {
    let refused = |token: &str| Site::new().inspector().token(token).unwrap_err();
    assert_eq!(refused(""), InvalidToken::TooShort(0));
    assert_eq!(refused("0123456789abcde"), InvalidToken::TooShort(15));
    assert_eq!(refused("0123456789abcdef\n"), InvalidToken::Character);
    assert_eq!(refused("0123456789 abcdef"), InvalidToken::Character);
    assert_eq!(refused("0123456789abcd\u{e9}f"), InvalidToken::Character);
    assert!(refused("short").to_string().contains("16 or more"));
    assert!(refused("a b").to_string().contains("trim"));
}

#[test]
fn unguarded_whoever_asks_is_answered() {
    let inspector = Site::new().inspector().unguarded();
    let unknown = Request::get("/api/counts").body(()).unwrap();
    assert_eq!(status(&inspector, unknown), 200);
    assert_eq!(status(&inspector, with(from("192.0.2.1:1", "/"), &[("host", "example.com")])), 200);
}
