//! Bytes that are HTTP, nearly HTTP, or nothing.

use crate::seeded::Seeded;

const HTTP1: [&str; 16] = [
    "GET /full HTTP/1.1\r\n\r\n",
    "GET /size/1000 HTTP/1.1\r\nhost: a\r\n\r\n",
    "HEAD /full HTTP/1.0\r\n\r\n",
    "GET /hang HTTP/1.1\r\n\r\n",
    "GET /park HTTP/1.1\r\n\r\n",
    "POST /echo HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello",
    "POST /careless HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
    "POST /park HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n",
    "5\r\nhello\r\n",
    "0\r\n\r\n",
    "0\r\nsum: 1\r\n\r\n",
    "ffffffffffffffff\r\n",
    "connection: close\r\n\r\n",
    "GET / HTTP/1.1\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
    "CONNECT localhost:1 HTTP/1.1\r\n\r\n",
    "\r\n",
];

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// `GET /`, by HPACK's static table alone.
const HEAD: &[u8] = b"\x82\x86\x84";

/// `POST` of the same.
const UPLOAD: &[u8] = b"\x83\x86\x84";

/// What one client sends.
pub(crate) fn make(choices: &mut Seeded) -> Vec<u8> {
    let mut bytes = Vec::new();
    let http2 = choices.once_in(2);
    if http2 {
        bytes.extend(PREFACE);
    }
    for _ in 0..=choices.below(8) {
        match choices.below(10) {
            0 => bytes.extend(choices.bytes(50)),
            1 => bytes.extend(choices.one_of(&HTTP1).as_bytes()),
            _ if http2 => bytes.extend(frame(choices)),
            _ => bytes.extend(choices.one_of(&HTTP1).as_bytes()),
        }
    }
    if choices.once_in(4) && !bytes.is_empty() {
        let at = choices.below(bytes.len());
        bytes[at] = choices.number().to_le_bytes()[0];
    }
    if choices.once_in(4) {
        bytes.truncate(choices.below(bytes.len() + 1));
    }
    bytes
}

/// Mostly one that makes sense.
fn frame(choices: &mut Seeded) -> Vec<u8> {
    let stream = choices.one_of(&[1, 3, 5, 7]);
    let (kind, flags, stream, payload) = match choices.below(10) {
        // END_HEADERS, and mostly END_STREAM.
        0..3 => (1, 5, stream, HEAD.to_vec()),
        3 => (1, 4, stream, UPLOAD.to_vec()),
        4 => (0, choices.one_of(&[0, 1]), stream, b"hello".to_vec()),
        5 => (3, 0, stream, vec![0, 0, 0, choices.one_of(&[0, 2, 8])]),
        6 => (8, 0, choices.one_of(&[0, stream]), vec![0, 0, 1, 0]),
        7 => (4, 0, 0, vec![0, 4, 0, 0, 0, choices.one_of(&[0, 1, 100])]),
        8 => (choices.one_of(&[6, 7]), 0, 0, vec![0; 8]),
        _ => {
            let [kind, flags, ..] = choices.number().to_le_bytes();
            (kind % 12, flags, choices.one_of(&[0, stream, 2]), choices.bytes(20))
        }
    };
    let length = u8::try_from(payload.len()).expect("short");
    let mut bytes = vec![0, 0, length, kind, flags, 0, 0, 0, stream];
    bytes.extend(payload);
    bytes
}
