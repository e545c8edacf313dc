//! The exchange: POST, a boxed body each way with chunks of 32 bytes, all in memory, no runtime.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    hint::black_box,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use axum::body::Body;
use bytes::{Buf, Bytes};
use http::{Method, Request, Response, Uri};
use http_body::Frame;
use tower::Service;

/// What each frame carries.
pub const CHUNK: &[u8] = &[b'.'; 32];

/// A body of so many chunks. Like a chunked upload or a stream it neither knows its length nor says which frame is the
/// last, so that whoever watches has to wait for `None`.
#[derive(Debug)]
pub struct Chunks(pub u32);

impl http_body::Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(left) = self.0.checked_sub(1) else { return Poll::Ready(None) };
        self.0 = left;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(black_box(CHUNK))))))
    }
}

/// What the client sends.
pub fn request(chunks: u32) -> Request<Body> {
    let mut request = Request::new(Body::new(Chunks(chunks)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static("/exchange");
    request
}

/// Polls `body` to its end and counts its bytes.
pub async fn read<B: http_body::Body>(body: B) -> usize {
    let mut body = pin!(body);
    let mut bytes = 0;
    while let Some(Ok(frame)) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        bytes += frame.data_ref().map_or(0, Buf::remaining);
    }
    bytes
}

/// The handler: reads the request to its end, then answers with as many chunks.
///
/// # Errors
/// Never.
pub async fn answer<B: http_body::Body>(
    request: Request<B>,
    chunks: u32,
) -> Result<Response<Body>, Infallible> {
    black_box(read(request.into_body()).await);
    Ok(Response::new(Body::new(Chunks(chunks))))
}

/// One exchange with `service`, which is always ready and never waits.
///
/// # Panics
/// When it does wait, fails, or returns anything but so many chunks: then the number measured would be wrong.
pub fn exchange<S, B>(service: &mut S, chunks: u32)
where
    S: Service<Request<Body>, Response = Response<B>>,
    B: http_body::Body,
{
    let whole = async {
        if poll_fn(|cx| service.poll_ready(cx)).await.is_err() {
            return 0;
        }
        match service.call(request(chunks)).await {
            Ok(response) => read(response.into_body()).await,
            Err(_) => 0,
        }
    };
    let polled = pin!(whole).poll(&mut Context::from_waker(Waker::noop()));
    assert_eq!(black_box(polled), Poll::Ready(chunks as usize * CHUNK.len()));
}
