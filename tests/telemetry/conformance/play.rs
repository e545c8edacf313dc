//! The client of a row.

use tower_lifecycle::testing::{Client, Http2Frame};

use super::rows::{AGENT, Phase, Row};
use crate::support::site::Site;

impl Row {
    /// What is left of the client.
    pub(crate) async fn play(&self, site: &Site) -> Client {
        let mut client = Client::connect(site.addr).await.unwrap();
        if self.version() == "2" {
            self.play_http2(site, &mut client).await;
        } else {
            self.play_http1(site, &mut client).await;
        }
        client
    }

    async fn play_http1(&self, site: &Site, client: &mut Client) {
        let mut head =
            format!("{}\r\nhost: localhost\r\nuser-agent: {AGENT}\r\n{}", self.ask, self.headers);
        if self.body.is_some() && !head.contains("transfer-encoding") {
            head.push_str("content-length: 10\r\n");
        }
        if self.status != Some(101) {
            head.push_str("connection: close\r\n");
        }
        let body = self.body.unwrap_or_default();
        client.send(format!("{head}\r\n{body}")).await.unwrap();
        match self.leaves {
            Some(Phase::Upload | Phase::Handler) => site.waits().await,
            Some(Phase::Response) => drop(client.read_until("xxxxx").await.unwrap()),
            None if self.is_upgraded() => drop(client.read_until("\r\n\r\n").await.unwrap()),
            // It may be broken off.
            None => drop(client.read_to_end().await),
        }
        client.close().unwrap();
    }

    async fn play_http2(&self, site: &Site, client: &mut Client) {
        let length = self.body.map(|_| ("content-length", "10"));
        let headers = length.into_iter().chain([("user-agent", AGENT)]);
        let is_whole = self.body.is_none();
        client.request(1, self.method(), self.target(), headers, is_whole).await.unwrap();
        if let Some(body) = self.body {
            client.data(1, body, self.leaves.is_none()).await.unwrap();
        }
        match self.leaves {
            Some(Phase::Upload | Phase::Handler) => site.waits().await,
            Some(Phase::Response) => {
                client.read_frames_until(|frame| frame.kind == Http2Frame::DATA).await.unwrap();
            }
            // It may be broken off.
            None => drop(
                client.read_frames_until(|frame| frame.stream == 1 && frame.ends_stream()).await,
            ),
        }
        if self.leaves.is_some() {
            client.rst_stream(1, Http2Frame::CANCEL).await.unwrap();
        }
    }

    fn is_upgraded(&self) -> bool {
        self.status == Some(101) || self.method() == "CONNECT"
    }
}
