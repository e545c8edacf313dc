//! Every hook as a closure, and one exchange in memory that calls most of them.
//!
//! `cargo run --example closures`

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, service_fn};
use tower_lifecycle::{Hooks, LifecycleLayer, RequestBody};

async fn echo(
    request: Request<RequestBody<Full<Bytes>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await?.to_bytes();
    Ok(Response::new(Full::new(body)))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Infallible> {
    // Only what has a closure is paid for: a real program has two or three of these.
    let hooks = Hooks::new()
        .on_request_data(|data| println!("on_request_data    {data:?}"))
        .on_request_end(|end| println!("on_request_end     {end:?}"))
        .on_request_error(|failure| println!("on_request_error   {failure:?}"))
        .on_request_close(|close| println!("on_request_close   {close:?}"))
        .on_response(|head| println!("on_response        {}", head.status))
        .on_response_data(|data| println!("on_response_data   {data:?}"))
        .on_response_end(|end| println!("on_response_end    {end:?}"))
        .on_response_error(|failure| println!("on_response_error  {failure:?}"))
        .on_finish(|finish| println!("on_finish          {finish:?}"))
        .on_close(|summary| {
            println!("on_close           {}", summary.close);
            println!("                   marks {:?}", summary.marks);
        });
    let service = LifecycleLayer::new(hooks).layer(service_fn(echo));

    let request =
        Request::post("/echo").body(Full::from("Hello, world!")).expect("a valid request");
    let response = service.oneshot(request).await?;
    let body = response.into_body().collect().await?.to_bytes();
    println!("\nthe client got {} bytes", body.len());
    Ok(())
}
