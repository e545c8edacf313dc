//! What trusted proxies say of the original request, read from the right, where the last proxy has written.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    str::from_utf8,
};

use http::{HeaderMap, HeaderName, header};

use super::ForwardedPolicy;

/// Nobody has a longer chain of proxies.
const MOST: usize = 32;

static FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// An address, and a port where there is one.
pub(super) type Node = (IpAddr, Option<u16>);

/// What one proxy has said, or all that are trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Forwarded<'a> {
    pub(super) client: Option<Node>,
    pub(super) scheme: Option<&'static str>,
    pub(super) host: Option<(&'a str, Option<u16>)>,
}

impl<'a> Forwarded<'a> {
    pub(super) fn read(
        policy: &ForwardedPolicy,
        headers: &'a HeaderMap,
        peer: Option<IpAddr>,
    ) -> Self {
        if !policy.trusts(peer) {
            return Self::default();
        }
        let standard = Self::walk(policy, rfc_7239(headers));
        let other = Self::walk(policy, x_forwarded(headers));
        if standard.contradicts(&other) {
            return Self::default();
        }
        Self {
            client: standard.client.or(other.client),
            scheme: standard.scheme.or(other.scheme),
            host: standard.host.or(other.host),
        }
    }

    /// Of what both say. Ports are often left out by one.
    fn contradicts(&self, other: &Self) -> bool {
        let clients = self.client.zip(other.client);
        let schemes = self.scheme.zip(other.scheme);
        let hosts = self.host.zip(other.host);
        clients.is_some_and(|((one, _), (another, _))| one != another)
            || schemes.is_some_and(|(one, another)| one != another)
            || hosts.is_some_and(|((one, _), (another, _))| !one.eq_ignore_ascii_case(another))
    }

    /// Each element was written by the node of the one before it, the first by the peer: the first that is not trusted is the
    /// last that is believed.
    fn walk(policy: &ForwardedPolicy, said: impl Iterator<Item = Option<Self>>) -> Self {
        let mut believed = Self::default();
        for said in said.take(MOST) {
            let Some(said) = said else { break };
            believed.scheme = said.scheme.or(believed.scheme);
            believed.host = said.host.or(believed.host);
            believed.client = said.client.or(believed.client);
            if said.client.is_none_or(|(address, _)| !policy.trusts(Some(address))) {
                break;
            }
        }
        believed
    }
}

// ===== X-Forwarded-* =====

/// The lists are as long as each other where each proxy appends to all, and shorter where one sets some anew.
fn x_forwarded(headers: &HeaderMap) -> impl Iterator<Item = Option<Forwarded<'_>>> {
    let [mut nodes, mut schemes, mut hosts] = [&FOR, &PROTO, &HOST].map(|name| {
        let lines = headers.get_all(name).iter().rev();
        lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','))
    });
    std::iter::from_fn(move || {
        let said = [nodes.next(), schemes.next(), hosts.next()];
        said.iter().any(Option::is_some).then(|| {
            let [client, scheme, host] = said.map(|said| from_utf8(said?.trim_ascii()).ok());
            Some(Forwarded {
                client: client.and_then(node),
                scheme: scheme.and_then(self::scheme),
                host: host.and_then(authority),
            })
        })
    })
}

// ===== RFC 7239 =====

fn rfc_7239(headers: &HeaderMap) -> impl Iterator<Item = Option<Forwarded<'_>>> {
    let lines = headers.get_all(header::FORWARDED).iter().rev();
    lines.flat_map(|line| Elements(Some(line.as_bytes()))).map(element)
}

/// The elements of a list, from the right: an open quote on the left is not to swallow what a proxy has appended.
struct Elements<'a>(Option<&'a [u8]>);

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let list = self.0.take()?;
        let mut quoted = false;
        for (at, byte) in list.iter().enumerate().rev() {
            match byte {
                b'"' => quoted = !quoted || is_escaped(&list[..at]),
                b',' if !quoted => {
                    self.0 = Some(&list[..at]);
                    return Some(&list[at + 1..]);
                }
                _ => {}
            }
        }
        Some(list)
    }
}

fn is_escaped(before: &[u8]) -> bool {
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// `None` where it is malformed.
fn element(bytes: &[u8]) -> Option<Forwarded<'_>> {
    let mut rest = from_utf8(bytes).ok()?.trim_ascii();
    let mut seen = [false; 3];
    let mut said = Forwarded::default();
    while !rest.is_empty() {
        let (name, more) = rest.split_once('=')?;
        let (value, more) = value(more)?;
        let names = ["for", "proto", "host"];
        if let Some(which) = names.iter().position(|known| name.eq_ignore_ascii_case(known)) {
            if std::mem::replace(&mut seen[which], true) {
                return None;
            }
            match which {
                0 => said.client = node(value),
                1 => said.scheme = scheme(value),
                _ => said.host = authority(value),
            }
        } else if !is_token(name) {
            return None;
        }
        rest = match more.trim_ascii_start() {
            "" => "",
            more => more.strip_prefix(';')?.trim_ascii_start(),
        };
    }
    Some(said)
}

/// A value, and what follows it. Escapes are left in, which makes a node, a scheme and a host of it invalid: no proxy needs them.
fn value(text: &str) -> Option<(&str, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ' ', '\t']).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        // Many proxies write addresses and ports without the quotes that they need.
        let valid = value.chars().all(|char| char.is_ascii_graphic() && !"\"\\,=".contains(char));
        return (valid && !value.is_empty()).then_some((value, rest));
    };
    let mut escaped = false;
    let end = quoted.find(|char| {
        let ends = char == '"' && !escaped;
        escaped = char == '\\' && !escaped;
        ends
    })?;
    Some((&quoted[..end], &quoted[end + 1..]))
}

fn is_token(text: &str) -> bool {
    let is_special = |byte: u8| b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || is_special(byte))
}

// ===== Values =====

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`; the port may be hidden: `:_x`.
fn node(text: &str) -> Option<Node> {
    let (text, _) = text.rsplit_once(":_").unwrap_or((text, ""));
    let bracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let alone = match bracketed {
        Some(address) => address.parse().map(IpAddr::V6),
        None => text.parse(),
    };
    let (address, port) = match alone {
        Ok(address) => (address, None),
        Err(_) => text.parse().map(|node: SocketAddr| (node.ip(), Some(node.port()))).ok()?,
    };
    Some((address.to_canonical(), port.filter(|port| *port != 0)))
}

/// The conventions have these two alone.
pub(super) fn scheme(text: &str) -> Option<&'static str> {
    ["https", "http"].into_iter().find(|scheme| text.eq_ignore_ascii_case(scheme))
}

/// A host, an IPv6 address without its brackets, and a port where there is one.
pub(super) fn authority(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[').map(|text| text.split_once(']')) {
        Some(bracketed) => bracketed.filter(|(host, _)| host.parse::<Ipv6Addr>().is_ok())?,
        None => name(text)?,
    };
    match port.strip_prefix(':') {
        None if port.is_empty() => Some((host, None)),
        // RFC 3986, section 3.2.3.
        Some("") => Some((host, None)),
        // Not with a sign.
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some((host, Some(digits.parse().ok()?)))
        }
        _ => None,
    }
}

/// A name or an IPv4 address, and what follows it.
fn name(text: &str) -> Option<(&str, &str)> {
    /// RFC 1035, section 2.3.4.
    const LONGEST: usize = 255;
    let valid =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let end = text.bytes().position(|byte| !valid(byte)).unwrap_or(text.len());
    (1..=LONGEST).contains(&end).then(|| text.split_at(end))
}
