//! Data forms (XEP-0004), as far as rooms need them.

use minidom::Element;

use crate::xmpp::write::Writer;

/// The namespace of data forms.
pub const DATA: &str = "jabber:x:data";

/// A field with one value, or none.
pub struct Field {
    pub var: &'static str,
    pub kind: &'static str,
    pub label: &'static str,
    pub value: String,
    /// What there is to choose from.
    pub options: &'static [&'static str],
}

impl Field {
    pub fn text(var: &'static str, label: &'static str, value: &str) -> Self {
        Self { var, kind: "text-single", label, value: value.to_owned(), options: &[] }
    }

    pub fn boolean(var: &'static str, label: &'static str, value: bool) -> Self {
        Self { var, kind: "boolean", label, value: u8::from(value).to_string(), options: &[] }
    }

    /// The only one of `options` that there is.
    pub fn fixed(var: &'static str, label: &'static str, options: &'static [&'static str; 1]) -> Self {
        Self { var, kind: "list-single", label, value: options[0].to_owned(), options }
    }

    /// Whether the submitted value is the field's.
    pub fn is(&self, submitted: &str) -> bool {
        match (self.kind, submitted) {
            ("boolean", "true") => self.value == "1",
            ("boolean", "false") => self.value == "0",
            _ => self.value == submitted,
        }
    }
}

/// Appends a form, of type `form` or `result`.
pub fn write(form: &'static str, form_type: &str, title: Option<&str>, fields: &[Field], out: &mut Vec<u8>) {
    let is_form = form == "form";
    let mut xml = Writer::new(out);
    xml.open("x", DATA).attr("type", form).inside();
    if let Some(title) = title {
        xml.child("title", title);
    }
    xml.open_child("field").attr("var", "FORM_TYPE").attr("type", "hidden").inside().child("value", form_type).close("field");
    for field in fields {
        xml.open_child("field").attr("var", field.var).attr("label", field.label).attr_if("type", is_form.then_some(field.kind)).inside();
        xml.child("value", &field.value);
        for option in field.options.iter().filter(|_| is_form) {
            xml.open_child("option").inside().child("value", option).close("option");
        }
        xml.close("field");
    }
    xml.close("x");
}

/// What was submitted: names and first values, but for `FORM_TYPE`; `None` when that is not `form_type`.
pub fn submitted<'e>(form: &'e Element, form_type: &str) -> Option<Vec<(&'e str, String)>> {
    let mut values = Vec::new();
    for field in form.children().filter(|child| child.is("field", DATA)) {
        let Some(var) = field.attr("var") else { continue };
        let Some(value) = field.get_child("value", DATA).map(Element::text) else { continue };
        if var != "FORM_TYPE" {
            values.push((var, value));
        } else if value != form_type {
            return None;
        }
    }
    Some(values)
}
