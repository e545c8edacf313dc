//! A client that plays a script, and keeps what it was sent.

use std::{fmt, io, net::SocketAddr};

use tower_lifecycle::testing::{self, Http2Frame};

use super::server::Signals;

/// One thing that a client does.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    // Over any connection.
    /// Waits until a handler has read a frame.
    AwaitRead,
    /// Waits until a handler is parked.
    AwaitParked,
    /// Waits until a parked handler was dropped.
    AwaitLeft,
    /// Lets a parked handler, or a task that holds a request body, go on.
    Release,
    /// Waits until a task has read a request body.
    AwaitDrained,
    /// Closes its own direction: FIN.
    Fin,
    /// Closes both directions.
    Close,
    /// Breaks the connection: RST.
    Reset,

    // HTTP/1.
    Send(&'static str),
    /// Receives up to and with this text.
    Read(&'static str),
    /// Receives until the server closes.
    ReadToEnd,

    // HTTP/2. The number is the stream's.
    /// Sends the preface, with this initial window. A script without it sends it with the first request and the default window.
    Preface(u32),
    /// Sends a request's head: method, headers, whether it is the end.
    Request(u32, &'static str, Headers, bool),
    Data(u32, &'static str, bool),
    Trailers(u32),
    Rst(u32, u32),
    Window(u32, u32),
    GoAway,
    /// Receives up to the first data.
    ReadData(u32),
    /// Receives up to the end of the stream, or its reset.
    ReadStream(u32),
}

pub type Headers = &'static [(&'static str, &'static str)];

/// What a client was sent, as far as its script looked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Received {
    pub text: Text,
    pub frames: Vec<Http2Frame>,
    /// How the connection ended, if the client saw it.
    pub end: Option<End>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    Eof,
    Reset,
}

/// Bytes that read as text in a failed assertion.
#[derive(Clone, Default, PartialEq)]
pub struct Text(pub Vec<u8>);

pub struct Client {
    client: testing::Client,
    received: Received,
}

impl Client {
    pub async fn connect(addr: SocketAddr) -> Self {
        let client = testing::Client::connect(addr).await.unwrap();
        Self { client, received: Received::default() }
    }

    /// Plays `script` and keeps the connection.
    pub async fn play(&mut self, script: &[Act], signals: &Signals) {
        for act in script {
            let played = self.act(*act, signals).await;
            assert!(played.is_ok(), "{act:?}: {played:?}; received {:?}", self.received);
        }
    }

    /// What was received so far.
    pub fn received(&self) -> &Received {
        &self.received
    }

    async fn act(&mut self, act: Act, signals: &Signals) -> io::Result<()> {
        let client = &mut self.client;
        match act {
            Act::AwaitRead => signals.read.notified().await,
            Act::AwaitParked => signals.parked.notified().await,
            Act::AwaitLeft => signals.left.notified().await,
            Act::AwaitDrained => signals.drained.notified().await,
            Act::Release => signals.release.notify_one(),
            Act::Fin => client.fin().await?,
            Act::Close => client.close()?,
            Act::Reset => client.reset()?,
            Act::Send(text) => client.send(text).await?,
            Act::Read(text) => {
                let read = client.read_until(text).await?;
                self.received.text.0.extend(read);
            }
            Act::ReadToEnd => {
                let read = client.read_to_end().await.map(|read| self.received.text.0.extend(read));
                self.received.text.0.extend(self.client.take_unread());
                self.ended(read)?;
            }
            Act::Preface(window) => client.preface(Some(window)).await?,
            Act::Request(stream, method, headers, end) => {
                client.request(stream, method, "/", headers.iter().copied(), end).await?;
            }
            Act::Data(stream, text, end) => client.data(stream, text, end).await?,
            Act::Trailers(stream) => client.trailers(stream, [("x-sum", "1")]).await?,
            Act::Rst(stream, code) => client.rst_stream(stream, code).await?,
            Act::Window(stream, bytes) => client.window_update(stream, bytes).await?,
            Act::GoAway => client.goaway().await?,
            Act::ReadData(stream) => {
                let is_data = |frame: &Http2Frame| frame.kind == Http2Frame::DATA;
                self.frames_until(|frame| frame.stream == stream && is_data(frame)).await?;
            }
            Act::ReadStream(stream) => {
                self.frames_until(|frame| frame.stream == stream && frame.ends_stream()).await?;
            }
        }
        Ok(())
    }

    async fn frames_until(&mut self, last: impl Fn(&Http2Frame) -> bool) -> io::Result<()> {
        loop {
            match self.client.read_frame().await {
                Ok(Some(frame)) => self.received.frames.push(frame),
                Ok(None) => return self.ended(Ok(())),
                Err(error) => return self.ended(Err(error)),
            }
            if self.received.frames.last().is_some_and(&last) {
                return Ok(());
            }
        }
    }

    /// The connection has ended; that it did is not an error, whichever way.
    fn ended(&mut self, read: io::Result<()>) -> io::Result<()> {
        self.received.end = Some(match read {
            Ok(()) => End::Eof,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => End::Eof,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => End::Reset,
            Err(error) => return Err(error),
        });
        Ok(())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}
