//! Durations in buckets that grow with the value: exact to 1.6 percent from a nanosecond to centuries, in 30 KiB.

use std::time::Duration;

/// Buckets per doubling: 2 to the power of this.
const PRECISION_BITS: u32 = 6;

/// Buckets for all values of 64 bits.
const BUCKETS: usize = ((64 - PRECISION_BITS as usize) << PRECISION_BITS) + (1 << PRECISION_BITS);

/// How often which duration was seen.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: Box<[u64]>,
    count: u64,
    sum: u128,
    min: u64,
    max: u64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; BUCKETS].into_boxed_slice(), count: 0, sum: 0, min: u64::MAX, max: 0 }
    }

    pub(crate) fn record(&mut self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanoseconds)] += 1;
        self.count += 1;
        self.sum += u128::from(nanoseconds);
        self.min = self.min.min(nanoseconds);
        self.max = self.max.max(nanoseconds);
    }

    /// Adds what another one has seen.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn min(&self) -> Duration {
        Duration::from_nanos(if self.count == 0 { 0 } else { self.min })
    }

    pub(crate) fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }

    pub(crate) fn mean(&self) -> Duration {
        Duration::from_nanos(u64::try_from(self.sum / u128::from(self.count.max(1))).unwrap_or(u64::MAX))
    }

    /// What `part` (0 to 1) of all were not longer than; at most one bucket too long. Zero if there are none.
    pub(crate) fn quantile(&self, part: f64) -> Duration {
        let wanted = ((self.count as f64 * part).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_nanos(upper_end(bucket).clamp(self.min, self.max));
            }
        }
        Duration::ZERO
    }
}

/// Where a value is counted. Small values have a bucket each; above, the leading bits select it.
fn bucket(value: u64) -> usize {
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(PRECISION_BITS + 1);
    ((shift as usize) << PRECISION_BITS) + (value >> shift) as usize
}

/// The largest value counted in a bucket.
fn upper_end(bucket: usize) -> u64 {
    let shift = (bucket >> PRECISION_BITS).saturating_sub(1);
    let leading = (bucket - (shift << PRECISION_BITS)) as u128;
    u64::try_from(((leading + 1) << shift) - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_the_bucket_that_ends_at_or_above_it() {
        let mut values: Vec<u64> = (0..2000).collect();
        values.extend((7..64).flat_map(|bits| [(1 << bits) - 1, 1 << bits, (1 << bits) + 1]));
        values.push(u64::MAX);
        for value in values {
            let bucket = bucket(value);
            assert!(bucket < BUCKETS, "{value}");
            assert!(upper_end(bucket) >= value, "{value}");
            assert!(bucket == 0 || upper_end(bucket - 1) < value, "{value}");
            assert!(upper_end(bucket) - value <= value >> PRECISION_BITS, "{value}: {}", upper_end(bucket));
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_within_the_precision() {
        let mut histogram = Histogram::new();
        for micros in 1..=1000 {
            histogram.record(Duration::from_micros(micros));
        }
        for (part, micros) in [(0.0, 1.0), (0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = histogram.quantile(part).as_secs_f64() * 1e6;
            assert!(found >= micros && found <= micros * 1.016, "{part}: {found}");
        }
        assert_eq!(histogram.min(), Duration::from_micros(1));
        assert_eq!(histogram.max(), Duration::from_micros(1000));
        assert_eq!(histogram.mean(), Duration::from_nanos(500_500));
    }

    #[test]
    fn merged_is_as_if_recorded_together() {
        let (mut a, mut b, mut both) = (Histogram::new(), Histogram::new(), Histogram::new());
        for number in 0..1000_u64 {
            let value = Duration::from_nanos(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 30);
            if number % 3 == 0 {
                a.record(value)
            } else {
                b.record(value)
            }
            both.record(value);
        }
        a.merge(&b);
        assert_eq!((a.count(), a.min(), a.max(), a.mean()), (both.count(), both.min(), both.max(), both.mean()));
        assert_eq!(a.quantile(0.9), both.quantile(0.9));
    }

    #[test]
    fn nothing_seen_is_zero() {
        let empty = Histogram::new();
        assert_eq!((empty.min(), empty.max(), empty.mean(), empty.quantile(0.5)), Default::default());
    }
}
