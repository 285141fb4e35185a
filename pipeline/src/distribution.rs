//! Distributions of latencies that can be added to, taken from, and added together.
//!
//! Counts per bucket, the buckets log-linear: values below 1,024 µs have one each, and every
//! octave above is cut into 512 equal ones. A value read back is the middle of its bucket, which is
//! at most 1/1,024 off; counts are exact. (The shape is that of Gil Tene's HdrHistogram.)
//!
//! # Invariants
//!
//! 1. Removing what was added leaves what was there before, to the byte of memory.
//! 2. A quantile is the value at rank ⌈q·n⌉ of the sorted data, within 0.1 %; so is the maximum.
//!
//! # Cost
//!
//! Buckets come in chunks of 64. Those between the least and the greatest value have a place of 48
//! bytes each; the counts are allocated when first used and freed when empty, and take a byte per
//! bucket and window until one of them outgrows it, then four, then eight. An update touches three
//! cache lines; a quantile adds up the places, and reads the one chunk that holds it.

use std::ops::Range;

/// The index of a bucket; see [`bucket`].
pub type Bucket = u16;

/// Values below this have a bucket each.
const EXACT: u64 = 1024;
/// Buckets of an octave.
const PER_OCTAVE: u64 = 512;
/// Buckets of a chunk.
const CHUNK: usize = 64;

/// The bucket of a latency in µs; a negative one, a sign of skewed clocks, counts as zero.
pub fn bucket(micros: i64) -> Bucket {
    let value = u64::try_from(micros).unwrap_or(0);
    if value < EXACT {
        return value as Bucket;
    }
    // 1 for the first octave above the exact values.
    let octave = u64::from(value.ilog2()) - 9;
    // At most 54 · 512 + 1,023, for the greatest i64.
    (octave * PER_OCTAVE + (value >> octave)) as Bucket
}

/// The latency, in µs, that stands for a bucket: its middle.
pub fn middle(bucket: Bucket) -> u64 {
    let bucket = u64::from(bucket);
    if bucket < EXACT {
        return bucket;
    }
    let octave = bucket / PER_OCTAVE - 1;
    let mantissa = bucket - octave * PER_OCTAVE;
    (mantissa << octave) + (1 << octave) / 2
}

/// The quantiles that we give, in per mille.
pub const PER_MILLE: [u64; 5] = [500, 900, 950, 990, 999];

/// How many values, and the buckets of the quantiles in [`PER_MILLE`] and of the maximum.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct Quantiles {
    pub samples: u64,
    pub at: [Bucket; PER_MILLE.len()],
    pub max: Bucket,
}

/// Windows over which a distribution counts side by side; each holds what the one before holds.
pub const N_WINDOWS: usize = 5;

/// Counts of values per bucket, for each of the windows.
///
/// The windows' counts of one bucket lie together, because a value enters several at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    /// Number of the first chunk that has values.
    first: usize,
    /// The chunks from `first` to the last that has values.
    chunks: Vec<Chunk>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Chunk {
    totals: Totals,
    /// `None` exactly while the totals are zero.
    counts: Option<Box<Counts>>,
}

/// How many values, per window.
type Totals = [u64; N_WINDOWS];

type Cells<N> = [[N; N_WINDOWS]; CHUNK];

/// As narrow as the greatest count has ever needed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "it is boxed, and nearly all are narrow")]
enum Counts {
    Narrow(Cells<u8>),
    Wide(Box<Cells<u32>>),
    Full(Box<Cells<u64>>),
}

impl Counts {
    fn add(&mut self, slot: usize, windows: Range<usize>, diff: i64, totals: &mut Totals) {
        let fits = match self {
            Counts::Narrow(cells) => add(&mut cells[slot], windows.clone(), diff, totals),
            Counts::Wide(cells) => add(&mut cells[slot], windows.clone(), diff, totals),
            Counts::Full(cells) => add(&mut cells[slot], windows.clone(), diff, totals),
        };
        if !fits {
            *self = match self {
                Counts::Narrow(cells) => Counts::Wide(Box::new(cells.map(|n| n.map(u32::from)))),
                Counts::Wide(cells) => Counts::Full(Box::new(cells.map(|n| n.map(u64::from)))),
                // A u64 holds what saturates at one.
                Counts::Full(_) => return,
            };
            self.add(slot, windows, diff, totals);
        }
    }

    /// Adds the counts of a window to `sums`.
    fn add_to(&self, sums: &mut [u64; CHUNK], window: usize) {
        fn each<N: Copy + Into<u64>>(cells: &Cells<N>, sums: &mut [u64; CHUNK], window: usize) {
            for (sum, cell) in sums.iter_mut().zip(cells) {
                *sum += cell[window].into();
            }
        }
        match self {
            Counts::Narrow(cells) => each(cells, sums, window),
            Counts::Wide(cells) => each(cells, sums, window),
            Counts::Full(cells) => each(cells, sums, window),
        }
    }
}

/// Adds `diff` to some windows of a cell, and to the totals; nothing if a count would not fit.
fn add<N>(cell: &mut [N; N_WINDOWS], windows: Range<usize>, diff: i64, totals: &mut Totals) -> bool
where
    N: Copy + Into<u64> + TryFrom<u64>,
{
    let mut sums = *cell;
    for window in windows.clone() {
        let old: u64 = cell[window].into();
        debug_assert!(old.checked_add_signed(diff).is_some(), "{diff} values at {old}");
        let Ok(sum) = N::try_from(old.saturating_add_signed(diff)) else { return false };
        sums[window] = sum;
    }
    for window in windows {
        totals[window] = totals[window] + sums[window].into() - cell[window].into();
    }
    *cell = sums;
    true
}

impl Distribution {
    /// Adds `diff` values to `bucket` in some windows, or takes them away.
    ///
    /// Taking more than there are leaves none: it would mean that a view had retracted what it
    /// never gave, and is caught by `debug_assert`.
    pub fn update(&mut self, bucket: Bucket, windows: Range<usize>, diff: i64) {
        let slot = usize::from(bucket) % CHUNK;
        let chunk = self.chunk(usize::from(bucket) / CHUNK);
        let empty = || Box::new(Counts::Narrow([[0; N_WINDOWS]; CHUNK]));
        chunk.counts.get_or_insert_with(empty).add(slot, windows, diff, &mut chunk.totals);
        if chunk.totals == [0; N_WINDOWS] {
            chunk.counts = None;
            self.trim();
        }
    }

    fn chunk(&mut self, number: usize) -> &mut Chunk {
        if self.chunks.is_empty() {
            self.first = number;
        }
        if number < self.first {
            let missing = std::iter::repeat_n(Chunk::default(), self.first - number);
            drop(self.chunks.splice(0..0, missing));
            self.first = number;
        }
        let place = number - self.first;
        if place >= self.chunks.len() {
            self.chunks.resize(place + 1, Chunk::default());
        }
        &mut self.chunks[place]
    }

    /// Lets go of empty chunks at both ends.
    fn trim(&mut self) {
        let used = |chunk: &Chunk| chunk.counts.is_some();
        let Some(first) = self.chunks.iter().position(used) else {
            *self = Distribution::default();
            return;
        };
        let last = self.chunks.iter().rposition(used).unwrap_or(first);
        self.chunks.truncate(last + 1);
        self.chunks.drain(..first);
        self.first += first;
    }

    fn end(&self) -> usize {
        self.first + self.chunks.len()
    }
}

/// Several distributions added together, to be read.
pub struct Sum<'a> {
    parts: &'a [&'a Distribution],
    /// Number of the chunk of the first of `totals`.
    first: usize,
    totals: Vec<Totals>,
}

impl<'a> Sum<'a> {
    pub fn of(parts: &'a [&'a Distribution]) -> Sum<'a> {
        let parts_used = || parts.iter().filter(|part| !part.chunks.is_empty());
        let first = parts_used().map(|part| part.first).min().unwrap_or(0);
        let end = parts_used().map(|part| part.end()).max().unwrap_or(0);
        let mut totals = vec![[0; N_WINDOWS]; end - first];
        for part in parts_used() {
            for (sums, chunk) in totals[part.first - first..].iter_mut().zip(&part.chunks) {
                for (sum, total) in sums.iter_mut().zip(chunk.totals) {
                    *sum += total;
                }
            }
        }
        Sum { parts, first, totals }
    }

    /// The quantiles in a window; `None` if it is empty.
    pub fn quantiles(&self, window: usize) -> Option<Quantiles> {
        let last = self.totals.iter().rposition(|totals| totals[window] > 0)?;
        let samples: u64 = self.totals.iter().map(|totals| totals[window]).sum();
        let ranks = PER_MILLE.map(|per_mille| (samples * per_mille).div_ceil(1000));
        let mut quantiles = Quantiles { samples, at: [0; PER_MILLE.len()], max: 0 };
        let mut found = 0;
        let mut below = 0;
        for (place, totals) in self.totals[..=last].iter().enumerate() {
            let total = totals[window];
            let holds_next = found < ranks.len() && ranks[found] <= below + total;
            if place == last || holds_next {
                let mut seen = below;
                let first = ((self.first + place) * CHUNK) as Bucket;
                for (bucket, count) in (first..).zip(self.counts(place, window)) {
                    if count == 0 {
                        continue;
                    }
                    seen += count;
                    while found < ranks.len() && ranks[found] <= seen {
                        quantiles.at[found] = bucket;
                        found += 1;
                    }
                    quantiles.max = bucket;
                }
            }
            below += total;
        }
        Some(quantiles)
    }

    fn counts(&self, place: usize, window: usize) -> [u64; CHUNK] {
        let number = self.first + place;
        let mut sums = [0; CHUNK];
        for part in self.parts {
            let chunk = number.checked_sub(part.first).and_then(|place| part.chunks.get(place));
            if let Some(counts) = chunk.and_then(|chunk| chunk.counts.as_ref()) {
                counts.add_to(&mut sums, window);
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A few values of every magnitude.
    fn spectrum() -> impl Iterator<Item = i64> {
        (0..62).flat_map(|shift| {
            let base = 1_i64 << shift;
            [base - 1, base, base + base / 3, base + base / 2]
        })
    }

    #[test]
    fn a_bucket_stands_for_its_values_within_a_thousandth() {
        for value in spectrum() {
            let read = middle(bucket(value)) as f64;
            let error = (read - value as f64).abs();
            assert!(error <= value as f64 / 1000.0, "{value} reads as {read}");
        }
    }

    #[test]
    fn buckets_are_ordered_as_their_values_and_leave_no_gap() {
        let buckets: Vec<Bucket> = (0..100_000).map(bucket).collect();
        assert!(buckets.windows(2).all(|pair| pair[1] == pair[0] || pair[1] == pair[0] + 1));
        assert!(bucket(i64::MAX) > bucket(i64::MAX / 2));
    }

    #[test]
    fn a_negative_latency_counts_as_zero() {
        assert_eq!(bucket(-5), bucket(0));
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_data() {
        let values: Vec<i64> = (1..=1000).map(|i| i * i).collect();
        let (mut even, mut odd) = (Distribution::default(), Distribution::default());
        for &value in &values {
            if value % 2 == 0 {
                even.update(bucket(value), 0..1, 1)
            } else {
                odd.update(bucket(value), 0..1, 1)
            }
        }
        let quantiles = Sum::of(&[&even, &odd]).quantiles(0).unwrap();
        assert_eq!(quantiles.samples, 1000);
        assert_eq!(quantiles.at, [500, 900, 950, 990, 999].map(|rank| bucket(rank * rank)));
        assert_eq!(quantiles.max, bucket(1_000_000));
    }

    #[test]
    fn one_value_is_every_quantile() {
        let mut one = Distribution::default();
        one.update(77, 0..1, 1);
        assert_eq!(
            Sum::of(&[&one]).quantiles(0),
            Some(Quantiles { samples: 1, at: [77; 5], max: 77 })
        );
    }

    #[test]
    fn nothing_has_no_quantiles() {
        assert_eq!(Sum::of(&[&Distribution::default()]).quantiles(0), None);
        assert_eq!(Sum::of(&[]).quantiles(0), None);
    }

    #[test]
    fn taking_away_what_was_added_leaves_nothing() {
        let mut distribution = Distribution::default();
        for value in spectrum() {
            distribution.update(bucket(value), 0..1, 300);
            distribution.update(bucket(value), 0..1, 70_000);
        }
        for value in spectrum() {
            distribution.update(bucket(value), 0..1, -70_300);
        }
        assert_eq!(distribution, Distribution::default());
    }

    #[test]
    fn counts_outgrow_a_byte_and_four() {
        let mut distribution = Distribution::default();
        for diff in [255, 1, i64::from(u32::MAX), 9] {
            distribution.update(5, 0..1, diff);
        }
        let samples = Sum::of(&[&distribution]).quantiles(0).unwrap().samples;
        assert_eq!(samples, 255 + 1 + u64::from(u32::MAX) + 9);
    }

    #[test]
    fn each_window_has_its_own_values() {
        let mut distribution = Distribution::default();
        distribution.update(7, 0..N_WINDOWS, 1);
        distribution.update(9, 3..N_WINDOWS, 1);
        distribution.update(7, 0..1, -1);
        let parts = [&distribution];
        let sum = Sum::of(&parts);
        let read = [0, 1, 2, 3, 4].map(|window| sum.quantiles(window));
        let samples = read.map(|quantiles| quantiles.map_or(0, |quantiles| quantiles.samples));
        assert_eq!(samples, [0, 1, 1, 2, 2]);
        assert_eq!(read[0], None);
        assert_eq!([1, 4].map(|window| read[window].unwrap().max), [7, 9]);
    }

    #[test]
    fn it_holds_what_a_list_of_values_holds() {
        let mut random = 1_u64;
        let mut distribution = Distribution::default();
        let mut values = Vec::new();
        for _ in 0..3_000 {
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            // Values of all magnitudes, so that chunks come and go at both ends.
            let value = (random >> 12) as i64 >> (random % 52);
            if random >> 63 == 0 || values.is_empty() {
                distribution.update(bucket(value), 0..2, 1);
                values.push(value);
            } else {
                let gone = values.swap_remove((random >> 32) as usize % values.len());
                distribution.update(bucket(gone), 0..2, -1);
            }
            let mut sorted = values.clone();
            sorted.sort_unstable();
            let read = Sum::of(&[&distribution]).quantiles(1);
            let n = sorted.len();
            let at = |per_mille: u64| bucket(sorted[(n * per_mille as usize).div_ceil(1000) - 1]);
            let expected = (n > 0).then(|| Quantiles {
                samples: n as u64,
                at: PER_MILLE.map(at),
                max: bucket(sorted[n - 1]),
            });
            assert_eq!(read, expected);
        }
    }
}
