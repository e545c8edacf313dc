//! What the parts cost of which any observing layer is made: the floor under the numbers of `overhead`.
//!
//! `cargo bench -p tower-lifecycle-benches --bench baseline`

use std::{
    hint::black_box,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::Instant,
};

use criterion::{Criterion, criterion_group, criterion_main};
use tower_lifecycle_benches::{Subject, Tally};

/// About what a layer remembers of an exchange.
type Memory = [u64; 32];

#[expect(clippy::disallowed_methods, reason = "the clock's own cost")]
fn clock(criterion: &mut Criterion) {
    criterion.bench_function("Instant::now", |bencher| bencher.iter(Instant::now));
    let start = Instant::now();
    criterion.bench_function("Instant::elapsed", |bencher| bencher.iter(|| start.elapsed()));
}

fn memory(criterion: &mut Criterion) {
    let memory: Memory = [0; 32];
    criterion.bench_function("Arc::new and drop, 256 bytes", |bencher| {
        bencher.iter(|| Arc::new(black_box(memory)));
    });
    let shared = Arc::new(memory);
    criterion.bench_function("Arc::clone and drop", |bencher| {
        bencher.iter(|| Arc::clone(black_box(&shared)));
    });
}

fn exclusion(criterion: &mut Criterion) {
    let mutex = Mutex::new(0_u64);
    criterion.bench_function("Mutex::lock, uncontended", |bencher| {
        bencher.iter(|| mutex.lock().map(|mut inside| *inside += 1).is_ok());
    });
    let turn = AtomicU8::new(0);
    criterion.bench_function("compare-exchange there and back", |bencher| {
        bencher.iter(|| {
            let there = turn.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed);
            let back = turn.compare_exchange(1, 0, Ordering::Release, Ordering::Relaxed);
            (there, back)
        });
    });
    let counter = AtomicU64::new(0);
    criterion.bench_function("atomic load and store", |bencher| {
        bencher.iter(|| {
            let sum = counter.load(Ordering::Relaxed).wrapping_add(1);
            counter.store(sum, Ordering::Relaxed);
        });
    });
}

fn calls(criterion: &mut Criterion) {
    // Through a pointer, or the compiler sees that nothing can unwind.
    let hook: fn(&mut Tally) = black_box(|tally| _ = black_box(tally));
    let mut tally = Tally::default();
    criterion.bench_function("call", |bencher| bencher.iter(|| hook(&mut tally)));
    criterion.bench_function("catch_unwind around the call", |bencher| {
        bencher.iter(|| catch_unwind(AssertUnwindSafe(|| hook(&mut tally))).is_ok());
    });
    let virtual_call: Box<dyn Fn(u64) -> u64> = Box::new(|count| count.wrapping_add(1));
    let virtual_call = black_box(virtual_call);
    criterion.bench_function("virtual call", |bencher| {
        bencher.iter(|| virtual_call(black_box(1)));
    });
}

fn exchange(criterion: &mut Criterion) {
    for chunks in [1, 16] {
        let mut run = Subject::Bare.prepare(chunks);
        criterion.bench_function(&format!("bare exchange, k={chunks}"), |bencher| {
            bencher.iter(|| run(1));
        });
    }
}

criterion_group!(benches, clock, memory, exclusion, calls, exchange);
criterion_main!(benches);
