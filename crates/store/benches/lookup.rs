//! What a hit looks up: a name among a million, an object among a thousand: `cargo bench -p outpost-store`.

use std::{hint::black_box, path::Path};

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use protocol::digest::Md5;
use store::{Fill, FillSpec, Limit, Lookup, Options, Store};
use tokio::runtime::Runtime;

const NAMES: u64 = 1_000_000;

/// Each is a file that is synced.
const OBJECTS: u64 = 1_000;

fn open(runtime: &Runtime, directory: &Path) -> Store {
    let _inside = runtime.enter();
    let limits = (Limit::Bytes(1 << 40), Limit::Bytes(0));
    let options = Options { max_size: limits.0, min_free: limits.1, ..Options::new(directory.join("cache")) };
    Store::open(options).expect("it opens")
}

/// One more object, from lookup to commit.
async fn put(store: &Store, number: u64) -> Md5 {
    let bytes = Bytes::from(number.to_le_bytes().repeat(128));
    let md5 = Md5::of(&bytes);
    let Lookup::Miss(vacancy) = store.lookup(&md5) else { panic!("it is not there yet") };
    let spec = FillSpec { len: Some(bytes.len() as u64), ..FillSpec::default() };
    let mut fill: Fill = vacancy.begin(spec).await.expect("it begins");
    fill.push(bytes).await.expect("it takes the bytes");
    fill.verify(true).await.expect("it is right").commit().await.expect("it is durable");
    md5
}

/// In an order that no cache of a processor can guess.
fn scattered(round: &mut u64, of: u64) -> u64 {
    *round = round.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    (*round >> 33) % of
}

fn name(number: u64) -> String {
    format!("origin\0/pool/main/{number:09}/package.deb")
}

fn lookups(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(&runtime, directory.path());
    let objects: Vec<_> = runtime.block_on(async {
        let mut objects = Vec::new();
        for number in 0..OBJECTS {
            objects.push(put(&store, number).await);
        }
        objects
    });
    let mut round = 1;
    criterion.bench_function("lookup/object among 1,000, its file open", |bencher| {
        bencher.iter(|| match store.lookup(&objects[scattered(&mut round, OBJECTS) as usize]) {
            Lookup::Hit(reader) => black_box(reader),
            Lookup::Filling(_) | Lookup::Miss(_) => panic!("it was put in"),
        });
    });
    for number in 0..NAMES {
        store.names().put(name(number).as_bytes(), &objects[(number % OBJECTS) as usize], &[7; 40]);
    }
    let names: Vec<_> = (0..NAMES / 16).map(|number| name(number * 16)).collect();
    criterion.bench_function("lookup/name among 1,000,000", |bencher| {
        bencher.iter(|| {
            let name = &names[scattered(&mut round, names.len() as u64) as usize];
            store.names().read(name.as_bytes(), |md5, meta| (*md5, meta.len())).expect("it was put in")
        });
    });
    runtime.block_on(store.close());
}

criterion_group!(benches, lookups);
criterion_main!(benches);
