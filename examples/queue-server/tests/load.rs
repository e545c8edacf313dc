//! The load tool, quickly: it comes to its end, and loses nothing.

use std::{process::Stdio, time::Duration};

use tokio::{process::Command, time::timeout};

#[tokio::test]
async fn a_quick_load_loses_nothing_and_leaves_nothing() {
    let printed = run(&["--quick"]).await;
    for none in [
        "polls that are parked after all clients vanished",
        "acknowledged events that were lost",
        "events out of order",
        "answers that should not be",
        "polls that are parked when all is over",
        "descriptors that are left when all is over",
    ] {
        assert!(printed.contains(&format!("| {none} | 0 | 0 | met |")), "{none}:\n{printed}");
    }
    let acknowledged =
        printed.lines().find_map(|line| line.strip_prefix("| events acknowledged |"));
    let counts = acknowledged.into_iter().flat_map(|cells| cells.split('|')).map(str::trim);
    let counts: Vec<u64> = counts.filter_map(|count| count.parse().ok()).collect();
    assert_eq!(counts.len(), 2, "{printed}");
    assert!(counts.iter().all(|count| *count > 0), "events were sent to both servers:\n{printed}");
    for measured in [
        "### Resident memory of a parked poll",
        "### From disconnect to unparked",
        "parked polls answered at once",
        "### From the request that sends an event",
        "idle queues are removed",
        "### Start-up with",
    ] {
        assert!(printed.contains(measured), "{measured}:\n{printed}");
    }
}

#[tokio::test]
async fn it_measures_what_it_is_told_alone() {
    let printed = run(&["--quick", "--clients", "100", "--only", "wake"]).await;
    assert!(printed.contains("### 100 parked polls answered at once"), "{printed}");
    assert_eq!(printed.matches("###").count(), 2, "with the budgets:\n{printed}");
}

#[tokio::test]
async fn too_few_clients_are_refused_in_words() {
    let output = command(&["--clients", "1"]).output();
    let output = timeout(Duration::from_secs(30), output).await.expect("in time").unwrap();
    assert!(!output.status.success());
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("--clients"), "{words}");
}

/// What it prints. It must succeed.
async fn run(arguments: &[&str]) -> String {
    let output = command(arguments).output();
    let output = timeout(Duration::from_secs(300), output).await.expect("in time").unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}\n{printed}");
    printed
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_queue-load"));
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    command
}
