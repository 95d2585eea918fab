//! A whole stanza, or a header's start tag, as an [`Element`]: `rxml` parses, here namespaces are resolved (XML-NAMES) and the tree is
//! built. `rxml`'s own resolver is not used: it wants the whole stream from one parser, which would have to be kept.

use minidom::Element;
use rxml::error::EndOrError;
use rxml::parser::{Options, RawQName, WithOptions};
use rxml::{AttrMap, Namespace, NcName, Parse, RawEvent, RawParser, XMLNS_XML, XMLNS_XMLNS};

use super::{StreamError, ns};

/// A namespace declaration; the default namespace's has no prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Declaration {
    prefix: Option<NcName>,
    namespace: Namespace<'static>,
}

/// Declarations in scope at once. The longest stanza would else have more of them than can be searched for each of its elements.
const MAX_DECLARATIONS: usize = 128;
/// Bytes of a namespace's name, of which each element has a copy.
const MAX_NAMESPACE_BYTES: usize = 256;

/// A header's start tag.
pub(super) struct Root {
    /// Its name and attributes.
    pub element: Element,
    /// What it declares for all that follows.
    pub declarations: Box<[Declaration]>,
    /// Its name as it is written.
    pub qualified_name: Box<str>,
    /// It ended at once, and with it the stream.
    pub is_closed: bool,
}

impl Root {
    /// The default namespace that it declares.
    pub(super) fn default_namespace(&self) -> Option<&str> {
        let declaration = self.declarations.iter().find(|declaration| declaration.prefix.is_none())?;
        declaration.namespace.as_namespace_name()
    }

    /// Has `namespace` in the place of another as the default of what follows.
    pub(super) fn read_as(&mut self, other: &str, namespace: &'static str) {
        for declaration in
            self.declarations.iter_mut().filter(|declaration| declaration.prefix.is_none() && declaration.namespace == *other)
        {
            declaration.namespace = self::namespace(namespace.to_owned());
        }
    }

    /// Whether it binds some prefix to a namespace.
    pub(super) fn binds_prefix_to(&self, namespace: &str) -> bool {
        self.declarations.iter().any(|declaration| declaration.prefix.is_some() && declaration.namespace == *namespace)
    }
}

/// A start tag, until its `>`.
struct Head {
    name: RawQName,
    attributes: AttrMap,
    /// Attributes whose prefix may still be declared.
    prefixed: Vec<(NcName, NcName, String)>,
}

struct Tree<'h> {
    inherited: &'h [Declaration],
    /// Each with the depth of its element.
    declared: Vec<(usize, Declaration)>,
    head: Option<Head>,
    open: Vec<Element>,
    done: Option<Element>,
}

/// Parses an element with the declarations around it. The scan has been over `bytes`, so it is bounded.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse_element(bytes: &[u8], inherited: &[Declaration]) -> Result<Element, StreamError> {
    let mut tree = Tree::new(inherited);
    parse(bytes, true, &mut tree)?;
    tree.done.ok_or_else(|| StreamError::not_well_formed("XML 1.0 §2.1", "not one element"))
}

/// Parses a start tag without its end.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse_root(bytes: &[u8]) -> Result<Root, StreamError> {
    let mut tree = Tree::new(&[]);
    parse(bytes, false, &mut tree)?;
    let is_closed = tree.done.is_some();
    let element = tree.done.or_else(|| tree.open.pop());
    let element = element.ok_or_else(|| StreamError::not_well_formed("XML 1.0 §3.1", "not a start tag"))?;
    let name_len = bytes.iter().skip(1).position(|byte| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>')).unwrap_or(0);
    let qualified_name = String::from_utf8_lossy(&bytes[1..=name_len]).into();
    Ok(Root { element, declarations: tree.declared.into_iter().map(|(_, declaration)| declaration).collect(), qualified_name, is_closed })
}

fn parse(mut bytes: &[u8], is_whole: bool, tree: &mut Tree<'_>) -> Result<(), StreamError> {
    // The longest token is shorter than the whole; the parser takes that much memory at once.
    let mut parser = RawParser::with_options(Options { max_token_length: bytes.len() + 1, ..Options::default() });
    loop {
        match parser.parse(&mut bytes, is_whole) {
            Ok(Some(event)) => tree.take(event)?,
            Ok(None) | Err(EndOrError::NeedMoreData) => return Ok(()),
            Err(EndOrError::Error(error)) => return Err(error.into()),
        }
    }
}

/// The namespaces that nearly every stanza names are not kept again for each.
fn namespace(name: String) -> Namespace<'static> {
    let known = [ns::CLIENT, ns::STREAMS, ns::FRAMING, XMLNS_XML, ""];
    known.into_iter().find(|known| *known == name).map_or_else(|| Namespace::from(name), Namespace::from_str)
}

fn duplicate() -> StreamError {
    // XML 1.0 §3.1, XML-NAMES §6.3
    StreamError::not_well_formed("XML 1.0 §3.1", "an attribute given twice")
}

impl<'h> Tree<'h> {
    fn new(inherited: &'h [Declaration]) -> Self {
        Self { inherited, declared: Vec::new(), head: None, open: Vec::new(), done: None }
    }

    fn take(&mut self, event: RawEvent) -> Result<(), StreamError> {
        match event {
            RawEvent::XmlDeclaration(..) => Ok(()),
            RawEvent::ElementHeadOpen(_, name) => {
                self.head = Some(Head { name, attributes: AttrMap::new(), prefixed: Vec::new() });
                Ok(())
            }
            RawEvent::Attribute(_, name, value) => self.attribute(name, value),
            RawEvent::ElementHeadClose(_) => self.start(),
            RawEvent::Text(_, text) => {
                if let Some(parent) = self.open.last_mut() {
                    parent.append_text(text);
                }
                Ok(())
            }
            RawEvent::ElementFoot(_) => {
                self.end();
                Ok(())
            }
        }
    }

    fn attribute(&mut self, (prefix, name): RawQName, value: String) -> Result<(), StreamError> {
        let Some(head) = &mut self.head else { return Ok(()) };
        match prefix {
            None if name == "xmlns" => self.declare(None, value),
            Some(prefix) if prefix == "xmlns" => self.declare(Some(name), value),
            Some(prefix) => {
                head.prefixed.push((prefix, name, value));
                Ok(())
            }
            None => match head.attributes.insert(Namespace::NONE, name, value) {
                Some(_) => Err(duplicate()),
                None => Ok(()),
            },
        }
    }

    fn declare(&mut self, prefix: Option<NcName>, name: String) -> Result<(), StreamError> {
        // XML-NAMES §3; that of `xml` the parser checks.
        if name == XMLNS_XMLNS {
            return Err(StreamError::bad_prefix("the namespace of xmlns is declared"));
        }
        if name.len() > MAX_NAMESPACE_BYTES {
            return Err(StreamError::policy("a namespace of too many bytes"));
        }
        let depth = self.open.len();
        if self.declared.iter().rev().take_while(|(at, _)| *at == depth).any(|(_, known)| known.prefix == prefix) {
            return Err(duplicate());
        }
        if self.inherited.len() + self.declared.len() >= MAX_DECLARATIONS {
            return Err(StreamError::policy("too many namespace declarations"));
        }
        self.declared.push((depth, Declaration { prefix, namespace: namespace(name) }));
        Ok(())
    }

    fn lookup(&self, prefix: Option<&NcName>) -> Result<Namespace<'static>, StreamError> {
        if prefix.is_some_and(|prefix| *prefix == "xml") {
            return Ok(Namespace::XML);
        }
        let own = self.declared.iter().rev().map(|(_, declaration)| declaration);
        let found = own.chain(self.inherited).find(|declaration| declaration.prefix.as_ref() == prefix);
        match found {
            Some(declaration) => Ok(declaration.namespace.clone()),
            None if prefix.is_none() => Ok(Namespace::NONE),
            // XML-NAMES §5
            None => Err(StreamError::bad_prefix("a prefix that is not declared")),
        }
    }

    /// At the end of a start tag, when all its declarations are known.
    fn start(&mut self) -> Result<(), StreamError> {
        let Some(Head { name: (prefix, name), mut attributes, prefixed }) = self.head.take() else { return Ok(()) };
        for (prefix, name, value) in prefixed {
            let namespace = self.lookup(Some(&prefix))?;
            if attributes.insert(namespace, name, value).is_some() {
                return Err(duplicate());
            }
        }
        let mut element = Element::bare(name, self.lookup(prefix.as_ref())?);
        *element.attrs_mut() = attributes;
        self.open.push(element);
        Ok(())
    }

    fn end(&mut self) {
        let Some(element) = self.open.pop() else { return };
        let depth = self.open.len();
        while self.declared.last().is_some_and(|(at, _)| *at >= depth) && depth > 0 {
            self.declared.pop();
        }
        match self.open.last_mut() {
            Some(parent) => {
                parent.append_child(element);
            }
            None => self.done = Some(element),
        }
    }
}
