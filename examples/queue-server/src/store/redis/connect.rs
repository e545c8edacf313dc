//! How the connections to a Redis are made, and what is looked at before it is used.

use std::{future::Future, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, ErrorKind, InfoDict, IntoConnectionInfo,
    ProtocolVersion, RedisError, RedisResult,
    aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection},
    cmd,
    io::tcp::TcpSettings,
};
use tokio::time;

use super::error::{ANSWER, is_forbidden};

const CONNECT: Duration = Duration::from_secs(1);
/// Between attempts to connect again: from, to.
pub(super) const BACK_OFF: (Duration, Duration) =
    (Duration::from_millis(50), Duration::from_secs(1));
/// Commands that wait to be written. More wait to wait.
const PIPELINE: usize = 1024;
/// The first with scripts whose errors keep their code.
const VERSION: u32 = 7;

/// Why a Redis cannot be the store.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL is none. It is not shown, as it may have a password.
    #[error(
        "the URL of the Redis is not valid ({0}); it is like `redis://user:password@host:6379/0`"
    )]
    Url(String),
    /// There is no Redis.
    #[error("no Redis answers at {address}: {reason}; start it, or correct its URL")]
    Unreachable {
        /// Where.
        address: String,
        /// What went wrong.
        reason: String,
    },
    /// There is one, but not for us.
    #[error(
        "the Redis at {address} does not let this user in; correct the user and the password in its URL"
    )]
    Forbidden {
        /// Where.
        address: String,
    },
    /// It is too old.
    #[error("the Redis at {address} is of version {version}; update it to {VERSION}.0 or later")]
    TooOld {
        /// Where.
        address: String,
        /// Which it has.
        version: String,
    },
    /// It is part of a cluster.
    #[error(
        "the Redis at {address} is part of a Redis Cluster, which is not supported; use one that is not"
    )]
    Cluster {
        /// Where.
        address: String,
    },
}

/// What connects to the Redis of this URL.
pub(super) fn client(url: &str) -> Result<Client, ConnectError> {
    let bad = |error: RedisError| ConnectError::Url(error.to_string());
    let info = url.into_connection_info().map_err(bad)?;
    // With this protocol a lost connection is noticed, and replaced, before it is used again.
    let redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    Client::open(info.set_redis_settings(redis).set_tcp_settings(tcp())).map_err(bad)
}

fn tcp() -> TcpSettings {
    let tcp = TcpSettings::default().set_nodelay(true);
    // So that a peer that vanished without a packet is given up before the kernel does, which takes a quarter of an hour.
    #[cfg(target_os = "linux")]
    let tcp = tcp.set_user_timeout(ANSWER);
    tcp
}

/// A connection that replaces itself for as long as it takes. Commands wait for it within their own bound.
pub(super) async fn manager(client: &Client) -> Result<ConnectionManager, ConnectError> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(CONNECT))
        .set_response_timeout(Some(ANSWER))
        .set_min_delay(BACK_OFF.0)
        .set_max_delay(BACK_OFF.1)
        .set_number_of_retries(usize::MAX)
        .set_pipeline_buffer_size(PIPELINE);
    reached(client, client.get_connection_manager_with_config(config)).await
}

/// What was asked of a Redis that is to be there already.
pub(super) async fn reached<T>(
    client: &Client,
    asked: impl Future<Output = RedisResult<T>>,
) -> Result<T, ConnectError> {
    let address = address(client.get_connection_info());
    match time::timeout(ANSWER, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(match error.kind() {
            ErrorKind::AuthenticationFailed => ConnectError::Forbidden { address },
            _ if matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM")) => {
                ConnectError::Forbidden { address }
            }
            ErrorKind::RESP3NotSupported => {
                ConnectError::TooOld { address, version: "5 or older".into() }
            }
            _ => ConnectError::Unreachable { address, reason: error.to_string() },
        }),
        Err(_) => {
            let reason = format!("it did not answer within {ANSWER:?}");
            Err(ConnectError::Unreachable { address, reason })
        }
    }
}

fn address(info: &ConnectionInfo) -> String {
    info.addr().to_string()
}

/// Refuses a Redis that cannot be the store, and warns of one that can lose events. On a connection of its own, which
/// tells at once what is wrong, where the manager would try again.
pub(super) async fn check(client: &Client) -> Result<(), ConnectError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT))
        .set_response_timeout(Some(ANSWER));
    let connect = client.get_multiplexed_async_connection_with_config(&config);
    let mut connection = reached(client, connect).await?;

    let info: RedisResult<InfoDict> = cmd("INFO").arg("server").query_async(&mut connection).await;
    // Who may not ask has to know.
    if let Some(info) = reached(client, async { allowed(info) }).await? {
        let address = address(client.get_connection_info());
        if info.get::<String>("redis_mode").as_deref() == Some("cluster") {
            return Err(ConnectError::Cluster { address });
        }
        let version: String = info.get("redis_version").unwrap_or_default();
        let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        if major.is_some_and(|major| major < VERSION) {
            return Err(ConnectError::TooOld { address, version });
        }
    }
    reached(client, warn(&mut connection)).await
}

/// Says which settings of Redis let it lose what it has acknowledged.
async fn warn(connection: &mut MultiplexedConnection) -> RedisResult<()> {
    let [appendonly, appendfsync, policy] = [
        setting(connection, "appendonly").await?,
        setting(connection, "appendfsync").await?,
        setting(connection, "maxmemory-policy").await?,
    ];
    let (Some(appendonly), Some(appendfsync), Some(policy)) = (appendonly, appendfsync, policy)
    else {
        tracing::warn!(
            "Redis does not tell its settings (`CONFIG GET` is forbidden): see to it that it has `appendonly yes`, \
             `appendfsync always` and `maxmemory-policy noeviction`, or acknowledged events can be lost"
        );
        return Ok(());
    };
    if appendonly != "yes" {
        tracing::warn!(
            "Redis keeps nothing on disk: acknowledged events are lost when it ends; set `appendonly yes` and \
             `appendfsync always` in its configuration"
        );
    } else if appendfsync != "always" {
        tracing::warn!(
            appendfsync,
            "Redis writes to its disk later than it says: acknowledged events can be lost when its machine fails; set \
             `appendfsync always` in its configuration"
        );
    }
    if policy != "noeviction" {
        tracing::warn!(
            policy,
            "Redis may drop queues when it is short of memory; set `maxmemory-policy noeviction` in its configuration"
        );
    }
    Ok(())
}

/// `None` if it does not tell.
async fn setting(
    connection: &mut MultiplexedConnection,
    name: &str,
) -> RedisResult<Option<String>> {
    let mut get = cmd("CONFIG");
    let found: RedisResult<Vec<(String, String)>> =
        get.arg("GET").arg(name).query_async(connection).await;
    Ok(allowed(found)?.and_then(|found| found.into_iter().next()).map(|(_, value)| value))
}

fn allowed<T>(answer: RedisResult<T>) -> RedisResult<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if is_forbidden(&error) => Ok(None),
        Err(error) => Err(error),
    }
}
