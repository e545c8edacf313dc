//! `allocations <subject> <chunks>` prints the allocations of one exchange. A program of its own, because the counting
//! allocator costs instructions.

use std::{env, process::ExitCode};

use tower_lifecycle_benches::Subject;

const EXCHANGES: u64 = 100;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [subject, chunks] = &*arguments else { return usage() };
    let (Some(subject), Ok(chunks)) = (Subject::named(subject), chunks.parse()) else {
        return usage();
    };
    let mut run = subject.prepare(chunks);
    run(EXCHANGES);
    let counted = allocation_counter::measure(|| run(EXCHANGES));
    println!("{}", counted.count_total / EXCHANGES);
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("usage: allocations <subject> <chunks>");
    ExitCode::FAILURE
}
