//! OpenTelemetry in a real server: one span and one sample for every exchange, from its head to its close.
//!
//! This file is the set-up. A client visits the server, so that traces appear by themselves.
//!
//! `cargo run -p tower-lifecycle-example-otel -- --help`

mod app;
mod cli;
mod client;
mod delivery;
mod end;
mod telemetry;
mod terminal;

use std::{error::Error, future::pending, process::ExitCode, sync::Arc, time::Duration};

use clap::Parser as _;
use hyper_util::{client::legacy, rt::TokioExecutor};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tokio::{net::TcpListener, sync::oneshot};
use tower::ServiceBuilder;
use tower_lifecycle::{LifecycleLayer, Server, otel::Otel, semconv::Conventions};

use cli::Cli;
use telemetry::Telemetry;

/// What is still open then is cut off.
const GRACE: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("error: {failed}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<(), Box<dyn Error>> {
    let asked_to_end = end::asked_for()?;
    let bound = TcpListener::bind(cli.listen).await;
    let listener = bound.map_err(|error| format!("cannot listen at {}: {error}", cli.listen))?;
    let address = listener.local_addr()?;
    terminal::say(format_args!("listening on http://{address}"));

    // The SDK, by its standard variables: where spans and metrics go.
    let telemetry = Telemetry::from_env()?;

    // The library: which spans and metrics there are.
    let conventions = Conventions::from_env() // OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS
        .route(client::template)
        .errors(client::error_type);
    let otel = Otel::builder()
        .tracer_provider(&telemetry.tracer_provider)
        .meter_provider(&telemetry.meter_provider)
        .propagator(Arc::new(TraceContextPropagator::new()))
        .conventions(conventions)
        .all_metrics()
        .build();

    // A server. The handles are for `RouteLayer`, by which the outermost layer learns the route.
    let lifecycle = LifecycleLayer::new(otel.clone()).with_handle();
    let (end, ended) = oneshot::channel::<()>();
    let server = Server::new(listener, lifecycle).grace(GRACE).serve_until(app::app(), async {
        let _ = ended.await;
    });
    let server = tokio::spawn(server);

    // A client. `inject` tells the server which span is its parent.
    let client = ServiceBuilder::new()
        .layer(LifecycleLayer::new(otel.clone()).client().known_error::<legacy::Error>())
        .layer(otel.inject())
        .service(legacy::Client::builder(TokioExecutor::new()).build_http());

    let visits = async {
        if cli.no_client {
            return pending().await;
        }
        client::visit(client, address, cli.requests).await;
    };
    tokio::select! {
        () = visits => {}
        signal = asked_to_end => terminal::say(format_args!("{signal}: ending")),
    }

    // First the server, so that the last exchanges are told too.
    drop(end);
    let result = server.await;
    telemetry.shutdown().await;
    if let Err(cut) = result? {
        eprintln!("warning: {cut}");
    }
    Ok(())
}
