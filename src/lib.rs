#![doc = "docs"]
#![forbid(unsafe_code)]

mod body;
mod clock;
mod close;
mod event;
mod exchange;
mod future;
mod layer;
pub mod observe;
mod service;

pub use self::{
    body::{RequestBody, ResponseBody},
    close::{Close, Evidence, Initiator, Reason, Stage},
    event::{Data, End, Failure, Finish, RequestClose, RequestHead, ResponseHead},
    exchange::{Mark, Marks, Summary, Transfer},
    future::ResponseFuture,
    layer::LifecycleLayer,
    observe::{BoxObserver, Hooks, Interest, Listener, Observer, ObserverPanic},
    service::Lifecycle,
};
