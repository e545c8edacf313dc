//! Servers that stop, and servers that are not there.

use serde_json::json;

use crate::{
    front::{Nginx, free_port},
    support::{
        client::{ids, json_of},
        server::Running,
        until,
    },
};

#[tokio::test]
async fn a_server_that_stops_answers_its_polls_through_nginx_and_goes_on_after_its_restart() {
    let mut server = Running::start(&["--poll-timeout", "45s", "--drain-window", "300ms"]).await;
    let nginx = Nginx::start(server.addr, &[]).await;
    let client = server.client_by(nginx.addr);
    let queue = client.register().await;
    client.send(&json!({"type": "hello"})).await;
    let poll = tokio::spawn(client.poll(&queue, 0).send());
    until("it is parked", async || client.parked().await == 1).await;

    assert!(server.terminate().await.success());
    let answer = poll.await.unwrap().unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(ids(&json_of(answer).await), [] as [i64; 0]);
    assert_eq!(client.poll(&queue, 0).send().await.unwrap().status(), 502);

    server.start_again().await;
    assert_eq!(client.send(&json!({"type": "hello"})).await, 1);
    assert_eq!(ids(&json_of(client.poll(&queue, 0).send().await.unwrap()).await), [1]);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_passed_over_by_polls_and_sends() {
    let server = Running::start(&[]).await;
    let servers = format!("server {}; server 127.0.0.1:8080;", free_port());
    let nginx = Nginx::start(server.addr, &[("server 127.0.0.1:8080;", &servers)]).await;
    let client = server.client_by(nginx.addr);
    let queue = client.register().await;
    for id in 0..6 {
        assert_eq!(client.send(&json!({"type": "hello"})).await, 1);
        assert_eq!(ids(&json_of(client.poll(&queue, id - 1).send().await.unwrap()).await), [id]);
    }
}
