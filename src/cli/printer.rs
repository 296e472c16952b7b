//! The only place that prints. Data goes to stdout, talk to stderr; what does not print is spelled out in both.

use std::env;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::{AsFd, OwnedFd};

use super::text::{document, printable, printable_styled, wrap};
use crate::app::Failure;

/// Prints lines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Printer {
    /// Of stdout.
    style: Style,
    /// Of stderr.
    talk: Style,
}

/// How text is laid out for where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style {
    /// Whether it may be bold, dim, or of a colour that says something.
    is_styled: bool,
    /// How many columns there are; `None` where it is no terminal, and lines are as long as they are.
    columns: Option<usize>,
}

impl Style {
    /// Neither styled nor broken.
    pub(super) const PLAIN: Self = Self { is_styled: false, columns: None };

    /// Unstyled, in so many columns.
    #[cfg(test)]
    pub(super) fn plain_in(columns: usize) -> Self {
        Self { is_styled: false, columns: Some(columns) }
    }

    /// Coloured, in so many columns.
    #[cfg(test)]
    pub(super) fn coloured_in(columns: usize) -> Self {
        Self { is_styled: true, columns: Some(columns) }
    }

    fn of(out: impl AsFd + IsTerminal) -> Self {
        let is_colourless = is_dumb() || env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_terminal = out.is_terminal();
        let size = rustix::termios::tcgetwinsize(out).ok().filter(|_| is_terminal);
        let columns = size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0);
        Self { is_styled: is_terminal && !is_colourless, columns }
    }

    pub(super) fn columns(self) -> Option<usize> {
        self.columns
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.wrap(text, "1")
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.wrap(text, "2")
    }

    /// What went wrong.
    #[cfg(feature = "jobs")]
    pub(super) fn bad(self, text: &str) -> String {
        self.wrap(text, "31")
    }

    /// What is best.
    #[cfg(feature = "jobs")]
    pub(super) fn good(self, text: &str) -> String {
        self.wrap(text, "32")
    }

    fn wrap(self, text: &str, code: &str) -> String {
        if self.is_styled { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Lines broken between words.
    fn fit(self, text: String) -> String {
        match self.columns {
            Some(columns) => wrap(&text, columns),
            None => text,
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
        Self { style: Style::of(io::stdout()), talk: Style::of(io::stderr()) }
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
        self.style.is_styled
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
        let text = if self.style.is_styled { printable_styled(text) } else { printable(text) };
        Self::print(&self.style.fit(text))
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
        let _ = writeln!(io::stderr().lock(), "{}", self.talk.fit(printable(text)));
    }

    /// An error.
    pub(super) fn error(self, text: &str) {
        self.talk(&format!("error: {text}"));
    }
}

#[cfg(feature = "jobs")]
impl Printer {
    /// Whether who sits at the terminal says yes.
    ///
    /// # Errors
    /// Nobody sits there.
    pub(super) fn confirm(self, question: &str) -> Result<bool, Failure> {
        let missing =
            || Failure::usage(format!("{question}\n  nobody is there to ask")).with_hint("give --yes");
        if !io::stdin().is_terminal() {
            return Err(missing());
        }
        let mut out = io::stderr().lock();
        let _ = write!(out, "{} [y/N] ", self.talk.fit(printable(question))).and_then(|()| out.flush());
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).map_err(|_| missing())?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes" | "Yes" | "YES"))
    }
}

/// What the view of a job that runs asks of the terminal.
#[cfg(feature = "jobs")]
impl Printer {
    /// Whether what is written to stderr is seen as it is written and may be overwritten.
    pub(super) fn is_live() -> bool {
        io::stderr().is_terminal() && !is_dumb()
    }

    /// The style of talk, in the terminal's present size, and how many rows that has.
    pub(super) fn live() -> (Style, usize) {
        let rows = rustix::termios::tcgetwinsize(io::stderr()).map_or(0, |size| usize::from(size.ws_row));
        (Style::of(io::stderr()), if rows > 0 { rows } else { usize::MAX })
    }

    /// Writes what moves the cursor of the terminal that talk goes to. One that went away ends nothing.
    pub(super) fn paint(text: &str) {
        let mut out = io::stderr().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}
