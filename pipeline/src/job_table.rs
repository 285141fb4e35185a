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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use contracts::event::{EventId, Kind};
    use proptest::prelude::{any, proptest};

    use super::*;
    use crate::fact::Fact;
    use crate::name::Name;

    fn job(n: u128) -> JobId {
        JobId::from_u128(n)
    }

    /// An entry that `tick` tells from others of its job.
    fn entry(job: JobId, tick: Tick) -> Entry {
        let fact = Fact {
            job,
            event: EventId::nil(),
            at: 0,
            created_at: 0,
            seq: 0,
            job_type: Name::NONE,
            queue: Name::NONE,
            worker: Name::NONE,
            attempt: 1,
            kind: Kind::Created,
            inferred: false,
            expires_after: 0,
        };
        Entry {
            job,
            summary: Summary::of(&fact),
            tick,
            abandoned_at: 0,
            touched: false,
            retiring: false,
            recalled: false,
            unsaved: false,
        }
    }

    impl JobTable {
        fn put(&mut self, job: JobId, tick: Tick) {
            self.insert(self.place(job), entry(job, tick));
        }

        fn take(&mut self, job: JobId) {
            let index = self.find(self.place(job), job).unwrap();
            self.remove(index);
        }

        fn tick_of(&self, job: JobId) -> Option<Tick> {
            let entry = self.get(self.find(self.place(job), job)?);
            assert_eq!(entry.job, job);
            Some(entry.tick)
        }

        /// Records that the shards have room for.
        fn room(&self) -> usize {
            self.shards.iter().map(HashTable::capacity).sum()
        }
    }

    proptest! {
        #[test]
        fn it_holds_what_a_map_holds(seed in any::<u64>(), n_jobs in 1..4000_u128) {
            let mut random = seed;
            let mut table = JobTable::new();
            let mut map = HashMap::new();
            for tick in 0..8000 {
                // Grows and shrinks in turn.
                random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                let id = job(u128::from(random >> 33) % n_jobs);
                let growing = tick % 2000 < 1200;
                match map.get(&id) {
                    None if growing => {
                        table.put(id, tick);
                        map.insert(id, tick);
                    }
                    Some(_) if !growing => {
                        table.take(id);
                        map.remove(&id);
                    }
                    known => assert_eq!(table.tick_of(id).as_ref(), known),
                }
                assert_eq!(table.len, map.len());
            }
            for id in (0..n_jobs).map(job) {
                assert_eq!(table.tick_of(id).as_ref(), map.get(&id), "{id}");
            }
        }
    }

    #[test]
    fn no_job_is_lost_while_it_grows_or_shrinks() {
        let n = 40_000;
        let mut table = JobTable::new();
        for i in 0..n {
            table.put(job(i), i as Tick);
        }
        assert!((0..n).all(|i| table.tick_of(job(i)) == Some(i as Tick)));
        // The first, the last and the middle, in turn: the last takes the place of each.
        for i in (0..n).filter(|i| i % 3 != 0) {
            table.take(job(i));
        }
        for i in 0..n {
            let there = (i % 3 == 0).then_some(i as Tick);
            assert_eq!(table.tick_of(job(i)), there);
        }
    }

    #[test]
    fn memory_follows_the_jobs_that_are_left() {
        let mut table = JobTable::new();
        for i in 0..50_000 {
            table.put(job(i), 0);
        }
        let (chunks, room) = (table.chunks.len(), table.room());
        assert!(chunks == 49 && room < 150_000, "{chunks} chunks, room for {room}");
        for i in 10..50_000 {
            table.take(job(i));
        }
        let (chunks, room) = (table.chunks.len(), table.room());
        assert!(chunks <= 2 && room < 4 * SHARDS, "{chunks} chunks, room for {room}");
        (0..10).for_each(|i| table.take(job(i)));
        assert_eq!(table.len, 0);
        table.put(job(7), 7);
        assert_eq!(table.tick_of(job(7)), Some(7));
    }

    #[test]
    fn jobs_with_one_fingerprint_are_told_apart() {
        let mut table = JobTable::new();
        let place = table.place(job(1));
        let [one, other] = [1, 2].map(|n| table.insert(place, entry(job(n), 0)));
        assert_eq!(table.find(place, job(1)), Some(one));
        assert_eq!(table.find(place, job(2)), Some(other));
        assert_eq!(table.find(place, job(3)), None);
    }

    #[test]
    fn the_last_shard_has_twice_the_share_of_the_first() {
        let table = JobTable::new();
        let mut shares = [0_u32; SHARDS];
        (0..200_000).for_each(|i| shares[table.place(job(i)).shard] += 1);
        let quarter = SHARDS / 4;
        let first: u32 = shares[..quarter].iter().sum();
        let last: u32 = shares[SHARDS - quarter..].iter().sum();
        // From 1 to 1.19, and from 1.68 to 2.
        let ratio = f64::from(last) / f64::from(first);
        assert!((1.6..1.76).contains(&ratio), "{first} and {last}");
        assert!(shares.iter().all(|share| (300..1500).contains(share)), "{shares:?}");
    }

    #[test]
    fn an_entry_takes_at_most_160_bytes() {
        assert!(size_of::<Entry>() <= 160, "{} bytes", size_of::<Entry>());
        assert!(size_of::<Slot>() <= 8);
    }
}
