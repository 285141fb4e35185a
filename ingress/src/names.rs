//! Names of other programs as ids of ours.

use uuid::Uuid;

/// The id that a name of another program is here: its own if it is a UUID, else the one that follows
/// from it in `space`.
pub(crate) fn id(space: &Uuid, name: &str) -> Uuid {
    let own = if name.len() == 36 { Uuid::try_parse(name).ok() } else { None };
    own.unwrap_or_else(|| Uuid::new_v5(space, name.as_bytes()))
}
