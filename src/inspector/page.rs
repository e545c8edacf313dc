//! The page's files.

use std::borrow::Cow;

use bytes::Bytes;
use http::Response;

use super::{
    answer::{Kind, Problem, answer},
    body::InspectorBody,
};

const PAGE: &str = include_str!("page/page.html");

/// Its files, and what they are.
macro_rules! assets {
    ($($kind:ident $name:literal),+ $(,)?) => {
        &[$(($name, Kind::$kind, include_str!(concat!("page/", $name)))),+]
    };
}

const ASSETS: &[(&str, Kind, &str)] = assets![
    Css "page.css",
    JavaScript "page.js",
    JavaScript "chart.js",
    JavaScript "choose.js",
    JavaScript "grid.js",
    JavaScript "phases.js",
    JavaScript "rows.js",
    JavaScript "store.js",
    JavaScript "story.js",
    JavaScript "stream.js",
    JavaScript "words.js",
];

/// Its files are asked for by a query, so that their references are right with and without a slash at the end of the page's path.
pub(super) fn page(query: &str) -> Result<Response<InspectorBody>, Problem> {
    let asset = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "asset");
    let (kind, text) = match asset {
        None => (Kind::Html, PAGE),
        Some((_, asked)) => {
            let found = ASSETS.iter().find(|(name, ..)| *name == asked);
            let (_, kind, text) = *found.ok_or_else(|| {
                Problem::not_found(Cow::Borrowed(
                    "The page has no such file: reload it, the server may be another version.",
                ))
            })?;
            (kind, text)
        }
    };
    Ok(answer(kind, Bytes::from_static(text.as_bytes())))
}
