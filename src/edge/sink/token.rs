//! What a web server knows this program by.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::limits::MAX_TOKEN_BYTES;

/// What a web server knows us by. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub enum Token {
    /// The token itself.
    Text(String),
    /// A file that has it, read before each request: tokens are changed while jobs run.
    File(PathBuf),
}

impl Token {
    /// The text of a file that holds a token.
    ///
    /// # Errors
    /// Those of reading it; it is no text.
    pub fn read(path: &Path) -> io::Result<String> {
        let mut text = String::new();
        File::open(path)?.take(MAX_TOKEN_BYTES).read_to_string(&mut text)?;
        Ok(text)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(...)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}
