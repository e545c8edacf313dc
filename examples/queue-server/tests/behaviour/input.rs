//! Bad input of clients: register, poll, delete, and paths.

use crate::{stage::Stage, world::answer};

#[tokio::test]
async fn a_parameter_that_is_missing_is_named() {
    let world = Stage::Embedded.start().await;
    let queue = world.queue().await;
    let token = &queue.user.token;
    for (method, query, missing) in [
        ("GET", String::new(), "queue_id"),
        ("GET", "last_event_id=-1".to_owned(), "queue_id"),
        ("GET", format!("queue_id={}", queue.id), "last_event_id"),
        ("GET", format!("queue_id={}&LAST_EVENT_ID=-1", queue.id), "last_event_id"),
        ("DELETE", String::new(), "queue_id"),
        ("DELETE", "Queue_Id=x".to_owned(), "queue_id"),
    ] {
        let answer = world.call(method, &format!("/api/v1/events?{query}"), token, "").await;
        let message = answer.refused(400, "MISSING_PARAM");
        assert!(message.contains(missing), "{message}");
    }
}

#[tokio::test]
async fn a_last_event_id_is_a_whole_number_in_digits() {
    let world = Stage::Embedded.start().await;
    let queue = world.queue().await;
    for wrong in [
        "",
        "NaN",
        "nan",
        "Infinity",
        "-Infinity",
        "inf",
        "abc",
        "null",
        "undefined",
        "true",
        "[]",
        "-2",
        "-10",
        "-9223372036854775808",
        "1.5",
        "1.0",
        "1.",
        ".5",
        "1e3",
        "1E0",
        "+1",
        "%2B1",
        "-0",
        "00",
        "01",
        "-01",
        "--1",
        "0x1",
        "0b1",
        "1_000",
        "1,000",
        "%201",
        "1%20",
        "1%00",
        "1%0A",
        "%D9%A1",
        "%EF%BC%91",
        "%E2%88%921",
        "%FF",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "99999999999999999999999999999999999",
    ] {
        for more in ["", "&dont_block=true"] {
            let path = format!("/api/v1/events?queue_id={}&last_event_id={wrong}{more}", queue.id);
            let answer = world.call("GET", &path, &queue.user.token, "").await;
            assert!(answer.refused(400, "INVALID_PARAM").contains("last_event_id"));
        }
    }
    let path = format!("/api/v1/events?queue_id={}&last_event_id={}", queue.id, "9".repeat(8000));
    world.call("GET", &path, &queue.user.token, "").await.refused(400, "INVALID_PARAM");
}

#[tokio::test]
async fn dont_block_is_true_or_false() {
    let world = Stage::Embedded.start().await;
    let queue = world.queue().await;
    for wrong in ["", "1", "0", "yes", "True", "TRUE", "true%20", "null", "%FF"] {
        let path =
            format!("/api/v1/events?queue_id={}&last_event_id=-1&dont_block={wrong}", queue.id);
        world.call("GET", &path, &queue.user.token, "").await.refused(400, "INVALID_PARAM");
    }
}

#[tokio::test]
async fn a_parameter_that_is_repeated_is_refused() {
    let world = Stage::Embedded.start().await;
    let (queue, other) = (world.queue().await, world.queue().await);
    for (method, query) in [
        ("GET", format!("queue_id={0}&queue_id={1}&last_event_id=-1", queue.id, other.id)),
        ("GET", format!("queue_id={0}&queue_id={0}&last_event_id=-1", queue.id)),
        ("GET", format!("queue_id={0}&%71ueue_id={0}&last_event_id=-1", queue.id)),
        ("GET", format!("queue_id={}&last_event_id=-1&last_event_id=-1", queue.id)),
        ("GET", format!("queue_id={}&last_event_id=-1&dont_block=true&dont_block=true", queue.id)),
        ("DELETE", format!("queue_id={0}&queue_id={0}", queue.id)),
    ] {
        let path = format!("/api/v1/events?{query}");
        world.call(method, &path, &queue.user.token, "").await.refused(400, "INVALID_PARAM");
    }
    for body in [
        r#"{"idle_queue_timeout":5,"idle_queue_timeout":5}"#,
        r#"{"heartbeat":true,"heartbeat":true}"#,
        r#"{"event_types":["a"],"event_types":["b"]}"#,
    ] {
        let answer = world.call("POST", "/api/v1/register", &queue.user.token, body).await;
        answer.refused(400, "INVALID_PARAM");
    }
    assert_eq!(world.peek(&queue, -1).await.ids(), [0; 0]);
}

#[tokio::test]
async fn parameters_of_a_poll_in_its_body_are_none() {
    let world = Stage::Embedded.start().await;
    let queue = world.queue().await;
    let body = format!("queue_id={}&last_event_id=-1", queue.id);
    let answer = world.call("GET", "/api/v1/events", &queue.user.token, body).await;
    answer.refused(400, "MISSING_PARAM");
}

#[tokio::test]
async fn a_registration_is_a_json_object_of_the_fields_that_there_are() {
    let world = Stage::Embedded.start().await;
    let user = world.user();
    let many = format!(r#"{{"event_types":["{}"]}}"#, vec!["t"; 101].join(r#"",""#));
    let long = format!(r#"{{"event_types":["{}"]}}"#, "t".repeat(129));
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for wrong in [
        "null",
        "[]",
        "1",
        "\"\"",
        "true",
        "{",
        "}",
        "{}{}",
        "{} x",
        "{,}",
        "{\"a\"}",
        "{'a':1}",
        " ",
        r#"{"idle_queue_timeout":"600"}"#,
        r#"{"idle_queue_timeout":-1}"#,
        r#"{"idle_queue_timeout":1.5}"#,
        r#"{"idle_queue_timeout":NaN}"#,
        r#"{"idle_queue_timeout":Infinity}"#,
        r#"{"idle_queue_timeout":1e3}"#,
        r#"{"idle_queue_timeout":1e999}"#,
        r#"{"idle_queue_timeout":true}"#,
        r#"{"idle_queue_timeout":[600]}"#,
        r#"{"idle_queue_timeout":9223372036854775808}"#,
        r#"{"idle_queue_timeout":99999999999999999999999}"#,
        r#"{"idle_queue_timeout":+1}"#,
        r#"{"idle_queue_timeout":0600}"#,
        r#"{"heartbeat":1}"#,
        r#"{"heartbeat":"true"}"#,
        r#"{"heartbeat":null}"#,
        r#"{"heartbeat":[]}"#,
        r#"{"event_types":"a"}"#,
        r#"{"event_types":[1]}"#,
        r#"{"event_types":[null]}"#,
        r#"{"event_types":{}}"#,
        r#"{"event_types":[]}"#,
        r#"{"event_types":[""]}"#,
        r#"{"event_types":["\ud800"]}"#,
        &many,
        &long,
        &deep,
        r#"{"unknown":1}"#,
        r#"{"Heartbeat":true}"#,
        r#"{"queue_id":"x"}"#,
        r#"{"":1}"#,
        r#"{"__proto__":{}}"#,
    ] {
        let answer = world.call("POST", "/api/v1/register", &user.token, wrong).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "INVALID_PARAM"), "{wrong:.80}");
        answer.refused(400, "INVALID_PARAM");
    }
    for wrong in [b"\xff\xfe".as_slice(), b"{\"event_types\":[\"\xff\"]}", b"\0", b"\xef\xbb\xbf{}"]
    {
        let answer = world.call("POST", "/api/v1/register", &user.token, wrong).await;
        answer.refused(400, "INVALID_PARAM");
    }
    assert_eq!(world.queue_of(&user, &serde_json::json!({})).await.user.name, user.name);
}

#[tokio::test]
async fn a_path_that_there_is_not_is_404_and_a_method_405() {
    let world = Stage::Embedded.start().await;
    let token = world.user().token;
    for path in [
        "/x",
        "/api/v1",
        "/api/v1/events/",
        "/api/v2/events",
        "/API/V1/events",
        "/api/v1/register/x",
        "//api/v1/events",
    ] {
        world.call("GET", path, &token, "").await.refused(404, "NOT_FOUND");
    }
    for (method, path) in [
        ("GET", "/api/v1/register"),
        ("PUT", "/api/v1/register"),
        ("POST", "/api/v1/events"),
        ("PATCH", "/api/v1/events"),
        ("OPTIONS", "/api/v1/events"),
        ("GET", "/api/v1/send"),
        ("DELETE", "/api/v1/send"),
        ("POST", "/healthz"),
        ("BREW", "/metrics"),
    ] {
        let answer = world.call(method, path, &token, "").await;
        answer.refused(405, "METHOD_NOT_ALLOWED");
        assert!(answer.header("allow").is_some(), "RFC 9110 section 15.5.6: {answer:?}");
    }
}

#[tokio::test]
async fn head_has_no_body_and_does_not_poll() {
    let world = Stage::Embedded.start().await;
    let queue = world.queue().await;
    for path in ["/healthz", "/metrics"] {
        let answer = answer(world.request("HEAD", path)).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, ""), "{path}");
    }
    let parked = world.park(&queue, -1).await;
    for id in ["-1", "0"] {
        let path = format!("/api/v1/events?queue_id={}&last_event_id={id}", queue.id);
        let answer = world.call("HEAD", &path, &queue.user.token, "").await;
        assert_eq!((answer.status, answer.text.as_str()), (405, ""), "{answer:?}");
    }
    assert!(!parked.is_finished());
    assert_eq!(world.send_to(&queue, &serde_json::json!({"type": "t"})).await, 1);
    assert_eq!(parked.await.expect("an answer").ids(), [0]);
}
