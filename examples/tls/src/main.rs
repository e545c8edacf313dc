//! axum with TLS: what was agreed on is told of each connection, and so is a client that cannot agree. A connection that is cut ends
//! by a reset below TLS.
//!
//! `cargo run -p tower-lifecycle-example-tls`

mod certificate;

use std::{error::Error, net::SocketAddr, time::Duration};

use axum::{Extension, Router, body::Body, http::Request, routing::get};
use http_body_util::BodyExt;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time,
};
use tokio_rustls::TlsConnector;
use tower_lifecycle::{
    Connection, ConnectionSummary, Hooks, LifecycleLayer,
    seam::TlsListener,
    testing::{Client, MockBody},
};

use certificate::Certificate;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// `h2, TLSv1_3, localhost: complete by peer`
fn describe(summary: &ConnectionSummary) -> String {
    let agreed = match summary.connection.tls() {
        None => "nothing agreed on".to_owned(),
        Some(tls) => {
            let alpn = String::from_utf8_lossy(tls.alpn.as_deref().unwrap_or_default());
            let version = tls.version.as_deref().unwrap_or_default();
            format!("{alpn}, {version}, {}", tls.server_name.as_deref().unwrap_or_default())
        }
    };
    format!("{agreed}: {} by {}", summary.close.reason, summary.close.initiator)
}

/// One request, over the protocol that the connector offers.
async fn visit(addr: SocketAddr, connector: TlsConnector) -> Result<()> {
    let stream = TcpStream::connect(addr).await?;
    let stream = connector.connect("localhost".try_into()?, stream).await?;
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let io = TokioIo::new(stream);
    let request = Request::get("https://localhost/").header("host", "localhost");
    let request = request.body(Body::empty())?;
    let response = if is_http2 {
        let (mut send, connection) = http2::handshake(TokioExecutor::new(), io).await?;
        tokio::spawn(connection);
        send.send_request(request).await?
    } else {
        let (mut send, connection) = http1::handshake(io).await?;
        tokio::spawn(connection);
        send.send_request(request).await?
    };
    assert_eq!(response.into_body().collect().await?.to_bytes(), "hello");
    Ok(())
}

type Streams = mpsc::UnboundedSender<Connection>;

/// An answer without an end, and without a length over HTTP/1.0.
async fn stream(
    Extension(of): Extension<Connection>,
    Extension(streams): Extension<Streams>,
) -> Body {
    let _ = streams.send(of);
    Body::new(MockBody::hangs_after(1))
}

/// A client of it, which is not to take the cut for the end of the answer.
async fn is_cut(
    addr: SocketAddr,
    connector: TlsConnector,
    streams: &mut mpsc::UnboundedReceiver<Connection>,
) -> Result<()> {
    let stream = TcpStream::connect(addr).await?;
    let mut stream = connector.connect("localhost".try_into()?, stream).await?;
    stream.write_all(b"GET /stream HTTP/1.0\r\n\r\n").await?;
    let mut answer = vec![0; 1000];
    let mut read = 0;
    while !answer[..read].ends_with(b"\r\n\r\nxxxxx") {
        read += stream.read(&mut answer[read..]).await?;
    }
    streams.recv().await.ok_or("the server is gone")?.cut();
    let end = stream.read(&mut answer).await;
    println!("  client      {end:?}");
    assert!(end.is_err());
    Ok(())
}

async fn story() -> Result<()> {
    let (tell, mut told) = mpsc::unbounded_channel();
    let observer = Hooks::new()
        .on_close(|summary| println!("  exchange    {:?}: {}", summary.version, summary.close))
        .on_connection_close(move |summary| {
            let line = describe(summary);
            println!("  connection  {line}");
            let _ = tell.send(line);
        });
    let certificate = Certificate::new()?;
    let (tell_stream, mut streams) = mpsc::unbounded_channel();
    let app = Router::new()
        .route("/", get(async || "hello"))
        .route("/stream", get(stream))
        .layer(Extension(tell_stream));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;

    let lifecycle = LifecycleLayer::new(observer).with_connection();
    let listener = TlsListener::new(listener, certificate.acceptor.clone(), &lifecycle);
    let (listener, service) = (lifecycle.listener(listener), lifecycle.make_service(app));
    tokio::spawn(async { axum::serve(listener, service).await });

    for protocol in ["http/1.1", "h2"] {
        println!("A client that speaks {protocol}");
        visit(addr, certificate.connector(protocol)).await?;
        let line = format!("{protocol}, TLSv1_3, localhost: complete by peer");
        assert_eq!(told.recv().await, Some(line));
        println!();
    }

    println!("A connection that is cut");
    is_cut(addr, certificate.connector("http/1.1"), &mut streams).await?;
    let line = "http/1.1, TLSv1_3, localhost: shutdown by local";
    assert_eq!(told.recv().await.as_deref(), Some(line));
    println!();

    println!("A client that speaks no TLS");
    let mut client = Client::connect(addr).await?;
    client.send("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
    let line = told.recv().await.ok_or("the server is gone")?;
    assert!(line.starts_with("nothing agreed on: handshake_failed"));
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let told = time::timeout(Duration::from_secs(10), story()).await;
    told.map_err(|_| "the story does not come to its end")?
}
