//! The situations, and what the client does in each.

use axum::{BoxError, http::Method};
use tower_lifecycle::{Reason, RequestClose};

use crate::{
    client,
    scene::{Scene, Situation},
};

pub(crate) const ALL: &[Situation] = &[
    Situation {
        title: "GET",
        story: "The handler answers with a string.",
        notice: "A request without a body has ended when it begins.",
        expected: &[(Reason::Complete, RequestClose::Complete)],
        play: |scene| Box::pin(answer(scene, "GET /hello")),
    },
    Situation {
        title: "HEAD",
        story: "The same handler, asked for the head alone.",
        notice: "There is a body, but it is never read: the exchange is complete with its head.",
        expected: &[(Reason::Complete, RequestClose::Complete)],
        play: |scene| Box::pin(answer(scene, "HEAD /hello")),
    },
    Situation {
        title: "204 No Content",
        story: "The handler answers with a status that has no body.",
        notice: "Complete with the head, for the same reason.",
        expected: &[(Reason::Complete, RequestClose::Complete)],
        play: |scene| Box::pin(answer(scene, "GET /nothing")),
    },
    Situation {
        title: "POST, fully read",
        story: "The client sends 12 bytes in two parts, the handler reads them all.",
        notice: "The request has ended before the handler answers.",
        expected: &[(Reason::Complete, RequestClose::Complete)],
        play: |scene| {
            Box::pin(async move {
                let mut client = scene.http1().await?;
                client.request("POST /read", &["content-length: 12"], "Hello, ").await?;
                scene.called("on_request_data").await;
                client.send("tower").await?;
                Ok(client.answer().await?.to_string())
            })
        },
    },
    Situation {
        title: "POST, never read",
        story: "The client sends 12 bytes, the handler answers without a look at them.",
        notice: "The request side closes unread, which is the handler's right: complete.",
        expected: &[(Reason::Complete, RequestClose::Unread)],
        play: |scene| {
            Box::pin(async move {
                let mut client = scene.http1().await?;
                client.request("POST /ignore", &["content-length: 12"], "Hello, tower").await?;
                Ok(client.answer().await?.to_string())
            })
        },
    },
    Situation {
        title: "POST, partly read",
        story: "The client has sent 5 of 12 bytes, the handler takes the first frame and answers.",
        notice: "No on_request_end: nobody read that far.",
        expected: &[(Reason::Complete, RequestClose::Partial)],
        play: |scene| {
            Box::pin(async move {
                let mut client = scene.http1().await?;
                client.request("POST /first", &["content-length: 12"], "Hello").await?;
                Ok(client.answer().await?.to_string())
            })
        },
    },
    Situation {
        title: "Trailers, both ways",
        story: "Chunks and a trailer go up, chunks and a trailer come down.",
        notice: "A direction that ends with trailers hands them to its end hook.",
        expected: &[(Reason::Complete, RequestClose::Complete)],
        play: |scene| {
            Box::pin(async move {
                let mut client = scene.http1().await?;
                let headers = ["te: trailers", "transfer-encoding: chunked", "trailer: checksum"];
                client
                    .request(
                        "POST /trailers",
                        &headers,
                        "6\r\nHello,\r\n6\r\n tower\r\n0\r\nchecksum: 2a\r\n\r\n",
                    )
                    .await?;
                Ok(client.answer().await?.to_string())
            })
        },
    },
    Situation {
        title: "A file",
        story: "tower-http's ServeFile sends 150,000 bytes with a Content-Length.",
        notice: "hyper stops reading at the length and drops the body: an end, not an abort.",
        expected: &[(Reason::Complete, RequestClose::Complete)],
        play: |scene| Box::pin(answer(scene, "GET /file")),
    },
    Situation {
        title: "An empty body",
        story: "The handler answers 200 and nothing more.",
        notice: "The body says that it is empty, so nobody reads it: complete with the head.",
        expected: &[(Reason::Complete, RequestClose::Complete)],
        play: |scene| Box::pin(answer(scene, "GET /empty")),
    },
    Situation {
        title: "Server-sent events",
        story: "Three events, 40 ms apart; then the stream ends.",
        notice: "on_response comes at once, on_response_end when the stream is over.",
        expected: &[(Reason::Complete, RequestClose::Complete)],
        play: |scene| Box::pin(answer(scene, "GET /sse")),
    },
    Situation {
        title: "The response fails half way",
        story: "After a first chunk the body of the response returns an error.",
        notice: "The status was 200; only the body knows better.",
        expected: &[(Reason::ResponseFailed, RequestClose::Complete)],
        play: |scene| Box::pin(answer(scene, "GET /broken")),
    },
    Situation {
        title: "The response is too short",
        story: "Its head declares 20 bytes, its body ends after 5.",
        notice: "The body ended in good order; it is the count that tells.",
        expected: &[(Reason::LengthMismatch, RequestClose::Complete)],
        play: |scene| Box::pin(answer(scene, "GET /short")),
    },
    Situation {
        title: "The handler panics",
        story: "And takes the connection with it.",
        notice: "No response, and on_close all the same.",
        expected: &[(Reason::Panicked, RequestClose::Complete)],
        play: |scene| Box::pin(answer(scene, "GET /panic")),
    },
    Situation {
        title: "A timeout from outside",
        story: "A TimeoutLayer around the lifecycle layer gives up after 100 ms.",
        notice: "From inside, a timeout and a client that leaves look the same: unknown.",
        expected: &[(Reason::Unknown, RequestClose::Complete)],
        play: |scene| Box::pin(answer(scene, "GET /slow")),
    },
    Situation {
        title: "The client leaves a parked poll",
        story: "The handler waits for news; the client closes the connection before there are any.",
        notice: "hyper drops the handler without a word, so nothing tells why.",
        expected: &[(Reason::Unknown, RequestClose::Complete)],
        play: |scene| {
            Box::pin(async move {
                let mut client = scene.http1().await?;
                client.request("GET /park", &[], "").await?;
                scene.called("begin").await;
                Ok("nothing: it left before a response".to_owned())
            })
        },
    },
    Situation {
        title: "The client leaves a stream",
        story: "The response never ends; the client closes the connection after the first chunk.",
        notice: "hyper drops the body without an error: what had passed is known, the cause is not.",
        expected: &[(Reason::Unknown, RequestClose::Complete)],
        play: |scene| {
            Box::pin(async move {
                let mut client = scene.http1().await?;
                client.request("GET /ticks", &[], "").await?;
                let answer = client.first_chunk().await?;
                Ok(format!("{answer}, then it left"))
            })
        },
    },
    Situation {
        title: "An upload is cut",
        story: "The client closes the connection after 5 of 12 bytes.",
        notice: "The handler goes on and answers 400; the first failure is the verdict.",
        expected: &[(Reason::Disconnected, RequestClose::Failed)],
        play: |scene| {
            Box::pin(async move {
                let mut client = scene.http1().await?;
                client.request("POST /read", &["content-length: 12"], "Hello").await?;
                scene.called("on_request_data").await;
                Ok("nothing: it left before a response".to_owned())
            })
        },
    },
    Situation {
        title: "HTTP/2: GET",
        story: "The first situation again, over HTTP/2.",
        notice: "The same hooks in the same order.",
        expected: &[(Reason::Complete, RequestClose::Complete)],
        play: |scene| {
            Box::pin(async move {
                let mut client = scene.http2().await?;
                let (response, _) = client.request(Method::GET, "/hello", true).await?;
                let (head, body) = response.await?.into_parts();
                let length = client::length(body).await?;
                Ok(format!("HTTP/2 {}, {length} bytes of body", head.status))
            })
        },
    },
    Situation {
        title: "HTTP/2: reset while the response streams",
        story: "The client sends RST_STREAM after its first frame and keeps the connection.",
        notice: "No error reaches the body of a response, so here too nothing tells why.",
        expected: &[(Reason::Unknown, RequestClose::Complete)],
        play: |scene| {
            Box::pin(async move {
                let mut client = scene.http2().await?;
                let (response, mut stream) = client.request(Method::GET, "/ticks", true).await?;
                let (head, mut body) = response.await?.into_parts();
                let first = body.data().await.transpose()?.unwrap_or_default().len();
                stream.send_reset(h2::Reason::CANCEL);
                scene.called("on_close").await;
                Ok(format!(
                    "HTTP/2 {}, {first} bytes of body, then it reset the stream",
                    head.status
                ))
            })
        },
    },
    Situation {
        title: "An answer before the upload is over",
        story: "The handler leaves the upload to a task and answers at once; the upload goes on.",
        notice: "on_close does not wait for the task: the request side is detached.",
        expected: &[(Reason::Complete, RequestClose::Detached)],
        play: |scene| {
            Box::pin(async move {
                let mut client = scene.http1().await?;
                client.request("POST /later", &["content-length: 12"], "Hello").await?;
                let answer = client.answer().await?;
                client.send(", tower").await?;
                Ok(format!("{answer}; it sent the rest of the upload after that"))
            })
        },
    },
    Situation {
        title: "Keep-alive",
        story: "Two requests, one after the other, on one connection.",
        notice: "Two exchanges: each begins, ends and closes by itself.",
        expected: &[
            (Reason::Complete, RequestClose::Complete),
            (Reason::Complete, RequestClose::Complete),
        ],
        play: |scene| {
            Box::pin(async move {
                let mut client = scene.http1().await?;
                client.request("GET /hello", &[], "").await?;
                let first = client.answer().await?;
                client.request("GET /empty", &[], "").await?;
                Ok(format!("{first}; then {}", client.answer().await?))
            })
        },
    },
    Situation {
        title: "HTTP/2: reset while the request streams",
        story: "The client sends RST_STREAM after 5 bytes of its upload and keeps the connection.",
        notice: if cfg!(feature = "hyper") {
            "An upload gets an error, and the feature `hyper` reads what it says."
        } else {
            "An upload gets an error; with the feature `hyper` it would read as stream_reset."
        },
        expected: if cfg!(feature = "hyper") {
            &[(Reason::StreamReset, RequestClose::Failed)]
        } else {
            &[(Reason::RequestFailed, RequestClose::Failed)]
        },
        play: |scene| {
            Box::pin(async move {
                let mut client = scene.http2().await?;
                let (_response, mut stream) = client.request(Method::POST, "/read", false).await?;
                stream.send_data("Hello".into(), false)?;
                scene.called("on_request_data").await;
                stream.send_reset(h2::Reason::CANCEL);
                scene.called("on_close").await;
                Ok("nothing: it reset the stream before a response".to_owned())
            })
        },
    },
];

/// Sends a request that is nothing but a head, and says what comes back.
async fn answer(scene: &Scene, line: &str) -> Result<String, BoxError> {
    let mut client = scene.http1().await?;
    client.request(line, &[], "").await?;
    Ok(client.answer().await?.to_string())
}
