//! What Redis answers, as what a store says.

use std::{future::Future, time::Duration};

use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind};
use tokio::time;

use crate::store::StoreError;

/// How long a command may take, with all waiting for a connection. A disk that is slow to sync has to fit.
pub(super) const ANSWER: Duration = Duration::from_secs(3);

/// The one bound of every command.
pub(super) async fn within<T>(
    answer: impl Future<Output = RedisResult<T>> + Send,
) -> Result<T, StoreError> {
    match time::timeout(ANSWER, answer).await {
        Ok(answer) => answer.map_err(|error| said(&error)),
        Err(_) => Err(StoreError::Unavailable(format!("Redis did not answer within {ANSWER:?}"))),
    }
}

/// The texts of Redis are left out: some quote the arguments of a command, and so the ids of queues.
fn said(error: &RedisError) -> StoreError {
    let number = || error.detail().and_then(|detail| detail.trim().parse::<i64>().ok());
    match (error.code().unwrap_or_default(), number()) {
        ("NOTFOUND", _) => return StoreError::NotFound,
        ("OVERFLOWED", _) => return StoreError::Overflowed,
        ("SUPERSEDED", _) => return StoreError::Superseded,
        ("PRUNED", Some(seen)) => return StoreError::Pruned(seen),
        ("UNKNOWN", Some(seen)) => return StoreError::UnknownEvent(seen),
        ("TOOMANY", Some(count)) => {
            return StoreError::TooManyQueues(usize::try_from(count).unwrap_or(usize::MAX));
        }
        _ => {}
    }
    if error.is_io_error() {
        return StoreError::Unavailable(format!("the connection to Redis failed: {error}"));
    }
    match error.code() {
        Some(code) => by_code(code, error),
        None if error.kind() == ErrorKind::AuthenticationFailed => by_code("WRONGPASS", error),
        None => StoreError::Failed(format!("Redis was not understood: {}", error.category())),
    }
}

fn by_code(code: &str, error: &RedisError) -> StoreError {
    let what = match code {
        "BUSY" => "it runs a script of somebody else that does not end: `SCRIPT KILL` ends it",
        "LOADING" => "it reads its data from disk, and will be back",
        "MASTERDOWN" => "it is a replica that has lost its master",
        "MISCONF" => "it cannot write to its disk: see its log",
        "NOAUTH" | "NOPERM" | "WRONGPASS" => {
            "it does not let this user do this: correct the user in the URL, or its ACL"
        }
        "NOREPLICAS" => "it has fewer replicas than its `min-replicas-to-write`",
        "OOM" => "it has no memory left: raise its `maxmemory`",
        "READONLY" => "it is a replica: give the URL of its master",
        _ => return StoreError::Failed(format!("Redis says {code}{}", place(error))),
    };
    StoreError::Unavailable(format!("Redis says {code}: {what}"))
}

/// The line of the script that failed.
fn place(error: &RedisError) -> String {
    let line = error.detail().and_then(|detail| detail.rsplit_once("user_script:")).map(|at| at.1);
    let digits = line.map(|line| line.chars().take_while(char::is_ascii_digit).collect::<String>());
    digits.map_or_else(String::new, |line| format!(" at line {line} of a script"))
}

/// Whether it says no to the command as such: its access list, or a command renamed away.
pub(super) fn is_forbidden(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Server(ServerErrorKind::NoPerm | ServerErrorKind::ResponseError)
    )
}
