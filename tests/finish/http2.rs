//! HTTP/2: flushed where the last buffer was seen to go, and released elsewhere.

use crate::support::seams::{Rig, Seam};

/// More than any answer has.
const WINDOW: u32 = 10_000_000;

/// Of each the method and path, what is heard of the answer but for its finish, whether its last data ends the stream, and
/// what it is complete by where that is not seen.
const ROWS: &[(&str, &str, &str, bool, &str)] = &[
    ("GET", "/full", "response(200) res.data res.end", true, "frame"),
    ("GET", "/size/1000000", "response(200) res.data res.end", true, "frame"),
    ("GET", "/stream", "response(200) res.data res.end", false, "frame"),
    ("GET", "/trailers", "response(200) res.data res.end+trailers", false, "frame"),
    ("GET", "/empty", "response(200) res.end", false, "return"),
    ("GET", "/204", "response(204) res.end", false, "return"),
    ("HEAD", "/full", "response(200) res.end", false, "return"),
];

#[tokio::test]
async fn an_answer_is_flushed_where_its_last_buffer_is_seen_to_go() {
    for seam in Seam::ALL {
        let rig = Rig::start(seam).await;
        let mut client = rig.connect().await;
        client.preface(Some(WINDOW)).await.unwrap();
        client.window_update(0, WINDOW).await.unwrap();
        for (count, (method, path, answer, ends, evidence)) in (1..).zip(ROWS) {
            let stream = 2 * u32::try_from(count).unwrap() - 1;
            client.request(stream, method, path, [], true).await.unwrap();
            client
                .read_frames_until(|frame| frame.stream == stream && frame.ends_stream())
                .await
                .unwrap();
            let exchange = rig.all(count).await.pop().unwrap();
            let flushed = seam == Seam::Serve && *ends;
            let (finish, evidence) =
                if flushed { ("flushed", "io") } else { ("released", *evidence) };
            let words = format!(
                "begin req.end req.close(complete) {answer} finish({finish}) close(complete)"
            );
            assert_eq!(exchange.words(), words, "{seam:?} {method} {path}");
            let close = format!("complete, by local, known by {evidence}");
            assert_eq!(exchange.close().to_string(), close, "{seam:?} {method} {path}");
            assert_eq!(exchange.summary().unwrap().ordinal, Some(count as u64));
        }
    }
}
