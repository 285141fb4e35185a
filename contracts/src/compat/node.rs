//! What one node of a schema says.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// A schema, with its reference followed.
pub(super) type Node = Map<String, Value>;

/// Words for readers; no document becomes valid or invalid by them.
pub(super) const WORDS: [&str; 8] = [
    "title",
    "description",
    "examples",
    "$comment",
    "deprecated",
    "readOnly",
    "writeOnly",
    "$schema",
];
/// Constraints of which only sameness can be told, and without which more is accepted.
pub(super) const OPAQUE: [&str; 12] = [
    "format",
    "pattern",
    "multipleOf",
    "uniqueItems",
    "contentEncoding",
    "contentMediaType",
    "allOf",
    "oneOf",
    "not",
    "patternProperties",
    "propertyNames",
    "dependentRequired",
];
/// A document must reach these.
pub(super) const LOWER: [&str; 5] =
    ["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"];
/// A document must not exceed these.
pub(super) const UPPER: [&str; 5] =
    ["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"];
/// Compared each in its own way.
pub(super) const TREATED: [&str; 10] = [
    "type",
    "enum",
    "const",
    "required",
    "properties",
    "additionalProperties",
    "items",
    "anyOf",
    "default",
    "$ref",
];
/// Not about documents: the version is what is checked, definitions count where they are used.
pub(super) const ASIDE: [&str; 3] = ["$id", "$version", "$defs"];

pub(super) fn only_alternatives(node: &Node) -> bool {
    let other = |keyword: &String| keyword != "anyOf" && !WORDS.contains(&keyword.as_str());
    node.contains_key("anyOf") && !node.keys().any(other)
}

pub(super) fn reference(node: &Value) -> String {
    node.get("$ref").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A node as an object, with its reference followed; what stands beside the reference wins.
pub(super) fn resolved(document: &Value, node: &Value) -> Node {
    let mut node = match node {
        Value::Bool(false) => json!({ "not": {} }).as_object().cloned().unwrap_or_default(),
        node => node.as_object().cloned().unwrap_or_default(),
    };
    // A reference may lead to another; one that leads in a circle says nothing.
    for _ in 0..16 {
        let Some(Value::String(reference)) = node.remove("$ref") else { break };
        let target = reference.strip_prefix('#').and_then(|pointer| document.pointer(pointer));
        match target.and_then(Value::as_object) {
            Some(target) => {
                for (keyword, value) in target {
                    node.entry(keyword.clone()).or_insert_with(|| value.clone());
                }
            }
            // Another document: comparable by its name only.
            None => {
                node.insert("reference".to_owned(), Value::String(reference));
            }
        }
    }
    node
}

pub(super) fn strings(list: Option<&Value>) -> BTreeSet<String> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The types that a node accepts.
pub(super) fn types(node: &Node) -> BTreeSet<String> {
    let mut types = match node.get("type") {
        Some(Value::String(one)) => BTreeSet::from([one.clone()]),
        Some(list) => strings(Some(list)),
        None => ["null", "boolean", "object", "array", "number", "string"].map(String::from).into(),
    };
    if types.contains("number") {
        types.insert("integer".to_owned());
    }
    types
}

/// The values that a node lists, if it does.
pub(super) fn values(node: &Node) -> Option<Vec<Value>> {
    match (node.get("enum"), node.get("const")) {
        (Some(Value::Array(list)), _) => Some(list.clone()),
        (_, Some(only)) => Some(vec![only.clone()]),
        _ => None,
    }
}
