//! Where the elements of a stream begin and end (RFC 6120 §4.2): bytes in; the header, whole children of the root and its end out.
//!
//! It knows tags, quotes and nothing else of XML: what a child says is read by an XML parser when it is whole. A server's stream has no
//! comments, processing instructions, DTD or CDATA (RFC 6120 §11.1); of these it says so.

use anyhow::{Result, bail};

/// What a stream consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// The root's start tag, with its attributes as written.
    Header(String),
    /// A whole child.
    Child(String),
    /// The root's end tag.
    End,
}

/// A stream that is read.
#[derive(Debug, Default)]
pub struct Splitter {
    held: Vec<u8>,
    /// Up to here no tag ends the piece.
    seen: usize,
    /// Elements that are open within the child that is being read.
    depth: usize,
    has_header: bool,
}

impl Splitter {
    /// Adds what was read.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// Takes the next piece, when it is whole.
    ///
    /// # Errors
    /// On what no server may send.
    pub fn next_piece(&mut self) -> Result<Option<Piece>> {
        loop {
            let Some(start) = self.held[self.seen..].iter().position(|byte| *byte == b'<').map(|at| at + self.seen) else {
                return Ok(None);
            };
            let Some(end) = tag_end(&self.held[start..]).map(|length| start + length) else { return Ok(None) };
            let tag = &self.held[start..end];
            self.seen = end;
            match tag.get(1) {
                Some(b'?') if !self.has_header => {
                    self.take(end)?;
                }
                Some(b'?' | b'!') => bail!("restricted XML from the server: {}", String::from_utf8_lossy(tag)),
                Some(b'/') if self.depth == 0 => {
                    self.take(end)?;
                    return Ok(Some(Piece::End));
                }
                Some(b'/') => self.depth -= 1,
                _ if !self.has_header => {
                    self.has_header = true;
                    return Ok(Some(Piece::Header(self.take(end)?)));
                }
                _ if tag.ends_with(b"/>") => {}
                _ => self.depth += 1,
            }
            if self.has_header && self.depth == 0 {
                return Ok(Some(Piece::Child(self.take(end)?)));
            }
        }
    }

    fn take(&mut self, end: usize) -> Result<String> {
        let rest = self.held.split_off(end);
        let piece = std::mem::replace(&mut self.held, rest);
        self.seen = 0;
        Ok(String::from_utf8(piece)?.trim().to_owned())
    }
}

/// The length of the tag that these bytes begin with, if it is whole: a `>` within quotes ends nothing.
fn tag_end(bytes: &[u8]) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in bytes.iter().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at + 1),
            (None, b'"' | b'\'') => quote = Some(*byte),
            (Some(open), byte) if open == *byte => quote = None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever comes, in whatever chunks, is cut or refused; a header comes first and once.
        #[test]
        fn anything_is_cut_or_refused(chunks in proptest::collection::vec("[<>/?!'\"a ä]{0,12}", 0..20)) {
            let mut splitter = Splitter::default();
            let mut headers = 0;
            'stream: for chunk in chunks {
                splitter.feed(chunk.as_bytes());
                loop {
                    match splitter.next_piece() {
                        Ok(None) => break,
                        Ok(Some(Piece::Header(_))) => headers += 1,
                        Ok(Some(Piece::Child(_))) => prop_assert_eq!(headers, 1),
                        Ok(Some(Piece::End)) | Err(_) => break 'stream,
                    }
                }
            }
            prop_assert!(headers <= 1);
        }
    }

    fn pieces(text: &str, chunk: usize) -> Vec<Piece> {
        let mut splitter = Splitter::default();
        let mut all = Vec::new();
        for bytes in text.as_bytes().chunks(chunk) {
            splitter.feed(bytes);
            while let Some(piece) = splitter.next_piece().expect("good XML") {
                all.push(piece);
            }
        }
        all
    }

    #[test]
    fn pieces_are_found_however_they_come() {
        let text = "<?xml version='1.0'?><s:s a='>'> <a/>\n<b x=\"'/>\"><b>ä</b></b></s:s>";
        let expected = [
            Piece::Header("<s:s a='>'>".into()),
            Piece::Child("<a/>".into()),
            Piece::Child("<b x=\"'/>\"><b>ä</b></b>".into()),
            Piece::End,
        ];
        for chunk in 1..text.len() {
            assert_eq!(pieces(text, chunk), expected);
        }
    }

    #[test]
    fn restricted_xml_is_told() {
        let mut splitter = Splitter::default();
        splitter.feed(b"<s><!-- x -->");
        assert!(matches!(splitter.next_piece(), Ok(Some(Piece::Header(_)))));
        assert!(splitter.next_piece().is_err());
    }
}
