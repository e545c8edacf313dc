//! A handler: does one thing after the other, as one would write it in Rust. Whoever drops it ends it.

use std::{future, time::Duration};

use http::StatusCode;
use tokio::{sync::mpsc::UnboundedSender, time};

use super::{BoxError, Control, connection::Order, output::Output, request::Input};
use crate::{
    journal::Page,
    scenario::{Head, Helper, Op, Pipe, Stream},
};

/// A handler at work.
pub(super) struct Handler {
    page: Page,
    input: Option<Input>,
    output: Output,
    /// When the request has to be there.
    read_by: Option<time::Instant>,
    control: Control,
    link: Option<UnboundedSender<Order>>,
}

/// When an answer is due, and what it is then.
#[derive(Clone, Copy)]
struct Timeout {
    at: time::Instant,
    status: Option<u16>,
}

// ===== impl Handler =====

impl Handler {
    pub(super) fn new(
        page: Page,
        input: Input,
        output: Output,
        read_within_ms: Option<u64>,
        control: Control,
        link: Option<UnboundedSender<Order>>,
    ) -> Self {
        let read_by = read_within_ms.map(after);
        Self { page, input: Some(input), output, read_by, control, link }
    }

    /// Does one thing after the other. A handler without an end never answers.
    pub(super) async fn run(mut self, ops: Vec<Op>) -> Result<(), BoxError> {
        let mut ops = ops.into_iter();
        let mut timeout: Option<Timeout> = None;
        while let Some(op) = ops.next() {
            let over = match (&op, timeout) {
                (Op::ResTimeout { ms, status }, _) => {
                    timeout = Some(Timeout::after(*ms, *status));
                    continue;
                }
                (_, Some(Timeout { at, status: Some(_) })) => {
                    time::timeout_at(at, self.step(op)).await.ok()
                }
                _ => Some(self.step(op).await),
            };
            match over {
                Some(step) => step?,
                None => break,
            }
            // Nobody holds a request without need once there is an answer.
            if self.output.has_begun() && !ops.as_slice().iter().any(Op::reads) {
                self.input = None;
            }
        }
        if self.output.has_ended() {
            return Ok(());
        }
        if let Some(Timeout { at, status: Some(status) }) = timeout {
            time::sleep_until(at).await;
            self.output.status = StatusCode::from_u16(status)?;
            return self.output.end(b"timeout".into()).await;
        }
        future::pending().await
    }

    async fn step(&mut self, op: Op) -> Result<(), BoxError> {
        match op {
            op if op.reads() => self.read_in_time(op).await?,
            Op::Wait { ms } => pause(ms).await,
            Op::Park { ms } => {
                self.page.tell("app.park");
                pause(ms).await;
                self.page.tell("app.wake");
            }
            Op::WaitEvent { on, event } => self.page.wait(&format!("{on}.{event}")).await,
            Op::Server { action } => self.control.act(action),
            Op::DestroySocket => {
                if let Some(link) = &self.link {
                    let _ = link.send(Order::Drop);
                }
                future::pending::<()>().await;
            }
            Op::Throw | Op::DestroyRes | Op::DestroyReq => return Err("the handler failed".into()),
            Op::H2Close { code } => {
                return Err(h2::Error::from(h2::Reason::from(code.unwrap_or(0))).into());
            }
            op => self.answer(op).await?,
        }
        Ok(())
    }

    async fn read_in_time(&mut self, op: Op) -> Result<(), BoxError> {
        let Some(limit) = self.read_by else { return self.read(op).await };
        match time::timeout_at(limit, self.read(op)).await {
            Ok(read) => read,
            Err(_) => self.refuse_late().await,
        }
    }

    async fn read(&mut self, op: Op) -> Result<(), BoxError> {
        let input = self.input.as_mut().ok_or("the request was given up")?;
        match op {
            Op::ReadIter { break_after: None, stop_on_error: Some(false) } => {
                let _ = input.read().await;
            }
            Op::ReadBody | Op::ReadReadable | Op::ReadIter { break_after: None, .. } => {
                input.read().await?;
            }
            Op::ReadChunks { n } => {
                if !input.read_frames(n).await? {
                    return Err("the request is over".into());
                }
                self.page.tell("req.pause");
            }
            Op::ReadIter { break_after: Some(n), .. } => {
                input.read_frames(n).await?;
                self.input = None;
            }
            Op::Continue => input.ask().await,
            Op::Pause => input.pause(),
            _ => input.flow(),
        }
        Ok(())
    }

    /// The request takes too long, and the rest of it is not awaited.
    async fn refuse_late(&mut self) -> Result<(), BoxError> {
        self.output.status = StatusCode::REQUEST_TIMEOUT;
        self.output.header("connection", &"close".into())?;
        self.output.end(Vec::new()).await
    }

    async fn answer(&mut self, op: Op) -> Result<(), BoxError> {
        match op {
            Op::Status { status } => self.output.status = StatusCode::from_u16(status)?,
            Op::SetHeader { name, value } => self.output.header(&name, &value)?,
            Op::Head(Head { status, headers }) => {
                self.output.status = StatusCode::from_u16(status.unwrap_or(200))?;
                self.output.headers(&headers)?;
                self.output.begin()?;
                self.page.tell("app.head");
            }
            Op::Write(payload) => {
                self.output.write(payload.bytes()).await?;
                self.page.tell("app.write");
            }
            Op::Trailers { headers } => self.output.trailers(&headers)?,
            Op::End(payload) => self.end(payload.bytes()).await?,
            Op::Stream(stream) => self.stream(&stream).await?,
            Op::Pipe(pipe) => self.pipe(&pipe).await?,
            Op::Express(helper) => self.help(helper).await?,
            // Interim answers are not for services to send, and listeners are there from the beginning.
            Op::EarlyHints | Op::AttachLate => {}
            op => return Err(format!("not for a handler: {op:?}").into()),
        }
        Ok(())
    }

    async fn end(&mut self, data: Vec<u8>) -> Result<(), BoxError> {
        // Told before: a frame may have to wait for room.
        self.page.tell("app.end_called");
        self.output.end(data).await
    }

    async fn stream(&mut self, stream: &Stream) -> Result<(), BoxError> {
        let mut stalled = false;
        self.output.begin()?;
        for count in 0.. {
            if stream.chunks.is_some_and(|chunks| count >= chunks) {
                break;
            }
            if !stalled && !self.output.has_room() {
                stalled = true;
                self.page.tell("app.write_false");
            }
            self.output.write(stream.payload.bytes()).await?;
            if count == 0 {
                self.page.tell("app.stream_start");
            }
            pause(stream.pause_ms).await;
        }
        Ok(())
    }

    /// A body made from another, as one pipes in Rust: it fails if the other fails.
    async fn pipe(&mut self, pipe: &Pipe) -> Result<(), BoxError> {
        self.output.begin()?;
        self.page.tell("app.stream_start");
        for count in 0..pipe.chunks {
            if pipe.error_after.is_some_and(|after| count >= after) {
                return Err("the source failed".into());
            }
            self.output.write(vec![b'p'; pipe.bytes]).await?;
            pause(pipe.pause_ms).await;
        }
        self.end(Vec::new()).await
    }

    async fn help(&mut self, helper: Helper) -> Result<(), BoxError> {
        match helper {
            Helper::Json => self.end(br#"{"a":1}"#.into()).await,
            Helper::Send => self.end(b"hello".into()).await,
            Helper::SendStatus { status } => {
                self.output.status = StatusCode::from_u16(status)?;
                let text = self.output.status.canonical_reason().unwrap_or_default();
                self.end(text.into()).await
            }
            Helper::SendFile { bytes } => {
                const CHUNK: usize = 1 << 16;
                self.output.header("content-length", &bytes.into())?;
                for sent in (0..bytes).step_by(CHUNK) {
                    self.output.write(vec![b'f'; CHUNK.min(bytes - sent)]).await?;
                }
                self.end(Vec::new()).await
            }
            Helper::Redirect | Helper::Next | Helper::NextError => {
                Err("a helper of Express alone".into())
            }
        }
    }
}

fn after(ms: u64) -> time::Instant {
    time::Instant::now() + Duration::from_millis(ms)
}

async fn pause(ms: u64) {
    if ms > 0 {
        time::sleep(Duration::from_millis(ms)).await;
    }
}

// ===== impl Timeout =====

impl Timeout {
    fn after(ms: u64, status: Option<u16>) -> Self {
        Self { at: after(ms), status }
    }
}
