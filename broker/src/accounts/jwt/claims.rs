//! What a token says, once its signature was right: until when it is good, by whom and for whom it was made (RFC 7519 §4.1), and who it is.

use serde_json::{Map, Value};

use super::ProviderOptions;
use crate::limits::MAX_NAME_BYTES;
use crate::model::UserRole;
use crate::reject::Reason;

/// How far the provider's clock may be off, in seconds.
const LEEWAY_S: u64 = 60;
/// Longest subject, in bytes (OpenID Connect Core §2: 255 characters).
const MAX_SUBJECT_BYTES: usize = 255;

/// Somebody as their identity provider names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The provider.
    pub issuer: String,
    /// Who, in the provider's words; never a uid.
    pub subject: String,
    /// What a uid can be made from, the best first.
    pub handles: Vec<String>,
    /// Their name.
    pub name: Option<String>,
    /// Their role, when the provider says it.
    pub role: Option<UserRole>,
    /// When the token was made, Unix ms; 0 when it does not say it.
    pub issued_ms: u64,
    /// Until when the token is good, Unix ms.
    pub expires_ms: u64,
}

/// By whom a token says that it was made, before that is known to be so; for finding the keys.
#[must_use]
pub fn claimed_issuer(payload: &[u8]) -> Option<String> {
    let claims: Map<String, Value> = serde_json::from_slice(payload).ok()?;
    Some(claims.get("iss").and_then(Value::as_str).unwrap_or_default().to_owned())
}

/// Reads the claims of a token that was signed by the provider.
///
/// # Errors
/// [`Reason::TokenExpired`]; [`Reason::BadToken`] for all else that is wrong with it.
pub fn read(payload: &[u8], options: &ProviderOptions, now_ms: u64) -> Result<Claims, Reason> {
    let claims: Map<String, Value> = serde_json::from_slice(payload).map_err(|_| Reason::BadToken)?;
    let expires_ms = time_ms(&claims, "exp")?.ok_or(Reason::BadToken)?.saturating_add(LEEWAY_S * 1000);
    if expires_ms <= now_ms {
        return Err(Reason::TokenExpired);
    }
    if time_ms(&claims, "nbf")?.is_some_and(|from| from > now_ms.saturating_add(LEEWAY_S * 1000)) {
        return Err(Reason::BadToken);
    }
    // No token was made later than now: one that says so is not newer than all that come.
    let issued_ms = time_ms(&claims, "iat")?.unwrap_or(0).min(now_ms.saturating_add(LEEWAY_S * 1000));
    let issuer = match claims.get("iss") {
        None => "",
        Some(issuer) => issuer.as_str().ok_or(Reason::BadToken)?,
    };
    let is_theirs = options.issuer.as_deref().is_none_or(|expected| expected == issuer);
    if !is_theirs || !is_for_us(claims.get("aud"), options) || !is_of_client(&claims, options) {
        return Err(Reason::BadToken);
    }
    let subject = subject(&claims, &options.user_claim).ok_or(Reason::BadToken)?;
    let name = options.name_claim.as_deref().and_then(|claim| text(&claims, claim)).or_else(|| text(&claims, "name"));
    Ok(Claims {
        issuer: issuer.to_owned(),
        subject,
        handles: handles(&claims, name),
        name: name.and_then(display_name),
        role: options.roles_claim.as_deref().map(|claim| role(find(&claims, claim), options.role_max)),
        issued_ms,
        expires_ms,
    })
}

/// RFC 7519 §2: a NumericDate, which may have a fraction. What is there and is none is an error, not nothing.
fn time_ms(claims: &Map<String, Value>, name: &str) -> Result<Option<u64>, Reason> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    if let Some(seconds) = value.as_u64() {
        return Ok(Some(seconds.saturating_mul(1000)));
    }
    let seconds = value.as_f64().filter(|seconds| seconds.is_finite() && *seconds >= 0.0).ok_or(Reason::BadToken)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "finite and not negative; the cast saturates")]
    Ok(Some((seconds * 1000.0) as u64))
}

/// RFC 7519 §4.1.3.
fn is_for_us(audience: Option<&Value>, options: &ProviderOptions) -> bool {
    if options.audience.is_empty() {
        return true;
    }
    let is_ours = |value: &Value| value.as_str().is_some_and(|audience| options.audience.iter().any(|ours| ours == audience));
    match audience {
        Some(Value::Array(several)) => several.iter().any(is_ours),
        Some(one) => is_ours(one),
        None => false,
    }
}

/// OpenID Connect Core §3.1.3.7 (4, 5): an ID token for several was made for the one that it names.
fn is_of_client(claims: &Map<String, Value>, options: &ProviderOptions) -> bool {
    match claims.get("azp") {
        Some(Value::String(client)) if matches!(claims.get("aud"), Some(Value::Array(several)) if several.len() > 1) => {
            options.audience.is_empty() || options.audience.contains(client)
        }
        _ => true,
    }
}

fn subject(claims: &Map<String, Value>, claim: &str) -> Option<String> {
    let subject = match find(claims, claim)? {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_u64() => number.to_string(),
        _ => return None,
    };
    // Whoever may type in any address could be anybody.
    if claim == "email" && claims.get("email_verified").is_some_and(|verified| *verified != Value::Bool(true)) {
        return None;
    }
    (!subject.is_empty() && subject.len() <= MAX_SUBJECT_BYTES).then_some(subject)
}

/// A claim by its name; when there is none of that name, by a path with dots (`realm_access.roles`).
fn find<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    rest.split('.').try_fold(claims.get(first)?, |value, part| value.get(part))
}

fn text<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c str> {
    find(claims, name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty())
}

fn handles(claims: &Map<String, Value>, name: Option<&str>) -> Vec<String> {
    let local = |address: &str| address.split('@').next().unwrap_or_default().to_owned();
    let preferred = text(claims, "preferred_username").map(local);
    let email = text(claims, "email").map(local);
    [preferred, email, name.map(str::to_owned)].into_iter().flatten().collect()
}

/// The name as it is shown here: no control characters, and no longer than names are.
fn display_name(name: &str) -> Option<String> {
    let mut shown = String::new();
    for c in name.chars().filter(|c| !c.is_control()) {
        if shown.len() + c.len_utf8() > MAX_NAME_BYTES {
            break;
        }
        shown.push(c);
    }
    let shown = shown.trim();
    (!shown.is_empty()).then(|| shown.to_owned())
}

/// The highest of the roles that are named, as far as the configuration lets tokens give them; an attendee's without any.
fn role(named: Option<&Value>, most: UserRole) -> UserRole {
    let words: Vec<&str> = match named {
        Some(Value::String(text)) => text.split([' ', ',']).collect(),
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let highest =
        [UserRole::Organiser, UserRole::Staff].into_iter().find(|role| words.contains(&role.word())).unwrap_or(UserRole::Attendee);
    if highest.is_above(most) { most } else { highest }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const NOW_MS: u64 = 1_790_000_000_000;
    const NOW: u64 = NOW_MS / 1000;

    fn options() -> ProviderOptions {
        ProviderOptions { issuer: Some("https://id.example".into()), audience: vec!["app".into()], ..ProviderOptions::default() }
    }

    fn with(changes: Value) -> Value {
        let mut claims = json!({"iss": "https://id.example", "aud": "app", "sub": "u1", "exp": NOW + 300});
        for (name, value) in changes.as_object().unwrap() {
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(name);
            } else {
                claims[name] = value.clone();
            }
        }
        claims
    }

    fn read_with(changes: Value, options: &ProviderOptions) -> Result<Claims, Reason> {
        read(with(changes).to_string().as_bytes(), options, NOW_MS)
    }

    #[test]
    fn what_a_token_says() {
        let changes = json!({"preferred_username": "Alice", "email": "al@example.org", "name": " Alice\u{7} B "});
        let claims = read_with(changes, &options()).unwrap();
        assert_eq!((claims.issuer.as_str(), claims.subject.as_str()), ("https://id.example", "u1"));
        assert_eq!(claims.handles, ["Alice", "al", "Alice\u{7} B"]);
        assert_eq!(claims.name.as_deref(), Some("Alice B"));
        assert_eq!((claims.role, claims.expires_ms), (None, (NOW + 300 + LEEWAY_S) * 1000));
    }

    #[test]
    fn times() {
        for (changes, expected) in [
            (json!({"exp": NOW - LEEWAY_S}), Some(Reason::TokenExpired)),
            (json!({"exp": NOW - LEEWAY_S + 1}), None),
            (json!({"exp": 0}), Some(Reason::TokenExpired)),
            (json!({"exp": NOW as f64 + 0.5}), None),
            (json!({"exp": 1e300}), None),
            (json!({"exp": null}), Some(Reason::BadToken)),
            (json!({"exp": "never"}), Some(Reason::BadToken)),
            (json!({"exp": (NOW + 300).to_string()}), Some(Reason::BadToken)),
            (json!({"exp": -1}), Some(Reason::BadToken)),
            (json!({"exp": [NOW + 300]}), Some(Reason::BadToken)),
            (json!({"nbf": NOW + LEEWAY_S}), None),
            (json!({"nbf": NOW + LEEWAY_S + 1}), Some(Reason::BadToken)),
            (json!({"nbf": "later"}), Some(Reason::BadToken)),
            (json!({"iat": "once"}), Some(Reason::BadToken)),
        ] {
            assert_eq!(read_with(changes.clone(), &options()).err(), expected, "{changes}");
        }
    }

    #[test]
    fn by_whom_and_for_whom() {
        for (changes, good) in [
            (json!({"iss": "https://id.example/"}), false),
            (json!({"iss": null}), false),
            (json!({"iss": ["https://id.example"]}), false),
            (json!({"aud": "other"}), false),
            (json!({"aud": null}), false),
            (json!({"aud": []}), false),
            (json!({"aud": ["other", "app"]}), true),
            (json!({"aud": ["other", "app"], "azp": "other"}), false),
            (json!({"aud": ["other", "app"], "azp": "app"}), true),
            (json!({"aud": {"app": true}}), false),
            (json!({"sub": ""}), false),
            (json!({"sub": null}), false),
            (json!({"sub": {"id": 1}}), false),
            (json!({"sub": "x".repeat(256)}), false),
            (json!({"sub": 17}), true),
        ] {
            let expected = (!good).then_some(Reason::BadToken);
            assert_eq!(read_with(changes.clone(), &options()).err(), expected, "{changes}");
        }
    }

    #[test]
    fn an_address_counts_when_it_was_verified() {
        let options = ProviderOptions { user_claim: "email".into(), ..options() };
        assert_eq!(read_with(json!({"email": "a@b", "email_verified": true}), &options).unwrap().subject, "a@b");
        assert_eq!(read_with(json!({"email": "a@b"}), &options).unwrap().subject, "a@b");
        assert!(read_with(json!({"email": "a@b", "email_verified": false}), &options).is_err());
        assert!(read_with(json!({"email": "a@b", "email_verified": "true"}), &options).is_err());
    }

    #[test]
    fn roles_up_to_what_is_allowed() {
        let with_roles = |most| ProviderOptions { roles_claim: Some("realm_access.roles".into()), role_max: most, ..options() };
        for (value, most, expected) in [
            (json!({"realm_access": {"roles": ["x", "staff"]}}), UserRole::Staff, UserRole::Staff),
            (json!({"realm_access": {"roles": ["organiser", "staff"]}}), UserRole::Staff, UserRole::Staff),
            (json!({"realm_access": {"roles": ["organiser"]}}), UserRole::Organiser, UserRole::Organiser),
            (json!({"realm_access": {"roles": ["organiser"]}}), UserRole::Attendee, UserRole::Attendee),
            (json!({"realm_access.roles": "a staff"}), UserRole::Staff, UserRole::Staff),
            (json!({"realm_access": {"roles": ["service", "device", "Staff"]}}), UserRole::Organiser, UserRole::Attendee),
            (json!({"realm_access": {"roles": {"staff": true}}}), UserRole::Staff, UserRole::Attendee),
            (json!({}), UserRole::Organiser, UserRole::Attendee),
        ] {
            assert_eq!(read_with(value.clone(), &with_roles(most)).unwrap().role, Some(expected), "{value}");
        }
    }

    proptest! {
        #[test]
        fn anything_can_be_signed(payload in "\\PC{0,100}", name in "\\PC{0,300}", exp in any::<f64>()) {
            let _ = read(payload.as_bytes(), &options(), NOW_MS);
            let _ = claimed_issuer(payload.as_bytes());
            if let Ok(claims) = read_with(json!({"name": name, "exp": exp}), &options()) {
                prop_assert!(claims.name.is_none_or(|name| !name.is_empty() && name.len() <= MAX_NAME_BYTES && !name.chars().any(char::is_control)));
                prop_assert!(claims.expires_ms > NOW_MS);
            }
        }
    }
}
