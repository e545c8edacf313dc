//! A raw connection: the answer that hands it over, and what is done with it then.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::{Empty, Full};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{self, AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf},
    sync::Mutex,
    time,
};

use super::{
    BoxError,
    body::{AnyBody, boxed},
};
use crate::{journal::Page, scenario::Op};

type Raw = TokioIo<Upgraded>;

/// What is done with all that arrives.
#[derive(Default)]
struct Reader {
    echoes: AtomicBool,
    ends: AtomicBool,
}

/// Answers with the head that the handler writes first, and lets a task do the rest.
pub(super) fn accept(
    ops: Vec<Op>,
    connection: Option<OnUpgrade>,
    page: Page,
) -> Result<Response<AnyBody>, BoxError> {
    let mut ops = ops.into_iter();
    let head = ops.find_map(|op| match op {
        Op::RawWrite { text } | Op::RawEnd { text: Some(text) } => Some(text),
        _ => None,
    });
    let (head, rest) =
        head.as_deref().and_then(|text| text.split_once("\r\n\r\n")).ok_or("refused")?;
    let response = parse(head)?;
    if !response.status().is_success() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(response.map(|_| boxed(Full::<Bytes>::from(rest.to_owned()))));
    }
    let first = Op::RawWrite { text: rest.to_owned() };
    let connection = connection.ok_or("not a connection that can be handed over")?;
    let ops: Vec<Op> = std::iter::once(first).chain(ops).collect();
    tokio::spawn(async move {
        if let Ok(upgraded) = connection.await {
            // A client that has left is no failure.
            let _ = run(ops, TokioIo::new(upgraded), &page).await;
        }
    });
    Ok(response)
}

fn parse(head: &str) -> Result<Response<AnyBody>, BoxError> {
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|start| start.split(' ').nth(1)).ok_or("no status")?;
    let mut response = Response::new(boxed(Empty::new()));
    *response.status_mut() = StatusCode::from_bytes(status.as_bytes())?;
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let (name, value) = (HeaderName::try_from(name)?, HeaderValue::try_from(value.trim())?);
        response.headers_mut().append(name, value);
    }
    Ok(response)
}

async fn run(ops: Vec<Op>, connection: Raw, page: &Page) -> Result<(), BoxError> {
    let (read, write) = io::split(connection);
    let (reader, write) = (Arc::new(Reader::default()), Arc::new(Mutex::new(write)));
    // `read` alone, before anything is to be read, would not notice that the client leaves: nor would Node.
    let mut reading = Some(read);
    let mut tasks = tokio::task::JoinSet::new();
    for op in ops {
        match op {
            Op::RawWrite { text } => write.lock().await.write_all(text.as_bytes()).await?,
            Op::RawEnd { text } => {
                let mut write = write.lock().await;
                write.write_all(text.unwrap_or_default().as_bytes()).await?;
                write.shutdown().await?;
                page.tell("app.raw_end");
            }
            Op::RawDestroy => {
                page.tell("app.raw_destroy");
                return Ok(());
            }
            Op::RawEcho => reader.echoes.store(true, Ordering::Relaxed),
            Op::RawAutoend => reader.ends.store(true, Ordering::Relaxed),
            Op::RawErrorListener => {}
            Op::Wait { ms } => time::sleep(Duration::from_millis(ms)).await,
            op => return Err(format!("not for a raw connection: {op:?}").into()),
        }
        let wants = reader.echoes.load(Ordering::Relaxed) || reader.ends.load(Ordering::Relaxed);
        if let Some(read) = reading.take_if(|_| wants) {
            tasks.spawn(consume(read, Arc::clone(&write), Arc::clone(&reader)));
        }
    }
    tasks.join_all().await;
    Ok(())
}

async fn consume(mut read: ReadHalf<Raw>, write: Arc<Mutex<WriteHalf<Raw>>>, reader: Arc<Reader>) {
    let mut bytes = [0; 4096];
    while let Ok(n @ 1..) = read.read(&mut bytes).await {
        if reader.echoes.load(Ordering::Relaxed) {
            let _ = write.lock().await.write_all(&bytes[..n]).await;
        }
    }
    if reader.ends.load(Ordering::Relaxed) {
        let _ = write.lock().await.shutdown().await;
    }
}
