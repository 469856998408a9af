//! What reading a request's head and writing an answer's cost: `cargo bench -p outpost-serve`.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use http::StatusCode;
use protocol::cache_status::CacheStatus;
use serve::{
    head::{
        parse::{Limits, Parsed, parse, slots},
        write::{Framing, Head, Persistence, write},
    },
    response::FieldBlock,
};

const CURL: &[u8] = b"GET /pool/main/c/curl/curl_7.88.1-10_amd64.deb HTTP/1.1\r\nHost: ds.example:8080\r\n\
    User-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n";
const BROWSER: &[u8] = b"GET /packages/setup.exe?v=3 HTTP/1.1\r\nHost: ds.example:8080\r\nConnection: keep-alive\r\n\
    Upgrade-Insecure-Requests: 1\r\nUser-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 \
    (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Referer: http://ds.example:8080/packages/\r\nAccept-Encoding: gzip, deflate\r\nAccept-Language: de-DE,de;q=0.9\r\n\
    If-None-Match: \"79054025255fb1a26e4bc422aef54eb4\"\r\n\r\n";

fn heads(criterion: &mut Criterion) {
    let limits = Limits { head_bytes_max: 16 << 10, fields_max: 100 };
    for (name, bytes) in [("parse/curl", CURL), ("parse/browser", BROWSER)] {
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| match parse(black_box(bytes), &mut slots(), &limits) {
                Parsed::Whole(head) => head.len,
                other => panic!("{other:?}"),
            });
        });
    }
    let shared = Bytes::from_static(
        b"Content-Type: application/octet-stream\r\nETag: \"79054025255fb1a26e4bc422aef54eb4\"\r\n\
        Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nAccept-Ranges: bytes\r\n",
    );
    let fields = FieldBlock { shared: Some(shared), own: Vec::new(), dated: false };
    let head = Head {
        status: StatusCode::OK,
        stamp: b"Server: outpost/0.1.0\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
        fields: &fields,
        framing: Framing::Length(123_456),
        persistence: Persistence::Stays,
        cache_status: Some(CacheStatus::Hit),
    };
    let mut out = Vec::new();
    criterion.bench_function("write/hit", |bencher| {
        bencher.iter(|| {
            out.clear();
            write(&mut out, black_box(&head));
            out.len()
        });
    });
}

criterion_group!(benches, heads);
criterion_main!(benches);
