//! The porter before the handler: lets in who may ask, by rules that can be replaced while requests come. Without rules it costs a look at a flag.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use arc_swap::ArcSwap;

use super::{
    access::{Access, Verdict},
    neighbours::Neighbours,
};

/// They and their rules.
#[derive(Debug, Default)]
pub(crate) struct Porter {
    /// Whether there are rules.
    has_rules: AtomicBool,
    access: ArcSwap<Access>,
    neighbours: Neighbours,
}

impl Porter {
    pub(crate) fn new(access: Access) -> Self {
        let porter = Self::default();
        porter.replace(access);
        porter
    }

    /// From now on these hold, on connections that are there as well.
    pub(crate) fn replace(&self, access: Access) {
        let has_rules = !access.is_open();
        self.access.store(access.into());
        self.has_rules.store(has_rules, Ordering::Release);
    }

    /// What becomes of a client's request.
    pub(crate) fn judge(&self, client: IpAddr) -> Verdict {
        if !self.has_rules.load(Ordering::Acquire) {
            return Verdict::Served;
        }
        self.access.load().judge(client, || self.neighbours.mac(client, Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::access::Rules;

    #[test]
    fn rules_come_and_go() {
        let client = "10.0.0.1".parse().unwrap();
        let rules = |text: &str| Rules::new(&[text.parse().unwrap()]);
        let porter = Porter::new(Access::default());
        assert_eq!(porter.judge(client), Verdict::Served);
        porter.replace(Access { deny: rules("10.0.0.0/8"), ..Access::default() });
        assert_eq!(porter.judge(client), Verdict::Denied);
        porter.replace(Access { allow: rules("52:54:00:00:00:01"), ..Access::default() });
        assert_eq!(porter.judge("127.0.0.1".parse().unwrap()), Verdict::NotNamed);
        porter.replace(Access::default());
        assert_eq!(porter.judge(client), Verdict::Served);
    }
}
