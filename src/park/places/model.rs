//! Who parks while the lot is closed, and two who park on one key. `scripts/loom` runs these.

use loom::thread;

use super::{Arc, Places, Refused, Seat, Second, Signal, Token};

type Lot = loom::sync::Arc<Places<u8, ()>>;

fn sit(places: &Lot, token: u64) -> thread::JoinHandle<Result<Option<Token>, Refused>> {
    let places = loom::sync::Arc::clone(places);
    thread::spawn(move || {
        let excess = places.count(&(), 10, usize::MAX);
        let seat = Arc::new(Seat { token: Token(token), signal: Signal::new() });
        let before = places.sit(0, seat, Second::Supersede, excess)?;
        Ok(before.map(|before| before.token))
    })
}

#[test]
fn who_parks_while_the_lot_is_closed_is_refused_or_seen() {
    loom::model(|| {
        let places = Lot::new(Places::new());
        let parks = sit(&places, 1);
        places.close();
        let seen = places.all().len();
        match parks.join().unwrap() {
            Ok(_) => assert_eq!(seen, 1, "parked and missed"),
            Err(refused) => assert_eq!((refused, seen), (Refused::Draining, 0)),
        }
    });
}

#[test]
fn of_two_who_park_on_one_key_one_supersedes_the_other_and_neither_removes_the_other() {
    loom::model(|| {
        let places = Lot::new(Places::new());
        let both = [sit(&places, 1), sit(&places, 2)];
        let before: Vec<_> = both.into_iter().map(|parks| parks.join().unwrap().unwrap()).collect();
        let (first, last) = match *before {
            [None, Some(Token(1))] => (1, 2),
            [Some(Token(2)), None] => (2, 1),
            _ => panic!("{before:?}"),
        };
        places.stand(&0, Token(first));
        assert_eq!(places.on(&0).map(|seat| seat.token.0).collect::<Vec<_>>(), [last]);
        places.stand(&0, Token(last));
        assert_eq!(places.all().len(), 0);
        assert!(!places.uncount(&(), usize::MAX));
        assert!(places.uncount(&(), usize::MAX), "the last one");
    });
}
