//! What is in force and where it came from, as TOML with the origin as a comment.

use serde_json::Value;

use super::keys::flatten;
use super::{Config, Loaded};

/// Keys whose values are not shown.
const SECRETS: &[&str] = &["access_token", "hs256_secret", "secret"];

impl Loaded {
    /// All values, one line each.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        let values = flatten(&self.config);
        values.iter().map(|(key, value)| format!("{}  # {}", assignment(key, value), self.origin(key))).collect()
    }

    /// The values that are not the defaults, one line each.
    #[must_use]
    pub fn changed(&self) -> Vec<String> {
        let (values, defaults) = (flatten(&self.config), flatten(&Config::default()));
        let changed = values.iter().filter(|(key, value)| !value.is_null() && defaults.get(*key) != Some(*value));
        changed.map(|(key, value)| format!("{}  # {}", assignment(key, value), self.origin(key))).collect()
    }
}

fn assignment(key: &str, value: &Value) -> String {
    let secret = key.rsplit('.').next().is_some_and(|last| SECRETS.contains(&last));
    match value {
        Value::Null => format!("# {key} is not set"),
        _ if secret => format!("{key} = \"…\""),
        value => format!("{key} = {}", toml_value(value)),
    }
}

fn toml_value(value: &Value) -> String {
    match value {
        Value::String(text) => toml::Value::from(text.as_str()).to_string(),
        Value::Array(items) => format!("[{}]", items.iter().map(toml_value).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let shown = |name: &str, value| if SECRETS.contains(&name) { "\"…\"".to_owned() } else { toml_value(value) };
            let fields: Vec<String> = fields
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| format!("{name} = {}", shown(name, value)))
                .collect();
            format!("{{ {} }}", fields.join(", "))
        }
        other => other.to_string(),
    }
}
