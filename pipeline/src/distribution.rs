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
//! Buckets come in chunks of 64, allocated when first used and freed when empty; a chunk's counts
//! take a byte per bucket and window until one of them outgrows it, then four, then eight.

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
    /// In the order of their numbers; none is empty.
    chunks: Vec<Chunk>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Chunk {
    number: u16,
    totals: [u64; N_WINDOWS],
    counts: Counts,
}

type Cells<N> = Box<[[N; N_WINDOWS]; CHUNK]>;

/// As narrow as the greatest count has ever needed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Counts {
    Narrow(Cells<u8>),
    Wide(Cells<u32>),
    Full(Cells<u64>),
}

impl Counts {
    fn get(&self, slot: usize, window: usize) -> u64 {
        match self {
            Counts::Narrow(counts) => u64::from(counts[slot][window]),
            Counts::Wide(counts) => u64::from(counts[slot][window]),
            Counts::Full(counts) => counts[slot][window],
        }
    }

    fn set(&mut self, slot: usize, window: usize, count: u64) {
        match self {
            Counts::Narrow(counts) if let Ok(count) = u8::try_from(count) => {
                counts[slot][window] = count;
            }
            Counts::Wide(counts) if let Ok(count) = u32::try_from(count) => {
                counts[slot][window] = count;
            }
            Counts::Full(counts) => counts[slot][window] = count,
            Counts::Narrow(counts) => {
                *self = Counts::Wide(Box::new(counts.map(|windows| windows.map(u32::from))));
                self.set(slot, window, count);
            }
            Counts::Wide(counts) => {
                *self = Counts::Full(Box::new(counts.map(|windows| windows.map(u64::from))));
                self.set(slot, window, count);
            }
        }
    }
}

impl Distribution {
    /// Adds `diff` values to `bucket` in some windows, or takes them away.
    ///
    /// Taking more than there are leaves none: it would mean that a view had retracted what it
    /// never gave, and is caught by `debug_assert`.
    pub fn update(&mut self, bucket: Bucket, windows: Range<usize>, diff: i64) {
        let number = bucket / CHUNK as u16;
        let slot = usize::from(bucket) % CHUNK;
        let found = self.chunks.binary_search_by_key(&number, |chunk| chunk.number);
        let position = found.unwrap_or_else(|position| {
            let counts = Counts::Narrow(Box::new([[0; N_WINDOWS]; CHUNK]));
            self.chunks.insert(position, Chunk { number, totals: [0; N_WINDOWS], counts });
            position
        });
        let chunk = &mut self.chunks[position];
        for window in windows {
            let old = chunk.counts.get(slot, window);
            debug_assert!(old.checked_add_signed(diff).is_some(), "{diff} values at {old}");
            let new = old.saturating_add_signed(diff);
            chunk.counts.set(slot, window, new);
            chunk.totals[window] = chunk.totals[window] + new - old;
        }
        if chunk.totals == [0; N_WINDOWS] {
            self.chunks.remove(position);
        }
    }

    /// How many values there are in a window.
    pub fn samples(&self, window: usize) -> u64 {
        self.chunks.iter().map(|chunk| chunk.totals[window]).sum()
    }

    /// Bytes that it holds on the heap.
    pub fn heap_bytes(&self) -> usize {
        let width = |chunk: &Chunk| match chunk.counts {
            Counts::Narrow(_) => 1,
            Counts::Wide(_) => 4,
            Counts::Full(_) => 8,
        };
        let cells: usize = self.chunks.iter().map(|chunk| width(chunk) * CHUNK * N_WINDOWS).sum();
        self.chunks.capacity() * size_of::<Chunk>() + cells
    }
}

/// The quantiles of several distributions in a window, added together; `None` if all are empty.
pub fn quantiles(parts: &[&Distribution], window: usize) -> Option<Quantiles> {
    let chunks = parts.iter().flat_map(|part| &part.chunks);
    let mut chunks: Vec<&Chunk> = chunks.filter(|chunk| chunk.totals[window] > 0).collect();
    if parts.len() > 1 {
        chunks.sort_by_key(|chunk| chunk.number);
    }
    let samples: u64 = chunks.iter().map(|chunk| chunk.totals[window]).sum();
    let ranks = PER_MILLE.map(|per_mille| (samples * per_mille).div_ceil(1000));

    let last = chunks.last()?.number;
    let mut quantiles = Quantiles { samples, at: [0; PER_MILLE.len()], max: 0 };
    let mut found = 0;
    let mut below = 0;
    // Chunks of one number lie together.
    for group in chunks.chunk_by(|a, b| a.number == b.number) {
        let total: u64 = group.iter().map(|chunk| chunk.totals[window]).sum();
        let is_last = group[0].number == last;
        if is_last || found < ranks.len() && ranks[found] <= below + total {
            let first = group[0].number * CHUNK as u16;
            let mut seen = below;
            for slot in 0..CHUNK {
                let count: u64 = group.iter().map(|chunk| chunk.counts.get(slot, window)).sum();
                if count == 0 {
                    continue;
                }
                seen += count;
                let bucket = first + slot as u16;
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
        let quantiles = quantiles(&[&even, &odd], 0).unwrap();
        assert_eq!(quantiles.samples, 1000);
        assert_eq!(quantiles.at, [500, 900, 950, 990, 999].map(|rank| bucket(rank * rank)));
        assert_eq!(quantiles.max, bucket(1_000_000));
    }

    #[test]
    fn one_value_is_every_quantile() {
        let mut one = Distribution::default();
        one.update(77, 0..1, 1);
        assert_eq!(quantiles(&[&one], 0), Some(Quantiles { samples: 1, at: [77; 5], max: 77 }));
    }

    #[test]
    fn nothing_has_no_quantiles() {
        assert_eq!(quantiles(&[&Distribution::default()], 0), None);
        assert_eq!(quantiles(&[], 0), None);
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
        assert_eq!(distribution.samples(0), 255 + 1 + u64::from(u32::MAX) + 9);
    }

    #[test]
    fn each_window_has_its_own_values() {
        let mut distribution = Distribution::default();
        distribution.update(7, 0..N_WINDOWS, 1);
        distribution.update(9, 3..N_WINDOWS, 1);
        distribution.update(7, 0..1, -1);
        assert_eq!([0, 1, 2, 3, 4].map(|window| distribution.samples(window)), [0, 1, 1, 2, 2]);
        assert_eq!(quantiles(&[&distribution], 0), None);
        assert_eq!(quantiles(&[&distribution], 1).unwrap().max, 7);
        assert_eq!(quantiles(&[&distribution], 4).unwrap().max, 9);
    }
}
