//! What the watch rests on, and tokio does not promise: on Linux `Interest::PRIORITY` is ready when the peer has closed, and for
//! nothing that it sends.

use std::{io::Write, pin::pin, time::Duration};

use socket2::SockRef;
use tokio::{
    io::{Interest, Ready},
    net::{TcpListener, TcpStream, UnixStream},
    time::timeout,
};

use crate::rig::within;

/// For whoever sees this fail.
const BROKEN: &str = "`ready(Interest::PRIORITY)` of tokio does not mean what `conn::watch` takes it to mean: that the peer \
    has closed, and nothing else. Look at `Ready::from_interest` and `Ready::from_mio` of the tokio that was updated. Until \
    the watch is mended, hold tokio back: clients that leave are not seen, or seen to leave while they are there";

/// How the other end leaves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Leaves {
    Closes,
    Resets,
    HalfCloses,
}

async fn tcp() -> (TcpStream, std::net::TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener.accept().await.unwrap().0, client)
}

fn unix() -> (UnixStream, std::os::unix::net::UnixStream) {
    let (server, client) = std::os::unix::net::UnixStream::pair().unwrap();
    server.set_nonblocking(true).unwrap();
    (UnixStream::from_std(server).unwrap(), client)
}

fn leave(client: std::net::TcpStream, how: Leaves) -> Option<std::net::TcpStream> {
    match how {
        Leaves::Closes => return None,
        Leaves::Resets => SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap(),
        Leaves::HalfCloses => client.shutdown(std::net::Shutdown::Write).unwrap(),
    }
    (how == Leaves::HalfCloses).then_some(client)
}

/// Loops as the watch does: tokio may be ready for nothing.
async fn hang_up(ready: impl AsyncFn(Interest) -> std::io::Result<Ready>) -> Ready {
    within(async {
        loop {
            let ready = ready(Interest::PRIORITY).await.unwrap();
            assert!(ready.is_read_closed() || ready.is_empty(), "{ready:?}: {BROKEN}");
            if ready.is_read_closed() {
                return ready;
            }
        }
    })
    .await
}

async fn asleep<T>(what: impl Future<Output = T>) -> bool {
    timeout(Duration::from_millis(50), what).await.is_err()
}

#[tokio::test]
async fn priority_sleeps_through_data_and_wakes_for_a_tcp_peer_that_closes() {
    for how in [Leaves::Closes, Leaves::Resets, Leaves::HalfCloses] {
        let (server, mut client) = tcp().await;
        client.write_all(b"unread").unwrap();
        within(server.readable()).await.unwrap();
        let mut watch = pin!(hang_up(async |interest| server.ready(interest).await));
        assert!(asleep(&mut watch).await, "woken by unread data: {BROKEN}");
        client.write_all(b"more").unwrap();
        assert!(asleep(&mut watch).await, "woken by more data: {BROKEN}");
        SockRef::from(&client).send_out_of_band(b"!").unwrap();
        assert!(asleep(&mut watch).await, "woken by urgent data: {BROKEN}");
        let _half = leave(client, how);
        watch.await;
        let closed = server.ready(Interest::WRITABLE).await.unwrap().is_write_closed();
        assert_eq!(closed, how == Leaves::Resets, "a reset alone closes both sides: {BROKEN}");
    }
}

#[tokio::test]
async fn priority_is_ready_for_a_tcp_peer_that_has_closed_before() {
    for how in [Leaves::Closes, Leaves::Resets, Leaves::HalfCloses] {
        let (server, mut client) = tcp().await;
        client.write_all(b"unread").unwrap();
        let _half = leave(client, how);
        hang_up(async |interest| server.ready(interest).await).await;
        // Level-triggered, for any number of watches, and whoever reads still gets the error.
        hang_up(async |interest| server.ready(interest).await).await;
        let error = server.take_error().unwrap().map(|error| error.kind());
        let reset = (how == Leaves::Resets).then_some(std::io::ErrorKind::ConnectionReset);
        assert_eq!(error, reset, "{how:?}");
    }
}

/// A Unix socket that is closed closes both sides of the other: as a broken pipe, not a reset.
#[tokio::test]
async fn priority_sleeps_through_data_and_wakes_for_a_unix_peer_that_closes() {
    for how in [Leaves::Closes, Leaves::HalfCloses] {
        let (server, mut client) = unix();
        client.write_all(b"unread").unwrap();
        within(server.readable()).await.unwrap();
        let mut watch = pin!(hang_up(async |interest| server.ready(interest).await));
        assert!(asleep(&mut watch).await, "woken by unread data: {BROKEN}");
        client.write_all(b"more").unwrap();
        assert!(asleep(&mut watch).await, "woken by more data: {BROKEN}");
        if how == Leaves::HalfCloses {
            client.shutdown(std::net::Shutdown::Write).unwrap();
        }
        let _half = (how == Leaves::HalfCloses).then_some(client);
        watch.await;
        hang_up(async |interest| server.ready(interest).await).await;
        let closed = server.ready(Interest::WRITABLE).await.unwrap().is_write_closed();
        assert_eq!(closed, how == Leaves::Closes, "{how:?}: {BROKEN}");
    }
}
