//! Wake-ups: what other servers on the same Redis have changed.

use std::{str, time::Duration};

use futures_util::StreamExt as _;
use redis::{
    Client, Msg, Value,
    aio::{ConnectionManager, PubSub},
    cmd,
};
use tokio::time;

use super::{
    connect::{BACK_OFF, ConnectError, reached},
    error::{ANSWER, within},
};
use crate::store::{Notice, OnNotice};

/// As in `scripts/layout.lua`.
const CHANNEL: &str = "queue-server:look";
/// How often a silent connection is asked whether it lives.
const ASK: Duration = Duration::from_secs(10);

pub(super) struct Listener {
    pub(super) client: Client,
    pub(super) connection: ConnectionManager,
    pub(super) on_notice: OnNotice,
}

impl Listener {
    /// The first subscription, which has missed nothing.
    pub(super) async fn subscribe(&self) -> Result<PubSub, ConnectError> {
        reached(&self.client, async {
            let mut subscribed = self.client.get_async_pubsub().await?;
            subscribed.subscribe(CHANNEL).await?;
            Ok(subscribed)
        })
        .await
    }

    /// Passes wake-ups on, for ever.
    pub(super) async fn listen(self, mut subscribed: PubSub) {
        loop {
            self.relay(subscribed).await;
            tracing::warn!("the connection to Redis is lost; connecting again");
            subscribed = self.resubscribe().await;
            tracing::info!("connected to Redis again");
            (self.on_notice)(Notice::LookAtAll);
        }
    }

    /// Until the connection is lost.
    async fn relay(&self, subscribed: PubSub) {
        let (mut asks, mut messages) = subscribed.split();
        let lives = async {
            loop {
                time::sleep(ASK).await;
                // Asked too, so that it is replaced while nobody needs it.
                let _ = self.ping().await;
                if !matches!(time::timeout(ANSWER, asks.ping::<Value>()).await, Ok(Ok(_))) {
                    return;
                }
            }
        };
        let passes_on = async {
            while let Some(message) = messages.next().await {
                if let Some(notice) = notice(&message) {
                    (self.on_notice)(notice);
                }
            }
        };
        tokio::select! {
            () = lives => {}
            () = passes_on => {}
        }
    }

    async fn resubscribe(&self) -> PubSub {
        let (mut delay, longest) = BACK_OFF;
        loop {
            match self.subscribe().await {
                // The commands' connection is back too, when everybody looks.
                Ok(subscribed) if self.ping().await => return subscribed,
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "cannot subscribe"),
            }
            time::sleep(delay).await;
            delay = (delay * 2).min(longest);
        }
    }

    async fn ping(&self) -> bool {
        let mut connection = self.connection.clone();
        within(cmd("PING").exec_async(&mut connection)).await.is_ok()
    }
}

/// A queue and its newest id, which nobody needs: who is woken reads.
fn notice(message: &Msg) -> Option<Notice> {
    let text = str::from_utf8(message.get_payload_bytes()).ok()?;
    let (queue, _newest) = text.split_once(' ')?;
    queue.parse().ok().map(Notice::Look)
}
