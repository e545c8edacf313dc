//! What is open, for a terminal: by route, oldest first.

use std::{
    collections::HashMap,
    io::{self, Write},
};

use humantime::format_rfc3339_millis;

use crate::{
    Connection,
    inflight::{LiveState, Open, Snapshot},
    text::line::{Line, OrDash},
};

/// Whatever a peer has written is printable ASCII in it, without a space.
pub(super) fn write(snapshot: &Snapshot) -> Vec<u8> {
    let mut out = Vec::new();
    // It is in memory.
    let written = page(&mut out, snapshot);
    debug_assert!(written.is_ok(), "{written:?}");
    out
}

fn page(out: &mut Vec<u8>, snapshot: &Snapshot) -> io::Result<()> {
    let Snapshot { at, counts, exchanges, not_listed, connections } = snapshot;
    writeln!(
        out,
        "{}: {} open, {} closed; {} connections, {} idle, {} upgraded",
        format_rfc3339_millis(*at),
        counts.open,
        counts.closed,
        counts.connections,
        counts.idle,
        counts.upgraded,
    )?;
    for (route, exchanges) in by_route(exchanges) {
        out.push(b'\n');
        let mut line = Line::new(out);
        line.left(0, route.unwrap_or("-"));
        line.left(0, format_args!("({})", exchanges.len()));
        out.push(b'\n');
        for open in exchanges {
            row(out, open);
        }
    }
    if *not_listed > 0 {
        writeln!(out, "\n{not_listed} more: ask with a higher `limit`")?;
    }
    if counts.not_shown > 0 {
        writeln!(out, "\n{} more that the registry had no room for", counts.not_shown)?;
    }
    let upgraded = connections.iter().filter_map(|line| Some((line, line.upgraded()?)));
    for (line, (method, path)) in upgraded.filter(|(line, _)| line.state == LiveState::Upgraded) {
        write!(out, "\n{} {:>9.1}s", line.state.as_char(), line.age.as_secs_f64())?;
        let mut rest = Line::new(out);
        rest.left(0, format_args!("connection={}", line.connection.id()));
        rest.left(0, method);
        rest.left(0, path);
    }
    Ok(())
}

/// Those without one are one group. Groups are in the order of their oldest, as the exchanges are.
fn by_route(exchanges: &[Open]) -> Vec<(Option<&str>, Vec<&Open>)> {
    let mut groups: Vec<(Option<&str>, Vec<&Open>)> = Vec::new();
    let mut places = HashMap::new();
    for open in exchanges {
        let route = open.route.as_deref();
        let place = *places.entry(route).or_insert_with(|| {
            groups.push((route, Vec::new()));
            groups.len() - 1
        });
        groups[place].1.push(open);
    }
    groups
}

fn row(out: &mut Vec<u8>, open: &Open) {
    let connection = open.connection.as_ref();
    let mut line = Line::new(out);
    line.left(1, open.state.as_char());
    line.right(10, format!("{:.1}s", open.age.as_secs_f64()));
    line.left(8, open.state);
    line.left(6, &open.method);
    line.left(3, OrDash(open.status.map(|status| status.as_u16())));
    line.right(10, open.request.bytes);
    line.right(10, open.response.bytes);
    line.left(21, OrDash(connection.and_then(Connection::peer_addr)));
    line.left(6, OrDash(connection.map(Connection::id)));
    line.left(6, open.id);
    line.left(0, open.path());
    out.push(b'\n');
}
