//! What a server answered.

use reqwest::header::HeaderMap;
use serde_json::{Map, Value};

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.expect("a whole answer in UTF-8");
        Self { status, headers, text }
    }

    /// All fields of a JSON answer.
    pub(crate) fn fields(&self) -> Map<String, Value> {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        assert_eq!(self.header("cache-control"), Some("no-store"), "{self:?}");
        serde_json::from_str(&self.text).expect("a JSON object")
    }

    /// All fields of a success, but `success`.
    #[track_caller]
    pub(crate) fn ok(&self) -> Map<String, Value> {
        assert_eq!(self.status, 200, "{self:?}");
        let mut fields = self.fields();
        assert_eq!(fields.shift_remove("success"), Some(Value::Bool(true)), "{self:?}");
        fields
    }

    /// The events of an answer to a poll.
    #[track_caller]
    pub(crate) fn events(&self) -> Vec<Value> {
        let fields = self.ok();
        assert_eq!(fields.keys().collect::<Vec<_>>(), ["data", "queue_id"], "{self:?}");
        fields["data"].as_array().expect("a list").clone()
    }

    #[track_caller]
    pub(crate) fn ids(&self) -> Vec<i64> {
        self.events().iter().map(|event| event["id"].as_i64().expect("a whole number")).collect()
    }

    /// Checks that it is this error, and has the shape that all errors have.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) -> String {
        assert_eq!((self.status, self.code().as_str()), (status, code), "{self:?}");
        let fields = self.fields();
        assert_eq!(fields.keys().collect::<Vec<_>>(), ["success", "code", "message"], "{self:?}");
        assert_eq!(fields["success"], false, "{self:?}");
        let message = fields["message"].as_str().expect("a message for people");
        assert!(!message.is_empty(), "{self:?}");
        message.to_owned()
    }

    #[track_caller]
    pub(crate) fn code(&self) -> String {
        let fields: Value = serde_json::from_str(&self.text).unwrap_or_default();
        fields["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("visible characters"))
    }

    #[track_caller]
    pub(crate) fn retry_after(&self) -> u64 {
        let value = self.header("retry-after").unwrap_or_else(|| panic!("no time in {self:?}"));
        value.parse().expect("whole seconds")
    }

    /// All that a client can tell two answers apart by.
    pub(crate) fn all_but_date(&self) -> (u16, Vec<(String, Vec<u8>)>, String) {
        let headers = self.headers.iter().filter(|(name, _)| *name != "date");
        let headers = headers.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
        (self.status, headers.collect(), self.text.clone())
    }
}
