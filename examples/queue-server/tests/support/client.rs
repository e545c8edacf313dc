//! What a client asks, one request at a time.

use std::{net::SocketAddr, time::Duration};

use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

/// With the tokens of a development server.
#[derive(Clone)]
pub struct Client {
    base: String,
    token: String,
    service: String,
    http: reqwest::Client,
}

impl Client {
    pub fn new(addr: SocketAddr, token: &str, service: &str) -> Self {
        // Longer than any poll: what is not answered by then will not be.
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build();
        let (base, http) = (format!("http://{addr}"), http.expect("a client"));
        Self { base, token: token.to_owned(), service: service.to_owned(), http }
    }

    /// A request of the user.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token)
    }

    /// Makes a queue, and returns its id.
    pub async fn register(&self) -> String {
        let asked = self.request(Method::POST, "/api/v1/register").json(&json!({}));
        let made = json_of(asked.send().await.expect("an answer")).await;
        made["queue_id"].as_str().unwrap_or_else(|| panic!("no queue: {made}")).to_owned()
    }

    /// Polls, and waits.
    pub fn poll(&self, queue: &str, seen: i64) -> RequestBuilder {
        self.get_events(queue, seen, "")
    }

    /// The ids of the events that are there, without waiting.
    pub async fn peek(&self, queue: &str, seen: i64) -> Vec<i64> {
        ids(&json_of(self.peeking(queue, seen).send().await.expect("an answer")).await)
    }

    /// Polls, without waiting.
    pub fn peeking(&self, queue: &str, seen: i64) -> RequestBuilder {
        self.get_events(queue, seen, "&dont_block=true")
    }

    fn get_events(&self, queue: &str, seen: i64, more: &str) -> RequestBuilder {
        let path = format!("/api/v1/events?queue_id={queue}&last_event_id={seen}{more}");
        self.request(Method::GET, &path)
    }

    /// Sends an event to all queues of the user `dev`, and returns in how many it is.
    pub async fn send(&self, event: &Value) -> u64 {
        self.send_to(&json!({"users": ["dev"], "event": event})).await
    }

    /// The request that sends an event to all queues of the user `dev`.
    pub fn sending(&self, event: &Value) -> RequestBuilder {
        let asked = self.http.post(format!("{}/api/v1/send", self.base)).bearer_auth(&self.service);
        asked.json(&json!({"users": ["dev"], "event": event}))
    }

    /// Whether it was acknowledged. If not, it may be stored or not.
    pub async fn try_send(&self, event: &Value) -> bool {
        match self.sending(event).send().await {
            Ok(answer) => answer.status().is_success(),
            Err(_) => false,
        }
    }

    pub async fn healthy(&self) -> bool {
        let health = self.request(Method::GET, "/healthz").send().await;
        health.is_ok_and(|health| health.status().is_success())
    }

    pub async fn send_to(&self, body: &Value) -> u64 {
        let asked = self.http.post(format!("{}/api/v1/send", self.base)).bearer_auth(&self.service);
        let sent = json_of(asked.json(body).send().await.expect("an answer")).await;
        sent["queued"].as_u64().unwrap_or_else(|| panic!("not sent: {sent}"))
    }

    /// How many polls are parked.
    pub async fn parked(&self) -> u64 {
        let health = self.request(Method::GET, "/healthz").send().await.expect("an answer");
        json_of(health).await["parked"].as_u64().expect("a number")
    }

    /// The sum of all lines of `/metrics` that begin so.
    pub async fn metric(&self, begin: &str) -> f64 {
        let metrics = self.request(Method::GET, "/metrics").send().await.expect("an answer");
        let text = metrics.text().await.expect("text");
        let values = text.lines().filter(|line| line.starts_with(begin));
        values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

pub async fn json_of(response: Response) -> Value {
    response.json().await.expect("an answer in JSON")
}

/// The ids of the events of an answer.
pub fn ids(answer: &Value) -> Vec<i64> {
    let data = answer["data"].as_array().unwrap_or_else(|| panic!("no events: {answer}"));
    data.iter().map(|event| event["id"].as_i64().expect("an id")).collect()
}
