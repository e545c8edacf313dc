//! How it looks in a terminal. `anstream` leaves the colours out where they are not wanted.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use tower_lifecycle::{Close, Evidence, Initiator, Reason, Stage};

use crate::{
    observer::Call,
    scene::{Outcome, Situation, closes},
};

const STRONG: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();
const REQUEST: Style = AnsiColor::Cyan.on_default();
const RESPONSE: Style = AnsiColor::Magenta.on_default();
const GOOD: Style = AnsiColor::Green.on_default();
const OPEN: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default();

pub(crate) fn legend(out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "{FAINT}time since begin{FAINT:#}   {REQUEST}→ request side{REQUEST:#}   \
         {RESPONSE}← response side{RESPONSE:#}   {BAD}errors{BAD:#}\n"
    )
}

pub(crate) fn title(out: &mut impl Write, number: usize, situation: &Situation) -> io::Result<()> {
    let Situation { title, story, .. } = situation;
    writeln!(out, "{STRONG}{number:>2}  {title}{STRONG:#}\n    {story}\n")
}

/// The hooks of each exchange, the verdict, what the client saw, and what to make of it.
pub(crate) fn outcome(
    out: &mut impl Write,
    situation: &Situation,
    outcome: &Outcome,
) -> io::Result<()> {
    let mut exchanges: Vec<u64> = outcome.calls.iter().map(|call| call.exchange).collect();
    exchanges.sort_unstable();
    exchanges.dedup();
    for (index, exchange) in exchanges.into_iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        let calls = || outcome.calls.iter().filter(|call| call.exchange == exchange);
        for call in calls() {
            hook(out, "", call)?;
        }
        writeln!(out)?;
        for (close, _) in calls().filter_map(|call| call.close) {
            verdict(out, "", close)?;
        }
    }
    if let Some(client) = &outcome.client {
        writeln!(out, "    {FAINT}client:{FAINT:#} {client}")?;
    }
    match &outcome.wrong {
        None => writeln!(out, "    {FAINT}notice:{FAINT:#} {}\n", situation.notice),
        Some(wrong) => writeln!(out, "    {BAD}✗ {wrong}{BAD:#}\n"),
    }
}

/// One call of a hook.
pub(crate) fn hook(out: &mut impl Write, prefix: &str, call: &Call) -> io::Result<()> {
    let (bracket, lane, style) = match call.hook {
        "begin" => ("┌ ", "", STRONG),
        "on_close" => ("└ ", "", STRONG),
        hook if hook.starts_with("on_request") => ("│ ", "→ ", REQUEST),
        _ => ("│ ", "    ← ", RESPONSE),
    };
    let style = if call.hook.ends_with("_error") { BAD } else { style };
    let detail = call.close.map_or(Style::new(), |(close, _)| of(close.reason));
    let hook = format!("{lane}{}", call.hook);
    writeln!(
        out,
        "{prefix}{FAINT}{:>10.3} ms  {bracket}{FAINT:#}{style}{hook:<26}{style:#}{detail}{}{detail:#}",
        call.at.as_secs_f64() * 1000.0,
        call.detail,
    )
}

/// The verdict, and how it is known, in words.
pub(crate) fn verdict(out: &mut impl Write, prefix: &str, close: Close) -> io::Result<()> {
    let style = of(close.reason);
    let reason = close.reason;
    writeln!(out, "{prefix}    {FAINT}close:{FAINT:#}  {style}{reason}{style:#} — {}", words(close))
}

pub(crate) fn table<'o>(
    out: &mut impl Write,
    rows: impl Iterator<Item = (usize, &'o Situation, &'o Outcome)>,
) -> io::Result<()> {
    let head = ["situation", "verdict", "stage", "by", "known by", "request side"];
    row(out, "    ", FAINT, head.map(|word| (word, FAINT)))?;
    for (number, situation, outcome) in rows {
        let closes: Vec<_> = closes(&outcome.calls).collect();
        for &(Close { reason, stage, initiator, evidence }, request) in &closes {
            let plain = Style::new();
            let (mark, style) = match outcome.wrong {
                Some(_) => ("✗", BAD),
                None => (" ", FAINT),
            };
            row(
                out,
                &format!("{mark} {number:>2}"),
                style,
                [
                    (situation.title, plain),
                    (reason.as_str(), of(reason)),
                    (stage.as_str(), plain),
                    (initiator.as_str(), plain),
                    (evidence.as_str(), plain),
                    (request.as_str(), plain),
                ],
            )?;
        }
        if closes.is_empty() {
            writeln!(out, "{BAD}✗ {number:>2}  {:<42}not closed{BAD:#}", situation.title)?;
        }
    }
    writeln!(out)
}

fn row(
    out: &mut impl Write,
    number: &str,
    mark: Style,
    cells: [(&str, Style); 6],
) -> io::Result<()> {
    write!(out, "{mark}{number}{mark:#}  ")?;
    for ((text, style), width) in cells.into_iter().zip([42, 17, 10, 9, 10, 0]) {
        write!(out, "{style}{text:<width$}{style:#}")?;
    }
    writeln!(out)
}

fn of(reason: Reason) -> Style {
    match reason {
        reason if reason.is_complete() => GOOD,
        Reason::Unknown | Reason::Cancelled | Reason::Shutdown => OPEN,
        _ => BAD,
    }
}

fn words(close: Close) -> String {
    let Close { reason, stage, initiator, evidence } = close;
    let who = match initiator {
        Initiator::Peer => "the client",
        Initiator::Local => "this server",
        Initiator::Unknown => "somebody",
    };
    let what = match reason {
        Reason::Complete => "the response ran to its end".to_owned(),
        Reason::Upgraded => "the connection goes on with another protocol".to_owned(),
        Reason::Disconnected => format!("{who} closed the connection"),
        Reason::Reset => format!("{who} reset the connection"),
        Reason::StreamReset => format!("{who} reset the stream"),
        Reason::TransportFailed => "the connection failed".to_owned(),
        Reason::RequestFailed => "the body failed".to_owned(),
        Reason::ServiceFailed => "the service returned an error".to_owned(),
        Reason::ResponseFailed => format!("{who} failed"),
        Reason::LengthMismatch => format!("{who} sent a wrong length"),
        Reason::Panicked => format!("{who} panicked"),
        Reason::Cancelled => format!("{who} gave up"),
        Reason::Shutdown => format!("{who} dropped the connection"),
        Reason::Unknown => "dropped".to_owned(),
    };
    let when = match stage {
        Stage::Request => " while the request was being read",
        Stage::Handler => " while the handler was at work",
        Stage::Response => " while the response was streaming",
        Stage::Flush => " while the response was being flushed",
        Stage::Done => "",
    };
    let why = if initiator == Initiator::Unknown { "; nothing tells why" } else { "" };
    let how = match evidence {
        Evidence::Io => "the transport said so",
        Evidence::Frame if reason.is_complete() => "known by the last frame",
        Evidence::Frame if reason == Reason::LengthMismatch => "known by counting",
        Evidence::Frame => "known by a frame",
        Evidence::Return if reason.is_complete() => "known by the head: no body follows",
        Evidence::Return => "known by the error",
        Evidence::Unwind => "seen as it unwound",
        Evidence::Drop => "inferred from a drop",
    };
    format!("{what}{when}{why} ({how})")
}
