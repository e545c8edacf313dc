//! `instructions <subject> <chunks> <exchanges>` runs exchanges for callgrind to count; `instructions` alone lists the
//! subjects, each with what it is compared with. `scripts/instructions` runs it.

use std::{env, process::ExitCode};

use tower_lifecycle_benches::Subject;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match &*arguments {
        [] => {
            for subject in Subject::ALL {
                println!("{}\t{}", subject.name(), subject.baseline().name());
            }
            ExitCode::SUCCESS
        }
        [subject, chunks, exchanges] => {
            let (Some(subject), Ok(chunks), Ok(exchanges)) =
                (Subject::named(subject), chunks.parse(), exchanges.parse())
            else {
                return usage();
            };
            subject.prepare(chunks)(exchanges);
            ExitCode::SUCCESS
        }
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: instructions [<subject> <chunks> <exchanges>]");
    ExitCode::FAILURE
}
