//! Interned attribute values: a job's type, queue and worker.
//!
//! Rows are compared, hashed and copied far more often than they are shown, so inside a process
//! an attribute is eight bytes. What crosses to another process, or into a store, is the text:
//! serialising a [`Name`] writes its text and reading one interns it there.
//!
//! # Invariants
//!
//! 1. Two names are equal exactly when their texts are.
//! 2. [`Name::route`] depends on the text only, so every process sends a name to the same worker.
//! 3. The order of names is that of interning, and means nothing outside the process; what people
//!    see is sorted by text.
//!
//! # Cost
//!
//! A text is kept once, for the life of the process: memory follows the number of distinct
//! attribute values ever seen, not of jobs.

use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An interned text; [`Name::NONE`] stands for an absent attribute and reads as `""`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    index: u32,
    route: u32,
}

#[derive(Default)]
struct Interner {
    by_text: HashMap<Arc<str>, Name>,
    /// The text of index `i + 1`; index 0 is [`Name::NONE`].
    texts: Vec<Arc<str>>,
}

static INTERNER: LazyLock<RwLock<Interner>> = LazyLock::new(RwLock::default);

impl Name {
    /// The absent attribute.
    pub const NONE: Name = Name { index: 0, route: 0 };

    /// The name of `text`, which is interned if it is new.
    pub fn new(text: &str) -> Name {
        if text.is_empty() {
            return Name::NONE;
        }
        let known = INTERNER.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(&name) = known.by_text.get(text) {
            return name;
        }
        drop(known);

        let mut interner = INTERNER.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have interned it between the two locks.
        if let Some(&name) = interner.by_text.get(text) {
            return name;
        }
        let text: Arc<str> = text.into();
        interner.texts.push(Arc::clone(&text));
        // Four billion texts do not fit in memory, so the index cannot wrap.
        let name = Name { index: interner.texts.len() as u32, route: fnv(text.as_bytes()) };
        interner.by_text.insert(text, name);
        name
    }

    /// The text; `""` for [`Name::NONE`].
    pub fn text(self) -> Arc<str> {
        if self.is_none() {
            return Arc::from("");
        }
        let interner = INTERNER.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&interner.texts[self.index as usize - 1])
    }

    /// The text, or nothing for an absent attribute.
    pub fn some(self) -> Option<Arc<str>> {
        (!self.is_none()).then(|| self.text())
    }

    /// Whether the attribute is absent.
    pub fn is_none(self) -> bool {
        self.index == 0
    }

    /// A hash of the text, the same in every process.
    pub fn route(self) -> u64 {
        u64::from(self.route)
    }
}

/// FNV-1a, 32 bits (Fowler, Noll, Vo; <http://www.isthe.com/chongo/tech/comp/fnv/>).
fn fnv(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u32(self.route);
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.text(), f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
        String::deserialize(deserializer).map(|text| Name::new(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_equal_names() {
        assert_eq!(Name::new("email.send"), Name::new("email.send"));
        assert_ne!(Name::new("email.send"), Name::new("email.sent"));
        assert_eq!(&*Name::new("email.send").text(), "email.send");
    }

    #[test]
    fn the_empty_text_is_the_absent_attribute() {
        assert_eq!(Name::new(""), Name::NONE);
        assert_eq!(Name::NONE.some(), None);
    }

    #[test]
    fn a_name_crosses_a_process_as_its_text() {
        let name = Name::new("mail");
        assert_eq!(serde_yaml_ng::to_string(&name).unwrap().trim(), "mail");
        assert_eq!(serde_yaml_ng::from_str::<Name>("mail").unwrap(), name);
    }
}
