//! What hashing costs, and that SHA-256 beside MD5 costs next to nothing: `cargo bench -p outpost-protocol`.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use protocol::{
    digest::{DigestsHasher, Md5Hasher},
    pieces::{PiecesHasher, piece_size},
};

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

/// What it costs an origin to make the digests of pieces in the same reading; and a reader to check one, by the size of it.
fn pieces(criterion: &mut Criterion) {
    let bytes: Vec<u8> = (0..(8_u32 << 20)).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut group = criterion.benchmark_group("pieces");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("digests of a file", |bencher| {
        bencher.iter(|| {
            let mut both = DigestsHasher::default();
            black_box(&bytes).chunks(1 << 20).for_each(|block| both.update(block));
            both.finish()
        });
    });
    group.bench_function("and of its pieces", |bencher| {
        bencher.iter(|| {
            let mut hasher = PiecesHasher::new(bytes.len() as u64);
            black_box(&bytes).chunks(1 << 20).for_each(|block| hasher.update(block));
            hasher.finish()
        });
    });
    for size in [256 << 10, 512 << 10, piece_size(1), 2 << 20, 4 << 20] {
        group.bench_function(format!("sha256 of pieces of {} KiB", size >> 10), |bencher| {
            bencher.iter(|| {
                for piece in black_box(&bytes).chunks(size as usize) {
                    black_box(<sha2::Sha256 as sha2::Digest>::digest(piece));
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, digests, pieces);
criterion_main!(benches);
