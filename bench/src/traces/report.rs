//! What replays show: for each trace a table of policies by sizes, and over all of them who is best.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::replay::{Counts, Kind};

/// All traces.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) command: String,
    /// What the others are shown in relation to.
    pub(crate) above: Option<Kind>,
    pub(crate) sections: Vec<Section>,
}

/// One trace.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) name: String,
    pub(crate) requests: usize,
    pub(crate) objects: usize,
    pub(crate) asked_bytes: u64,
    pub(crate) unique_bytes: u64,
    pub(crate) sizes: Vec<AtSize>,
}

/// One size of the cache.
#[derive(Debug)]
pub(crate) struct AtSize {
    /// Of the bytes of all objects.
    pub(crate) percent: f64,
    pub(crate) room: u64,
    pub(crate) outcomes: Vec<(Kind, Counts)>,
}

/// One policy over all traces and sizes.
#[derive(Debug, PartialEq)]
struct Standing {
    kind: Kind,
    /// Means of the hit ratios, in percent.
    bytes: f64,
    objects: f64,
    /// Most percentage points of byte hits by which another online policy is better, and where.
    worst: f64,
    worst_at: String,
    /// At how many sizes no other online policy is better.
    best_at: usize,
}

impl AtSize {
    /// The most byte hits of an online policy, in percent.
    fn best(&self) -> f64 {
        let online = self.outcomes.iter().filter(|(kind, _)| kind.is_online());
        online.map(|(_, counts)| counts.byte_hits()).fold(0.0, f64::max)
    }

    /// Bytes and objects hit in percent, or in percentage points above another policy.
    pub(crate) fn hits(&self, kind: Kind, above: Option<Kind>) -> (f64, f64) {
        let hits = |kind| self.of(kind).map_or((0.0, 0.0), |counts| (counts.byte_hits(), counts.object_hits()));
        let ((bytes, objects), base) = (hits(kind), above.map_or((0.0, 0.0), hits));
        (bytes - base.0, objects - base.1)
    }

    /// Whether no other online policy hits more bytes. Two decimals: what is shown as equal is equal for all purposes.
    fn is_best(&self, kind: Kind) -> bool {
        kind.is_online() && self.best() - self.hits(kind, None).0 < 0.005
    }

    fn of(&self, kind: Kind) -> Option<&Counts> {
        self.outcomes.iter().find(|(found, _)| *found == kind).map(|(_, counts)| counts)
    }
}

impl Section {
    /// Its policies, in the order of the table.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = Kind> {
        self.sizes.first().into_iter().flat_map(|sized| sized.outcomes.iter().map(|(kind, _)| *kind))
    }

    fn table(&self, above: Option<Kind>) -> String {
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let mut text = format!(
            "### {}\n\n{} requests for {} objects; {:.1} MB asked for, {:.1} MB unique.\n\n",
            self.name,
            self.requests,
            self.objects,
            megabytes(self.asked_bytes),
            megabytes(self.unique_bytes)
        );
        let heads: Vec<_> = self.sizes.iter().map(|sized| format!("{} %", sized.percent)).collect();
        let rows = self.kinds().map(|kind| {
            let cells = self.sizes.iter().map(|sized| {
                let (bytes, objects) = sized.hits(kind, above);
                let mark = if sized.is_best(kind) { "**" } else { "" };
                format!("{mark}{}{mark} / {}", shown(bytes, above), shown(objects, above))
            });
            [kind.name().to_owned()].into_iter().chain(cells).collect()
        });
        text += &table(&format!("bytes / objects hit, {}", unit(above)), &heads, rows.collect());
        text
    }
}

impl Report {
    /// For people: Markdown.
    pub(crate) fn tables(&self) -> String {
        let mut text: String = self.sections.iter().map(|section| section.table(self.above) + "\n").collect();
        let unit = unit(self.above);
        let means = ["bytes", "objects"].map(|what| format!("{what}, mean, {unit}"));
        let rest = ["best at", "furthest below the best", "where"].map(str::to_owned);
        let heads: Vec<String> = means.into_iter().chain(rest).collect();
        let rows = self.standings().into_iter().map(|standing| {
            let behind = if standing.kind.is_online() { format!("{:.2}", standing.worst) } else { String::new() };
            let best_at = if standing.kind.is_online() { standing.best_at.to_string() } else { String::new() };
            let [bytes, objects] = [standing.bytes, standing.objects].map(|hits| shown(hits, self.above));
            vec![standing.kind.name().to_owned(), bytes, objects, best_at, behind, standing.worst_at]
        });
        text += "### All together\n\n";
        text += &table("policy", &heads, rows.collect());
        text
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        let sections = self.sections.iter().map(|section| {
            let sizes = section.sizes.iter().map(|sized| {
                let outcomes: Value = sized.outcomes.iter().map(|(kind, counts)| (kind.id().to_owned(), counts_json(counts))).collect();
                json!({ "percent": sized.percent, "bytes": sized.room, "policies": outcomes })
            });
            json!({
                "trace": section.name, "requests": section.requests, "objects": section.objects,
                "asked_bytes": section.asked_bytes, "unique_bytes": section.unique_bytes, "sizes": sizes.collect::<Value>(),
            })
        });
        let standings = self.standings().into_iter().map(|standing| {
            json!({
                "policy": standing.kind.id(), "byte_hits": standing.bytes, "object_hits": standing.objects,
                "below_best": standing.kind.is_online().then_some(standing.worst), "below_best_at": standing.worst_at,
            })
        });
        json!({ "command": self.command, "traces": sections.collect::<Value>(), "all": standings.collect::<Value>() })
    }

    fn standings(&self) -> Vec<Standing> {
        let Some(first) = self.sections.first() else { return Vec::new() };
        let mut standings: Vec<_> = first.kinds().map(|kind| self.standing(kind)).collect();
        standings.sort_by(|one, other| other.bytes.total_cmp(&one.bytes));
        standings
    }

    fn standing(&self, kind: Kind) -> Standing {
        let mut standing = Standing { kind, bytes: 0.0, objects: 0.0, worst: 0.0, worst_at: String::new(), best_at: 0 };
        let mut cases = 0.0;
        for (section, sized) in
            self.sections.iter().flat_map(|section| section.sizes.iter().map(move |sized| (section, sized)))
        {
            let (bytes, objects) = sized.hits(kind, self.above);
            cases += 1.0;
            standing.bytes += bytes;
            standing.objects += objects;
            standing.best_at += usize::from(sized.is_best(kind));
            let behind = sized.best() - sized.hits(kind, None).0;
            if kind.is_online() && behind > standing.worst {
                (standing.worst, standing.worst_at) = (behind, format!("{}, {} %", section.name, sized.percent));
            }
        }
        (standing.bytes, standing.objects) = (standing.bytes / cases, standing.objects / cases);
        standing
    }
}

fn counts_json(counts: &Counts) -> Value {
    json!({ "byte_hits": counts.byte_hits(), "object_hits": counts.object_hits(), "hits": counts.hits, "hit_bytes": counts.hit_bytes })
}

fn unit(above: Option<Kind>) -> String {
    above.map_or_else(|| "%".to_owned(), |kind| format!("points above {}", kind.name()))
}

fn shown(hits: f64, above: Option<Kind>) -> String {
    if above.is_some() { format!("{hits:+.2}") } else { format!("{hits:.2}") }
}

/// Columns as wide as they must be, so that the source can be read too.
fn table(corner: &str, heads: &[String], rows: Vec<Vec<String>>) -> String {
    let head = [corner.to_owned()].into_iter().chain(heads.iter().cloned()).collect::<Vec<_>>();
    let width = |at: usize| rows.iter().chain([&head]).map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    let mut text = String::new();
    for row in [&head, &rule].into_iter().chain(&rows) {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(hit_bytes: u64) -> Counts {
        Counts { asks: 10, asked_bytes: 1000, hits: hit_bytes / 100, hit_bytes }
    }

    fn report() -> Report {
        let sized = |percent, ours, lru, bound| AtSize {
            percent,
            room: percent as u64,
            outcomes: vec![(Kind::Outpost, counts(ours)), (Kind::Lru, counts(lru)), (Kind::Belady, counts(bound))],
        };
        let section = Section {
            name: "web".to_owned(),
            requests: 10,
            objects: 5,
            asked_bytes: 1000,
            unique_bytes: 500,
            sizes: vec![sized(1.0, 300, 200, 600), sized(10.0, 490, 500, 900)],
        };
        Report { command: "outpost-bench traces".to_owned(), above: None, sections: vec![section] }
    }

    #[test]
    fn the_best_online_policy_is_marked_and_the_bound_is_not() {
        let text = report().tables();
        assert!(text.contains("| Outpost                | **30.00** / 30.00 | 49.00 / 40.00     |"), "{text}");
        assert!(text.contains("| LRU                    | 20.00 / 20.00     | **50.00** / 50.00 |"), "{text}");
        assert!(text.contains("| Belady (bytes)         | 60.00 / 60.00     | 90.00 / 90.00     |"), "{text}");
    }

    #[test]
    fn differences_are_shown_where_asked_for() {
        let mut report = report();
        report.above = Some(Kind::Lru);
        let text = report.tables();
        assert!(text.contains("| **+10.00** / +10.00"), "{text}");
        assert!(text.contains("bytes, mean, points above LRU"), "{text}");
        assert_eq!(report.standing(Kind::Lru).bytes, 0.0);
        assert_eq!((report.standing(Kind::Outpost).best_at, report.standing(Kind::Belady).best_at), (1, 0));
    }

    #[test]
    fn standings_say_how_far_and_where() {
        let standings = report().standings();
        let (first, second) = (&standings[1], &standings[2]);
        assert_eq!((first.kind, first.bytes, first.worst_at.as_str()), (Kind::Outpost, 39.5, "web, 10 %"));
        assert!((first.worst - 1.0).abs() < 1e-9 && (second.worst - 10.0).abs() < 1e-9);
        assert_eq!((standings[0].kind, standings[0].worst), (Kind::Belady, 0.0));
    }

    #[test]
    fn programs_find_everything() {
        let json = report().json();
        assert_eq!(json["traces"][0]["sizes"][1]["policies"]["lru"]["byte_hits"], 50.0);
        assert_eq!(json["all"][1]["policy"], "outpost");
        assert_eq!(json["all"][0]["below_best"], Value::Null);
    }
}
