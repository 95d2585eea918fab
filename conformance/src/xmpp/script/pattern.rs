//! XML with blanks: what a script expects to get.
//!
//! Name and namespace must be equal; attributes and children that the pattern has must be there, others may be. As an attribute's value or
//! an element's text, `*` stands for anything, `$name` for a value that is captured or, when it was, compared, `-` for "must be absent".
//! An element without text says nothing about the text.

use std::collections::BTreeMap;

use crate::xmpp::element::{Element, escape};
use anyhow::{Context, Result, bail};

/// Values by name.
pub type Vars = BTreeMap<String, String>;

/// Replaces `${name}` by what it stands for, as XML.
///
/// # Errors
/// A name that stands for nothing.
pub fn fill(text: &str, vars: &Vars) -> Result<String> {
    fill_with(text, vars, escape)
}

/// The same within an element's values.
///
/// # Errors
/// A name that stands for nothing.
pub fn fill_element(element: &Element, vars: &Vars) -> Result<Element> {
    let value = |text: &str| fill_with(text, vars, str::to_owned);
    Ok(Element {
        name: element.name.clone(),
        ns: element.ns.clone(),
        attrs: element.attrs.iter().map(|(name, text)| Ok((name.clone(), value(text)?))).collect::<Result<_>>()?,
        children: element.children.iter().map(|child| fill_element(child, vars)).collect::<Result<_>>()?,
        text: value(&element.text)?,
    })
}

fn fill_with(text: &str, vars: &Vars, write: impl Fn(&str) -> String) -> Result<String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').context("a '${' without '}'")?;
        let value = vars.get(name).with_context(|| format!("nothing is known as '${{{name}}}'"))?;
        filled.push_str(before);
        filled.push_str(&write(value));
        rest = after;
    }
    Ok(filled + rest)
}

/// Whether `element` is what `pattern` says; captures go to `vars`, on success alone.
///
/// # Errors
/// The first difference.
pub fn matches(pattern: &Element, element: &Element, vars: &mut Vars) -> Result<()> {
    let mut captured = vars.clone();
    compare(pattern, element, &mut captured)?;
    *vars = captured;
    Ok(())
}

fn compare(pattern: &Element, element: &Element, vars: &mut Vars) -> Result<()> {
    let name = &pattern.name;
    if !element.is(name, &pattern.ns) {
        bail!("it is <{} xmlns='{}'>, not <{name} xmlns='{}'>", element.name, element.ns, pattern.ns);
    }
    for (attr, expected) in &pattern.attrs {
        value(&format!("{attr} of <{name}>"), expected, element.attr(attr), vars)?;
    }
    let text = pattern.text.trim();
    if !text.is_empty() {
        value(&format!("the text of <{name}>"), text, Some(element.text.trim()), vars)?;
    }
    let mut left: Vec<&Element> = element.children.iter().collect();
    for child in &pattern.children {
        let candidates: Vec<usize> = (0..left.len()).filter(|at| left[*at].is(&child.name, &child.ns)).collect();
        if child.text.trim() == "-" {
            if !candidates.is_empty() {
                bail!("there is a <{} xmlns='{}'> in <{name}>", child.name, child.ns);
            }
            continue;
        }
        let mut why = anyhow::anyhow!("no <{} xmlns='{}'> in <{name}>", child.name, child.ns);
        let mut found = None;
        for at in candidates {
            let mut attempt = vars.clone();
            match compare(child, left[at], &mut attempt) {
                Ok(()) => {
                    found = Some((at, attempt));
                    break;
                }
                Err(error) => why = error,
            }
        }
        let Some((at, attempt)) = found else { return Err(why) };
        left.remove(at);
        *vars = attempt;
    }
    Ok(())
}

fn value(what: &str, expected: &str, have: Option<&str>, vars: &mut Vars) -> Result<()> {
    match (expected, have) {
        ("-", None) => Ok(()),
        ("-", Some(have)) => bail!("{what} is there: {have:?}"),
        (_, None) => bail!("{what} is missing"),
        ("*", Some(_)) => Ok(()),
        (expected, Some(have)) => match expected.strip_prefix('$').filter(|name| is_name(name)) {
            Some(name) => match vars.get(name) {
                None => {
                    vars.insert(name.to_owned(), have.to_owned());
                    Ok(())
                }
                Some(before) if before == have => Ok(()),
                Some(before) => bail!("{what} is {have:?}, and ${name} was {before:?}"),
            },
            None if expected == have => Ok(()),
            None => bail!("{what} is {have:?}, not {expected:?}"),
        },
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, xml: &str, vars: &mut Vars) -> Result<()> {
        matches(&Element::parse(pattern)?, &Element::parse(xml)?, vars)
    }

    #[test]
    fn what_is_listed_must_be_there() {
        let mut vars = Vars::new();
        let xml = "<message from='a@b/c' id='7' type='chat'><body>hi</body><x xmlns='u:1'/><x xmlns='u:1' a='2'/></message>";
        for good in [
            "<message/>",
            "<message from='a@b/c' to='-'><body>hi</body></message>",
            "<message id='*'><body/><subject>-</subject></message>",
            "<message><x xmlns='u:1' a='2'/><x xmlns='u:1'/></message>",
        ] {
            assert!(fits(good, xml, &mut vars).is_ok(), "{good}: {:?}", fits(good, xml, &mut vars));
        }
        for bad in [
            "<iq/>",
            "<message type='groupchat'/>",
            "<message id='-'/>",
            "<message to='*'/>",
            "<message><body>ho</body></message>",
            "<message><body>-</body></message>",
            "<message><subject/></message>",
            "<message><x xmlns='u:2'/></message>",
            "<message><body/><body/></message>",
        ] {
            assert!(fits(bad, xml, &mut vars).is_err(), "{bad}");
        }
    }

    #[test]
    fn captures_are_compared() {
        let mut vars = Vars::new();
        assert!(fits("<a x='$v'/>", "<a x='1'/>", &mut vars).is_ok());
        assert!(fits("<a x='$v'/>", "<a x='2'/>", &mut vars).is_err());
        assert!(fits("<a y='$w' z='0'/>", "<a y='5' z='1'/>", &mut vars).is_err());
        assert_eq!(vars.get("w"), None, "a pattern that does not fit captures nothing");
        assert_eq!(fill("<b x='${v}'/>", &vars).expect("filled"), "<b x='1'/>");
        assert!(fill("${nobody}", &vars).is_err());
    }
}
