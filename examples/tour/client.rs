//! Clients that do what a well-behaved one would not: HTTP/1 as text on a socket, HTTP/2 frame by frame.

use std::{fmt, future, io, net::SocketAddr};

use axum::{
    BoxError,
    body::Bytes,
    http::{Method, Request},
};
use h2::{
    RecvStream, SendStream,
    client::{ResponseFuture, SendRequest},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    task::JoinHandle,
};

/// A connection for HTTP/1. Dropped, it is closed.
pub(crate) struct Http1 {
    stream: BufReader<TcpStream>,
    /// The last request was a HEAD.
    head: bool,
}

/// What came back.
#[derive(Default)]
pub(crate) struct Answer {
    /// `HTTP/1.1 200 OK`; empty when the connection closed before it.
    status: String,
    body: usize,
    trailers: Vec<String>,
    /// The connection closed before its end.
    cut: bool,
}

/// A connection for HTTP/2. Dropped, it is closed.
pub(crate) struct Http2 {
    requests: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

enum Framing {
    Length(usize),
    Chunked,
    UntilClosed,
}

impl Http1 {
    pub(crate) async fn connect(server: SocketAddr) -> io::Result<Self> {
        let stream = connect(server).await?;
        Ok(Self { stream: BufReader::new(stream), head: false })
    }

    /// Sends the head of a request and the start of its body in one piece.
    pub(crate) async fn request(
        &mut self,
        line: &str,
        headers: &[&str],
        body: &str,
    ) -> io::Result<()> {
        self.head = line.starts_with("HEAD ");
        let mut head = format!("{line} HTTP/1.1\r\nhost: tour\r\n");
        for header in headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        self.send(&(head + "\r\n" + body)).await
    }

    /// Sends text as it is.
    pub(crate) async fn send(&mut self, text: &str) -> io::Result<()> {
        self.stream.write_all(text.as_bytes()).await?;
        self.stream.flush().await
    }

    /// Reads a response to its end, or to where the connection closed.
    pub(crate) async fn answer(&mut self) -> io::Result<Answer> {
        let mut answer = Answer::default();
        match self.read(&mut answer, usize::MAX).await {
            Ok(()) => {}
            Err(error) if is_closed(&error) => answer.cut = true,
            Err(error) => return Err(error),
        }
        Ok(answer)
    }

    /// Reads the head and the first chunk of a response.
    pub(crate) async fn first_chunk(&mut self) -> io::Result<Answer> {
        let mut answer = Answer::default();
        self.read(&mut answer, 1).await?;
        Ok(answer)
    }

    async fn read(&mut self, answer: &mut Answer, chunks: usize) -> io::Result<()> {
        answer.status = self.line().await?;
        let bodiless = self.head || answer.status.contains(" 204 ");
        match self.headers().await? {
            _ if bodiless => {}
            Framing::Length(length) => self.data(answer, length).await?,
            Framing::UntilClosed => {
                answer.body += self.stream.read_to_end(&mut Vec::new()).await?;
            }
            Framing::Chunked => {
                for _ in 0..chunks {
                    let length = usize::from_str_radix(&self.line().await?, 16)
                        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                    if length == 0 {
                        break;
                    }
                    self.data(answer, length).await?;
                    self.line().await?;
                }
                if chunks == usize::MAX {
                    self.trailers(answer).await?;
                }
            }
        }
        Ok(())
    }

    async fn headers(&mut self) -> io::Result<Framing> {
        let mut framing = Framing::UntilClosed;
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Ok(framing);
            }
            match line.split_once(": ") {
                Some(("content-length", length)) => {
                    framing = length.parse().map_or(Framing::UntilClosed, Framing::Length);
                }
                Some(("transfer-encoding", "chunked")) => framing = Framing::Chunked,
                _ => {}
            }
        }
    }

    async fn data(&mut self, answer: &mut Answer, mut length: usize) -> io::Result<()> {
        let mut buffer = [0; 4096];
        while length > 0 {
            let wanted = length.min(buffer.len());
            let read = self.stream.read(&mut buffer[..wanted]).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            answer.body += read;
            length -= read;
        }
        Ok(())
    }

    async fn trailers(&mut self, answer: &mut Answer) -> io::Result<()> {
        loop {
            match self.line().await? {
                line if line.is_empty() => return Ok(()),
                line => answer.trailers.push(line),
            }
        }
    }

    /// Without its end.
    async fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line).await?;
        match line.strip_suffix("\r\n") {
            Some(line) => Ok(line.to_owned()),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// Small writes are to arrive when they are written: otherwise Nagle's algorithm and delayed acknowledgements add 40 ms.
async fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn is_closed(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.status.is_empty() {
            return f.write_str("the connection was closed without a byte of response");
        }
        match self.body {
            0 => write!(f, "{}, no body", self.status)?,
            bytes => write!(f, "{}, {bytes} bytes of body", self.status)?,
        }
        for trailer in &self.trailers {
            write!(f, ", trailer {trailer}")?;
        }
        if self.cut {
            f.write_str(", then the connection was closed")?;
        }
        Ok(())
    }
}

impl Http2 {
    pub(crate) async fn connect(server: SocketAddr) -> Result<Self, BoxError> {
        let stream = connect(server).await?;
        let (requests, connection) = h2::client::handshake(stream).await?;
        Ok(Self { requests, connection: tokio::spawn(connection) })
    }

    /// Sends the head of a request, and says whether that is all of it. What comes back is the future response, and the
    /// stream that is to be written on, or reset.
    pub(crate) async fn request(
        &mut self,
        method: Method,
        path: &str,
        ended: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), BoxError> {
        let request =
            Request::builder().method(method).uri(format!("http://tour{path}")).body(())?;
        future::poll_fn(|cx| self.requests.poll_ready(cx)).await?;
        Ok(self.requests.send_request(request, ended)?)
    }
}

impl Drop for Http2 {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// The length of a body that arrives over HTTP/2.
pub(crate) async fn length(mut body: RecvStream) -> Result<usize, BoxError> {
    let mut length = 0;
    while let Some(data) = body.data().await {
        length += data?.len();
    }
    Ok(length)
}
