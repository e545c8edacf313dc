//! What other crates have told wrongly.

use std::{fmt, io};

use http::{HeaderName, HeaderValue, Version, header};
use proptest::prelude::*;

use super::*;

#[test]
fn url_scheme_is_never_empty() {
    let schemes = |request: Builder, conventions: &Conventions| {
        server(request, conventions, |request| request.scheme())
    };
    let plain = Conventions::new();
    for (uri, scheme) in [
        ("/", "http"),
        ("*", "http"),
        ("https://a/", "https"),
        ("HTTPS://a/", "https"),
        ("x:///", "http"),
        ("javascript://a/", "http"),
    ] {
        if let Ok(uri) = uri.parse::<http::Uri>() {
            assert_eq!(schemes(Request::get(uri.clone()), &plain), scheme, "{uri}");
        }
    }
    assert_eq!(schemes(Request::get("/"), &plain.assume_https()), "https");
}

#[test]
fn http_2_is_version_2_not_2_0() {
    for (version, told) in [
        (Version::HTTP_09, "0.9"),
        (Version::HTTP_10, "1.0"),
        (Version::HTTP_11, "1.1"),
        (Version::HTTP_2, "2"),
        (Version::HTTP_3, "3"),
    ] {
        let request = Request::get("/").version(version);
        assert_eq!(server(request, &Conventions::new(), |request| request.version()), Some(told));
    }
}

#[test]
fn an_unknown_method_is_other() {
    let told = |method: &str, conventions: &Conventions| {
        server(Request::builder().method(method).uri("/"), conventions, |request| {
            let name = span_name(&request.method(), None).into_owned();
            let method = request.method().to_string();
            (method, request.method_original().map(str::to_owned), name)
        })
    };
    let expect = |method: &str, original: Option<&str>, name: &str| {
        (method.to_owned(), original.map(str::to_owned), name.to_owned())
    };
    let plain = Conventions::new();
    assert_eq!(told("QUERY", &plain), expect("QUERY", None, "QUERY"));
    assert_eq!(told("get", &plain), expect("_OTHER", Some("get"), "HTTP"));
    assert_eq!(told("PROPFIND", &plain), expect("_OTHER", Some("PROPFIND"), "HTTP"));
    let long = "X".repeat(10_000);
    assert_eq!(told(&long, &plain), expect("_OTHER", Some(&long[..1024]), "HTTP"));

    let other = plain.known_methods(["PROPFIND"]);
    assert_eq!(told("PROPFIND", &other), expect("PROPFIND", None, "PROPFIND"));
    assert_eq!(told("GET", &other), expect("_OTHER", Some("GET"), "HTTP"));
}

#[derive(Debug)]
struct Secret;

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the password of 192.0.2.1 is wrong")
    }
}

impl Error for Secret {}

#[test]
fn an_error_s_text_is_never_its_type() {
    let summary = summary(Role::Server, Reason::ServiceFailed, 0);
    let conventions =
        Conventions::new().errors(|error| error.is::<io::Error>().then_some("io_error"));
    let told = |error: &(dyn Error + 'static)| {
        let mut seen = Seen::default();
        conventions.failed(&mut seen, error);
        conventions.outcome(&summary, seen).error_type
    };
    assert_eq!(told(&Secret).as_deref(), Some("service_failed"));
    assert_eq!(told(&io::Error::other(Secret)).as_deref(), Some("io_error"));
    assert_eq!(error_type(&Conventions::new(), &summary).as_deref(), Some("service_failed"));
}

#[test]
fn secrets_in_a_query_are_redacted() {
    let query = |uri: &str, conventions: &Conventions| {
        server(Request::get(uri), conventions, |request| request.query().map(Into::into))
    };
    let told = |text: &str| Some(text.to_owned());
    let plain = Conventions::new();
    for (uri, expected) in [
        ("/", None),
        ("/?", None),
        ("/?a=1&b", told("a=1&b")),
        ("/?sig=s3cret", told("sig=REDACTED")),
        ("/?a=1&sig=s3=cret&b=2&sig=x", told("a=1&sig=REDACTED&b=2&sig=REDACTED")),
        ("/?X%2damz-Signatur%65=s3cret", told("X%2damz-Signatur%65=s3cret")),
        ("/?X%2dAmz-Signatur%65=s3cret&%s", told("X%2dAmz-Signatur%65=REDACTED&%s")),
        ("/?Sig=no&sig", told("Sig=no&sig")),
        ("/?AWSAccessKeyId=s&Signature=s", told("AWSAccessKeyId=REDACTED&Signature=REDACTED")),
    ] {
        assert_eq!(query(uri, &plain), expected, "{uri}");
    }
    let other = plain.clone().sensitive_query_keys(["token"]);
    assert_eq!(query("/?token=1&sig=2", &other), told("token=REDACTED&sig=2"));
    assert_eq!(query("/?token=1", &plain.without_query()), None);
}

#[test]
fn no_header_is_told_that_is_not_listed() {
    let request = || {
        let mut secret = HeaderValue::from_static("s3cret");
        secret.set_sensitive(true);
        Request::get("/")
            .header(header::AUTHORIZATION, "Bearer s3cret")
            .header(header::COOKIE, "s3cret")
            .header("x-key", secret)
            .header("x-many", "1")
            .header("x-many", HeaderValue::from_bytes(b"\xff2").unwrap())
    };
    let told = |conventions: &Conventions| {
        server(request(), conventions, |request| {
            let told = request.headers().map(|(name, values)| (name.to_string(), values));
            told.collect::<Vec<_>>()
        })
    };
    assert_eq!(told(&Conventions::new()), []);
    let names = ["x-many", "x-absent", "x-key", "x-many"].map(HeaderName::from_static);
    assert_eq!(
        told(&Conventions::new().request_headers(names)),
        [
            ("http.request.header.x-many".to_owned(), vec!["1".to_owned(), "\u{fffd}2".to_owned()]),
            ("http.request.header.x-key".to_owned(), vec!["REDACTED".to_owned()]),
        ]
    );
}

#[test]
fn a_route_is_never_empty_nor_the_path() {
    let route = |path: &str, conventions: &Conventions| {
        server(Request::get(path), conventions, |request| {
            request.route().map(|route| route.to_string())
        })
    };
    assert_eq!(route("/users/42", &Conventions::new()), None);
    assert_eq!(route("/users/42", &Conventions::new().route(|_| Some("".into()))), None);
    assert_eq!(route("/users/42", &Conventions::new().route(|_| Some(String::new().into()))), None);
    let template = Conventions::new().route(|_| Some("/users/{id}".into()));
    assert_eq!(route("/users/42", &template).as_deref(), Some("/users/{id}"));

    let mut late = summary(Role::Server, Reason::Complete, 200);
    late.route = Some("".into());
    assert_eq!(Conventions::new().late_route(&late), None);
    late.route = Some("/late".into());
    assert_eq!(Conventions::new().late_route(&late), Some("/late".into()));
}

#[test]
fn routes_are_bounded_in_number() {
    let conventions =
        Conventions::new().max_routes(2).route(|head| Some(head.uri.path().to_owned().into()));
    let route = |path: &str| {
        let conventions = conventions.clone();
        server(Request::get(path), &conventions, |request| request.route().is_some())
    };
    assert!(route("/1") && route("/2") && !route("/3") && route("/1") && !route("/4"));
}

proptest! {
    #[test]
    fn a_redacted_query_has_no_secret(
        pairs in proptest::collection::vec(("sig|%73ig|a|b%|%zz|", "[a-z=%]{0,8}"), 0..8),
        longest in 0_usize..40,
    ) {
        let secret = |key: &str| matches!(key, "sig" | "%73ig");
        let mark = |(key, value): &(String, String)| {
            format!("{key}={}{value}", if secret(key) { "SECRET" } else { "" })
        };
        let query = pairs.iter().map(mark).collect::<Vec<_>>().join("&");
        let told = query::QueryPolicy::default().told(&query, longest).unwrap_or_default();
        prop_assert!(told.len() <= longest && !told.contains("SECRET"), "{told}");
    }
}
