//! The embedded store's file: no space for it, and damage.

use std::fs;

use reqwest::StatusCode;
use rustix::process::{Resource, Rlimit, prlimit};
use serde_json::json;

use crate::support::{client::json_of, server::Running, until};

/// How large the server's files may be from here on.
fn limit_files(server: &Running, bytes: Option<u64>) {
    let limit = Rlimit { current: bytes, maximum: None };
    prlimit(Some(server.pid()), Resource::Fsize, limit).unwrap();
}

#[tokio::test]
async fn on_a_full_disk_sends_are_refused_and_go_on_when_there_is_room() {
    let server = Running::start(&["--max-bytes", "100000000"]).await;
    let client = server.client();
    let queue = client.register().await;
    assert_eq!(client.send(&json!({"type": "before"})).await, 1);
    limit_files(&server, Some(4 << 20));
    let event = json!({"type": "large", "text": "x".repeat(60_000)});
    let mut stored = 1;
    let refused = loop {
        let answer = client.sending(&event).send().await.unwrap();
        if answer.status() != StatusCode::OK {
            break answer;
        }
        stored += 1;
        assert!(stored < 900, "the disk is never full");
    };
    assert_eq!(refused.status(), 503);
    assert_eq!(json_of(refused).await["code"], "STORE_UNAVAILABLE");
    // It is opened again first, which takes a moment.
    let kept = async || {
        let answer = client.peeking(&queue, -1).send().await;
        json_of(answer.unwrap()).await["data"].as_array().map_or(0, Vec::len)
    };
    until("what was acknowledged to be readable", async || kept().await >= stored.min(100)).await;

    limit_files(&server, None);
    until("it to write again", async || client.try_send(&json!({"type": "after"})).await).await;
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_and_the_server_starts() {
    let mut server = Running::start(&[]).await;
    let client = server.client();
    client.register().await;
    assert!(server.terminate().await.success());
    let data = server.dir().join("data");
    let files = || fs::read_dir(&data).unwrap().map(|file| file.unwrap().path());
    let store = files().find(|file| file.extension().is_some_and(|it| it == "redb")).unwrap();
    fs::write(&store, b"this is no database").unwrap();

    server.start_again().await;
    let queue = client.register().await;
    assert_eq!(client.send(&json!({"type": "x"})).await, 1);
    assert_eq!(client.peek(&queue, -1).await, [0]);
    let aside = files().any(|file| fs::read(file).unwrap() == b"this is no database");
    assert!(aside, "the damaged file is kept");
    assert!(server.log().contains("ERROR"), "{}", server.log());
}

#[tokio::test]
async fn nobody_else_of_the_machine_can_read_queues_and_events() {
    use std::os::unix::fs::PermissionsExt as _;

    let server = Running::start(&[]).await;
    let client = server.client();
    client.register().await;
    let mode = |path: &str| {
        let found = std::fs::metadata(server.dir().join(path)).expect("it is there");
        found.permissions().mode() & 0o077
    };
    assert!(mode("data") == 0 || mode("data/queues.redb") == 0);
}
