//! Which keys there are. They are read off the types, so that no list can be forgotten.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Conference, Config, ConfigError, Layers};

/// Stands for any conference's id.
const ANY: &str = "*";
/// Least likeness of a suggestion, of 1.
const LIKENESS: f64 = 0.7;

/// The keys and values of a configuration, dotted; what is not set is null.
#[must_use]
pub fn flatten(config: &Config) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    // The types hold nothing that JSON cannot.
    walk(String::new(), serde_json::to_value(config).unwrap_or_default(), &mut found);
    found
}

fn walk(key: String, value: Value, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                walk(if key.is_empty() { name } else { format!("{key}.{name}") }, value, found);
            }
        }
        value => {
            found.insert(key, value);
        }
    }
}

/// A configuration with every key there is.
fn template() -> Config {
    Config { conference: BTreeMap::from([(ANY.to_owned(), Conference::template())]), ..Config::default() }
}

fn known() -> BTreeSet<String> {
    flatten(&template()).into_keys().collect()
}

/// The key with a conference's id taken out.
fn general(key: &str) -> String {
    let mut parts: Vec<&str> = key.split('.').collect();
    if parts.len() > 1 && parts[0] == "conference" {
        parts[1] = ANY;
    }
    parts.join(".")
}

/// The list of sections that holds a key: who writes it as one section names a key that there is not.
fn list_above(key: &str) -> Option<String> {
    let template = flatten(&template());
    let mut above = key;
    while let Some((shorter, _)) = above.rsplit_once('.') {
        above = shorter;
        if template.get(&general(above)).is_some_and(Value::is_array) {
            return Some(format!("[[{above}]]"));
        }
    }
    None
}

/// Checks that every key that was set exists.
///
/// # Errors
/// The first that does not, with the nearest that does.
pub fn check(layers: &Layers) -> Result<(), ConfigError> {
    let known = known();
    for (key, is_empty_section, origin) in layers.keys() {
        let general = general(key);
        let holds_keys = || known.range(format!("{general}.")..).next().is_some_and(|next| next.starts_with(&format!("{general}.")));
        let is_known = known.contains(&general) || (is_empty_section && holds_keys());
        if !is_known {
            return Err(ConfigError::Unknown {
                key: key.to_owned(),
                origin: origin.clone(),
                suggestion: list_above(key).or_else(|| nearest(&known, key)),
            });
        }
    }
    Ok(())
}

/// The known key most like this one: as a whole, or by its last word in any section.
fn nearest(known: &BTreeSet<String>, key: &str) -> Option<String> {
    let asked = general(key);
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let likeness = |candidate: &String| {
        let whole = strsim::normalized_damerau_levenshtein(candidate, &asked);
        let word = strsim::normalized_damerau_levenshtein(&last(candidate), &last(&asked));
        whole.max(if word >= 1.0 { 0.99 } else { word * 0.9 })
    };
    let best = known.iter().map(|candidate| (likeness(candidate), candidate)).max_by(|a, b| a.0.total_cmp(&b.0))?;
    let id = key.strip_prefix("conference.").and_then(|rest| rest.split('.').next()).filter(|id| !id.is_empty());
    (best.0 >= LIKENESS).then(|| best.1.replace(ANY, id.unwrap_or("<id>")))
}
