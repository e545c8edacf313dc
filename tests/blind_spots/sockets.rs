//! The watch holds no socket, and a watched socket closes as it would unwatched.

use std::{future::pending, io};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::UnixStream,
    task::JoinHandle,
};
use tower_lifecycle::{LifecycleLayer, conn::Watched};

use crate::{
    handle::{Served, tcp},
    rig::{Scene, Via, within},
    situations::{Hyper, SITUATIONS, Way},
};

/// Keeps `held` in a task of its own.
fn hold(held: impl Send + 'static) -> JoinHandle<()> {
    tokio::spawn(async move {
        let _held = held;
        pending::<()>().await;
    })
}

/// What the end of the connection is to a client that reads.
async fn end(client: &mut (impl AsyncRead + Unpin)) -> io::Result<usize> {
    within(client.read(&mut [0; 100])).await
}

fn is_reset(end: &io::Result<usize>) -> bool {
    matches!(end, Err(error) if error.kind() == io::ErrorKind::ConnectionReset)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handle_keeps_no_socket_open() {
    for situation in SITUATIONS.iter().filter(|situation| !situation.half_close) {
        for cancel in [false, true] {
            if situation.hyper != Hyper::Drops && !cancel {
                continue;
            }
            let layer = LifecycleLayer::new(()).with_handle();
            let layer = if cancel { layer.cancel_on_disconnect() } else { layer };
            let mut scene = Scene::begin(*situation, false, Via::Axum, Some(layer)).await;
            let handle = scene.handle();
            let connection = handle.connection().cloned().expect("there is a seam");
            let waits = tokio::spawn(handle.closed());
            let held = [hold(handle), hold(connection.clone())];
            scene.leave(Way::HalfClose).await;
            // To the end of the connection, or it would not come in time.
            assert!(!scene.is_answered().await, "{}", situation.name);
            let close = within(waits).await.unwrap();
            assert!(!close.reason.is_complete(), "{close}");
            assert_eq!(connection.open_exchanges(), 0);
            held.iter().for_each(JoinHandle::abort);
        }
    }
}

/// hyper drops its transport with the task, while the watch is armed.
#[tokio::test]
async fn a_watched_connection_that_is_dropped_is_closed_at_once() {
    let request = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n";
    for unread in [0, 100_000] {
        let (server, mut client) = tcp().await;
        let mut serving = Served::by(server);
        client.write_all(request.as_bytes()).await.unwrap();
        let handle = serving.handle().await;
        client.write_all(&vec![b'x'; unread]).await.unwrap();
        let held = hold((handle.clone(), handle.connection().cloned()));
        serving.task.abort();
        let end = end(&mut client).await;
        if unread > 0 {
            assert!(is_reset(&end), "a drop with unread input is a reset: {end:?}");
        } else {
            assert_eq!(end.unwrap(), 0, "a drop without is none");
        }
        held.abort();
    }
}

#[tokio::test]
async fn a_watched_tcp_socket_is_dropped_as_it_would_be_unwatched() {
    /// What is kept of the server, and what the client sees when all else of it is dropped.
    async fn dropped<T: AsyncRead + Unpin, K>(
        unread: &[u8],
        wrap: impl FnOnce(tokio::net::TcpStream) -> (T, K),
    ) -> io::Result<usize> {
        let (server, mut client) = tcp().await;
        client.write_all(unread).await.unwrap();
        if !unread.is_empty() {
            within(server.readable()).await.unwrap();
        }
        let (io, _kept) = wrap(server);
        drop(io);
        end(&mut client).await
    }
    let layer = LifecycleLayer::new(());
    for (unread, resets) in [("", false), ("unread", true)] {
        let unread = unread.as_bytes();
        let bare = dropped(unread, |server| (server, ())).await;
        let watched = dropped(unread, |server| (Watched::new(server), ())).await;
        // The service keeps the connection, in which the watch is.
        let seen = dropped(unread, |server| layer.connection(server, ())).await;
        for end in [bare, watched, seen] {
            assert_eq!(is_reset(&end), resets, "{end:?}");
        }
    }
}

/// The other end is told that no more comes, and can still send.
async fn shuts_down<S, C>(mut server: S, mut client: C)
where
    S: AsyncRead + AsyncWrite + Unpin,
    C: AsyncRead + AsyncWrite + Unpin,
{
    server.write_all(b"last").await.unwrap();
    within(server.shutdown()).await.unwrap();
    let mut last = String::new();
    within(client.read_to_string(&mut last)).await.unwrap();
    assert_eq!(last, "last");
    assert!(server.write_all(b"more").await.is_err());
    client.write_all(b"still").await.unwrap();
    let mut still = [0; 5];
    within(server.read_exact(&mut still)).await.unwrap();
    assert_eq!(&still, b"still");
}

#[tokio::test]
async fn a_watched_socket_is_shut_down_as_it_would_be_unwatched() {
    let layer = LifecycleLayer::new(());
    let (server, client) = tcp().await;
    shuts_down(Watched::new(server), client).await;
    let (server, client) = tcp().await;
    let (io, _service) = layer.connection(server, ());
    shuts_down(io, client).await;
    let (server, client) = UnixStream::pair().unwrap();
    shuts_down(Watched::new(server), client).await;
    let (server, client) = UnixStream::pair().unwrap();
    let (io, _service) = layer.connection(server, ());
    shuts_down(io, client).await;
}
