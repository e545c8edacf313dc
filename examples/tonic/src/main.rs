//! gRPC by tonic: the status of each call, also of those whose client leaves before there is one.
//!
//! The service is tonic's own for health checks. Its `Check` is answered at once, its `Watch` is a stream without an end.
//!
//! `cargo run -p tower-lifecycle-example-tonic`

use std::{error::Error, time::Duration};

use tokio::{net::TcpListener, sync::mpsc, time};
use tonic::{Code, service::Routes, transport::Endpoint};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower_lifecycle::{Class, Classifier, FailureClass, Hooks, LifecycleLayer, Reason, Server};

/// Of the service with this name; the empty one is the server as a whole.
fn health_of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

async fn story() -> Result<(), Box<dyn Error>> {
    let (tell, mut told) = mpsc::unbounded_channel();
    let observer = Hooks::new().on_close(move |summary| {
        let call = summary.uri.as_ref().and_then(|uri| uri.path().rsplit('/').next());
        let code = summary.grpc_status.and_then(|code| i32::try_from(code).ok()).map(Code::from);
        let class = Classifier::new().classify(summary);
        println!("  {}: {code:?}, {class:?}, {}", call.unwrap_or_default(), summary.close);
        let _ = tell.send((code, class, summary.close.reason));
    });
    let (_reporter, health) = tonic_health::server::health_reporter();
    let app = Routes::new(health).prepare().into_axum_router();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    tokio::spawn(Server::new(listener, LifecycleLayer::new(observer)).serve(app));

    let channel = Endpoint::new(format!("http://{addr}"))?.connect().await?;
    let mut client = HealthClient::new(channel);

    println!("A call");
    client.check(health_of("")).await?;
    assert_eq!(told.recv().await, Some((Some(Code::Ok), Class::Success, Reason::Complete)));

    println!("\nA call that is refused");
    let refused = client.check(health_of("nobody")).await;
    assert_eq!(refused.map_err(|status| status.code()).err(), Some(Code::NotFound));
    let not_found = Class::Failure(FailureClass::Grpc(5));
    assert_eq!(told.recv().await, Some((Some(Code::NotFound), not_found, Reason::Complete)));

    println!("\nA stream whose client leaves");
    let mut watch = client.watch(health_of("")).await?.into_inner();
    let health = watch.message().await?.ok_or("a stream without an end has ended")?;
    println!("  client has {:?}", health.status());
    drop(watch);
    assert_eq!(told.recv().await, Some((None, Class::Cancelled, Reason::StreamReset)));
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let told = time::timeout(Duration::from_secs(10), story()).await;
    told.map_err(|_| "the story does not come to its end")?
}
