//! What is asked of the operating system.

use std::{fs, io, path::Path, time::Duration};

use rustix::{
    param::page_size,
    process::{Resource, Rlimit, getrlimit, setrlimit},
    time::{ClockId, clock_gettime},
};

use crate::Failed;

/// Nanoseconds of a clock that all processes of the machine share.
pub(crate) fn now() -> u64 {
    read(ClockId::Monotonic)
}

/// Nanoseconds that this process has had a processor for.
pub(crate) fn cpu() -> u64 {
    read(ClockId::ProcessCPUTime)
}

fn read(clock: ClockId) -> u64 {
    let time = Duration::try_from(clock_gettime(clock)).unwrap_or_default();
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Bytes of a process in memory.
pub(crate) fn resident(process: u32) -> Result<u64, Failed> {
    let pages = fs::read_to_string(format!("/proc/{process}/statm"))?;
    let pages: u64 = pages.split_whitespace().nth(1).ok_or("no resident pages")?.parse()?;
    Ok(pages * page_size() as u64)
}

/// Files and sockets that a process has open.
pub(crate) fn open_files(process: u32) -> Result<usize, Failed> {
    Ok(fs::read_dir(format!("/proc/{process}/fd"))?.count())
}

/// Raises the limit of this process and its children as far as it may, and returns it.
pub(crate) fn raise_descriptors() -> io::Result<usize> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    Ok(maximum.map_or(usize::MAX, |maximum| usize::try_from(maximum).unwrap_or(usize::MAX)))
}

/// For people.
pub(crate) fn described() -> String {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown", |(_, model)| model);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    // What follows the version is a builder's own.
    let kernel = kernel.trim().split('-').next().unwrap_or_default();
    format!("{processors} processors ({model}), Linux {kernel}")
}

/// How long it takes this disk to make a page durable: nothing that is durable is faster.
pub(crate) fn sync_times(dir: &Path, samples: usize) -> io::Result<Vec<u64>> {
    use std::os::unix::fs::FileExt as _;
    let file = tempfile::tempfile_in(dir)?;
    file.set_len(1 << 20)?;
    file.sync_all()?;
    let page = [7; 4096];
    let mut times = Vec::new();
    for offset in (0..1 << 20).step_by(page.len()).cycle().take(samples) {
        let begun = now();
        file.write_all_at(&page, offset)?;
        file.sync_data()?;
        times.push(now() - begun);
    }
    Ok(times)
}
