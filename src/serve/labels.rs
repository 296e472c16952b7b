//! Labels of jobs: how many, and how long.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::error::{ApiError, Violation};
use super::limits::{MAX_LABEL_BYTES, MAX_LABELS};

/// Reads labels.
///
/// # Errors
/// All that is wrong with them.
pub(super) fn read(value: &Json) -> Result<BTreeMap<String, String>, ApiError> {
    let violation = |field: String, description: &str| Violation::new(field, description);
    let entries = match value {
        Json::Null => return Ok(BTreeMap::new()),
        Json::Object(entries) => entries,
        _ => return Err(ApiError::of_field("labels", "want an object of texts")),
    };
    let mut labels = BTreeMap::new();
    let mut violations = Vec::new();
    if entries.len() > MAX_LABELS {
        violations
            .push(violation("labels".into(), &format!("got {}, want {MAX_LABELS} at most", entries.len())));
    }
    for (key, value) in entries {
        let field = format!("labels.{}", key.chars().take(MAX_LABEL_BYTES).collect::<String>());
        let too_long = format!("is longer than {MAX_LABEL_BYTES} bytes");
        match value.as_str() {
            None => violations.push(violation(field, "want a text")),
            Some(_) if key.is_empty() => violations.push(violation(field, "a label needs a name")),
            Some(text) if key.len().max(text.len()) > MAX_LABEL_BYTES => {
                violations.push(violation(field, &too_long))
            }
            Some(text) => {
                labels.insert(key.clone(), text.to_owned());
            }
        }
    }
    if violations.is_empty() { Ok(labels) } else { Err(ApiError::of_fields(violations)) }
}
