//! Byte hit ratios as curves, a panel for each trace, as SVG.

use std::fmt::Write as _;

use super::{
    replay::Kind,
    report::{AtSize, Section},
};
use crate::svg::{COLOURS, escaped, frame};

const COLUMNS: usize = 3;
/// A panel with its margins, and what of it is the field of the curves.
const WIDTH: f64 = 320.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 44.0;
const TOP: f64 = 34.0;
const FIELD_WIDTH: f64 = 256.0;
const FIELD_HEIGHT: f64 = 172.0;
/// A line of the legend.
const LEGEND_LINE: f64 = 20.0;
const LEGEND_COLUMNS: usize = 4;
/// Lines across a field, at most, and the steps they may stand at.
const LINES_MAX: f64 = 6.0;
const STEPS: [f64; 7] = [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 25.0];

/// What a field shows, from below to above, and a line for each step.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Scale {
    low: f64,
    high: f64,
    step: f64,
}

impl Scale {
    /// For all of these, and 0.
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = values.fold((0.0, 0.1), |(low, high), value| (f64::min(low, value), f64::max(high, value)));
        let fits = |step: &&f64| (high / **step).ceil() - (low / **step).floor() <= LINES_MAX;
        let step = STEPS.iter().find(fits).copied().unwrap_or(50.0);
        Self { low: (low / step).floor() * step, high: (high / step).ceil() * step, step }
    }

    fn y(&self, value: f64) -> f64 {
        TOP + FIELD_HEIGHT * (self.high - value) / (self.high - self.low)
    }

    fn lines(&self) -> impl Iterator<Item = f64> {
        let (low, step) = (self.low, self.step);
        (0..=((self.high - low) / step).round() as u32).map(move |at| low + f64::from(at) * step)
    }
}

/// All panels, and the legend below them. With `above` they show percentage points above that policy.
pub(crate) fn svg(sections: &[Section], above: Option<Kind>) -> String {
    let kinds: Vec<Kind> = sections.first().map(|section| section.kinds().collect()).unwrap_or_default();
    let columns = sections.len().clamp(1, COLUMNS);
    let panels_height = HEIGHT * sections.len().div_ceil(columns) as f64;
    let width = WIDTH * columns.max(2) as f64;
    let height = panels_height + LEGEND_LINE * (kinds.len().div_ceil(LEGEND_COLUMNS) + 1) as f64 + 4.0;
    let mut text = String::new();
    for (at, section) in sections.iter().enumerate() {
        let (x, y) = ((at % columns) as f64 * WIDTH, (at / columns) as f64 * HEIGHT);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "<g transform=\"translate({x} {y})\">\n{}</g>", panel(section, above));
    }
    let legend = legend(&kinds, width, above);
    let _ = writeln!(text, "<g transform=\"translate(0 {panels_height})\">\n{legend}</g>");
    frame(width, height, &text)
}

fn panel(section: &Section, above: Option<Kind>) -> String {
    let mut kinds: Vec<Kind> = section.kinds().collect();
    let scale =
        Scale::of(section.sizes.iter().flat_map(|sized| kinds.iter().map(move |kind| sized.hits(*kind, above).0)));
    let name = escaped(&section.name);
    let mut text = format!("<text x=\"{LEFT}\" y=\"{}\" font-weight=\"bold\">{name}</text>\n", TOP - 12.0);
    for line in scale.lines() {
        let (y, colour) = (scale.y(line), if line == 0.0 { "#999" } else { "#ddd" });
        let _ = writeln!(text, "<path d=\"M{LEFT} {y:.1}h{FIELD_WIDTH}\" stroke=\"{colour}\"/>");
        let (x, below) = (LEFT - 5.0, y + 4.0);
        let shown = if above.is_some() { format!("{line:+}") } else { format!("{line} %") };
        let _ = writeln!(text, "<text x=\"{x}\" y=\"{below:.1}\" text-anchor=\"end\" fill=\"#555\">{shown}</text>");
    }
    for sized in &section.sizes {
        let (x, y) = (x_of(section, sized), TOP + FIELD_HEIGHT + 15.0);
        let percent = sized.percent;
        let _ = writeln!(text, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\" fill=\"#555\">{percent} %</text>");
    }
    // Ours last, so that it lies on top.
    kinds.sort_by_key(|kind| *kind == Kind::Outpost);
    for kind in kinds {
        text += &curve(section, kind, above, scale);
    }
    text
}

fn curve(section: &Section, kind: Kind, above: Option<Kind>, scale: Scale) -> String {
    let points = section.sizes.iter().map(|sized| {
        let y = scale.y(sized.hits(kind, above).0);
        format!("{:.1},{y:.1}", x_of(section, sized))
    });
    format!("<polyline points=\"{}\" fill=\"none\" {}/>\n", points.collect::<Vec<_>>().join(" "), stroke(kind))
}

/// The logarithm of the size: what a cache gains it gains by factors.
fn x_of(section: &Section, sized: &AtSize) -> f64 {
    let logs = section.sizes.iter().map(|sized| sized.percent.ln());
    let (least, most) = logs.fold((f64::MAX, f64::MIN), |(least, most), log| (least.min(log), most.max(log)));
    let part = if most > least { (sized.percent.ln() - least) / (most - least) } else { 0.5 };
    // A little aside of the edges, where the numbers need their room.
    LEFT + FIELD_WIDTH * (0.04 + 0.92 * part)
}

fn legend(kinds: &[Kind], width: f64, above: Option<Kind>) -> String {
    let mut text = String::new();
    let step = (width - LEFT) / LEGEND_COLUMNS as f64;
    for (at, kind) in kinds.iter().enumerate() {
        let (x, y) = (LEFT + (at % LEGEND_COLUMNS) as f64 * step, LEGEND_LINE * (at / LEGEND_COLUMNS + 1) as f64);
        let _ = writeln!(text, "<path d=\"M{x:.1} {}h22\" {}/>", y - 4.0, stroke(*kind));
        let _ = writeln!(text, "<text x=\"{:.1}\" y=\"{y}\">{}</text>", x + 28.0, kind.name());
    }
    let y = LEGEND_LINE * (kinds.len().div_ceil(LEGEND_COLUMNS) + 1) as f64 - 2.0;
    let what = match above {
        Some(kind) => format!("bytes hit of those asked for, in percentage points above {}", kind.name()),
        None => "bytes hit of those asked for".to_owned(),
    };
    let said = format!("{what}; below each panel the size of the cache, of the bytes of all objects");
    let _ = writeln!(text, "<text x=\"{LEFT}\" y=\"{y}\" fill=\"#555\">{said}</text>");
    text
}

/// Colours, and dashes where they come round again.
fn stroke(kind: Kind) -> String {
    let (colour, width, dashes) = match kind {
        Kind::Outpost => (COLOURS[0], 2.6, ""),
        Kind::Fifo => (COLOURS[6], 1.2, ""),
        Kind::Lru => (COLOURS[1], 1.2, ""),
        Kind::Lfu => (COLOURS[4], 1.2, ""),
        Kind::Gdsf => (COLOURS[2], 1.2, ""),
        Kind::TinyLfu => (COLOURS[3], 1.2, ""),
        Kind::TinyLfuClimbing => (COLOURS[3], 1.2, "5 2"),
        Kind::S3Fifo => (COLOURS[5], 1.2, ""),
        Kind::Sieve => ("#8a6d00", 1.2, ""),
        Kind::Belady => (COLOURS[7], 1.2, "2 2"),
        Kind::BeladySize => ("#777777", 1.2, "2 2"),
    };
    let dashed = if dashes.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{dashes}\"") };
    format!("stroke=\"{colour}\" stroke-width=\"{width}\"{dashed}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traces::replay::Counts;

    fn section(name: &str) -> Section {
        let sized = |percent, hit_bytes| AtSize {
            percent,
            room: 1,
            outcomes: Kind::ALL.map(|kind| (kind, Counts { asks: 1, asked_bytes: 100, hits: 0, hit_bytes })).to_vec(),
        };
        let sizes = vec![sized(0.1, 0), sized(1.0, 17), sized(10.0, 20)];
        Section { name: name.to_owned(), requests: 1, objects: 1, asked_bytes: 100, unique_bytes: 100, sizes }
    }

    #[test]
    fn each_policy_has_its_curve_in_each_panel_and_its_line_in_the_legend() {
        let sections: Vec<_> = ["a<b", "b", "c", "d"].map(section).into();
        let text = svg(&sections, None);
        assert_eq!(text.matches("<polyline").count(), 4 * Kind::ALL.len());
        assert!(Kind::ALL.iter().all(|kind| text.contains(&format!(">{}</text>", kind.name()))));
        assert!(text.contains("a&lt;b") && text.contains("translate(0 250)"), "a fourth panel begins a second line");
    }

    #[test]
    fn the_scale_holds_all_and_nothing_much_beside() {
        let scale = |values: &[f64]| Scale::of(values.iter().copied());
        assert_eq!(scale(&[3.0, 13.0]), Scale { low: 0.0, high: 15.0, step: 5.0 });
        assert_eq!(scale(&[-1.5, 4.0]), Scale { low: -2.0, high: 4.0, step: 1.0 });
        assert_eq!(scale(&[99.0]), Scale { low: 0.0, high: 100.0, step: 20.0 });
        assert_eq!(scale(&[-1.5, 4.0]).lines().collect::<Vec<_>>(), [-2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn sizes_stand_by_factors_and_hits_by_their_number() {
        let section = section("a");
        let text = curve(&section, Kind::Lru, None, Scale { low: 0.0, high: 20.0, step: 5.0 });
        assert!(text.contains("54.2,206.0 172.0,59.8 289.8,34.0"), "{text}");
        let text = curve(&section, Kind::Lru, Some(Kind::Fifo), Scale { low: -1.0, high: 1.0, step: 1.0 });
        assert!(text.contains("54.2,120.0 172.0,120.0 289.8,120.0"), "all have the same hits here: {text}");
    }

    #[test]
    fn no_two_policies_look_alike() {
        let strokes: std::collections::BTreeSet<_> = Kind::ALL.into_iter().map(stroke).collect();
        assert_eq!(strokes.len(), Kind::ALL.len());
    }
}
