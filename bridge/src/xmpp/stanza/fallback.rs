//! Fallback text (XEP-0428): what a client puts into the body for those who do not know an extension, taken out again for those who do.

use std::borrow::Cow;
use std::ops::Range;

use minidom::Element;

use super::incoming::BadMessage;
use super::ns;

/// The body without the regions that stand in for extensions that are `understood`. `fallbacks` are the message's `<fallback/>`s;
/// `understood` is asked with their `for`.
///
/// # Errors
/// [`BadMessage::Region`] when a region is not given in numbers.
pub fn strip<'b>(body: &'b str, fallbacks: &[&Element], understood: impl Fn(Option<&str>) -> bool) -> Result<Cow<'b, str>, BadMessage> {
    let mut regions = Vec::new();
    for fallback in fallbacks.iter().filter(|fallback| understood(fallback.attr("for"))) {
        if fallback.children().next().is_none() {
            return Ok(Cow::Borrowed("")); // XEP-0428 §2.2: without children, all of it
        }
        for body in fallback.children().filter(|child| child.is("body", ns::FALLBACK)) {
            regions.push(region(body)?);
        }
    }
    if regions.is_empty() {
        return Ok(Cow::Borrowed(body));
    }
    regions.sort_unstable_by_key(|region| region.start);
    Ok(Cow::Owned(outside(body, &regions)))
}

/// `start` and `end` in code points (XEP-0426 §2), the end exclusive; what is not given reaches as far as the body.
fn region(body: &Element) -> Result<Range<u32>, BadMessage> {
    let offset = |name: &str, default: u32| match body.attr(name) {
        None => Ok(default),
        Some(text) => text.trim().parse().map_err(|_| BadMessage::Region),
    };
    Ok(offset("start", 0)?..offset("end", u32::MAX)?)
}

/// What of a text is in none of the regions, which are sorted by their starts and may overlap and end behind it.
fn outside(text: &str, regions: &[Range<u32>]) -> String {
    let mut regions = regions.iter().peekable();
    let mut outside = String::with_capacity(text.len());
    let mut resumes_at = 0;
    for (at, c) in (0..).zip(text.chars()) {
        while let Some(region) = regions.next_if(|region| region.start <= at) {
            resumes_at = resumes_at.max(region.end);
        }
        if at >= resumes_at {
            outside.push(c);
        }
    }
    outside
}
