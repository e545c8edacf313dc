//! Panics on purpose, which print nothing.

use std::{
    any::Any,
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

use tower_lifecycle::testing::PANIC;

/// That a panic on purpose passed.
#[derive(Debug)]
pub struct Scripted;

/// Panics as the bodies of the test kit do, and prints nothing once [`quiet`] was called.
pub fn boom() -> ! {
    panic::panic_any(PANIC)
}

/// Lets panics on purpose go unprinted. All others print as ever, so that a failing test says why.
pub fn quiet() {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !is_scripted(info.payload()) {
                print(info);
            }
        }));
    });
}

/// Runs `user` and catches a panic on purpose; any other goes on.
pub fn catch<T>(user: impl FnOnce() -> T) -> Result<T, Scripted> {
    panic::catch_unwind(AssertUnwindSafe(user)).map_err(|payload| {
        if is_scripted(&*payload) { Scripted } else { panic::resume_unwind(payload) }
    })
}

fn is_scripted(payload: &(dyn Any + Send)) -> bool {
    payload.downcast_ref::<&str>() == Some(&PANIC)
}

/// Drops `value` while the thread unwinds, as what lives in a task that panics is dropped.
pub fn drop_unwinding<T>(value: T) {
    let unwound = catch(move || {
        let _held = value;
        boom()
    });
    assert!(unwound.is_err(), "a panic goes on after the drop");
}
