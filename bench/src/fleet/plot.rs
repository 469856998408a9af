//! Who is done when, as SVG: a curve for each contest, from nobody to all, over time by factors.

use std::fmt::Write as _;

use super::{
    branches::Outcome,
    report::{Report, shown},
    setup::Contest,
};
use crate::svg::{COLOURS, escaped, frame};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 330.0;
const LEFT: f64 = 48.0;
const TOP: f64 = 20.0;
const FIELD_WIDTH: f64 = 640.0;
const FIELD_HEIGHT: f64 = 220.0;
const LEGEND_LINE: f64 = 18.0;
const LEGEND_COLUMNS: usize = 3;
/// Points of a curve.
const POINTS: u32 = 100;

/// Seconds, from the left to the right.
#[derive(Clone, Copy, Debug)]
struct Times {
    least: f64,
    most: f64,
}

impl Times {
    fn of(report: &Report<'_>) -> Self {
        let ends = report.results.iter().flat_map(|result| [result.seconds(0.0), result.seconds(1.0)]).flatten();
        let (least, most) = ends.fold((report.one_copy(), report.one_copy()), |(a, b), end| (a.min(end), b.max(end)));
        Self { least: least.max(0.1) / 1.2, most: most * 1.2 }
    }

    fn x(&self, seconds: f64) -> f64 {
        let part = (seconds.max(self.least) / self.least).ln() / (self.most / self.least).ln();
        LEFT + FIELD_WIDTH * part.min(1.0)
    }

    /// 1, 2 and 5 times the powers of ten.
    fn lines(&self) -> impl Iterator<Item = f64> {
        let all = (-1..8).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(power)));
        let (least, most) = (self.least, self.most);
        all.filter(move |line| (least..most).contains(line))
    }
}

fn y(part: f64) -> f64 {
    TOP + FIELD_HEIGHT * (1.0 - part)
}

/// The drawing.
pub(crate) fn svg(report: &Report<'_>) -> String {
    let times = Times::of(report);
    let mut text = String::new();
    // Writing to a string cannot fail.
    for percent in [0, 25, 50, 75, 100] {
        let y = y(f64::from(percent) / 100.0);
        let _ = writeln!(text, "<path d=\"M{LEFT} {y:.1}h{FIELD_WIDTH}\" stroke=\"#ddd\"/>");
        let (x, below) = (LEFT - 5.0, y + 4.0);
        let _ = writeln!(text, "<text x=\"{x}\" y=\"{below:.1}\" text-anchor=\"end\" fill=\"#555\">{percent} %</text>");
    }
    for line in times.lines() {
        let (x, bottom) = (times.x(line), TOP + FIELD_HEIGHT);
        let _ = writeln!(text, "<path d=\"M{x:.1} {TOP}v{FIELD_HEIGHT}\" stroke=\"#eee\"/>");
        let (below, seconds) = (bottom + 15.0, shown(Some(line)).replace(".0 ", " "));
        let _ =
            writeln!(text, "<text x=\"{x:.1}\" y=\"{below}\" text-anchor=\"middle\" fill=\"#555\">{seconds}</text>");
    }
    let (x, label) = (times.x(report.one_copy()), "one copy");
    let _ = writeln!(text, "<path d=\"M{x:.1} {TOP}v{FIELD_HEIGHT}\" stroke=\"#555\" stroke-dasharray=\"2 3\"/>");
    let _ =
        writeln!(text, "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#555\">{label}</text>", TOP - 6.0);
    for (at, result) in report.results.iter().enumerate() {
        let curve = curve(result, times);
        let stroke = stroke(result.contest);
        let _ = writeln!(text, "<polyline points=\"{curve}\" fill=\"none\" {stroke}/>");
        let (column, row) = ((at % LEGEND_COLUMNS) as f64, (at / LEGEND_COLUMNS) as f64);
        let (x, y) =
            (LEFT + column * FIELD_WIDTH / LEGEND_COLUMNS as f64, TOP + FIELD_HEIGHT + 44.0 + row * LEGEND_LINE);
        let _ = writeln!(text, "<path d=\"M{x:.1} {}h22\" {stroke}/>", y - 4.0);
        let _ = writeln!(text, "<text x=\"{:.1}\" y=\"{y}\">{}</text>", x + 28.0, escaped(result.contest.name()));
    }
    let y = HEIGHT - 8.0;
    let _ = writeln!(
        text,
        "<text x=\"{LEFT}\" y=\"{y}\" fill=\"#555\">agents that have the file, over the time since the first began</text>"
    );
    frame(WIDTH, HEIGHT, &text)
}

/// Of the branch in the middle.
fn curve(result: &Outcome, times: Times) -> String {
    let point = |at: u32| {
        let part = f64::from(at) / f64::from(POINTS);
        let seconds = result.seconds(part)?;
        Some(format!("{:.1},{:.1}", times.x(seconds), y(part)))
    };
    (0..=POINTS).filter_map(point).collect::<Vec<_>>().join(" ")
}

fn stroke(contest: Contest) -> String {
    let colour = match contest {
        Contest::Pieces => COLOURS[0],
        Contest::Nobody => COLOURS[6],
        Contest::Peers => COLOURS[4],
        Contest::PeersInTurn => COLOURS[1],
        Contest::Proxy => COLOURS[5],
        Contest::ProxyAndPeers => COLOURS[2],
    };
    format!("stroke=\"{colour}\" stroke-width=\"2\"")
}

#[cfg(test)]
mod tests {
    use outpost_agent::decide::swarm::terms::Terms;

    use super::*;
    use crate::fleet::{branches::Company, setup::Setup};

    #[test]
    fn each_contest_has_a_curve_from_left_to_right_and_a_line_in_the_legend() {
        let company = Company {
            setup: Setup::small(),
            terms: Terms::default(),
            branches: 1,
            simulated: 1,
            uplink: 1 << 40,
            threads: None,
        };
        let mut report = Report::new(&company);
        report.results = [Contest::Nobody, Contest::Proxy].map(|contest| company.run(contest)).into();
        let text = svg(&report);
        assert_eq!(text.matches("<polyline").count(), 2);
        assert!(text.contains(">nobody managing</text>") && text.contains(">proxy</text>"), "{text}");
        let points = curve(&report.results[1], Times::of(&report));
        let xs: Vec<f64> = points.split(' ').map(|point| point.split_once(',').unwrap().0.parse().unwrap()).collect();
        assert!(xs.len() == POINTS as usize + 1 && xs.is_sorted(), "{points}");
        assert!(xs.iter().all(|x| (LEFT..=LEFT + FIELD_WIDTH).contains(x)));
    }

    #[test]
    fn no_two_contests_look_alike() {
        let strokes: std::collections::BTreeSet<_> = Contest::ALL.into_iter().map(stroke).collect();
        assert_eq!(strokes.len(), Contest::ALL.len());
    }
}
