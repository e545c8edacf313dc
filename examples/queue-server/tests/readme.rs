//! What the README says to type does what it says.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::{TempDir, tempdir};

const README: &str = include_str!("../README.md");
const SERVER: &str = env!("CARGO_BIN_EXE_queue-server");

/// The program, on a free port, in a directory of its own.
struct Server {
    child: Child,
    /// What it printed, up to the address of its page.
    printed: String,
    dir: TempDir,
}

impl Server {
    fn start() -> Self {
        let dir = tempdir().expect("a temporary directory");
        let mut command = Command::new(SERVER);
        command.args(["--listen", "127.0.0.1:0", "--data-dir"]).arg(dir.path().join("data"));
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut server = Self { child: command.spawn().expect("it"), printed: String::new(), dir };
        let lines = BufReader::new(server.child.stdout.take().expect("a pipe")).lines();
        for line in lines.map(|line| line.expect("text")) {
            server.printed += &line;
            server.printed.push('\n');
            if line.starts_with("http://") {
                return server;
            }
        }
        panic!("it ended: {}", server.printed);
    }

    fn url(&self) -> &str {
        let page = self.printed.lines().last().expect("the address of its page");
        page.split("/#").next().expect("what is before it")
    }

    /// What bash says to a script.
    fn bash(&self, script: &str) -> String {
        let path = self.dir.path().join("said");
        let said = File::create(&path).expect("a file");
        let mut bash = Command::new("bash");
        bash.args(["-u", "-c", script]).current_dir(self.dir.path()).stdin(Stdio::null());
        bash.stdout(said.try_clone().expect("a file")).stderr(said);
        let mut bash = Ended(bash.spawn().expect("bash"));
        for _ in 0..6000 {
            if bash.0.try_wait().expect("a child of ours").is_some() {
                let mut text = String::new();
                File::open(&path).and_then(|mut said| said.read_to_string(&mut text)).unwrap();
                return text;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it does not end: {script}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Ends with this value, if it has not ended.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

fn end(child: &mut Child) {
    // It may have ended.
    let _ = child.kill();
    let _ = child.wait();
}

/// The text below a heading, down to the next of its level.
fn section(name: &str) -> &'static str {
    let after = README.split_once(&format!("\n## {name}\n")).expect("such a section").1;
    after.split("\n## ").next().expect("a section")
}

/// Its blocks of code: language and text.
fn blocks(text: &str) -> Vec<(&str, &str)> {
    let fenced = text.split("\n```").skip(1).step_by(2);
    fenced.map(|block| block.split_once('\n').expect("a language's line")).collect()
}

/// Whether `said` is as `expected` has it, where `…` is anything on one line.
fn matches(said: &str, expected: &str) -> bool {
    let mut parts = expected.split('…');
    let first = parts.next().expect("there is always one");
    let Some(mut rest) = said.strip_prefix(first) else { return false };
    let parts: Vec<_> = parts.collect();
    for (n, part) in parts.iter().enumerate() {
        let found = if n + 1 == parts.len() {
            rest.ends_with(part).then(|| rest.len() - part.len())
        } else {
            rest.find(part)
        };
        match found {
            Some(at) if !rest[..at].contains('\n') => rest = &rest[at + part.len()..],
            _ => return false,
        }
    }
    rest.is_empty()
}

#[test]
fn each_example_of_the_api_answers_as_it_says() {
    let server = Server::start();
    let mut script = String::new();
    for line in server
        .printed
        .lines()
        .filter(|line| line.starts_with("TOKEN=") || line.starts_with("SERVICE="))
    {
        script.extend([line, "\n"]);
    }
    script.extend(["URL=", server.url(), "\n"]);
    let mut expected = Vec::new();
    let blocks = blocks(section("API"));
    for (n, (language, text)) in blocks.iter().enumerate() {
        match *language {
            "sh" => {
                let answer = blocks.get(n + 1).filter(|(language, _)| *language == "text");
                expected.push((*text, answer.map_or("", |(_, text)| *text)));
                script.extend([*text, "\necho; echo '=== end of an example ==='\n"]);
            }
            "sh no-run" => {}
            "text" => assert_eq!(blocks[n - 1].0, "sh", "an answer follows what it answers"),
            other => panic!("a block of `{other}`"),
        }
    }
    assert!(expected.len() >= 7, "the examples are found");
    let said = server.bash(&script);
    let mut said = said.split("=== end of an example ===\n");
    for (example, expected) in expected {
        let said = said.next().unwrap_or_default().trim();
        assert!(matches(said, expected.trim()), "{example}\nsays\n{said}\nand not\n{expected}");
    }
}

#[test]
fn the_lines_that_it_prints_register_poll_and_send_when_they_are_pasted() {
    let quick_start = blocks(section("Quick start"));
    assert_eq!(quick_start[0].1.trim(), "cargo run -p queue-server");
    let server = Server::start();
    let said = server.bash(&format!("{}wait\n", pasted(&server.printed)));
    assert!(said.contains(r#"{"success":true,"queued":1,"woken":"#), "{said}");
    let event = r#"{"success":true,"data":[{"id":0,"type":"hello"}],"queue_id":""#;
    assert!(said.contains(event), "{said}");
    assert!(!said.contains("not found"), "{said}");
}

/// From the tokens to the three lines.
fn pasted(printed: &str) -> &str {
    let from = printed.find("TOKEN=").expect("a token");
    let to = printed.find("# Or in a browser").expect("the end of what is to be pasted");
    &printed[from..to]
}

#[test]
fn what_it_prints_can_be_opened_in_a_browser() {
    let server = Server::start();
    let page = server.printed.lines().last().expect("the address of its page");
    let fragment = page.split_once('#').expect("a fragment").1;
    assert!(fragment.starts_with("token=") && fragment.contains("&service="), "{page}");
    let said = server.bash(&format!("curl -s -o /dev/null -w '%{{http_code}}' {}/", server.url()));
    assert_eq!(said, "200");
}

#[test]
fn tokens_are_the_same_people_after_a_restart() {
    let server = Server::start();
    let token = server.bash(&format!("{SERVER} token --user dev --data-dir data"));
    let said = server.bash(&format!(
        "curl -s -X POST -H 'Authorization: Bearer {}' {}/api/v1/register",
        token.trim(),
        server.url()
    ));
    assert!(said.starts_with(r#"{"success":true"#), "{said}");
}
