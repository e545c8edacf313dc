//! What is asked of the operating system.

use std::{fs, io, net::TcpStream, time::Duration};

use rustix::{
    net::sockopt::set_socket_linger,
    param::page_size,
    process::{Resource, Rlimit, getrlimit, setrlimit},
    time::{ClockId, clock_gettime},
};

use crate::Failed;

/// Nanoseconds of a clock that all processes of the machine share.
pub(crate) fn now() -> u64 {
    let now = Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// Bytes of this process in memory.
pub(crate) fn resident() -> Result<u64, Failed> {
    let pages = fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = pages.split_whitespace().nth(1).ok_or("no resident pages")?.parse()?;
    Ok(pages * page_size() as u64)
}

/// Raises the limit of this process and its children as far as it may, and returns it.
pub(crate) fn raise_descriptors() -> io::Result<usize> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    Ok(maximum.map_or(usize::MAX, |maximum| usize::try_from(maximum).unwrap_or(usize::MAX)))
}

/// Lets `stream` be reset when it is dropped.
pub(crate) fn resets(stream: &TcpStream) -> io::Result<()> {
    Ok(set_socket_linger(stream, Some(Duration::ZERO))?)
}
