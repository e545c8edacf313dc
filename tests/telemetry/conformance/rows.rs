//! The situations, a row each.

use opentelemetry::Value;

use crate::support::{
    show::{ANY, Attributes, expected},
    site::Seam,
};

/// What a client does, and what is told of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) what: &'static str,
    pub(crate) ask: &'static str,
    pub(crate) headers: &'static str,
    pub(crate) body: Option<&'static str>,
    pub(crate) leaves: Option<Phase>,
    pub(crate) route: Option<&'static str>,
    pub(crate) status: Option<i64>,
    pub(crate) seam: End,
    /// Without one.
    pub(crate) bare: End,
    pub(crate) is_stream: bool,
    pub(crate) more: &'static [(&'static str, &'static str)],
}

/// How it ends: `error.type`, and the termination.
pub(crate) type End = (Option<&'static str>, &'static str);

/// Where a client leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Upload,
    Handler,
    Response,
}

/// It goes well, unless told.
pub(crate) const fn row(what: &'static str, ask: &'static str) -> Row {
    Row {
        what,
        ask,
        headers: "",
        body: None,
        leaves: None,
        route: None,
        status: None,
        seam: (None, "--"),
        bare: (None, "--"),
        is_stream: false,
        more: &[],
    }
}

impl Row {
    pub(crate) const fn route(self, route: &'static str) -> Self {
        Self { route: Some(route), ..self }
    }

    const fn status(self, status: i64) -> Self {
        Self { status: Some(status), ..self }
    }

    /// So much of a body, of ten bytes unless the headers say otherwise.
    const fn sends(self, body: &'static str) -> Self {
        Self { body: Some(body), ..self }
    }

    const fn headers(self, headers: &'static str) -> Self {
        Self { headers, ..self }
    }

    const fn leaves(self, phase: Phase) -> Self {
        Self { leaves: Some(phase), ..self }
    }

    const fn stream(self) -> Self {
        Self { is_stream: true, ..self }
    }

    /// `error.type`, and the termination.
    pub(crate) const fn ends(self, error: &'static str, termination: &'static str) -> Self {
        let end = (Some(error), termination);
        Self { seam: end, bare: end, ..self }
    }

    /// Where it is another without a seam.
    const fn bare(self, error: &'static str, termination: &'static str) -> Self {
        Self { bare: (Some(error), termination), ..self }
    }

    const fn more(self, more: &'static [(&'static str, &'static str)]) -> Self {
        Self { more, ..self }
    }
}

#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    row("ok", "GET /users/7 HTTP/1.1").route("/users/{id}").status(200),
    row("ok over HTTP/1.0", "GET /users/7 HTTP/1.0").route("/users/{id}").status(200),
    row("ok over HTTP/2", "GET /users/7 HTTP/2").route("/users/{id}").status(200),
    row("HEAD", "HEAD /users/7 HTTP/1.1").route("/users/{id}").status(200),
    row("HEAD over HTTP/2", "HEAD /users/7 HTTP/2").route("/users/{id}").status(200),
    row("QUERY", "QUERY /users/7 HTTP/1.1").route("/users/{id}").status(200),
    row("no content", "GET /empty HTTP/1.1").route("/empty").status(204),
    row("no route", "GET /nowhere/7 HTTP/1.1").status(404),
    row("no route over HTTP/2", "GET /nowhere/7 HTTP/2").status(404),
    row("a route, and nothing there", "GET /users/0 HTTP/1.1").route("/users/{id}").status(404),
    row("method not allowed", "DELETE /fails HTTP/1.1").route("/fails").status(405),
    row("fails", "GET /fails HTTP/1.1").route("/fails").status(500).ends("500", "--"),
    row("fails over HTTP/2", "GET /fails HTTP/2").route("/fails").status(500).ends("500", "--"),
    row("asks the server itself", "OPTIONS * HTTP/1.1").status(404),
    row("asks in absolute form", "GET http://example.org/users/7 HTTP/1.1").route("/users/{id}").status(200)
        .more(&[("server.address", "example.org"), ("url.path", "/users/7")]),
    row("an unknown method", "FOO /users/7 HTTP/1.1").route("/users/{id}").status(200)
        .more(&[("http.request.method_original", "FOO")]),
    row("a method in lower case", "get /users/7 HTTP/1.1").route("/users/{id}").status(200)
        .more(&[("http.request.method_original", "get")]),
    row("an unknown method without a route", "FOO /nowhere HTTP/2").status(404)
        .more(&[("http.request.method_original", "FOO")]),
    row("a secret in the query", "GET /users/7?a=1&sig=s3cret&X-Amz-Signature=s3cret&Sig=open HTTP/1.1")
        .route("/users/{id}").status(200)
        .more(&[("url.query", "a=1&sig=REDACTED&X-Amz-Signature=REDACTED&Sig=open")]),
    row("headers that nobody trusts, and secrets", "GET /users/7 HTTP/1.1")
        .headers("authorization: Bearer s3cret\r\ncookie: a=s3cret\r\nbaggage: key=s3cret\r\nforwarded: for=203.0.113.9;proto=https;host=evil\r\n\
            x-forwarded-for: 203.0.113.9\r\nx-forwarded-proto: https\r\nx-forwarded-host: evil\r\n")
        .route("/users/{id}").status(200),
    row("an upload", "POST /upload HTTP/1.1").sends("helloworld").route("/upload").status(200),
    row("an upload over HTTP/2", "POST /upload HTTP/2").sends("helloworld").route("/upload").status(200),
    row("a malformed upload", "POST /upload HTTP/1.1").headers("transfer-encoding: chunked\r\n").sends("zz\r\n")
        .route("/upload").status(400).ends("request_failed", "bR"),
    row("an upload that nobody reads", "GET /users/7 HTTP/1.1").sends("helloworld").route("/users/{id}").status(200),
    row("a failure that fails", "GET /breaks-500 HTTP/1.1").route("/breaks-500").status(500).ends("response_failed", "BD"),
    row("a stream", "GET /stream HTTP/1.1").route("/stream").status(200),
    row("a stream over HTTP/2", "GET /stream HTTP/2").route("/stream").status(200),
    row("server-sent events", "GET /sse HTTP/1.1").route("/sse").status(200).stream(),
    row("server-sent events over HTTP/2", "GET /sse HTTP/2").route("/sse").status(200).stream(),
    row("pictures that replace each other", "GET /frames HTTP/1.1").route("/frames").status(200).stream(),
    row("a parked poll", "GET /parked HTTP/1.1").route("/parked").status(200).stream(),
    row("the body fails", "GET /breaks HTTP/1.1").route("/breaks").status(200).ends("response_failed", "BD"),
    row("the body fails over HTTP/2", "GET /breaks HTTP/2").route("/breaks").status(200).ends("response_failed", "BD"),
    row("a wrong length", "GET /short HTTP/1.1").route("/short").status(200).ends("length_mismatch", "BD"),
    row("the handler panics", "GET /panics HTTP/1.1").route("/panics").ends("panicked", "SH"),
    row("the handler panics over HTTP/2", "GET /panics HTTP/2").route("/panics").ends("panicked", "SH"),
    row("the body panics", "GET /body-panics HTTP/1.1").route("/body-panics").status(200).ends("panicked", "SD"),
    row("gone before the head", "GET /waits HTTP/1.1").leaves(Phase::Handler).route("/waits")
        .ends("disconnected", "CH").bare("unknown", "?H"),
    row("gone before the head over HTTP/2", "GET /waits HTTP/2").leaves(Phase::Handler).route("/waits")
        .ends("stream_reset", "CH").bare("unknown", "?H"),
    row("gone within the stream", "GET /endless HTTP/1.1").leaves(Phase::Response).route("/endless").status(200)
        .ends("disconnected", "CD").bare("unknown", "?D"),
    row("gone within the stream over HTTP/2", "GET /endless HTTP/2").leaves(Phase::Response).route("/endless").status(200)
        .ends("stream_reset", "CD").bare("unknown", "?D"),
    row("gone within server-sent events", "GET /endless-sse HTTP/1.1").leaves(Phase::Response)
        .route("/endless-sse").status(200).stream()
        .ends("disconnected", "CD").bare("unknown", "?D"),
    row("gone within the upload", "POST /upload HTTP/1.1").sends("hello").leaves(Phase::Upload).route("/upload").status(400)
        .ends("disconnected", "CR"),
    row("gone within the upload over HTTP/2", "POST /upload HTTP/2").sends("hello").leaves(Phase::Upload).route("/upload").status(400)
        .ends("stream_reset", "CR"),
    row("an upgrade", "GET /upgrades HTTP/1.1").headers("connection: upgrade\r\nupgrade: echo\r\n")
        .route("/upgrades").status(101).stream(),
    row("a tunnel", "CONNECT example.com:443 HTTP/1.1").status(200).stream(),
];

pub(crate) const AGENT: &str = "conformance/1";

impl Row {
    pub(crate) fn method(&self) -> &'static str {
        self.ask.split(' ').next().unwrap()
    }

    fn known_method(&self) -> Option<&'static str> {
        let is_known = !self.more.iter().any(|(name, _)| *name == "http.request.method_original");
        is_known.then(|| self.method())
    }

    pub(crate) fn target(&self) -> &'static str {
        self.ask.split(' ').nth(1).unwrap()
    }

    /// As it is told.
    pub(crate) fn version(&self) -> &'static str {
        self.ask.rsplit('/').next().unwrap()
    }

    pub(crate) fn name(&self) -> String {
        let method = self.known_method().unwrap_or("HTTP");
        self.route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}"))
    }

    pub(crate) fn end(&self, seam: Seam) -> End {
        if seam == Seam::None { self.bare } else { self.seam }
    }

    /// On span and metric alike.
    pub(crate) fn common(&self, seam: Seam) -> Attributes {
        let mut attributes = expected([
            ("http.request.method", self.known_method().unwrap_or("_OTHER").into()),
            ("url.scheme", "http".into()),
            ("network.protocol.version", self.version().into()),
        ]);
        attributes.extend(
            self.status.map(|status| ("http.response.status_code".to_owned(), status.into())),
        );
        attributes.extend(self.route.map(|route| ("http.route".to_owned(), route.into())));
        attributes.extend(self.end(seam).0.map(|error| ("error.type".to_owned(), error.into())));
        attributes
    }

    /// On the span.
    pub(crate) fn span(&self, seam: Seam) -> Attributes {
        let mut attributes = self.common(seam);
        let path = self.target().split('?').next().unwrap();
        let is_tunnel = self.method() == "CONNECT";
        attributes.extend(expected([
            ("client.address", "127.0.0.1".into()),
            ("network.peer.address", "127.0.0.1".into()),
            ("network.peer.port", ANY.into()),
            ("server.address", if is_tunnel { "example.com" } else { "localhost" }.into()),
            ("tower_lifecycle.termination", self.end(seam).1.into()),
            ("url.path", if is_tunnel { "" } else { path }.into()),
            ("user_agent.original", AGENT.into()),
        ]));
        if is_tunnel {
            attributes.insert("server.port".to_owned(), 443.into());
        }
        if self.status.is_some() {
            attributes.insert("tower_lifecycle.response.head.duration".to_owned(), ANY.into());
        }
        attributes
            .extend(self.more.iter().map(|(name, text)| ((*name).to_owned(), Value::from(*text))));
        attributes
    }
}
