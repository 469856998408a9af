//! Tells those whom it concerns that the configuration was read again and says something else now.
//!
//! | what is another | who is told what |
//! | --- | --- |
//! | the tree, or the list of origins | everybody: `topology` |
//! | who is where (ranges, network cards) | everybody: `configuration`, for nobody knows who has moved |
//! | else what is wanted of a node | that node: `configuration` |

use protocol::{
    changes::{Change, Generation},
    enrolment::Role,
};

use super::Control;
use crate::{registry::NodeState, site::Site};

/// Of the registry, so many are looked at at a time.
const PAGE: usize = 1_000;

/// Compares what is said now with what was.
pub(crate) fn announce(control: &Control, old: &Site) {
    let new = control.site.load();
    if new.is_elsewhere(old) {
        control.feed.publish(&Change::Topology(Generation { generation: new.generation() }));
    }
    if new.is_placed_otherwise(old) {
        control.feed.publish(&Change::Configuration(Generation { generation: new.generation() }));
        return;
    }
    let mut behind = String::new();
    loop {
        let page = control.registry.nodes(&behind, PAGE);
        page.iter().for_each(|node| tell(control, old, &new, node));
        match page.last() {
            Some(last) if page.len() == PAGE => behind.clone_from(&last.name),
            _ => return,
        }
    }
}

fn tell(control: &Control, old: &Site, new: &Site, node: &NodeState) {
    let of = |site: &Site| {
        let home = site.topology.home_of(&node.name);
        let role = if home.is_some() { Role::Proxy } else { node.role };
        site.configuration(Some(&node.name), role, home.or(node.domain.as_ref())).generation
    };
    let generation = of(new);
    if of(old) != generation {
        control.feed.tell(&node.name, &Change::Configuration(Generation { generation }));
    }
}
