//! The answer to a poll, as the bytes that it is.

use axum::{
    body::Body,
    http::{HeaderValue, Version, header},
    response::{IntoResponse, Response},
};
use bytes::{BufMut, Bytes, BytesMut};

use crate::{id::QueueId, queues::Answer, store::Event};

/// `{"success":true,"data":[{"id":0,…}],"queue_id":"…"}`.
pub(super) fn answer(answer: &Answer, queue: QueueId, version: Version) -> Response {
    let json = HeaderValue::from_static("application/json");
    let body = Body::from(body(&answer.events, queue));
    let mut response = super::no_store(([(header::CONTENT_TYPE, json)], body).into_response());
    // HTTP/2 says it by GOAWAY (RFC 9113 section 8.2.2).
    if answer.last && version < Version::HTTP_2 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Put together rather than serialised: the events are JSON already, and lack but their id.
fn body(events: &[Event], queue: QueueId) -> Bytes {
    let room = events.iter().map(|event| event.json.len() + 32).sum::<usize>() + 96;
    let mut body = BytesMut::with_capacity(room);
    body.put_slice(br#"{"success":true,"data":["#);
    for (n, event) in events.iter().enumerate() {
        let begin = if n == 0 { "{\"id\":" } else { ",{\"id\":" };
        body.put_slice(begin.as_bytes());
        body.put_slice(event.id.to_string().as_bytes());
        body.put_u8(b',');
        // An object with at least one field: see `NewEvent`.
        body.put_slice(event.json.get(1..).unwrap_or(b"}"));
    }
    body.put_slice(format!(r#"],"queue_id":"{queue}"}}"#).as_bytes());
    body.freeze()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event(id: i64, json: &'static str) -> Event {
        Event { id, json: Bytes::from_static(json.as_bytes()) }
    }

    #[test]
    fn events_are_written_with_their_ids_first() {
        let queue = QueueId::from_bits(7);
        let events = [event(0, r#"{"type":"a","x":[1]}"#), event(12, r#"{"type":"b"}"#)];
        let written: Value = serde_json::from_slice(&body(&events, queue)).unwrap();
        let data = json!([{"id": 0, "type": "a", "x": [1]}, {"id": 12, "type": "b"}]);
        assert_eq!(written, json!({"success": true, "data": data, "queue_id": queue.to_string()}));
    }

    #[test]
    fn no_events_are_an_empty_list() {
        let written: Value = serde_json::from_slice(&body(&[], QueueId::from_bits(7))).unwrap();
        assert_eq!(written["data"], json!([]));
    }
}
