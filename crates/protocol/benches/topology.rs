//! What it costs to tell where a machine is and whom it asks, in a tree of 10,000 domains with 100,000 ranges: `cargo bench -p outpost-protocol --bench topology`.

use std::{hint::black_box, net::IpAddr};

use criterion::{Criterion, criterion_group, criterion_main};
use ipnet::IpNet;
use protocol::topology::{Domain, DomainName, Proxy, Tier, Topology};

const DOMAINS: u32 = 10_000;
const RANGES_OF_EACH: u32 = 10;

fn domain(name: &str, ranges: Vec<IpNet>, proxy: &str) -> Domain {
    let proxies = vec![Proxy { name: proxy.into(), url: format!("http://{proxy}.example:8080/") }];
    Domain { name: name.parse().expect("a name"), ranges, machines: Vec::new(), tier: Tier::Constrained, proxies }
}

/// All branches beside each other; each with ranges of ten lengths.
fn tree() -> Topology {
    let range = |branch: u32, number: u32| {
        let address = IpAddr::from((0x0a00_0000 + branch * 1_024 + number * 64).to_be_bytes());
        IpNet::new_assert(address, (26 + number % 7) as u8)
    };
    let branch = |branch: u32| {
        let ranges = (0..RANGES_OF_EACH).map(|number| range(branch, number)).collect();
        domain(&format!("hq.b{branch}"), ranges, &format!("p{branch}"))
    };
    let domains = [domain("hq", Vec::new(), "upper")].into_iter().chain((0..DOMAINS).map(branch));
    Topology::new(domains.collect()).expect("a tree")
}

fn topology(criterion: &mut Criterion) {
    let tree = tree();
    let mut group = criterion.benchmark_group("topology");
    let mut number = 0_u32;
    group.bench_function("the domain of an address", |bencher| {
        bencher.iter(|| {
            number = number.wrapping_add(0x9e37_79b9);
            let address = IpAddr::from((0x0a00_0000 + number % (DOMAINS * 1_024)).to_be_bytes());
            tree.domain_of(black_box(address), None).is_some()
        });
    });
    let from: DomainName = "hq.b5000".parse().expect("a name");
    group.bench_function("the order, all there", |bencher| {
        bencher.iter(|| tree.order(Some(black_box(&from)), |_| false).len())
    });
    group.bench_function("the order, all away", |bencher| {
        bencher.iter(|| tree.order(Some(black_box(&from)), |_| true).len())
    });
    group.bench_function("the upstreams of a proxy", |bencher| {
        bencher.iter(|| tree.upstreams(black_box("p5000"), |_| false).len());
    });
    group.sample_size(10).bench_function("the tree, made anew", |bencher| bencher.iter(|| tree_of(&tree)));
    group.finish();
}

fn tree_of(tree: &Topology) -> bool {
    Topology::new(tree.domains().cloned().collect()).is_ok()
}

criterion_group!(benches, topology);
criterion_main!(benches);
