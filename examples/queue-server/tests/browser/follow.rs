//! `follow.js` by itself, with answers that a real server gives seldom: what it asks, and what it makes of them.

use serde_json::{Value, json};

use crate::page::Page;

/// Runs it on a list of answers, with waits that take no time, until there are none left.
const RUN: &str = r#"
    const [place, answers, done] = arguments;
    const { fetch, setTimeout } = window;
    const end = new AbortController();
    const asked = [];
    const steps = [];
    window.setTimeout = (then) => queueMicrotask(then);
    window.fetch = async (path, { method }) => {
        if (!answers.length) end.abort();
        end.signal.throwIfAborted();
        asked.push(`${method} ${path.replace("/api/v1/", "")}`);
        const { status = 200, after, body, text } = answers.shift();
        if (status === 0) throw new TypeError("there is no network");
        const headers = after ? { "retry-after": after } : {};
        return new Response(text ?? JSON.stringify(body), { status, headers });
    };
    import("/follow.js").then(async ({ follow, nowhere }) => {
        const at = { ...nowhere, ...place };
        for await (const { step, event, from, to, seconds } of follow(at, "token", {}, end.signal)) {
            const about = event ? ` ${event.id}` : from !== undefined ? ` ${from}-${to}` : "";
            steps.push({ step: step + about, seconds });
        }
    }).catch((error) => steps.push({ step: String(error) })).finally(() => {
        Object.assign(window, { fetch, setTimeout });
        done({ asked, steps });
    });
"#;

struct Ran {
    asked: Vec<String>,
    steps: Vec<String>,
    /// Of the steps that wait.
    seconds: Vec<f64>,
}

async fn run(page: &Page, place: Value, answers: Value) -> Ran {
    let ran = page.tab.execute_async(RUN, vec![place, answers]).await.expect("it ends");
    let steps = ran["steps"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Ran {
        asked: ran["asked"].as_array().unwrap().iter().map(text).collect(),
        steps: steps.iter().map(|step| text(&step["step"])).collect(),
        seconds: steps.iter().filter_map(|step| step["seconds"].as_f64()).collect(),
    }
}

fn registered(queue: &str) -> Value {
    json!({"body": {
        "success": true, "queue_id": queue, "last_event_id": -1, "event_queue_longpoll_timeout_seconds": 50,
    }})
}

fn events(ids: &[i64]) -> Value {
    let data: Vec<_> = ids.iter().map(|id| json!({"id": id, "type": "x"})).collect();
    json!({"body": {"success": true, "data": data}})
}

fn refused(status: u16, code: &str) -> Value {
    json!({"status": status, "body": {"success": false, "code": code, "message": "no"}})
}

#[tokio::test]
async fn it_follows_a_queue_through_everything_that_can_happen() {
    let page = Page::open(&[]).await;
    page.click("#delete").await;
    page.until("idle", |shown| shown.state == "idle").await;
    events_are_told_once_and_gaps_are_told(&page).await;
    failures_are_waited_out_ever_longer_and_as_long_as_asked(&page).await;
    some_errors_end_it(&page).await;
    a_queue_that_is_gone_is_replaced_but_not_in_a_storm(&page).await;
    a_place_that_another_tab_knows_is_gone_on_from(&page).await;
}

async fn events_are_told_once_and_gaps_are_told(page: &Page) {
    let answers =
        json!([registered("q"), events(&[0, 1]), events(&[]), events(&[1, 2]), events(&[5])]);
    let ran = run(page, json!({}), answers).await;
    assert_eq!(
        ran.steps,
        [
            "registered",
            "polling",
            "event 0",
            "event 1",
            "polling",
            "polling",
            "duplicate 1",
            "event 2",
            "polling",
            "gap 3-4",
            "event 5",
            "polling",
        ]
    );
    assert_eq!(ran.asked[0], "POST register");
    let seen = |id: i64| format!("GET events?queue_id=q&last_event_id={id}");
    assert_eq!(ran.asked[1..], [seen(-1), seen(1), seen(1), seen(2)]);
}

async fn failures_are_waited_out_ever_longer_and_as_long_as_asked(page: &Page) {
    let mut draining = refused(503, "DRAINING");
    draining["after"] = json!("9");
    let html = json!({"status": 502, "text": "<html>"});
    let cut = json!({"text": "{\"success\":true,\"da"});
    let answers = json!([{"status": 0}, draining, html, cut, refused(408, "REQUEST_TIMEOUT"), events(&[0]), events(&[])]);
    let ran = run(page, json!({"queue": "q"}), answers).await;
    let waits = ["polling", "waiting", "waiting", "waiting", "waiting", "waiting"];
    assert_eq!(
        ran.steps,
        [waits.as_slice(), &["reconnected", "event 0", "polling", "polling"]].concat()
    );
    for (n, (least, most)) in
        [(0.5, 1.0), (10.0, 11.0), (2.0, 4.0), (4.0, 8.0), (8.0, 16.0)].into_iter().enumerate()
    {
        assert!((least..=most).contains(&ran.seconds[n]), "{n}: {:?}", ran.seconds);
    }
    let peeks: Vec<_> = ran.asked.iter().map(|asked| asked.contains("dont_block=true")).collect();
    assert_eq!(peeks, [false, true, true, true, true, true, false]);
}

async fn some_errors_end_it(page: &Page) {
    let mut superseded = refused(409, "POLL_SUPERSEDED");
    superseded["after"] = json!("3");
    for (answer, step) in [
        (superseded, "superseded"),
        (refused(410, "EVENTS_PRUNED"), "behind"),
        (refused(401, "UNAUTHORIZED"), "refused"),
        (refused(429, "TOO_MANY_QUEUES"), "refused"),
        (refused(400, "UNKNOWN_EVENT_ID"), "refused"),
    ] {
        let ran = run(page, json!({"queue": "q"}), json!([answer, events(&[0])])).await;
        assert_eq!(ran.steps, ["polling", step]);
        assert_eq!(ran.asked.len(), 1, "it does not go on: {step}");
    }
}

async fn a_queue_that_is_gone_is_replaced_but_not_in_a_storm(page: &Page) {
    for (status, code) in [(404, "BAD_EVENT_QUEUE_ID"), (410, "QUEUE_OVERFLOWED")] {
        let gone = refused(status, code);
        let answers = json!([gone, registered("r"), gone, registered("s"), events(&[0])]);
        let ran = run(page, json!({"queue": "q", "seen": 7}), answers).await;
        assert_eq!(
            ran.steps,
            [
                "polling",
                "gone",
                "registered",
                "polling",
                "gone",
                "waiting",
                "registered",
                "reconnected",
                "event 0",
                "polling"
            ]
        );
        assert_eq!(ran.asked[2], "GET events?queue_id=r&last_event_id=-1");
    }
}

async fn a_place_that_another_tab_knows_is_gone_on_from(page: &Page) {
    let answers = json!([refused(410, "EVENTS_PRUNED"), events(&[9])]);
    let ran = run(page, json!({"queue": "q", "seen": 3, "elsewhere": 8}), answers).await;
    assert_eq!(ran.steps, ["polling", "gap 4-8", "polling", "event 9", "polling"]);
    assert_eq!(ran.asked[1], "GET events?queue_id=q&last_event_id=8");
}
