//! The head.

use http::{HeaderValue, header};

use super::*;

#[test]
fn a_client_tells_the_whole_url_without_credentials_and_secrets() {
    let told = |uri: &str| {
        read(Role::Client, Request::get(uri), &Conventions::new(), |request| {
            let server = request.server().map(|(host, port)| (host.to_owned(), port));
            (request.full_url(), server)
        })
    };
    for (uri, url, server) in [
        ("http://a/", "http://a/", Some(("a", Some(80)))),
        (
            "https://a:8443/b?c=d&sig=x",
            "https://a:8443/b?c=d&sig=REDACTED",
            Some(("a", Some(8443))),
        ),
        ("https://u:p@a/", "https://REDACTED:REDACTED@a/", Some(("a", Some(443)))),
        ("https://u@[::1]:80/", "https://REDACTED:REDACTED@[::1]:80/", Some(("::1", Some(80)))),
        ("/b", "/b", None),
    ] {
        let server = server.map(|(host, port)| (host.to_owned(), port));
        assert_eq!(told(uri), (url.to_owned(), server));
    }
}

#[test]
fn a_server_is_told_by_target_or_host_where_they_are_valid() {
    let told = |request: Builder| {
        server(request, &Conventions::new(), |request| {
            request.server().map(|(host, port)| (host.to_owned(), port))
        })
    };
    let host = |host: &[u8]| {
        told(Request::get("/").header(header::HOST, HeaderValue::from_bytes(host).unwrap()))
    };
    let some = |host: &str, port| Some((host.to_owned(), port));
    assert_eq!(told(Request::get("http://a:1/").header(header::HOST, "b")), some("a", Some(1)));
    assert_eq!(host(b"b:81"), some("b", Some(81)));
    assert_eq!(host(b"b:"), some("b", None));
    assert_eq!(host(b"[2001:db8::1]:81"), some("2001:db8::1", Some(81)));
    for bad in
        [&b""[..], b":81", b"b:x", b"b:99999", b"b:+1", b"[::1", b"u@b", b"a b", b"\xff", b"<b>"]
    {
        assert_eq!(host(bad), None, "{bad:?}");
    }
    assert_eq!(host(&[b'a'; 300]), None);
}

#[test]
fn what_is_long_is_cut_at_a_character_s_end() {
    let conventions = Conventions::new().max_value_length(4);
    let request = Request::get("/abcdef?ghijkl")
        .header(header::USER_AGENT, HeaderValue::from_bytes("abcé\u{20ac}".as_bytes()).unwrap());
    let told = server(request, &conventions, |request| {
        let [query, agent] = [request.query(), request.user_agent()].map(Option::unwrap_or_default);
        (request.path().to_owned(), query.into_owned(), agent.into_owned())
    });
    assert_eq!(told, ("/abc".to_owned(), "ghij".to_owned(), "abc".to_owned()));
    assert_eq!(crate::text::lossy(b"\xff\xff\xff", 4), "\u{fffd}");
}

#[test]
fn a_list_of_the_environment_replaces_the_known_methods() {
    let knows = |list: &str, method: &str| {
        methods::Methods::listed(list).known(&method.parse().unwrap()).is_some()
    };
    assert!(knows("", "GET") && knows(" , ", "QUERY"));
    assert!(knows("GET, PROPFIND ,", "PROPFIND") && !knows("GET, PROPFIND ,", "POST"));
}

#[test]
fn names_are_those_of_the_conventions() {
    use opentelemetry_semantic_conventions as conventions;

    macro_rules! are_equal {
        ($group:ident: $($name:ident)+) => {
            let known = [$((stringify!($name), conventions::$group::$name)),+];
            for (name, value) in names::$group::ALL.iter().filter(|(name, _)| !PREFIXES.contains(name)) {
                assert!(known.contains(&(*name, *value)), "{name}");
            }
        };
    }
    /// Templates, which the crate has no constants for.
    const PREFIXES: [&str; 2] = ["HTTP_REQUEST_HEADER", "HTTP_RESPONSE_HEADER"];
    are_equal!(attribute: CLIENT_ADDRESS CLIENT_PORT ERROR_TYPE HTTP_REQUEST_BODY_SIZE HTTP_REQUEST_METHOD
        HTTP_REQUEST_METHOD_ORIGINAL HTTP_RESPONSE_BODY_SIZE HTTP_RESPONSE_STATUS_CODE HTTP_ROUTE
        NETWORK_LOCAL_ADDRESS NETWORK_LOCAL_PORT NETWORK_PEER_ADDRESS NETWORK_PEER_PORT
        NETWORK_PROTOCOL_NAME NETWORK_PROTOCOL_VERSION NETWORK_TRANSPORT NETWORK_TYPE SERVER_ADDRESS
        SERVER_PORT TLS_PROTOCOL_VERSION URL_FULL URL_PATH URL_QUERY URL_SCHEME URL_TEMPLATE
        USER_AGENT_ORIGINAL);
    are_equal!(metric: HTTP_CLIENT_ACTIVE_REQUESTS HTTP_CLIENT_REQUEST_BODY_SIZE
        HTTP_CLIENT_REQUEST_DURATION HTTP_CLIENT_RESPONSE_BODY_SIZE HTTP_SERVER_ACTIVE_REQUESTS
        HTTP_SERVER_REQUEST_BODY_SIZE HTTP_SERVER_REQUEST_DURATION HTTP_SERVER_RESPONSE_BODY_SIZE);
    for (_, name) in [names::own::ALL, names::own_metric::ALL].concat() {
        assert!(name.starts_with("tower_lifecycle."), "{name}");
    }
}

#[cfg(feature = "axum")]
#[test]
fn axum_tells_the_peer() {
    use std::net::SocketAddr;

    let peer: SocketAddr = "[::ffff:192.0.2.1]:4711".parse().unwrap();
    let request = Request::get("/").extension(axum::extract::ConnectInfo(peer));
    let told = server(request, &Conventions::new(), |request| {
        let end =
            |end: Option<Endpoint<'_>>| end.map(|end| (end.address().into_owned(), end.port()));
        (end(request.peer()), end(request.client()), request.transport())
    });
    let peer = Some(("192.0.2.1".to_owned(), Some(4711)));
    assert_eq!(told, (peer.clone(), peer, Some("tcp")));
}

#[cfg(feature = "conn")]
#[test]
fn a_connection_tells_its_ends_and_its_tls() {
    use std::net::SocketAddr;

    use crate::{
        Address, Tls,
        conn::{Parts, Transport},
    };

    type End = Option<(String, Option<u16>)>;
    type Told = (&'static str, End, End, Option<&'static str>);

    struct Known(Parts<tokio::io::Empty>);

    impl Transport for Known {
        type Io = tokio::io::Empty;

        fn into_parts(self) -> Parts<Self::Io> {
            self.0
        }
    }

    fn told(parts: Parts<tokio::io::Empty>) -> Told {
        let answer = Arc::new(Mutex::new(None));
        let reader = |head: &RequestHead<'_>| -> Told {
            let end =
                |end: Option<Endpoint<'_>>| end.map(|end| (end.address().into_owned(), end.port()));
            let conventions = Conventions::new();
            let request = conventions.read(head);
            (request.scheme(), end(request.client()), end(request.local()), request.transport())
        };
        let layer = LifecycleLayer::new(Reader(reader, Arc::clone(&answer)));
        let service =
            service_fn(async |_: Request<_>| Ok::<_, BoxError>(Response::new(MockBody::empty())));
        let (_io, mut service) = layer.connection(Known(parts), service);
        drop(service.call(Request::new(MockBody::empty())));
        let told = answer.lock().unwrap().take();
        told.unwrap()
    }

    let [peer, local] = ["192.0.2.1:4711", "192.0.2.2:443"].map(|end| end.parse().unwrap());
    let (peer, local): (SocketAddr, SocketAddr) = (peer, local);
    let tls = Parts::new(tokio::io::empty()).peer_addr(peer).local_addr(local).tls(Tls::default());
    let ends = ["192.0.2.1", "192.0.2.2"].map(str::to_owned);
    let [peer, local] = ends;
    assert_eq!(
        told(tls),
        ("https", Some((peer, Some(4711))), Some((local, Some(443))), Some("tcp"))
    );

    let path = Address::Unix(Some("/run/app.sock".into()));
    let unix = Parts::new(tokio::io::empty()).peer_addr(Address::Unix(None)).local_addr(path);
    let local = Some(("/run/app.sock".to_owned(), None));
    assert_eq!(told(unix), ("http", None, local, Some("unix")));
}
