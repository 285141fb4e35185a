//! What Redis holds at one moment, for whoever checks it.

use std::collections::BTreeMap;

use ::redis::{Client, pipe};
use contracts::Micros;

use super::fields::folded;
use super::{COMPLETED, Error, FAILED, LAST_EVENT, SNAPSHOT, TOTAL, connect};
use crate::fold::Folded;

/// All that readers are shown, read at once.
pub struct Held {
    /// None if the hash is not there.
    pub views: Option<Folded>,
    /// The values of [`TOTAL`], [`COMPLETED`], [`FAILED`] and [`LAST_EVENT`].
    pub numbers: [Option<String>; 4],
}

impl Held {
    /// The newest `occurredAt`, as the hash has it.
    pub fn last_event(&self) -> Option<Micros> {
        self.views.as_ref().and_then(Folded::last_event)
    }
}

/// Reads all of it in one transaction.
pub async fn read(url: &str) -> Result<Held, Error> {
    let client = Client::open(url).map_err(|error| Error::Url(error.category().to_owned()))?;
    let mut connection = connect(&client)?;
    let mut both = pipe();
    both.atomic().hgetall(SNAPSHOT).mget(&[TOTAL, COMPLETED, FAILED, LAST_EVENT]);
    let (hash, numbers): (BTreeMap<String, String>, _) = both.query_async(&mut connection).await?;
    Ok(Held { views: folded(hash)?, numbers })
}
