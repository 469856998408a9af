//! What was measured, and what follows from it: medians, ratios, and whether an aim is met. Pure.

use std::collections::BTreeMap;

use super::{
    contestant::{Contestant, Program},
    rows::{Against, Aim},
};

/// The figures of one contestant in one run, by key.
pub(crate) type Sample = Vec<(&'static str, f64)>;

/// All figures of one row.
#[derive(Debug, Default)]
pub(crate) struct Samples(BTreeMap<(&'static str, Contestant), Vec<f64>>);

impl Samples {
    pub(crate) fn add(&mut self, contestant: Contestant, sample: Sample) {
        for (key, value) in sample {
            self.0.entry((key, contestant)).or_default().push(value);
        }
    }

    /// In the order they were measured.
    pub(crate) fn of(&self, key: &'static str, contestant: Contestant) -> &[f64] {
        self.0.get(&(key, contestant)).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn median(&self, key: &'static str, contestant: Contestant) -> Option<f64> {
        median(self.of(key, contestant))
    }

    /// The medians of a program in all its settings, in the order of [`Contestant`].
    pub(crate) fn settings(&self, key: &'static str, program: Program) -> Vec<(Contestant, f64)> {
        let of_program = |(of, contestant): &(&'static str, Contestant)| {
            (*of == key && contestant.program() == Some(program)).then_some(*contestant)
        };
        self.0.keys().filter_map(of_program).filter_map(|one| Some((one, self.median(key, one)?))).collect()
    }

    /// What an aim is counted in: of several settings of a program the one that is harder to reach.
    pub(crate) fn base(&self, key: &'static str, aim: Aim) -> Option<f64> {
        let (against, harder): (_, fn(f64, f64) -> f64) = match aim {
            Aim::AtMost(against, _) => (against, f64::min),
            Aim::AtLeast(against, _) => (against, f64::max),
        };
        let best = |program| self.settings(key, program).into_iter().map(|(_, median)| median).reduce(harder);
        match against {
            Against::Nginx => best(Program::Nginx),
            Against::Varnish => best(Program::Varnish),
            Against::Limit => self.median(key, Contestant::Limit),
            Against::Nothing => Some(1.0),
        }
    }

    /// Outpost's median as a multiple of the base. `None` where either is missing.
    pub(crate) fn ratio(&self, key: &'static str, aim: Aim) -> Option<f64> {
        let base = self.base(key, aim).filter(|base| *base > 0.0)?;
        Some(self.median(key, Contestant::Outpost)? / base)
    }

    /// Whether it is reached; `None` where that cannot be told.
    pub(crate) fn is_met(&self, key: &'static str, aim: Aim) -> Option<bool> {
        let ratio = self.ratio(key, aim)?;
        Some(match aim {
            Aim::AtMost(_, most) => ratio <= most,
            Aim::AtLeast(_, least) => ratio >= least,
        })
    }
}

/// The middle one, or the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        len if len % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        let table: &[(&[f64], Option<f64>)] =
            &[(&[], None), (&[3.0], Some(3.0)), (&[9.0, 1.0, 2.0], Some(2.0)), (&[4.0, 1.0, 2.0, 9.0], Some(3.0))];
        for (values, expected) in table {
            assert_eq!(median(values), *expected, "{values:?}");
        }
    }

    fn samples() -> Samples {
        let mut samples = Samples::default();
        for run in [1.0, 3.0, 2.0] {
            samples.add(Contestant::Outpost, vec![("cpu", 3.0 * run), ("rate", 100.0)]);
            samples.add(Contestant::Nginx, vec![("cpu", 6.0 * run), ("rate", 80.0)]);
            samples.add(Contestant::NginxNoPush, vec![("cpu", 4.0 * run), ("rate", 120.0)]);
        }
        samples
    }

    #[test]
    fn ratios_are_to_the_setting_that_is_harder_to_reach() {
        let samples = samples();
        assert_eq!(samples.ratio("cpu", Aim::AtMost(Against::Nginx, 0.5)), Some(0.75));
        assert_eq!(samples.ratio("rate", Aim::AtLeast(Against::Nginx, 1.0)), Some(100.0 / 120.0));
        assert_eq!(samples.ratio("cpu", Aim::AtMost(Against::Nothing, 7.0)), Some(6.0));
        assert_eq!(samples.ratio("cpu", Aim::AtMost(Against::Limit, 1.0)), None);
        assert_eq!(samples.ratio("other", Aim::AtMost(Against::Nginx, 1.0)), None);
    }

    #[test]
    fn an_aim_is_met_at_its_bound() {
        let samples = samples();
        for (aim, met) in [
            (Aim::AtMost(Against::Nginx, 0.75), Some(true)),
            (Aim::AtMost(Against::Nginx, 0.74), Some(false)),
            (Aim::AtMost(Against::Nothing, 6.0), Some(true)),
            (Aim::AtLeast(Against::Nothing, 6.1), Some(false)),
            (Aim::AtMost(Against::Varnish, 1.0), None),
        ] {
            assert_eq!(samples.is_met("cpu", aim), met, "{aim:?}");
        }
    }
}
