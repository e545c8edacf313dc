//! Bad input of services.

use serde_json::json;

use crate::stage::Stage;

#[tokio::test]
async fn a_send_without_targets_or_event_is_refused() {
    let world = Stage::Embedded.start().await;
    let token = world.token("s", true);
    for (body, missing) in [
        ("", "users"),
        ("{}", "users"),
        (r#"{"event":{"type":"t"}}"#, "users"),
        (r#"{"users":null,"event":{"type":"t"}}"#, "users"),
        (r#"{"users":["u"]}"#, "event"),
        (r#"{"users":["u"],"event":null}"#, "event"),
        (r#"{"users":["u"],"event":{}}"#, "event.type"),
        (r#"{"users":["u"],"event":{"Type":"t"}}"#, "event.type"),
    ] {
        let message =
            world.call("POST", "/api/v1/send", &token, body).await.refused(400, "MISSING_PARAM");
        assert!(message.contains(missing), "{body}: {message}");
    }
}

#[tokio::test]
async fn a_send_that_is_not_as_it_should_be_is_refused() {
    let world = Stage::Embedded.start().await;
    let token = world.token("s", true);
    let event = |event: &str| format!(r#"{{"users":["u"],"event":{event}}}"#);
    let typed = |kind: &str| format!(r#"{{"users":["u"],"event":{{"type":{kind}}}}}"#);
    let to = |targets: &str| format!(r#"{{{targets},"event":{{"type":"t"}}}}"#);
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    for wrong in [
        "null".to_owned(),
        "[]".to_owned(),
        "{".to_owned(),
        "{}x".to_owned(),
        to(r#""users":["u"],"queues":["q"]"#),
        to(r#""users":[],"queues":[]"#),
        to(r#""users":[]"#),
        to(r#""queues":[]"#),
        to(r#""users":"u""#),
        to(r#""users":[1]"#),
        to(r#""users":[null]"#),
        to(r#""users":[""]"#),
        to(r#""users":{}"#),
        to(r#""queues":"q""#),
        to(r#""queues":[7]"#),
        to(r#""users":["u"],"users":["u"]"#),
        to(r#""users":["u"],"more":1"#),
        to(&format!(r#""users":["{}"]"#, "u".repeat(257))),
        event("[]"),
        event("1"),
        event("\"t\""),
        event("{\"type\":\"t\",}"),
        event("{\"type\":\"t\"}}"),
        event(r#"{"type":"t","id":0}"#),
        event(r#"{"type":"t","id":null}"#),
        event(r#"{"type":"t","x":NaN}"#),
        event(r#"{"type":"t","x":Infinity}"#),
        event(r#"{"type":"t","x":+1}"#),
        event(r#"{"type":"t","x":01}"#),
        event(r#"{"type":"t","x":1e999}"#),
        event(r#"{"type":"t","x":"\ud800"}"#),
        event(&format!(r#"{{"type":"t","x":{deep}}}"#)),
        r#"{"users":["u"],"event":{"type":"t"},"event":{"type":"t"}}"#.to_owned(),
        typed("1"),
        typed("null"),
        typed("true"),
        typed("[]"),
        typed("{}"),
        typed("\"\""),
        typed(&format!("\"{}\"", "t".repeat(129))),
    ] {
        let answer = world.call("POST", "/api/v1/send", &token, wrong.clone()).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "INVALID_PARAM"), "{wrong:.80}");
        answer.refused(400, "INVALID_PARAM");
    }
    let not_utf8 = b"{\"users\":[\"u\"],\"event\":{\"type\":\"t\",\"x\":\"\xff\"}}".as_slice();
    world.call("POST", "/api/v1/send", &token, not_utf8).await.refused(400, "INVALID_PARAM");
}

#[tokio::test]
async fn an_event_goes_to_10_000_targets_and_no_more() {
    let world = Stage::Embedded.start().await;
    let queue = world.queue().await;
    let mut users: Vec<_> = (1..10_000).map(|n| format!("nobody {n}")).collect();
    users.push(queue.user.name.clone());
    let answer = world.send(&json!({"users": users, "event": {"type": "t"}})).await;
    assert_eq!(answer.ok()["queued"], 1);
    users.push("one more".into());
    let answer = world.send(&json!({"users": users, "event": {"type": "t"}})).await;
    answer.refused(400, "INVALID_PARAM");
    let queues = vec![&queue.id; 10_001];
    let answer = world.send(&json!({"queues": queues, "event": {"type": "t"}})).await;
    answer.refused(400, "INVALID_PARAM");
    assert_eq!(world.poll(&queue, -1).await.ids(), [0]);
}

/// JSON has no largest number; what a program cannot keep it must refuse or pass on, not change.
#[tokio::test]
async fn a_number_is_passed_on_as_it_is() {
    let world = Stage::Embedded.start().await;
    let queue = world.queue().await;
    let token = world.token("s", true);
    for number in
        ["18446744073709551616", "123456789012345678901234567890", "0.1000000000000000055511"]
    {
        let body = format!(r#"{{"queues":["{}"],"event":{{"type":"t","x":{number}}}}}"#, queue.id);
        world.call("POST", "/api/v1/send", &token, body).await.ok();
        let answer = world.peek(&queue, -1).await;
        assert!(answer.text.contains(number), "{}", answer.text);
    }
}
