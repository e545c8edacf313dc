//! The body wrappers: they report what passes, and pass it on as it is.

mod errors;
mod framing;
mod request;
mod response;
mod tap;

pub(crate) use self::{
    errors::ErrorTypes,
    framing::{Framing, RequestLine, Start},
    tap::Tap,
};
pub use self::{request::RequestBody, response::ResponseBody};
