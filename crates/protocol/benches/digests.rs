//! What hashing costs, and that SHA-256 beside MD5 costs next to nothing: `cargo bench -p outpost-protocol`.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use protocol::digest::{DigestsHasher, Md5Hasher};

/// About one piece of a fill.
const PIECE: usize = 256 << 10;

fn digests(criterion: &mut Criterion) {
    let bytes: Vec<u8> = (0..PIECE as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut group = criterion.benchmark_group("digests");
    group.throughput(Throughput::Bytes(PIECE as u64));
    let mut both = DigestsHasher::default();
    group.bench_function("md5 and sha256", |bencher| bencher.iter(|| both.update(black_box(&bytes))));
    let mut md5 = Md5Hasher::default();
    group.bench_function("md5", |bencher| bencher.iter(|| md5.update(black_box(&bytes))));
    let mut other = md5::Md5::default();
    group.bench_function("md5 of the crate md-5", |bencher| {
        bencher.iter(|| md5::Digest::update(&mut other, black_box(&bytes)));
    });
    let mut sha256 = sha2::Sha256::default();
    group.bench_function("sha256 of the crate sha2", |bencher| {
        bencher.iter(|| sha2::Digest::update(&mut sha256, black_box(&bytes)));
    });
    group.finish();
}

criterion_group!(benches, digests);
criterion_main!(benches);
