//! Seams: where a layer and the connections of a server are joined.

#[cfg(feature = "axum")]
mod axum;
#[cfg(feature = "axum")]
mod route;
#[cfg(feature = "hyper")]
mod serve;
#[cfg(feature = "hyper")]
mod server;
#[cfg(feature = "tokio-rustls")]
mod tls;
#[cfg(feature = "hyper")]
mod tracked;

use std::sync::Arc;

use tower_layer::Layer;

#[cfg(feature = "tokio-rustls")]
pub use self::tls::TlsListener;
#[cfg(feature = "axum")]
pub use self::{
    axum::{AxumListener, MakeLifecycle, Outermost, UntappedListener, Unwrapped},
    route::{Route, RouteLayer},
};
#[cfg(feature = "hyper")]
pub use self::{
    serve::ServeConnection,
    server::{Accept, Server},
    tracked::{Tracked, TrackedBody},
};
use crate::{
    Connection, ConnectionSummary, Interest, Lifecycle, LifecycleLayer, Observer, UpgradeSummary,
    conn::{self, Context, Hears, Io, Parts, Transport},
    layer::Settings,
};

impl<O: Observer> LifecycleLayer<O> {
    /// Joins the layer to one accepted connection: wraps its stream, and the service that is to serve it.
    ///
    /// For an accept loop over hyper, or a server that lets its streams be replaced. `service` must be called by the server
    /// itself, with nothing around it that holds responses back.
    ///
    /// ```no_run
    /// # use axum::{Router, routing::get};
    /// # #[cfg(feature = "hyper")]
    /// # async fn run() -> std::io::Result<()> {
    /// use hyper_util::{rt::TokioExecutor, server::conn::auto, service::TowerToHyperService};
    /// use tokio::net::TcpListener;
    /// use tower_lifecycle::{Hooks, LifecycleLayer};
    ///
    /// let app: Router = Router::new().route("/", get(async || "Hello"));
    /// let lifecycle = LifecycleLayer::new(Hooks::new().on_close(|summary| println!("{}", summary.close)));
    /// let listener = TcpListener::bind("127.0.0.1:3000").await?;
    /// loop {
    ///     let (stream, _) = listener.accept().await?;
    ///     let (io, service) = lifecycle.connection(stream, app.clone());
    ///     tokio::spawn(async move {
    ///         let builder = auto::Builder::new(TokioExecutor::new());
    ///         builder.serve_connection_with_upgrades(io, TowerToHyperService::new(service)).await
    ///     });
    /// }
    /// # }
    /// ```
    pub fn connection<T: Transport, S>(
        &self,
        stream: T,
        service: S,
    ) -> (Io<T::Io>, Lifecycle<S, O>) {
        let io = self.wrap(stream, false);
        let service = self.layer(service).serving(&io.connection(), false);
        (io, service)
    }

    fn wrap<T: Transport>(&self, stream: T, driven: bool) -> Io<T::Io> {
        let Parts { io, about, watch } = stream.into_parts();
        Io::new(io, self.context(about, watch, driven))
    }

    fn context(
        &self,
        about: conn::About,
        watch: Option<Box<dyn conn::Watch>>,
        driven: bool,
    ) -> Arc<Context> {
        let settings = Arc::clone(&self.settings);
        let (clock, half_close) = (settings.clock.clone(), settings.half_close);
        let timed = settings.tells && settings.interest.contains(Interest::MARKS);
        let (stamped, wakes) = (settings.stamps, settings.tells);
        Context::new(
            conn::Settings { hears: settings, clock, timed, stamped, wakes, half_close, driven },
            about,
            watch,
        )
    }
}

impl<O: Observer> Hears for Settings<O> {
    fn upgrade_closed(&self, summary: &UpgradeSummary) {
        if self.tells {
            self.panics.catch_connection::<O>("on_upgrade_close", || {
                self.observer.on_upgrade_close(summary);
            });
        }
    }

    fn opened(&self, connection: &Connection) {
        if self.tells {
            self.panics.catch_connection::<O>("on_connection_open", || {
                self.observer.on_connection_open(connection);
            });
        }
    }

    fn closed(&self, summary: &ConnectionSummary) {
        if self.tells {
            self.panics.catch_connection::<O>("on_connection_close", || {
                self.observer.on_connection_close(summary);
            });
        }
    }
}

/// A connection that failed before it was accepted is gone. Out of descriptors there is nothing to do but to wait.
#[cfg(any(feature = "hyper", all(feature = "axum", feature = "tokio-rustls")))]
async fn pause(error: &std::io::Error) {
    let of_one = matches!(
        error.kind(),
        std::io::ErrorKind::ConnectionRefused
            | std::io::ErrorKind::ConnectionAborted
            | std::io::ErrorKind::ConnectionReset
    );
    if !of_one {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}
