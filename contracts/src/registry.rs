//! The pages that a running installation offers, as `ui-registry.json` lists them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Every page, and the host that serves them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UiRegistry {
    /// The version of the list.
    #[schemars(regex(pattern = r"^[0-9]+\.[0-9]+\.[0-9]+$"))]
    pub registry_version: String,
    /// What comes before the port, like `http://localhost`.
    #[schemars(regex(pattern = "^https?://[^/]+$"))]
    pub base_url: String,
    #[schemars(length(min = 1))]
    pub entries: Vec<UiEntry>,
}

/// One page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UiEntry {
    /// Stable; what programs refer to.
    #[schemars(length(min = 1))]
    pub id: String,
    #[schemars(length(min = 1))]
    pub name: String,
    #[schemars(range(min = 1))]
    pub port: u16,
    #[schemars(regex(pattern = "^/"))]
    pub path: String,
    pub emoji: String,
    pub description: String,
}

impl UiRegistry {
    /// The address of a page.
    pub fn url(&self, entry: &UiEntry) -> String {
        format!("{}:{}{}", self.base_url, entry.port, entry.path)
    }
}
