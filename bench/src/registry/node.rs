//! Nodes that are made up: what each holds, and its reports as bodies. The same numbers every time.

use std::fmt::Write as _;

use protocol::{digest::Md5, patience::Spread};

/// Numbers of contents from here on are held by one node alone.
const OWN: u32 = 1 << 24;
/// What comes and goes with a report that is not full.
const CHANGED: usize = 3;

/// All of them.
pub(crate) struct Crowd(Vec<Node>);

/// One of them.
pub(crate) struct Node {
    name: String,
    sequence: u64,
    /// Numbers of contents.
    holds: Vec<u32>,
    spread: Spread,
    /// Those that it chooses from: so many from a number on.
    from: u32,
    distinct: u32,
}

/// The content that every second node holds beside its own.
pub(crate) fn popular() -> Md5 {
    digest(u32::MAX)
}

/// A content that nobody holds.
pub(crate) fn unknown() -> Md5 {
    digest(u32::MAX - 1)
}

/// How the node of a number is called.
pub(crate) fn name(number: u32) -> String {
    format!("agent-{number:05}.branch{:03}.example", number / 100)
}

fn digest(content: u32) -> Md5 {
    Md5::of(&content.to_le_bytes())
}

impl Crowd {
    /// `own_every`th ones hold what nobody else does.
    pub(crate) fn new(nodes: u32, held: u32, distinct: u32, own_every: u32) -> Self {
        Self((0..nodes).map(|number| Node::new(number, held, distinct, own_every)).collect())
    }

    /// For so many connections.
    pub(crate) fn parts(&mut self, connections: usize) -> Vec<&mut [Node]> {
        let len = self.0.len().div_ceil(connections).max(1);
        self.0.chunks_mut(len).collect()
    }

    /// What all hold together.
    pub(crate) fn holdings(&self) -> u64 {
        self.0.iter().map(|node| node.holds.len() as u64).sum()
    }
}

impl Node {
    fn new(number: u32, held: u32, distinct: u32, own_every: u32) -> Self {
        let is_own = own_every > 0 && number.is_multiple_of(own_every);
        // Twice as many as are held, so that there is something to change to.
        let (from, distinct) = if is_own { (OWN + number * held * 2, held * 2) } else { (0, distinct) };
        let mut node =
            Self { name: name(number), sequence: 0, holds: vec![], spread: Spread::new(number.into()), from, distinct };
        while node.holds.len() < held.min(distinct) as usize {
            let content = node.choose();
            node.holds.push(content);
        }
        if number.is_multiple_of(2) {
            node.holds.push(u32::MAX);
        }
        node
    }

    /// One that it does not hold, unless it holds all there are.
    fn choose(&mut self) -> u32 {
        let first = (self.spread.number() % u64::from(self.distinct)) as u32;
        let others = (0..self.distinct).map(|step| self.from + (first + step) % self.distinct);
        others.into_iter().find(|content| !self.holds.contains(content)).unwrap_or(self.from)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Everything.
    pub(crate) fn full(&mut self) -> String {
        let holds = std::mem::take(&mut self.holds);
        let body = self.body(true, &holds, &[]);
        self.holds = holds;
        body
    }

    /// Something came and something went.
    pub(crate) fn change(&mut self) -> String {
        let (mut came, mut gone) = (Vec::new(), Vec::new());
        if self.holds.len() < self.distinct as usize {
            for _ in 0..CHANGED {
                let place = (self.spread.number() % self.holds.len() as u64) as usize;
                if self.holds[place] != u32::MAX {
                    let new = self.choose();
                    gone.push(std::mem::replace(&mut self.holds[place], new));
                    came.push(new);
                }
            }
        }
        // What went and came again is here.
        gone.retain(|content| !self.holds.contains(content));
        came.retain(|content| self.holds.contains(content));
        self.body(false, &came, &gone)
    }

    fn body(&mut self, full: bool, holds: &[u32], dropped: &[u32]) -> String {
        self.sequence += 1;
        let mut text = format!(
            r#"{{"node":"{}","role":"agent","version":"0.1.0","url":"http://127.0.0.1:7778/","sequence":{},"full":{full},"load":7,"free":123456789012,"configuration":3"#,
            self.name, self.sequence
        );
        for (list, contents) in [("holds", holds), ("dropped", dropped)] {
            let _ = write!(text, r#","{list}":["#);
            for (place, content) in contents.iter().enumerate() {
                let comma = if place == 0 { "" } else { "," };
                let _ = write!(text, r#"{comma}"{:032x}""#, u128::from_be_bytes(digest(*content).0));
            }
            text.push(']');
        }
        text.push('}');
        text
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use protocol::report::Report;

    use super::*;

    #[test]
    fn what_the_reports_say_is_what_the_node_holds() {
        let mut crowd = Crowd::new(20, 50, 200, 10);
        for part in crowd.parts(3) {
            for node in part {
                let mut known = BTreeSet::new();
                for number in 1..50 {
                    let body = if number % 10 == 1 { node.full() } else { node.change() };
                    let report: Report = serde_json::from_str(&body).unwrap();
                    assert_eq!((report.sequence, report.full), (number, number % 10 == 1));
                    if report.full {
                        known.clear();
                    }
                    known.extend(report.holds.iter().copied());
                    // One that came and went at once was never known.
                    report.dropped.iter().for_each(|md5| _ = known.remove(md5));
                    let held: BTreeSet<_> = node.holds.iter().map(|content| digest(*content)).collect();
                    assert_eq!(known, held);
                }
            }
        }
        assert_eq!(crowd.holdings(), 20 * 50 + 10);
    }

    #[test]
    fn some_hold_what_nobody_else_does() {
        let crowd = Crowd::new(20, 50, 200, 10);
        let all: Vec<u32> =
            crowd.0.iter().flat_map(|node| node.holds.clone()).filter(|content| *content != u32::MAX).collect();
        let own: Vec<u32> = all.iter().copied().filter(|content| *content >= OWN).collect();
        assert_eq!(own.len(), 100);
        assert_eq!(own.iter().collect::<BTreeSet<_>>().len(), 100);
        assert!(all.iter().collect::<BTreeSet<_>>().len() <= 300);
    }
}
