//! A real nginx of a test's own, configured as the README says.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::Stdio,
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::sleep,
};

const README: &str = include_str!("../../README.md");

/// Dies with this value.
pub(crate) struct Nginx {
    pub(crate) addr: SocketAddr,
    _child: Child,
    dir: TempDir,
}

impl Nginx {
    /// In front of a server, with the configuration of the README but for these edits: what is written there, and what is in its
    /// place.
    pub(crate) async fn start(server: SocketAddr, edits: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        // Somebody else may take the port between the two.
        for _ in 0..5 {
            let port = free_port();
            write_configuration(dir.path(), port, server, edits);
            if let Some(child) = serve(dir.path(), port).await {
                return Self { addr: port, _child: child, dir };
            }
        }
        panic!("nginx does not start; it says: {}", read(&dir.path().join("said")));
    }

    /// What it has logged, of accesses and of errors.
    pub(crate) fn logs(&self) -> String {
        let file = |name| read(&self.dir.path().join(name));
        file("queue-server.log") + &file("queue-server.error.log")
    }
}

/// The configuration of the README.
fn published() -> &'static str {
    let (_, rest) = README.split_once("```nginx\n").expect("the README says how");
    rest.split_once("```").expect("an end").0
}

fn write_configuration(dir: &Path, listen: SocketAddr, server: SocketAddr, edits: &[(&str, &str)]) {
    let (listen, server) = (format!("listen {listen};"), server.to_string());
    let path = dir.to_str().expect("a name in Unicode");
    let ours = [("listen 80;", &*listen), ("127.0.0.1:8080", &*server), ("/var/log/nginx", path)];
    let mut site = published().to_owned();
    for (there, here) in edits.iter().chain(&ours) {
        assert!(site.contains(there), "`{there}` is not in the configuration of the README");
        site = site.replace(there, here);
    }
    // One process, so that all of it ends when it is killed.
    let main = format!(
        "daemon off; master_process off; pid {path}/pid; error_log {path}/said;
         events {{ worker_connections 256; }}
         http {{
             client_body_temp_path {path}/body; proxy_temp_path {path}/proxy; fastcgi_temp_path {path}/fastcgi;
             uwsgi_temp_path {path}/uwsgi; scgi_temp_path {path}/scgi;
             include {path}/site;
         }}"
    );
    fs::write(dir.join("site"), site).expect("a file");
    fs::write(dir.join("main"), main).expect("a file");
}

async fn serve(dir: &Path, addr: SocketAddr) -> Option<Child> {
    // Debian has it where only root looks.
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
    let mut child = Command::new("nginx")
        .env("PATH", path)
        .args([
            "-p".as_ref(),
            dir,
            "-e".as_ref(),
            &dir.join("said"),
            "-c".as_ref(),
            &dir.join("main"),
        ])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| {
            panic!("the tests need nginx: `apt-get install nginx-light` on Debian; {error}")
        });
    for _ in 0..1000 {
        if child.try_wait().expect("a child of ours").is_some() {
            return None;
        }
        if TcpStream::connect(addr).await.is_ok() {
            return Some(child);
        }
        sleep(Duration::from_millis(20)).await;
    }
    None
}

pub(crate) fn free_port() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("an address")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
