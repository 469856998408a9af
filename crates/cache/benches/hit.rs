//! What a whole hit costs without a socket, from a parsed request to an answer that is ready to be sent: `cargo bench -p outpost-cache`.

use std::{fs, hint::black_box, time::Duration};

use cache::{
    Cache,
    options::{Location, Options, UpstreamOptions},
};
use criterion::{Criterion, criterion_group, criterion_main};
use http::Method;
use serve::{
    handler::{Answer, Client, Handler},
    request::{Announced, Fields, Request},
};
use store::{Limit, Store};
use tokio::runtime::Runtime;

/// Nothing is looked at again while it is measured.
const RECHECK: Duration = Duration::from_secs(3600);

fn request<'a>(target: &'a str, fields: &'a [httparse::Header<'a>]) -> Request<'a> {
    Request {
        method: Method::GET,
        target: target.as_bytes(),
        http11: true,
        fields: Fields::new(fields),
        body: Announced::None,
    }
}

fn hits(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let directory = tempfile::tempdir().expect("a directory");
    let share = directory.path().join("share");
    fs::create_dir(&share).expect("a directory");
    let cache = {
        let _inside = runtime.enter();
        let limits = (Limit::Bytes(1 << 30), Limit::Bytes(0));
        let options = store::Options {
            max_size: limits.0,
            min_free: limits.1,
            ..store::Options::new(directory.path().join("cache"))
        };
        let store = Store::open(options).expect("it opens");
        let upstream = UpstreamOptions::new("share", "/", Location::Directory(share.clone()));
        let options = Options::new(vec![UpstreamOptions { recheck: RECHECK, ..upstream }]);
        Cache::new(options, store, runtime.handle().clone()).expect("it starts")
    };
    let fields = [
        httparse::Header { name: "Host", value: b"ds.example:8080" },
        httparse::Header { name: "User-Agent", value: b"curl/7.88.1" },
        httparse::Header { name: "Accept", value: b"*/*" },
    ];
    let client = Client { address: ([127, 0, 0, 1], 40_000).into(), connection: 1, secure: false };
    for (target, len) in [("/1k", 1 << 10), ("/1m", 1 << 20)] {
        fs::write(share.join(&target[1..]), vec![7; len]).expect("a file of the share");
        // The first is a miss; it is a hit when its fill is committed, behind the answer.
        while let Answer::Later(answer) = cache.answer(&request(target, &fields), &client) {
            drop(runtime.block_on(answer));
        }
        criterion.bench_function(&format!("hit{target}"), |bencher| {
            bencher.iter(|| match cache.answer(black_box(&request(target, &fields)), &client) {
                Answer::Now(response) => response,
                Answer::Later(_) | Answer::Preceded(..) | Answer::Reads(_) => panic!("it is in the cache"),
            });
        });
    }
    runtime.block_on(cache.close());
}

criterion_group!(benches, hits);
criterion_main!(benches);
