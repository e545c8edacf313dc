//! What is said of a Redis that cannot be used, and of one that can lose events.

use std::{
    io::{self, Write},
    sync::Mutex,
};

use queue_server::store::redis::ConnectError;
use tracing::Level;

use super::*;

async fn refused(url: &str) -> ConnectError {
    let connect = Redis::connect(url, Limits::default(), PARK, Arc::new(|_| {}));
    soon(connect).await.expect_err("it cannot be used")
}

#[tokio::test]
async fn a_url_that_is_none_is_refused_without_its_password() {
    for url in
        ["", "nonsense", "http://u:secret@h/", "redis://u:secret@h:port/", "redis://u:secret@h/x"]
    {
        let error = refused(url).await;
        assert!(matches!(error, ConnectError::Url(_)), "{error}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
        assert!(error.to_string().contains("redis://user:password@host:6379/0"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let mut server = RedisServer::start().await;
    server.kill();
    let error = refused(&server.url()).await;
    let address = server.url().trim_start_matches("redis://").trim_end_matches('/').to_owned();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(&address), "{error}");
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let error = refused(&format!("redis://{}/", silent.local_addr().unwrap())).await;
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_wrong_password_is_said_and_not_shown() {
    let server = RedisServer::start().await;
    let mut redis = server.connection().await;
    let mut set = redis::cmd("CONFIG");
    let () = set.arg("SET").arg("requirepass").arg("right").query_async(&mut redis).await.unwrap();
    for login in ["", ":secret@"] {
        let error = refused(&server.url().replace("redis://", &format!("redis://{login}"))).await;
        assert!(matches!(error, ConnectError::Forbidden { .. }), "{error}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
    }
    let url = server.url().replace("redis://", "redis://:right@");
    Redis::connect(&url, Limits::default(), PARK, Arc::new(|_| {})).await.unwrap();
}

#[tokio::test]
async fn a_cluster_is_refused() {
    let server = RedisServer::start_with(&["--cluster-enabled", "yes"]).await;
    let error = refused(&server.url()).await;
    assert!(matches!(error, ConnectError::Cluster { .. }), "{error}");
}

/// What is logged while a store connects.
async fn warnings(url: &str) -> String {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(Level::WARN)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let connect = Redis::connect(url, Limits::default(), PARK, Arc::new(|_| {}));
    connect.await.expect("a Redis that answers");
    drop(guard);
    let log = log.0.lock().unwrap().clone();
    String::from_utf8(log).unwrap()
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, some: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(some)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_redis_that_can_lose_events_is_warned_of() {
    assert_eq!(warnings(&RedisServer::start().await.url()).await, "");
    let warned = [
        (["--appendonly", "no"], "set `appendonly yes` and `appendfsync always`"),
        (["--appendfsync", "everysec"], "set `appendfsync always`"),
        (["--maxmemory-policy", "volatile-ttl"], "set `maxmemory-policy noeviction`"),
    ];
    for (settings, said) in warned {
        let log = warnings(&RedisServer::start_with(&settings).await.url()).await;
        assert!(log.contains(said), "{log}");
        assert_eq!(log.lines().count(), 1, "{log}");
    }
}

#[tokio::test]
async fn a_redis_that_does_not_tell_its_settings_is_warned_of() {
    let server = RedisServer::start().await;
    let mut user = redis::cmd("ACL");
    user.arg("SETUSER").arg("server").arg("on").arg(">word").arg("~queue-server:*");
    user.arg("&queue-server:*").arg("+@all").arg("-config").arg("-info");
    user.exec_async(&mut server.connection().await).await.unwrap();
    let no_user = RedisServer::start_with(&["--rename-command", "CONFIG", ""]).await;

    for url in [server.url().replace("redis://", "redis://server:word@"), no_user.url()] {
        let log = warnings(&url).await;
        assert!(log.contains("`CONFIG GET` is forbidden"), "{log}");
        assert_eq!(log.lines().count(), 1, "{log}");
    }
}
