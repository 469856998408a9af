//! When to ask for several things at once that are due at different times: who waits for many would else ask once for each.

use std::time::Instant;

/// A wait may be longer by this part of it, so that what is due soon after goes along.
const LONGER_BY: u32 = 2;

/// For each of some moments, in their order, when it is asked: with the last of those that come together. Nothing is asked before it is due, and no wait
/// from `now` becomes longer than by half of it.
pub fn together(now: Instant, due: &[Instant]) -> Vec<Instant> {
    let mut places: Vec<usize> = (0..due.len()).collect();
    places.sort_by_key(|place| due[*place]);
    let mut asked = due.to_vec();
    let mut rest = places.as_slice();
    while let Some(first) = rest.first() {
        let wait = due[*first].saturating_duration_since(now);
        let latest = due[*first].max(now) + wait / LONGER_BY;
        let count = rest.partition_point(|place| due[*place] <= latest).max(1);
        let (group, others) = rest.split_at(count);
        let last = group.last().map_or(due[*first], |place| due[*place]);
        group.iter().for_each(|place| asked[*place] = last);
        rest = others;
    }
    asked
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_due_soon_after_goes_along() {
        let now = Instant::now();
        let at = |seconds: &[u64]| seconds.iter().map(|second| now + Duration::from_secs(*second)).collect::<Vec<_>>();
        for (due, asked) in [
            (&[][..], &[][..]),
            (&[7], &[7]),
            (&[10, 14, 12], &[14, 14, 14]),
            (&[16, 10, 15], &[16, 15, 15]),
            (&[10, 20, 40, 80], &[10, 20, 40, 80]),
            (&[0, 0, 3, 4], &[0, 0, 4, 4]),
        ] {
            assert_eq!(together(now, &at(due)), at(asked), "{due:?}");
        }
        let past = now.checked_sub(Duration::from_secs(5)).unwrap();
        assert_eq!(together(now, &[past, now]), [now, now], "what is due already is asked now");
    }

    #[test]
    fn many_waits_are_few_questions_and_none_is_early_or_much_later() {
        let now = Instant::now();
        let due: Vec<_> = (0..1_000).map(|number| now + Duration::from_millis(5_000 + 37 * number)).collect();
        let asked = together(now, &due);
        for (due, asked) in due.iter().zip(&asked) {
            assert!(asked >= due && *asked - now <= (*due - now) * 3 / 2);
        }
        let questions: std::collections::BTreeSet<_> = asked.into_iter().collect();
        assert!(questions.len() <= 6, "{}", questions.len());
    }
}
