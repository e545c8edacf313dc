//! The command line: help, tokens, and what is said when the program cannot start.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use tempfile::{TempDir, tempdir};

/// In an environment without settings of whoever runs the tests.
fn queue_server(dir: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_queue-server"));
    command.env_clear().current_dir(dir.path()).stdin(Stdio::null());
    command
}

fn run(dir: &TempDir, arguments: &[&str]) -> Output {
    output(queue_server(dir).args(arguments))
}

/// Of a program that ends; one that serves instead is ended.
fn output(command: &mut Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it");
    for _ in 0..2000 {
        if child.try_wait().expect("a child of ours").is_some() {
            return child.wait_with_output().expect("what it said");
        }
        thread::sleep(Duration::from_millis(10));
    }
    child.kill().expect("a child of ours");
    panic!("it runs: {command:?} {:?}", child.wait_with_output());
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

/// It does not start, says one line of why, and makes nothing.
#[track_caller]
fn fails(dir: &TempDir, arguments: &[&str], words: &[&str]) {
    let output = run(dir, arguments);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(output.stdout.is_empty(), "{arguments:?} prints: {output:?}");
    assert!(said.starts_with("queue-server: ") && said.lines().count() == 1, "{said}");
    for word in words {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
    assert!(!said.contains("Os {") && !said.contains("Error("), "for people: {said}");
}

fn write(dir: &TempDir, name: &str, text: &[u8]) -> String {
    let path = dir.path().join(name);
    fs::write(&path, text).expect("a file");
    path.to_str().expect("text").to_owned()
}

#[test]
fn a_token_of_the_inspector_that_nobody_could_use_is_refused() {
    let dir = tempdir().expect("a temporary directory");
    let short = write(&dir, "short", b"secret\n");
    fails(&dir, &["--inspector-token-file", &short], &[&short, "16 or more"]);
    fails(&dir, &["--inspector-token-file", "nowhere"], &["nowhere", "No such file"]);
}

#[test]
fn help_names_every_option_with_its_environment_variable_and_its_default() {
    let dir = tempdir().unwrap();
    let output = run(&dir, &["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let help = String::from_utf8(output.stdout).expect("text");
    // As wide as it likes.
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for (option, variable) in [
        ("--listen", "QUEUE_LISTEN"),
        ("--data-dir", "QUEUE_DATA_DIR"),
        ("--redis", "QUEUE_REDIS"),
        ("--jwt-secret-file", "QUEUE_JWT_SECRET_FILE"),
        ("--jwt-public-key-file", "QUEUE_JWT_PUBLIC_KEY_FILE"),
        ("--poll-timeout", "QUEUE_POLL_TIMEOUT"),
        ("--header-timeout", "QUEUE_HEADER_TIMEOUT"),
        ("--body-timeout", "QUEUE_BODY_TIMEOUT"),
        ("--stall-timeout", "QUEUE_STALL_TIMEOUT"),
        ("--drain-window", "QUEUE_DRAIN_WINDOW"),
        ("--max-parked", "QUEUE_MAX_PARKED"),
        ("--max-queues-per-user", "QUEUE_MAX_QUEUES_PER_USER"),
        ("--max-events", "QUEUE_MAX_EVENTS"),
        ("--max-bytes", "QUEUE_MAX_BYTES"),
        ("--max-body", "QUEUE_MAX_BODY"),
        ("--log-format", "QUEUE_LOG_FORMAT"),
        ("--log ", "QUEUE_LOG="),
    ] {
        assert!(help.contains(option) && help.contains(&format!("[env: {variable}")), "{option}");
    }
    for taught in
        ["Examples:", "SIGTERM", "127.0.0.1:8080", "[default: 30s]", "[default: 50000]", "token"]
    {
        assert!(help.contains(taught), "{taught}");
    }
}

#[test]
fn every_option_of_the_help_can_be_set_by_the_environment() {
    let dir = tempdir().unwrap();
    let help = String::from_utf8(run(&dir, &["--help"]).stdout).expect("text");
    let options: Vec<_> = help.split("\n      --").skip(1).collect();
    assert!(options.len() >= 17, "{help}");
    for option in options {
        assert!(option.contains("[env:") && option.contains("QUEUE_"), "--{option}");
    }
}

#[test]
fn the_version_is_printed() {
    let output = run(&tempdir().unwrap(), &["--version"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout.starts_with(b"queue-server "));
}

#[test]
fn an_option_that_is_wrong_ends_with_2_and_names_it() {
    let dir = tempdir().unwrap();
    for (arguments, word) in [
        (["--unknown", "1"], "--unknown"),
        (["--listen", "nowhere"], "--listen"),
        (["--listen", "127.0.0.1:99999"], "--listen"),
        (["--poll-timeout", "30"], "--poll-timeout"),
        (["--poll-timeout", "0s"], "--poll-timeout"),
        (["--poll-timeout", "-1s"], "-1"),
        (["--drain-window", "NaN"], "--drain-window"),
        (["--max-parked", "-1"], "-1"),
        (["--max-parked", "1e3"], "--max-parked"),
        (["--max-events", "many"], "--max-events"),
        (["--max-body", "99999999999999999999999"], "--max-body"),
        (["--log-format", "xml"], "--log-format"),
        (["serve", "now"], "serve"),
        (["token", "--service"], "--user"),
        (["token", "--valid=0s"], "--valid"),
    ] {
        let output = run(&dir, &arguments);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.starts_with("error: ") && said.contains(word), "{said}");
    }
    let both = ["--jwt-secret-file", "a", "--jwt-public-key-file", "b"];
    assert_eq!(run(&dir, &both).status.code(), Some(2));
    let by_environment = output(queue_server(&dir).env("QUEUE_MAX_EVENTS", "many"));
    assert_eq!(by_environment.status.code(), Some(2));
    assert!(is_empty(dir.path()), "nothing is made");
}

#[test]
fn a_token_is_printed_alone_and_differs_by_user_and_role() {
    let dir = tempdir().unwrap();
    let secret = write(&dir, "secret", b"a secret of thirty-two bytes or more\n");
    let token = |more: &[&str]| {
        let output = run(&dir, &[&["token", "--jwt-secret-file", &secret], more].concat());
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{output:?}");
        let token = String::from_utf8(output.stdout).expect("text");
        let token = token.strip_suffix('\n').expect("a line").to_owned();
        assert_eq!(token.split('.').count(), 3, "{token}");
        token
    };
    let one = token(&["--user", "alice"]);
    assert_ne!(one, token(&["--user", "bob"]));
    assert_ne!(one, token(&["--user", "alice", "--service"]));
    assert_ne!(one, token(&["--user", "alice", "--valid", "1h"]));
    let mut command = queue_server(&dir);
    command.args(["token", "--user", "alice"]).env("QUEUE_JWT_SECRET_FILE", &secret);
    let by_environment = output(&mut command);
    assert_eq!(by_environment.status.code(), Some(0));
}

#[test]
fn a_token_without_a_key_says_which_is_needed() {
    let dir = tempdir().unwrap();
    fails(&dir, &["token", "--user", "u"], &["queue-server-data/dev-secret"]);
    let public = write(&dir, "public.pem", PUBLIC.as_bytes());
    let arguments = ["token", "--user", "u", "--jwt-public-key-file", &public];
    fails(&dir, &arguments, &["cannot sign", "--jwt-secret-file"]);
}

#[test]
fn a_token_for_nobody_or_a_name_that_is_too_long_is_refused() {
    let dir = tempdir().unwrap();
    let secret = write(&dir, "secret", b"a secret of thirty-two bytes or more");
    for user in ["", &"u".repeat(257)] {
        let output = run(&dir, &["token", "--jwt-secret-file", &secret, "--user", user]);
        assert_eq!(output.status.code(), Some(2), "a token that no server takes: {output:?}");
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let dir = tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    fails(&dir, &["--listen", &address], &[&address, "--listen"]);
}

#[test]
fn a_key_that_cannot_be_read_is_named() {
    let dir = tempdir().unwrap();
    for option in ["--jwt-secret-file", "--jwt-public-key-file"] {
        fails(&dir, &[option, "/nowhere/key"], &["/nowhere/key", "No such file"]);
        fails(&dir, &[option, "/"], &["/", "directory"]);
    }
}

#[test]
fn a_secret_that_is_too_short_is_refused_with_a_way_to_make_one() {
    let dir = tempdir().unwrap();
    for short in
        [b"".as_slice(), b"short", b"\n\n                                   \n", &[b'x'; 31]]
    {
        let secret = write(&dir, "secret", short);
        fails(&dir, &["--jwt-secret-file", &secret], &[&secret, "32", "openssl rand"]);
    }
}

#[test]
fn a_public_key_that_is_none_is_refused_with_a_way_to_make_one() {
    let dir = tempdir().unwrap();
    for wrong in ["", "a secret of thirty-two bytes or more", &PUBLIC.replace("MCow", "AAAA")] {
        let key = write(&dir, "key", wrong.as_bytes());
        fails(&dir, &["--jwt-public-key-file", &key], &[&key, "Ed25519", "openssl pkey"]);
    }
}

#[test]
fn without_a_key_it_listens_on_this_machine_alone() {
    let dir = tempdir().unwrap();
    for address in ["0.0.0.0:0", "[::]:0"] {
        fails(&dir, &["--listen", address], &["--jwt-secret-file", "--listen 127.0.0.1"]);
    }
    assert!(is_empty(dir.path()), "nothing is made");
}

#[test]
fn a_data_directory_that_cannot_be_made_is_named() {
    let dir = tempdir().unwrap();
    let file = write(&dir, "file", b"");
    let inside = format!("{file}/data");
    fails(&dir, &["--listen", "127.0.0.1:0", "--data-dir", &inside], &[&inside, "--data-dir"]);
}

#[test]
fn a_redis_that_is_not_there_is_named_without_its_password() {
    let dir = tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("redis://:open-sesame@{free}/");
    let arguments = ["--listen", "127.0.0.1:0", "--redis", &url];
    let output = run(&dir, &arguments);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("--redis") && !said.contains("open-sesame"), "{said}");
    let output = run(&dir, &["--listen", "127.0.0.1:0", "--redis", "http://localhost"]);
    assert!(output.status.code() == Some(1) && self::said(&output).contains("--redis"));
}

#[test]
fn a_log_filter_that_is_none_is_named() {
    fails(&tempdir().unwrap(), &["--log", "queue_server=loud"], &["--log", "queue_server=loud"]);
}

const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
    MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
    -----END PUBLIC KEY-----\n";

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).expect("a directory").next().is_none()
}
