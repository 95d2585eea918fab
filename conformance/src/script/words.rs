//! A sentence cut into words, quoted texts and JSON, with a cursor for the grammar.

use anyhow::{Result, anyhow, bail, ensure};
use serde_json::Value;

use super::pattern;

/// A piece of a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Word(String),
    Quoted(String),
    Json(String),
}

/// The rest of a sentence.
#[derive(Debug, Clone)]
pub struct Words {
    pieces: Vec<Piece>,
    at: usize,
}

impl Words {
    /// Cuts a sentence. `"…"` has JSON's escapes, `{…}` and `[…]` go to their balanced end.
    ///
    /// # Errors
    /// When something is not closed.
    pub fn cut(sentence: &str) -> Result<Words> {
        let mut pieces = Vec::new();
        let mut rest = sentence.trim();
        while let Some(first) = rest.chars().next() {
            let bytes = match first {
                '"' => quoted_bytes(rest)?,
                '{' | '[' => balanced_bytes(rest)?,
                _ => rest.find(char::is_whitespace).unwrap_or(rest.len()),
            };
            let (piece, after) = rest.split_at(bytes);
            pieces.push(match first {
                '"' => Piece::Quoted(serde_json::from_str(piece)?),
                '{' | '[' => Piece::Json(piece.to_owned()),
                _ => Piece::Word(piece.to_owned()),
            });
            rest = after.trim_start();
        }
        Ok(Words { pieces, at: 0 })
    }

    fn peek(&self) -> Option<&Piece> {
        self.pieces.get(self.at)
    }

    /// Takes the next piece when it is exactly this word; a phrase of several words is taken whole or not at all.
    pub fn accept(&mut self, phrase: &str) -> bool {
        let words: Vec<&str> = phrase.split(' ').collect();
        let next = &self.pieces[self.at..];
        let fits =
            next.len() >= words.len() && words.iter().zip(next).all(|(word, piece)| matches!(piece, Piece::Word(have) if have == word));
        if fits {
            self.at += words.len();
        }
        fits
    }

    /// Needs this word or phrase next.
    ///
    /// # Errors
    /// When something else comes.
    pub fn expect(&mut self, phrase: &str) -> Result<()> {
        ensure!(self.accept(phrase), "expected '{phrase}', found {}", self.found());
        Ok(())
    }

    /// Any word.
    ///
    /// # Errors
    /// When no word comes.
    pub fn word(&mut self, what: &str) -> Result<String> {
        match self.peek() {
            Some(Piece::Word(word)) => {
                let word = word.clone();
                self.at += 1;
                Ok(word)
            }
            _ => bail!("expected {what}, found {}", self.found()),
        }
    }

    /// A word that may be a number or a captured `$name`.
    ///
    /// # Errors
    /// When no word comes.
    pub fn value(&mut self, what: &str) -> Result<Value> {
        Ok(pattern::word(&self.word(what)?))
    }

    /// A number.
    ///
    /// # Errors
    /// When no number comes.
    pub fn number<N: std::str::FromStr>(&mut self, what: &str) -> Result<N> {
        let word = self.word(what)?;
        word.parse().map_err(|_| anyhow!("expected {what} (a number), found '{word}'"))
    }

    /// A quoted text.
    ///
    /// # Errors
    /// When none comes.
    pub fn quoted(&mut self) -> Result<String> {
        self.quoted_maybe().ok_or_else(|| anyhow!("expected a quoted text, found {}", self.found()))
    }

    /// A quoted text, if one comes.
    pub fn quoted_maybe(&mut self) -> Option<String> {
        let Some(Piece::Quoted(text)) = self.peek() else {
            return None;
        };
        let text = text.clone();
        self.at += 1;
        Some(text)
    }

    /// JSON with blanks, or a lone `*` or `$name`.
    ///
    /// # Errors
    /// When something else comes.
    pub fn json(&mut self) -> Result<Value> {
        match self.peek() {
            Some(Piece::Json(text)) => {
                let value = pattern::parse(text)?;
                self.at += 1;
                Ok(value)
            }
            Some(Piece::Word(word)) if word == "*" || word.starts_with('$') => self.value("JSON"),
            _ => bail!("expected JSON, found {}", self.found()),
        }
    }

    /// The exact text of a JSON piece, or a quoted text: what is sent raw.
    ///
    /// # Errors
    /// When neither comes.
    pub fn raw(&mut self) -> Result<String> {
        match self.peek() {
            Some(Piece::Json(text) | Piece::Quoted(text)) => {
                let text = text.clone();
                self.at += 1;
                Ok(text)
            }
            _ => bail!("expected JSON or a quoted text, found {}", self.found()),
        }
    }

    /// Whether JSON comes next.
    #[must_use]
    pub fn at_json(&self) -> bool {
        matches!(self.peek(), Some(Piece::Json(_)))
    }

    /// Everything left as plain words, quoted texts without their quotes.
    pub fn all(&mut self) -> Vec<String> {
        let rest = self.pieces[self.at..].iter().map(|piece| match piece {
            Piece::Word(text) | Piece::Quoted(text) | Piece::Json(text) => text.clone(),
        });
        let rest = rest.collect();
        self.at = self.pieces.len();
        rest
    }

    /// A list of names: `bob,carol`.
    ///
    /// # Errors
    /// When no word comes.
    pub fn names(&mut self) -> Result<Vec<String>> {
        Ok(self.word("names")?.split(',').map(str::to_owned).collect())
    }

    /// The sentence must be over.
    ///
    /// # Errors
    /// When something is left.
    pub fn end(&self) -> Result<()> {
        ensure!(self.at == self.pieces.len(), "expected the end, found {}", self.found());
        Ok(())
    }

    fn found(&self) -> String {
        match self.peek() {
            None => "the end of the sentence".into(),
            Some(Piece::Word(text)) => format!("'{text}'"),
            Some(Piece::Quoted(text)) => format!("the text {text:?}"),
            Some(Piece::Json(text)) => format!("the JSON {text}"),
        }
    }
}

fn quoted_bytes(text: &str) -> Result<usize> {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Ok(at + 1),
            _ => {}
        }
    }
    bail!("a quote is not closed: {text}")
}

fn balanced_bytes(text: &str) -> Result<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(letter) = text[at..].chars().next() {
        match letter {
            '"' => {
                at += quoted_bytes(&text[at..])?;
                continue;
            }
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            _ => {}
        }
        at += letter.len_utf8();
        if depth == 0 {
            return Ok(at);
        }
    }
    bail!("JSON is not closed: {text}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_sentence_is_cut_into_its_pieces() {
        let mut words = Words::cut(r#"alice sends lobby "a \"b\" }" {"x": ["]"]} -> *"#).expect("pieces");
        assert!(!words.accept("alice reads"));
        assert!(words.accept("alice sends"));
        assert_eq!(words.word("a conversation").expect("a word"), "lobby");
        assert_eq!(words.quoted().expect("a text"), "a \"b\" }");
        assert_eq!(words.json().expect("JSON"), json!({"x": ["]"]}));
        words.expect("->").expect("an arrow");
        assert!(words.end().is_err());
        words.json().expect("a blank");
        words.end().expect("the end");
    }

    #[test]
    fn what_is_not_closed_is_an_error() {
        assert!(Words::cut("a \"b").is_err());
        assert!(Words::cut("a {\"b\": [1}").is_err() || Words::cut("a {\"b\": [1").is_err());
    }
}
