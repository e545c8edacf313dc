//! What attributes and metrics are called.

macro_rules! names {
    ($(
        $(#[$doc:meta])*
        mod $group:ident { $($(#[$about:meta])* $name:ident = $value:literal;)+ }
    )+) => {$(
        $(#[$doc])*
        pub(crate) mod $group {
            $($(#[$about])* pub(crate) const $name: &str = $value;)+

            #[cfg(test)]
            pub(crate) const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),+];
        }
    )+};
}

names! {
    /// Of the conventions.
    mod attribute {
        CLIENT_ADDRESS = "client.address";
        CLIENT_PORT = "client.port";
        ERROR_TYPE = "error.type";
        HTTP_REQUEST_BODY_SIZE = "http.request.body.size";
        HTTP_REQUEST_HEADER = "http.request.header";
        HTTP_REQUEST_METHOD = "http.request.method";
        HTTP_REQUEST_METHOD_ORIGINAL = "http.request.method_original";
        HTTP_RESPONSE_BODY_SIZE = "http.response.body.size";
        HTTP_RESPONSE_HEADER = "http.response.header";
        HTTP_RESPONSE_STATUS_CODE = "http.response.status_code";
        HTTP_ROUTE = "http.route";
        NETWORK_LOCAL_ADDRESS = "network.local.address";
        NETWORK_LOCAL_PORT = "network.local.port";
        NETWORK_PEER_ADDRESS = "network.peer.address";
        NETWORK_PEER_PORT = "network.peer.port";
        NETWORK_PROTOCOL_VERSION = "network.protocol.version";
        NETWORK_TRANSPORT = "network.transport";
        NETWORK_TYPE = "network.type";
        SERVER_ADDRESS = "server.address";
        SERVER_PORT = "server.port";
        URL_FULL = "url.full";
        URL_PATH = "url.path";
        URL_QUERY = "url.query";
        URL_SCHEME = "url.scheme";
        URL_TEMPLATE = "url.template";
        USER_AGENT_ORIGINAL = "user_agent.original";
    }

    /// Of the conventions.
    mod metric {
        HTTP_CLIENT_ACTIVE_REQUESTS = "http.client.active_requests";
        HTTP_CLIENT_REQUEST_BODY_SIZE = "http.client.request.body.size";
        HTTP_CLIENT_REQUEST_DURATION = "http.client.request.duration";
        HTTP_CLIENT_RESPONSE_BODY_SIZE = "http.client.response.body.size";
        HTTP_SERVER_ACTIVE_REQUESTS = "http.server.active_requests";
        HTTP_SERVER_REQUEST_BODY_SIZE = "http.server.request.body.size";
        HTTP_SERVER_REQUEST_DURATION = "http.server.request.duration";
        HTTP_SERVER_RESPONSE_BODY_SIZE = "http.server.response.body.size";
    }

    /// Our own attributes. Durations are in seconds.
    mod own {
        /// `cancelled`, at a client whose caller has lost interest.
        OUTCOME = "tower_lifecycle.outcome";
        REQUEST_BODY_WAIT_ON_CLIENT = "tower_lifecycle.request.body.wait_on_client";
        REQUEST_BODY_WAIT_ON_HANDLER = "tower_lifecycle.request.body.wait_on_handler";
        RESPONSE_BODY_WAIT_ON_CONSUMER = "tower_lifecycle.response.body.wait_on_consumer";
        RESPONSE_BODY_WAIT_ON_PRODUCER = "tower_lifecycle.response.body.wait_on_producer";
        RESPONSE_FIRST_DATA = "tower_lifecycle.response.first_data";
        RESPONSE_HEAD_DURATION = "tower_lifecycle.response.head.duration";
        TERMINATION = "tower_lifecycle.termination";
        /// `client`, `handler`, `producer` or `consumer`.
        WAIT_ON = "tower_lifecycle.wait.on";
    }

    /// Our own metrics.
    mod own_metric {
        CLIENT_RESPONSE_HEAD_DURATION = "tower_lifecycle.client.response.head.duration";
        CLIENT_STREAM_DURATION = "tower_lifecycle.client.stream.duration";
        CLIENT_WAIT_DURATION = "tower_lifecycle.client.wait.duration";
        SERVER_ACTIVE_CONNECTIONS = "tower_lifecycle.server.active_connections";
        SERVER_CONNECTION_DURATION = "tower_lifecycle.server.connection.duration";
        SERVER_RESPONSE_HEAD_DURATION = "tower_lifecycle.server.response.head.duration";
        SERVER_STREAM_DURATION = "tower_lifecycle.server.stream.duration";
        SERVER_WAIT_DURATION = "tower_lifecycle.server.wait.duration";
    }
}

/// Of the version that is followed.
pub(crate) const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

/// Bounds of what is meant to be short, in seconds: those of `http.server.request.duration`.
pub(crate) const SHORT: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Bounds of what is meant to last, in seconds: those of `http.client.connection.duration`.
pub(crate) const LONG: [f64; 14] =
    [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];
