//! What a query asks for: each name once, and none that is not known, so that a typo is not taken for "all".

use std::{collections::HashSet, mem, str::FromStr, time::Duration};

use super::answer::Problem;
use crate::{
    Stage,
    inflight::{Filter, LiveState},
    text::cut,
};

/// What a query asks for, or the defaults.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) filter: Filter,
    pub(super) list: List,
    pub(super) interval: Duration,
}

/// Which closed exchanges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    Recent,
    Slowest,
    Failed,
}

/// The names that a path knows.
#[derive(Clone, Copy, Debug)]
pub(super) enum Names {
    /// None.
    Nothing,
    Filter,
    FilterAnd(&'static str),
}

const FILTER: [&str; 10] = [
    "method",
    "path",
    "route",
    "stage",
    "state",
    "status",
    "connection",
    "older_than",
    "text",
    "limit",
];

/// Each is some hundred bytes.
const MOST_ROWS: usize = 100_000;
/// How much is said of what is wrong.
const MOST_SHOWN: usize = 64;
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(60);
const STAGES: [Stage; 4] = [Stage::Request, Stage::Handler, Stage::Response, Stage::Flush];
const LISTS: [(&str, List); 3] =
    [("recent", List::Recent), ("slowest", List::Slowest), ("failed", List::Failed)];

impl Query {
    pub(super) fn parse(query: &str, names: Names) -> Result<Self, Problem> {
        let mut asked = Self {
            filter: Filter::new(),
            list: List::Recent,
            interval: Duration::from_millis(500),
        };
        let mut seen = HashSet::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let Some(known) = names.all().find(|known| *known == name) else {
                let name = cut(&name, MOST_SHOWN);
                let list = names.all().collect::<Vec<_>>().join(", ");
                let known = if list.is_empty() { "none" } else { &list };
                return Err(Problem::bad_request(format!(
                    "`{name}` is not known here: known are {known}."
                )));
            };
            if !seen.insert(known) {
                return Err(Problem::bad_request(format!("`{known}` is said twice: say it once.")));
            }
            asked.set(known, &value)?;
        }
        Ok(asked)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        let filter = mem::take(&mut self.filter);
        self.filter = match name {
            "method" => filter.method(parse(name, value, "a method, such as `GET`")?),
            "path" => filter.path(value),
            "route" => filter.route(value),
            "text" => filter.text(value),
            "stage" => {
                filter.stage(word(name, value, STAGES.map(|stage| (stage.as_str(), stage)))?)
            }
            "state" => {
                let states = LiveState::ALL.map(|state| (state.as_str(), state));
                filter.state(word(name, value, states)?)
            }
            "status" => status(filter, value)?,
            "connection" => filter.connection(parse(name, value, "the number of a connection")?),
            "older_than" => {
                filter.older_than(duration(name, value, "a time, such as `100ms` or `5s`")?)
            }
            "limit" => {
                let what = "a number of rows, at most 100000";
                let rows = parse(name, value, what)?;
                if rows > MOST_ROWS {
                    return Err(wrong(name, value, what));
                }
                filter.limit(rows)
            }
            "list" => {
                self.list = word(name, value, LISTS)?;
                filter
            }
            _ => {
                let what = "a time between `100ms` and `60s`";
                self.interval = duration(name, value, what)?;
                if !(SHORTEST..=LONGEST).contains(&self.interval) {
                    return Err(wrong(name, value, what));
                }
                filter
            }
        };
        Ok(())
    }
}

impl Names {
    fn all(self) -> impl Iterator<Item = &'static str> {
        let (filter, more) = match self {
            Self::Nothing => (false, None),
            Self::Filter => (true, None),
            Self::FilterAnd(name) => (true, Some(name)),
        };
        FILTER.into_iter().filter(move |_| filter).chain(more)
    }
}

fn word<T: Copy, const N: usize>(
    name: &str,
    value: &str,
    words: [(&str, T); N],
) -> Result<T, Problem> {
    let found = words.iter().find(|(word, _)| *word == value);
    let one_of = || format!("one of {}", words.map(|(word, _)| word).join(", "));
    found.map(|(_, it)| *it).ok_or_else(|| wrong(name, value, &one_of()))
}

fn parse<T: FromStr>(name: &str, value: &str, what: &str) -> Result<T, Problem> {
    value.parse().map_err(|_| wrong(name, value, what))
}

fn duration(name: &str, value: &str, what: &str) -> Result<Duration, Problem> {
    humantime::parse_duration(value).map_err(|_| wrong(name, value, what))
}

/// `200`, or `2xx`.
fn status(filter: Filter, value: &str) -> Result<Filter, Problem> {
    match (value.as_bytes(), value.parse().ok()) {
        ([class @ b'1'..=b'5', b'x', b'x'], _) => Ok(filter.status_class(u16::from(class - b'0'))),
        (_, Some(status)) => Ok(filter.status(status)),
        _ => Err(wrong("status", value, "a status or a class of them, such as `200` or `5xx`")),
    }
}

fn wrong(name: &str, value: &str, what: &str) -> Problem {
    let value = cut(value, MOST_SHOWN);
    Problem::bad_request(format!("`{name}` cannot be `{value}`: say {what}."))
}
