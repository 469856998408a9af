//! Who asks: its name if that is believed, where it is, and how soon it is admitted.
//!
//! | `enrolment.required` | the name | its credential | then |
//! | --- | --- | --- | --- |
//! | no | said | any | it is believed |
//! | yes | said | right | likewise |
//! | yes | said | missing or wrong | a stranger, who may do nothing but enrol |
//! | | not said | | nobody, who may ask what everybody may |

use std::net::IpAddr;

use protocol::{
    enrolment::{Role, is_name},
    info::NODE_FIELD,
    machines::Mac,
    topology::{DomainName, Tier},
};
use serve::{handler::Client, request::Request};

use crate::{members::Members, site::Site};

/// Who asks, as far as that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asker {
    /// Its name, if it has said one that can be a name, and is believed.
    pub(crate) node: Option<String>,
    /// What it is, if that is known: by the tree, or by how it enrolled.
    pub(crate) role: Option<Role>,
    /// Where it is.
    pub(crate) domain: Option<DomainName>,
    /// How soon it is admitted.
    pub(crate) tier: Tier,
    /// Where the question comes from.
    pub(crate) address: IpAddr,
    /// It has said a name, and not shown what proves it.
    pub(crate) is_stranger: bool,
}

impl Asker {
    /// Of a request.
    pub(crate) fn of(request: &Request<'_>, client: &Client, site: &Site, members: &Members) -> Self {
        let address = client.address.ip().to_canonical();
        let name = request.fields.first(NODE_FIELD).and_then(|name| std::str::from_utf8(name).ok());
        let said = name.filter(|name| is_name(name));
        let is_proven = |name: &&str| {
            !site.enrolment_required || bearer(request).is_some_and(|credential| members.proves(name, credential))
        };
        let node = said.filter(is_proven);
        let member = node.and_then(|name| members.member(name));
        let home = node.and_then(|name| site.topology.home_of(name));
        let role = home.map(|_| Role::Proxy).or_else(|| member.as_ref().map(|member| member.role));
        let cards = member.as_ref().map(|member| member.machines.as_slice()).unwrap_or_default();
        Self {
            domain: home.or_else(|| place(site, address, cards)).cloned(),
            tier: node.map_or(Tier::Client, |name| site.topology.tier_of(name)),
            is_stranger: node.is_none() && name.is_some() && site.enrolment_required,
            node: node.map(str::to_owned),
            role,
            address,
        }
    }
}

/// Where a machine is: by its network cards, else by its address.
pub(super) fn place<'s>(site: &'s Site, address: IpAddr, cards: &[Mac]) -> Option<&'s DomainName> {
    let by_card = cards.iter().find_map(|mac| site.topology.domain_of_card(*mac));
    by_card.or_else(|| site.topology.domain_of(address, None))
}

/// What stands behind `Authorization: Bearer` (RFC 6750 section 2.1).
pub(super) fn bearer<'r>(request: &Request<'r>) -> Option<&'r str> {
    let field = std::str::from_utf8(request.fields.first("Authorization")?).ok()?;
    let (scheme, presented) = field.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| presented.trim())
}
