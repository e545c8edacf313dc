//! The time of one exchange for each subject, in memory: the same exchanges whose instructions `scripts/instructions`
//! counts.
//!
//! `cargo bench -p tower-lifecycle-benches --bench overhead`

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use tower_lifecycle_benches::Subject;

fn overhead(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("overhead");
    for subscribes in [false, true] {
        for chunks in [1, 16] {
            for subject in Subject::ALL.iter().filter(|subject| subject.subscribes() == subscribes)
            {
                let id = BenchmarkId::new(subject.name(), chunks);
                group.bench_function(id, |bencher| {
                    let mut run = subject.prepare(chunks);
                    bencher.iter(|| run(1));
                });
            }
        }
    }
    group.finish();
}

criterion_group!(benches, overhead);
criterion_main!(benches);
