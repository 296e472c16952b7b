//! The only place that prints. Data goes to stdout, talk to stderr; what does not print is spelled out in both.

use std::env;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::{AsFd, OwnedFd};

use super::text::{document, printable, printable_styled};
use crate::app::Failure;

/// Prints lines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Printer {
    style: Style,
}

/// Whether text may be styled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Bold and dim.
    Terminal,
    /// None.
    Plain,
}

impl Style {
    pub(super) fn bold(self, text: &str) -> String {
        self.wrap(text, "1")
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.wrap(text, "2")
    }

    fn wrap(self, text: &str, code: &str) -> String {
        match self {
            Self::Terminal => format!("\x1b[{code}m{text}\x1b[0m"),
            Self::Plain => text.to_owned(),
        }
    }
}

/// Whether the terminal understands no control sequences.
fn is_dumb() -> bool {
    env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// A table of text on stdout.
struct Table {
    out: io::Stdout,
    prints_all: bool,
    /// The beginning of a line.
    held: Vec<u8>,
}

impl Write for Table {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.prints_all {
            return self.out.write(bytes);
        }
        self.held.extend_from_slice(bytes);
        let n_whole = self.held.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<u8> = self.held.drain(..n_whole).collect();
        self.out.write_all(printable(&String::from_utf8_lossy(&lines)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let rest = std::mem::take(&mut self.held);
        self.out.write_all(printable(&String::from_utf8_lossy(&rest)).as_bytes())?;
        self.out.flush()
    }
}

impl Printer {
    pub(super) fn new() -> Self {
        let is_colourless = is_dumb() || env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let style = if io::stdout().is_terminal() && !is_colourless { Style::Terminal } else { Style::Plain };
        Self { style }
    }

    /// The style of data.
    pub(super) fn style(self) -> Style {
        self.style
    }

    /// Whether data goes to a terminal.
    pub(super) fn is_terminal(self) -> bool {
        io::stdout().is_terminal()
    }

    /// Whether data may be coloured.
    pub(super) fn is_coloured(self) -> bool {
        self.style == Style::Terminal
    }

    /// How many columns the terminal has that data goes to.
    pub(super) fn columns(self) -> Option<usize> {
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
        Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
    }

    /// Where data goes that is written as it comes.
    pub(super) fn out(self) -> impl Write + Send {
        io::stdout()
    }

    /// Where a table goes that is written as it comes: as it is to a file, and so that it only prints to a terminal.
    pub(super) fn table(self) -> impl Write + Send {
        Table { out: io::stdout(), prints_all: !self.is_terminal(), held: Vec::new() }
    }

    /// Where talk goes, for another process.
    ///
    /// # Errors
    /// Errors of the system.
    pub(super) fn errors(self) -> io::Result<OwnedFd> {
        io::stderr().as_fd().try_clone_to_owned()
    }

    /// A line of data for people, or several, in our style. A reader that went away has all that it wants.
    ///
    /// # Errors
    /// The data cannot be written, to a full disk for one.
    pub(super) fn data(self, text: &str) -> Result<(), Failure> {
        Self::print(&match self.style {
            Style::Terminal => printable_styled(text),
            Style::Plain => printable(text),
        })
    }

    /// A document for programs, or a line of one: JSON or YAML.
    ///
    /// # Errors
    /// As of [`Self::data`].
    pub(super) fn document(self, text: &str) -> Result<(), Failure> {
        Self::print(&document(text))
    }

    fn print(text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        match writeln!(out, "{text}").and_then(|()| out.flush()) {
            Err(e) if e.kind() != ErrorKind::BrokenPipe => {
                Err(Failure::outside(format!("cannot write to stdout: {e}")))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// A line of talk; nobody is left to tell where it cannot be written.
    pub(super) fn talk(self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{}", printable(text));
    }

    /// An error.
    pub(super) fn error(self, text: &str) {
        self.talk(&format!("error: {text}"));
    }
}

/// What the view of a job that runs asks of the terminal.
#[cfg(feature = "jobs")]
impl Printer {
    /// Whether what is written to stderr is seen as it is written and may be overwritten.
    pub(super) fn is_live() -> bool {
        io::stderr().is_terminal() && !is_dumb()
    }

    /// How many columns the terminal has that talk goes to.
    pub(super) fn talk_columns() -> Option<usize> {
        let size = rustix::termios::tcgetwinsize(io::stderr()).ok()?;
        Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
    }
}
