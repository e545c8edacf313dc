//! What a transport is asked for: the same calls in the same order with the same sizes, through a seam as without, and it is
//! dropped as the last thing.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncWrite, DuplexStream, duplex},
    net::{TcpListener, TcpStream, UnixStream},
};
use tower_lifecycle::LifecycleLayer;

use crate::{
    served::{Layer, layers, serve, undated},
    support::{
        rows::run,
        seams::Seam,
        server::{
            App, Ending, Handler,
            Payload::{self, Big, Empty, Stream},
            Read, Signals,
            Step::{Data, Error, Trailers},
        },
    },
    tally::Tally,
    tape::{Call, Came, Taped},
};

#[derive(Clone, Copy, Debug)]
struct Case {
    handler: Handler,
    http2: bool,
    /// How many bytes the transport holds.
    holds: usize,
    vectored: bool,
    /// The length of each of the requests' bodies.
    uploads: &'static [usize],
}

/// The calls, and what they came to: the answers that were read in full, and hyper's result.
type Told = (Vec<Call>, Vec<Bytes>, String);

impl Case {
    async fn calls(self, through: Option<(Seam, Layer)>) -> Told {
        let (near, far) = duplex(self.holds);
        let (near, tape) = Taped::new(near, self.vectored);
        let app = App::new(self.handler, &Arc::new(Signals::default()));
        let served =
            tokio::spawn(
                async move { format!("{:?}", serve(&undated(), near, app, through).await) },
            );
        let answers = self.ask(TokioIo::new(far)).await;
        let result = served.await.unwrap();
        let calls = tape.lock().unwrap().clone();
        (calls, answers, result)
    }

    async fn ask(self, io: TokioIo<DuplexStream>) -> Vec<Bytes> {
        if self.http2 {
            let (mut sender, connection) =
                http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            self.ask_by(async |request| sender.send_request(request).await).await
        } else {
            let (mut sender, connection) = http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            self.ask_by(async |request| {
                sender.ready().await?;
                sender.send_request(request).await
            })
            .await
        }
    }

    /// One after the other, until one fails.
    async fn ask_by(
        self,
        mut send: impl AsyncFnMut(Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>>,
    ) -> Vec<Bytes> {
        let mut answers = Vec::new();
        for upload in self.uploads {
            let request = Request::post("http://localhost/").body(Full::from(vec![b'x'; *upload]));
            let Ok(response) = send(request.unwrap()).await else { break };
            let Ok(answer) = response.into_body().collect().await else { break };
            answers.push(answer.to_bytes());
        }
        answers
    }
}

fn cases() -> Vec<Case> {
    const PAYLOADS: &[Payload] = &[
        Empty,
        Payload::Full("hello"),
        Big(100_000),
        Stream(&[Data("hel"), Data("lo")]),
        Stream(&[Data("hello"), Trailers]),
        Stream(&[Data("hello"), Error]),
    ];
    let replies = PAYLOADS.iter().map(|payload| Handler::reply(200, *payload));
    let fails = Handler::ends(Ending::ServiceError);
    let mut cases = Vec::new();
    for handler in replies.chain([fails]) {
        for read in [Read::All, Read::Not] {
            for http2 in [false, true] {
                for holds in [1000, 10_000, 1_000_000] {
                    for vectored in [false, true] {
                        let uploads: &[_] = &[0, 5, 100_000, 0];
                        cases.push(Case {
                            handler: handler.read(read),
                            http2,
                            holds,
                            vectored,
                            uploads,
                        });
                    }
                }
            }
        }
    }
    cases
}

#[test]
fn a_transport_is_asked_for_the_same() {
    let (mut vectored, mut plain, mut waits) = (0, 0, 0);
    for case in cases() {
        let bare = run(case.calls(None));
        assert_eq!(bare, run(case.calls(None)), "the test itself is not deterministic: {case:?}");
        assert_eq!(bare.0.last(), Some(&Call::Drop));
        for call in &bare.0 {
            vectored += usize::from(matches!(call, Call::WriteVectored(bufs, _) if bufs.len() > 1));
            plain += usize::from(matches!(call, Call::Write(..)));
            waits += usize::from(matches!(
                call,
                Call::Write(_, Came::Pending) | Call::WriteVectored(_, Came::Pending)
            ));
        }
        for seam in Seam::DRIVEN {
            for (name, layer) in layers(&Tally::default()) {
                let seen = run(case.calls(Some((seam, layer))));
                assert_eq!(seen, bare, "{case:?}, {seam:?}, {name}");
            }
        }
    }
    // Something was compared.
    assert!(vectored > 100 && plain > 100 && waits > 100, "{vectored} {plain} {waits}");
}

#[tokio::test]
async fn sockets_take_vectored_writes_through_a_seam_as_they_do_without() {
    let layer = LifecycleLayer::new(());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (unix, _other) = UnixStream::pair().unwrap();
    let bare = (tcp.is_write_vectored(), unix.is_write_vectored());
    let (tcp, _service) = layer.connection(tcp, ());
    let (unix, _service) = layer.connection(unix, ());
    assert_eq!((AsyncWrite::is_write_vectored(&tcp), AsyncWrite::is_write_vectored(&unix)), bare);
}
