//! Clients that make requests, and leave at random moments in random ways.

use std::{io, net::SocketAddr, time::Duration};

use tokio::task::yield_now;
use tower_lifecycle::testing::{Client, Http2Frame};

use crate::seeded::Seeded;

/// Of the app of the rig.
const PATHS: [&str; 14] = [
    "/full",
    "/size/300",
    "/size/1000000",
    "/stream",
    "/trailers",
    "/endless",
    "/hang",
    "/empty",
    "/204",
    "/park",
    "/gate",
    "/panic",
    "/panics",
    "/nowhere",
];
const UPLOADS: [&str; 3] = ["/echo", "/careless", "/park"];

/// Visits the server, as the choices are, and leaves. Some stay until they are dropped.
pub(crate) async fn visit(addr: SocketAddr, mut choices: Seeded) -> Option<Client> {
    // Long enough to see something, and nothing that a client waits for need come.
    let patience = Duration::from_millis(5);
    let mut client = Client::connect(addr).await.ok()?.with_patience(patience);
    // Whether the server is still there is up to the server.
    let _ = if choices.once_in(2) {
        ask_by_http1(&mut client, &mut choices).await
    } else {
        ask_by_http2(&mut client, &mut choices).await
    };
    leave(client, &mut choices).await
}

async fn ask_by_http1(client: &mut Client, choices: &mut Seeded) -> io::Result<()> {
    let mut requests: String = (0..=choices.below(3)).map(|_| http1_request(choices)).collect();
    if choices.once_in(3) {
        requests.truncate(choices.below(requests.len()));
    }
    if choices.once_in(3) {
        let (first, second) = requests.split_at(choices.below(requests.len().max(1)));
        client.send(first).await?;
        dwell(choices).await;
        client.send(second).await?;
    } else {
        client.send(requests).await?;
    }
    dwell(choices).await;
    match choices.below(3) {
        0 => client.read_until("HTTP/1.1 ").await.map(drop),
        1 => client.read_to_end().await.map(drop),
        _ => Ok(()),
    }
}

fn http1_request(choices: &mut Seeded) -> String {
    if choices.once_in(3) {
        let path = choices.one_of(&UPLOADS);
        let framing = choices.one_of(&[
            "content-length: 5\r\n\r\nhello",
            "content-length: 100\r\n\r\nhello",
            "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
            "transfer-encoding: chunked\r\n\r\nwhat?\r\n",
            "expect: 100-continue\r\ncontent-length: 5\r\n\r\n",
        ]);
        return format!("POST {path} HTTP/1.1\r\n{framing}");
    }
    let (method, path) = (choices.one_of(&["GET", "GET", "HEAD"]), choices.one_of(&PATHS));
    let version = choices.one_of(&["1.1", "1.1", "1.0"]);
    format!("{method} {path} HTTP/{version}\r\n\r\n")
}

async fn ask_by_http2(client: &mut Client, choices: &mut Seeded) -> io::Result<()> {
    client.preface(choices.one_of(&[None, Some(10), Some(1 << 20)])).await?;
    let streams: Vec<u32> = (1..).step_by(2).take(1 + choices.below(6)).collect();
    for stream in &streams {
        if choices.once_in(3) {
            client.request(*stream, "POST", choices.one_of(&UPLOADS), [], false).await?;
            client.data(*stream, "hello", choices.once_in(2)).await?;
        } else {
            client.request(*stream, "GET", choices.one_of(&PATHS), [], true).await?;
        }
    }
    dwell(choices).await;
    for _ in 0..choices.below(5) {
        if client.read_frame().await?.is_none() {
            break;
        }
    }
    for stream in streams {
        match choices.below(4) {
            0 => client.rst_stream(stream, choices.one_of(&[0, 2, 8])).await?,
            1 => client.window_update(stream, 1000).await?,
            _ => {}
        }
    }
    match choices.below(8) {
        0 => client.goaway().await,
        1 => client.send_frame(Http2Frame::new(Http2Frame::DATA, 0, 0)).await,
        _ => Ok(()),
    }
}

/// Lets the server run, or not.
async fn dwell(choices: &mut Seeded) {
    for _ in 0..choices.one_of(&[0, 0, 1, 10, 100]) {
        yield_now().await;
    }
}

async fn leave(mut client: Client, choices: &mut Seeded) -> Option<Client> {
    dwell(choices).await;
    // Who has left before leaves no more.
    match choices.below(6) {
        0 => return Some(client),
        1 => drop(client.close()),
        2 => drop(client.reset()),
        3 => drop(client.fin().await),
        4 => {
            let _ = client.fin().await;
            let _ = client.read_to_end().await;
        }
        _ => {}
    }
    None
}
