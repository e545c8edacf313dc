//! A second poll on a key.

use tower_lifecycle::park::{Outcome, Refused, Second};

use crate::rig::{NEARLY, SECOND, WITHIN, lot, park};

/// Mistake 3.
#[tokio::test(start_paused = true)]
async fn the_second_poll_supersedes_the_first_which_is_told() {
    let lot = lot(|policy| policy);
    let mut first = park(lot.park_for(1, 1).unwrap());
    let second = lot.park_for(1, 1).unwrap();
    assert_eq!(first.wakes(), 1);
    assert_eq!(first.poll(), Some(Outcome::Superseded));
    let mut second = park(second);
    tokio::time::advance(WITHIN).await;
    assert_eq!(second.poll(), Some(Outcome::Deadline));
}

/// Mistake 2.
#[tokio::test(start_paused = true)]
async fn the_end_of_an_old_poll_does_not_remove_the_new_one() {
    let lot = lot(|policy| policy);
    for old_is_polled in [true, false] {
        let mut old = park(lot.park_for(1, 1).unwrap());
        let mut new = park(lot.park_for(1, 1).unwrap());
        if old_is_polled {
            assert_eq!(old.poll(), Some(Outcome::Superseded));
        }
        drop(old);
        assert_eq!(lot.parked(), 1);
        assert!(lot.wake(&1), "the new one is there");
        assert_eq!((new.wakes(), new.poll()), (1, None));
    }
}

/// Mistakes 2 and 3: the old one's timer is due when the new one is parked.
#[tokio::test(start_paused = true)]
async fn the_timer_of_an_old_poll_does_not_end_the_new_one() {
    let lot = lot(|policy| policy);
    let mut old = park(lot.park_for(1, 1).unwrap());
    tokio::time::advance(NEARLY).await;
    let mut new = park(lot.park_for(1, 1).unwrap());
    tokio::time::advance(SECOND).await;
    assert_eq!((old.poll(), new.poll()), (Some(Outcome::Superseded), None));
    assert_eq!(lot.counts().deadline.parks, 0);
}

#[tokio::test(start_paused = true)]
async fn a_superseded_poll_cannot_supersede_by_being_polled_again() {
    let lot = lot(|policy| policy);
    let slots: Vec<_> = (0..10).map(|_| lot.park_for(1, 1).unwrap()).collect();
    let tokens: std::collections::HashSet<_> =
        slots.iter().map(tower_lifecycle::park::Slot::token).collect();
    assert_eq!(tokens.len(), 10, "no two are the same");
    let mut superseded = 0;
    for slot in slots {
        let wait = slot.wait(SECOND, crate::rig::nothing).await;
        superseded += u32::from(wait == Outcome::Superseded);
    }
    assert_eq!((superseded, lot.parked()), (9, 0));
}

#[tokio::test(start_paused = true)]
async fn a_second_poll_is_refused_where_it_is_to_be() {
    let lot = lot(|policy| policy.second(Second::Reject));
    let mut first = park(lot.park_for(1, 1).unwrap());
    assert_eq!(lot.park_for(1, 1).unwrap_err(), Refused::KeyFull);
    assert_eq!((lot.parked(), lot.counts().key_full), (1, 1));
    assert_eq!((first.wakes(), first.poll()), (0, None), "it hears nothing of it");
    drop(first);
    drop(lot.park_for(1, 1).unwrap());
}

#[tokio::test(start_paused = true)]
async fn so_many_share_a_key_and_a_wake_wakes_them_all() {
    let lot = lot(|policy| policy.second(Second::Share(3)));
    let mut polls: Vec<_> = (0..3).map(|_| park(lot.park_for(1, 1).unwrap())).collect();
    assert_eq!(lot.park_for(1, 1).unwrap_err(), Refused::KeyFull);
    assert!(lot.wake(&1));
    assert!(polls.iter().all(|poll| poll.wakes() == 1));
    polls.remove(1);
    assert_eq!(lot.close(&1), 2);
    for poll in &mut polls {
        assert_eq!(poll.poll(), Some(Outcome::Closed));
    }
    assert_eq!((lot.parked(), lot.close(&1)), (0, 0));
}

#[test]
fn a_key_that_none_may_share_lets_nobody_in() {
    let lot = lot(|policy| policy.second(Second::Share(0)));
    assert_eq!(lot.park_for(1, 1).unwrap_err(), Refused::KeyFull);
    assert_eq!(lot.parked(), 0);
}
