//! What is delivered to whom. Pure.

use std::collections::{BTreeMap, HashMap};

use config::origin::{Delivered, Settings};
use protocol::{
    enrolment::{Configuration, Role},
    topology::DomainName,
};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Numbers beyond are not exact in every reader of JSON.
const NUMBER_BITS: u32 = 53;

/// Options of domains and of nodes, those of proxies and those of agents.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    domains: BTreeMap<DomainName, [Delivered; 2]>,
    nodes: HashMap<String, [Delivered; 2]>,
}

impl Given {
    pub(super) fn new(settings: &Settings) -> Self {
        let is_some = |given: &[Delivered; 2]| given.iter().any(|options| !options.is_empty());
        let domains = settings.domains.iter().map(|of| (of.domain.name.clone(), [of.proxy.clone(), of.agent.clone()]));
        let nodes = settings.nodes.iter().map(|node| (node.name.clone(), [node.proxy.clone(), node.agent.clone()]));
        Self {
            domains: domains.filter(|(_, given)| is_some(given)).collect(),
            nodes: nodes.filter(|(_, given)| is_some(given)).collect(),
        }
    }

    /// Those of the domains from the root down, then those of the node: the later goes before.
    pub(super) fn options(&self, node: Option<&str>, role: Role, domain: Option<&DomainName>) -> Delivered {
        let place = match role {
            Role::Proxy => 0,
            Role::Agent => 1,
        };
        let upwards = std::iter::successors(domain.cloned(), DomainName::parent);
        let above: Vec<_> = upwards.filter_map(|name| self.domains.get(&name)).collect();
        let own = node.and_then(|node| self.nodes.get(node));
        let layers = above.into_iter().rev().chain(own);
        layers.flat_map(|given| given[place].clone()).collect()
    }
}

/// The number of what it says otherwise.
pub(super) fn generation(configuration: &Configuration) -> u64 {
    number(&Configuration { generation: 0, ..configuration.clone() })
}

/// A digest, so that it is the same after a restart and on another origin, and another one whenever anything is. Never 0, which is what nobody has.
pub(super) fn number(of: &impl Serialize) -> u64 {
    let text = serde_json::to_vec(of).unwrap_or_default();
    let digest: [u8; 32] = Sha256::digest(&text).into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    (u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> (u64::BITS - NUMBER_BITS)).max(1)
}
