//! What the program does, seen through its HTTP interface: the same on each store, and on two servers of one store.
//!
//! Written from the contract, not from the code: what is named here is what a client may rely on.

#[path = "../support/redis.rs"]
#[expect(dead_code, reason = "the tests of the Redis store need more of it")]
mod redis_server;

/// Makes of each behaviour a test on every stage.
macro_rules! on_every_stage {
    ($($(#[$ignored:meta])? $behaviour:ident),+ $(,)?) => {
        $(mod $behaviour {
            use crate::{stage::Stage, world::bounded};

            #[tokio::test]
            $(#[$ignored])?
            async fn on_the_embedded_store() {
                bounded(super::$behaviour(Stage::Embedded)).await;
            }

            #[tokio::test]
            $(#[$ignored])?
            async fn on_redis() {
                bounded(super::$behaviour(Stage::Redis)).await;
            }

            #[tokio::test]
            $(#[$ignored])?
            async fn on_redis_with_two_servers() {
                bounded(super::$behaviour(Stage::TwoServers)).await;
            }
        })+
    };
}

mod answer;
mod auth;
mod defects;
mod delete;
mod drain;
mod expiry;
mod input;
mod inspector;
mod leave;
mod limits;
mod overflow;
mod park;
mod paused;
mod poll;
mod races;
mod register;
mod secrets;
mod send;
mod send_input;
mod sizes;
mod stage;
mod status;
mod supersede;
mod unknown;
mod world;
