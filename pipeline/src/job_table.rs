//! The jobs in memory, in a table that grows and shrinks without a pause.
//!
//! ```text
//!   job id ──hash──▶ shard (of 256) ──▶ (fingerprint, index) ──▶ entries, in chunks of 1,024
//! ```
//!
//! One hash table of five million jobs stops the world when it doubles. Here 256 small ones double
//! one after another: the shards are given unequal shares of the hash range, from 1 to 2, so that
//! between two doublings of the whole each shard's turn comes at another size. What they hold is
//! five bytes of fingerprint and an index; the entries lie in chunks that never move.
//!
//! # Invariants
//!
//! 1. Entries are dense: removing one moves the last into its place, so an index is valid only
//!    until the next removal.
//! 2. Memory follows the number of jobs: empty chunks are freed, and sparse shards shrink.
//!
//! # Cost
//!
//! 160 bytes an entry, and 9 to 21 in the shards.

use std::hash::BuildHasher;

use contracts::event::JobId;
use hashbrown::{DefaultHashBuilder, HashTable};

use crate::Tick;
use crate::summary::Summary;

/// A job in memory.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) job: JobId,
    pub(crate) summary: Summary,
    /// Tick of the last fact that changed the summary.
    pub(crate) tick: Tick,
    /// Tick at which it was given up; zero if it was not.
    pub(crate) abandoned_at: Tick,
    /// Among the jobs touched in the tick at hand.
    pub(crate) touched: bool,
    /// Leaves at the end of the tick at hand.
    pub(crate) retiring: bool,
    /// What the store knew of it is in the summary.
    pub(crate) recalled: bool,
    /// It differs from what the store has.
    pub(crate) unsaved: bool,
}

/// Entries of a chunk: large enough to make the list of chunks short, small enough to free soon.
const CHUNK: usize = 1024;
const SHARDS: usize = 256;

/// Index of an entry, valid until the next removal.
pub(crate) type Index = u32;

/// A shard's record of an entry.
#[derive(Clone, Copy)]
struct Slot {
    fingerprint: u32,
    index: Index,
}

pub(crate) struct JobTable {
    hasher: DefaultHashBuilder,
    shards: Vec<HashTable<Slot>>,
    chunks: Vec<Vec<Entry>>,
    len: usize,
}

/// Where a job's record is, or would be.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    shard: usize,
    fingerprint: u32,
}

impl JobTable {
    pub(crate) fn new() -> JobTable {
        JobTable {
            hasher: DefaultHashBuilder::default(),
            shards: (0..SHARDS).map(|_| HashTable::new()).collect(),
            chunks: Vec::new(),
            len: 0,
        }
    }

    /// The shard and fingerprint of `job`.
    pub(crate) fn place(&self, job: JobId) -> Place {
        let hash = self.hasher.hash_one(job.as_bytes());
        // With u uniform in 0..1, log2(1 + u) gives shard i a share that rises from 1 to 2.
        let uniform: f64 = (hash >> 32) as f64 / f64::from(u32::MAX);
        let shard = ((1.0 + uniform).log2() * SHARDS as f64) as usize;
        Place { shard: shard.min(SHARDS - 1), fingerprint: hash as u32 }
    }

    pub(crate) fn find(&self, place: Place, job: JobId) -> Option<Index> {
        let same =
            |slot: &Slot| slot.fingerprint == place.fingerprint && self.get(slot.index).job == job;
        self.shards[place.shard].find(spread(place.fingerprint), same).map(|slot| slot.index)
    }

    pub(crate) fn get(&self, index: Index) -> &Entry {
        &self.chunks[index as usize / CHUNK][index as usize % CHUNK]
    }

    pub(crate) fn get_mut(&mut self, index: Index) -> &mut Entry {
        &mut self.chunks[index as usize / CHUNK][index as usize % CHUNK]
    }

    /// Adds an entry for a job that has none.
    pub(crate) fn insert(&mut self, place: Place, entry: Entry) -> Index {
        if self.len == self.chunks.len() * CHUNK {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        // Four billion entries do not fit in memory.
        let index = self.len as Index;
        self.chunks[self.len / CHUNK].push(entry);
        self.len += 1;
        let slot = Slot { fingerprint: place.fingerprint, index };
        self.shards[place.shard]
            .insert_unique(spread(place.fingerprint), slot, |slot| spread(slot.fingerprint));
        index
    }

    /// Removes the entry at `index`; the last entry takes its place.
    pub(crate) fn remove(&mut self, index: Index) {
        let last = (self.len - 1) as Index;
        let place = self.place(self.get(index).job);
        let shard = &mut self.shards[place.shard];
        if let Ok(slot) = shard.find_entry(spread(place.fingerprint), |slot| slot.index == index) {
            slot.remove();
        }
        if shard.len() * 4 < shard.capacity() {
            shard.shrink_to(shard.len() * 2, |slot| spread(slot.fingerprint));
        }
        if index != last {
            let moved = self.place(self.get(last).job);
            let slot = self.shards[moved.shard]
                .find_mut(spread(moved.fingerprint), |slot| slot.index == last);
            if let Some(slot) = slot {
                slot.index = index;
            }
        }
        self.len -= 1;
        let entry = self.chunks.get_mut(self.len / CHUNK).and_then(Vec::pop);
        if let Some(entry) = entry
            && index != last
        {
            *self.get_mut(index) = entry;
        }
        // One empty chunk is kept, so that a count around a multiple does not thrash.
        if self.chunks.len() * CHUNK >= self.len + 2 * CHUNK {
            self.chunks.pop();
        }
    }
}

/// A fingerprint as hash: tables take the bucket from the low bits and a tag from the top seven.
fn spread(fingerprint: u32) -> u64 {
    u64::from(fingerprint).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
