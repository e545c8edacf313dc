//! Reading a body before its poll is parked.

use std::error::Error;

use bytes::Bytes;
use http_body_util::{Empty, Full};
use tower_lifecycle::{
    park::{DrainError, drain_or_reject},
    testing::{HintClaim, MockBody, Step},
};

use crate::support::polls::now;

#[test]
fn a_body_is_read_to_its_end_if_it_is_small_enough() {
    assert_eq!(now(drain_or_reject(Empty::<Bytes>::new(), 0)), Ok(0));
    for (limit, read) in [(6, Ok(5)), (5, Ok(5)), (4, Err(DrainError::TooLarge { limit: 4 }))] {
        assert_eq!(now(drain_or_reject(Full::<Bytes>::from("hello"), limit)), read);
    }
}

#[test]
fn a_body_that_does_not_say_how_large_it_is_is_read_up_to_the_limit() {
    let body =
        || MockBody::new(&[Step::Data(3), Step::Data(3), Step::Trailers]).hint(HintClaim::Unknown);
    assert_eq!(now(drain_or_reject(body(), 6)).unwrap(), 6);
    let error = now(drain_or_reject(body(), 5)).unwrap_err();
    assert!(matches!(error, DrainError::TooLarge { limit: 5 }), "{error}");
    assert!(error.to_string().contains("larger than 5 bytes"));
}

#[test]
fn of_a_body_that_declares_too_much_nothing_is_read() {
    let body = MockBody::new(&[Step::Panic]).hint(HintClaim::AtLeast(4));
    assert!(matches!(now(drain_or_reject(body, 3)), Err(DrainError::TooLarge { .. })));
}

#[test]
fn an_error_of_the_body_is_handed_on() {
    let error = now(drain_or_reject(MockBody::fails_after(1), 100)).unwrap_err();
    assert!(matches!(error, DrainError::Body(_)), "{error}");
    let error: DrainError<std::io::Error> = DrainError::Body(std::io::ErrorKind::TimedOut.into());
    assert!(error.source().is_some());
}
