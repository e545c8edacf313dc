//! The request's body as a handler reads it, or lets it be read.

use std::{pin::pin, sync::Arc};

use futures_util::FutureExt;
use http_body_util::BodyExt;
use tokio::{
    sync::Mutex,
    task::{self, AbortHandle},
};

use super::{BoxError, body::AnyBody};
use crate::journal::Page;

pub(super) struct Input {
    /// Shared with the task that reads it when nobody looks.
    body: Arc<Mutex<AnyBody>>,
    flowing: Option<AbortHandle>,
    page: Page,
}

impl Input {
    pub(super) fn new(body: AnyBody, page: Page) -> Self {
        Self { body: Arc::new(Mutex::new(body)), flowing: None, page }
    }

    /// To its end.
    pub(super) async fn read(&mut self) -> Result<(), BoxError> {
        self.pause();
        drain(&self.body).await.inspect_err(|_| self.page.tell("app.body_failed"))?;
        self.page.tell("app.body_end");
        Ok(())
    }

    /// So many frames of data, and whether there were as many. The rest may come later.
    pub(super) async fn read_frames(&mut self, count: usize) -> Result<bool, BoxError> {
        self.pause();
        let mut left = count;
        while left > 0 {
            let Some(frame) = self.body.lock().await.frame().await else { return Ok(false) };
            left -= usize::from(frame?.is_data());
        }
        Ok(true)
    }

    /// Asks for the first of it, for whoever waits for `100 Continue`.
    pub(super) async fn ask(&mut self) {
        let body = Arc::clone(&self.body);
        let mut body = body.lock().await;
        let _ = pin!(body.frame()).now_or_never();
        drop(body);
        // The connection has to look after this task before there is an answer.
        task::yield_now().await;
    }

    /// Lets it be read and forgotten, by a task.
    pub(super) fn flow(&mut self) {
        let body = Arc::clone(&self.body);
        let task = tokio::spawn(async move {
            let _ = drain(&body).await;
        });
        self.flowing = Some(task.abort_handle());
    }

    pub(super) fn pause(&mut self) {
        if let Some(task) = self.flowing.take() {
            task.abort();
        }
    }
}

async fn drain(body: &Mutex<AnyBody>) -> Result<(), BoxError> {
    while let Some(frame) = body.lock().await.frame().await {
        frame?;
    }
    Ok(())
}
