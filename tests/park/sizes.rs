//! What one park takes: bytes, and allocations.

use std::mem::{size_of, size_of_val};

use allocation_counter::measure;
use tower_lifecycle::park::{Lot, Policy, Slot};

use crate::rig::{WITHIN, nothing};

/// Of what a handler's future holds while it waits the timer of tokio is more than half.
#[test]
fn a_park_is_small() {
    let lot: Lot<u128> = Lot::new(Policy::new());
    let slot = lot.park(1).unwrap();
    let future = size_of_val(&slot.wait(WITHIN, nothing));
    let slot = size_of::<Slot<u128>>();
    println!("slot {slot}, future {future}");
    assert!(slot <= 96, "{slot}");
    assert!(future <= 320, "{future}");
}

#[tokio::test(start_paused = true)]
async fn a_park_allocates_twice_for_itself_at_most() {
    let lot: Lot<u128> = Lot::new(Policy::new());
    let park = || drop(lot.park(1).unwrap());
    park();
    let first = measure(park);
    assert_eq!(first.count_total, 1, "its seat, in a map that has room");
    println!("a seat: {} bytes", first.bytes_total);
    assert_eq!(first.count_current, 0);
}
