//! How a password comes in: by prompt, by stdin, or on the command line.

use std::io::{self, BufRead, IsTerminal};

use crate::cli::PasswordSource;

/// Longest line that is read from stdin; longer passwords are refused anyway.
const MAX_LINE_BYTES: u64 = 4096;

/// There is no password.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Nobody can be asked.
    #[error("no password: there is no terminal to ask on, so give it with --password-stdin")]
    NobodyToAsk,
    /// The two entries differ.
    #[error("the two passwords differ: try again")]
    Differ,
    /// Nothing came.
    #[error("the password is empty")]
    Empty,
    /// It could not be read.
    #[error("cannot read the password: {0}")]
    Read(#[from] io::Error),
}

/// Takes the password from where the command line says.
///
/// # Errors
/// There is none.
pub fn read(source: &PasswordSource) -> Result<String, PasswordError> {
    let password = match source {
        PasswordSource { password: Some(password), .. } => password.clone(),
        PasswordSource { password_stdin: true, .. } => first_line(io::stdin().lock())?,
        _ => ask()?,
    };
    if password.is_empty() { Err(PasswordError::Empty) } else { Ok(password) }
}

fn first_line(input: impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    input.take(MAX_LINE_BYTES).read_line(&mut line)?;
    Ok(line.strip_suffix('\n').map_or(line.as_str(), |line| line.strip_suffix('\r').unwrap_or(line)).to_owned())
}

fn ask() -> Result<String, PasswordError> {
    if !io::stdin().is_terminal() {
        return Err(PasswordError::NobodyToAsk);
    }
    let first = rpassword::prompt_password("Password: ")?;
    if rpassword::prompt_password("Again: ")? == first { Ok(first) } else { Err(PasswordError::Differ) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_password() {
        for (input, password) in
            [("secret\n", "secret"), ("secret", "secret"), ("se cret\r\nmore\n", "se cret"), (" x \n", " x "), ("", "")]
        {
            assert_eq!(first_line(input.as_bytes()).unwrap(), password);
        }
        assert!(first_line(&[0xff, 0xfe][..]).is_err());
    }
}
