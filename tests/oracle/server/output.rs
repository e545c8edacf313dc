//! The response as a handler sees it: a head, then frames, then nothing more.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body::Frame;
use http_body_util::Full;
use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};

use super::{
    BoxError,
    body::{AnyBody, boxed},
};
use crate::scenario::text;

/// What a handler answers with.
pub(super) enum Reply {
    /// All of it.
    Whole(Response<AnyBody>),
    /// The head, and where the frames come from.
    Head(Response<mpsc::Receiver<Frame<Bytes>>>),
}

/// Where a handler puts its answer.
pub(super) struct Output {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    trailers: HeaderMap,
    /// Only the head is wanted.
    bodiless: bool,
    stage: Stage,
}

enum Stage {
    Open(oneshot::Sender<Reply>),
    Streaming(mpsc::Sender<Frame<Bytes>>),
    Ended,
}

/// Nobody takes the answer any more.
fn gone() -> BoxError {
    "the client is gone".into()
}

impl Output {
    pub(super) fn new(reply: oneshot::Sender<Reply>, bodiless: bool) -> Self {
        let stage = Stage::Open(reply);
        let (headers, trailers) = (HeaderMap::new(), HeaderMap::new());
        Self { status: StatusCode::OK, headers, trailers, bodiless, stage }
    }

    pub(super) fn header(&mut self, name: &str, value: &Value) -> Result<(), BoxError> {
        put(&mut self.headers, name, value)
    }

    pub(super) fn headers(&mut self, headers: &Map<String, Value>) -> Result<(), BoxError> {
        headers.iter().try_for_each(|(name, value)| put(&mut self.headers, name, value))
    }

    pub(super) fn trailers(&mut self, trailers: &Map<String, Value>) -> Result<(), BoxError> {
        trailers.iter().try_for_each(|(name, value)| put(&mut self.trailers, name, value))
    }

    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.stage, Stage::Open(_))
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended)
    }

    /// Sends the head, if it was not.
    pub(super) fn begin(&mut self) -> Result<(), BoxError> {
        if let Stage::Open(_) = self.stage {
            let (frames, receiver) = mpsc::channel(1);
            let head = Reply::Head(self.response(receiver));
            let open = std::mem::replace(&mut self.stage, Stage::Streaming(frames));
            answer(open, head)?;
        }
        Ok(())
    }

    /// Whether there is room for a frame now.
    pub(super) fn has_room(&self) -> bool {
        matches!(&self.stage, Stage::Streaming(frames) if frames.capacity() > 0)
    }

    /// Sends a frame, with the head if need be. After the end there is nothing to write to.
    pub(super) async fn write(&mut self, data: Vec<u8>) -> Result<(), BoxError> {
        self.begin()?;
        match &self.stage {
            Stage::Streaming(frames) if !self.bodiless => {
                frames.send(Frame::data(data.into())).await.map_err(|_| gone())
            }
            _ => Ok(()),
        }
    }

    /// Ends, with all of the answer if nothing was sent.
    pub(super) async fn end(&mut self, mut data: Vec<u8>) -> Result<(), BoxError> {
        if self.bodiless {
            data.clear();
        }
        if matches!(self.stage, Stage::Open(_)) && self.trailers.is_empty() {
            let whole = Reply::Whole(self.response(boxed(Full::<Bytes>::from(data))));
            return answer(std::mem::replace(&mut self.stage, Stage::Ended), whole);
        }
        if !data.is_empty() {
            self.write(data).await?;
        }
        self.begin()?;
        let trailers = std::mem::take(&mut self.trailers);
        if let Stage::Streaming(frames) = std::mem::replace(&mut self.stage, Stage::Ended) {
            if !trailers.is_empty() {
                frames.send(Frame::trailers(trailers)).await.map_err(|_| gone())?;
            }
        }
        Ok(())
    }

    fn response<T>(&mut self, body: T) -> Response<T> {
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = std::mem::take(&mut self.headers);
        response
    }
}

fn answer(stage: Stage, reply: Reply) -> Result<(), BoxError> {
    match stage {
        Stage::Open(sender) => sender.send(reply).map_err(|_| gone()),
        Stage::Streaming(_) | Stage::Ended => Ok(()),
    }
}

fn put(headers: &mut HeaderMap, name: &str, value: &Value) -> Result<(), BoxError> {
    let name = HeaderName::try_from(name)?;
    headers.append(name, HeaderValue::try_from(text(value))?);
    Ok(())
}
