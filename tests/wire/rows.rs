//! Every row of the table: what its client receives, frame by frame over HTTP/2, how its connection ends, what its handlers
//! read and what hyper says is the same through a seam.

use crate::{
    served::{Case, undated},
    support::{
        rows::{self, Row, SERVICE_FAILED, run},
        seams::Seam,
    },
    tally::Tally,
};

#[test]
fn hyper_serves_every_row_as_it_would_without_a_seam() {
    for row in rows::all() {
        let case = Case::from(&row);
        let bare = run(case.over_hyper(undated(), None));
        for seam in Seam::DRIVEN {
            let tally = Tally::default();
            for (name, layer) in case.layers(&tally) {
                let seen = run(case.over_hyper(undated(), Some((seam, &layer))));
                assert_eq!(seen, bare, "{}, {seam:?}, {name}", row.name);
            }
            assert!(tally.counts().hooks > 0, "{}", row.name);
        }
    }
}

#[test]
fn axum_serves_every_row_as_it_would_without_its_seam() {
    // An axum service does not fail.
    let infallible = |row: &Row| row.exchanges.iter().all(|is| is.verdict != SERVICE_FAILED);
    for row in rows::all().iter().filter(|row| infallible(row)) {
        let case = Case::from(row);
        let bare = run(case.over_axum(None));
        let tally = Tally::default();
        for (name, layer) in case.layers(&tally) {
            let seen = run(case.over_axum(Some(&layer)));
            assert_eq!(seen.received, bare.received, "{}, {name}", row.name);
            assert_eq!(seen.read, bare.read, "{}, {name}", row.name);
        }
        assert!(tally.counts().hooks > 0, "{}", row.name);
    }
}
