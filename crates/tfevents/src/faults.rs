//! What reading many files gave beside the values.

use crate::record::DamageKind;
use crate::scalar::{Content, Kind};
use crate::tail::{Found, Ingested, Unreadable};

/// What of the cloudml-hypertune package's files cannot be read.
#[derive(Debug, Default, Clone)]
pub struct UnreadableReports {
    /// The path of the first file, what it has, and how many more there are elsewhere.
    first: Option<(String, Unreadable, u64)>,
}

impl UnreadableReports {
    /// How many there are.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.first.as_ref().map_or(0, |(_, unreadable, n_more)| unreadable.n + n_more)
    }

    /// Takes those of a file.
    pub fn add(&mut self, path: &str, unreadable: &Unreadable) {
        match &mut self.first {
            Some((_, _, n_more)) => *n_more += unreadable.n,
            none => *none = Some((path.to_owned(), unreadable.clone(), 0)),
        }
    }

    /// Takes those of further files.
    pub fn join(&mut self, other: Self) {
        match (&mut self.first, other.first) {
            (Some((_, _, n_more)), Some((_, unreadable, n_others))) => *n_more += unreadable.n + n_others,
            (known @ None, other) => *known = other,
            (Some(_), None) => {}
        }
    }

    /// That there are some, in words; `None` where there is none.
    #[must_use]
    pub fn in_words(&self) -> Option<String> {
        let (path, unreadable, n_more) = self.first.as_ref()?;
        Some(format!("{path}: {}", Unreadable::in_words(unreadable.n + n_more, &unreadable.example)))
    }
}

/// What reading gave beside the values.
#[derive(Debug, Default)]
pub struct Faults {
    /// How many stretches of the files gave no event; the end of a file that is still written is none.
    pub n_damages: u64,
    /// What could not be read, in the system's words.
    pub errors: Vec<String>,
    /// What of metrics files cannot be read.
    pub unreadable: UnreadableReports,
    /// What else there is to say: that files are of other kinds, or end early.
    pub notes: Vec<String>,
    /// How many values were left out because they are under tags beyond those that are told apart.
    pub n_left_out: u64,
    /// How many tensors of one element cannot be read ([`Kind::Unread`]).
    pub n_unread: u64,
}

impl Faults {
    /// Whether something is missing that may have been there.
    #[must_use]
    pub fn any(&self) -> bool {
        self.n_damages > 0
            || self.unreadable.n() + self.n_unread + self.n_left_out > 0
            || !self.errors.is_empty()
    }

    /// Adds those of further files.
    pub fn add(&mut self, other: Self) {
        self.n_damages += other.n_damages;
        self.n_left_out += other.n_left_out;
        self.n_unread += other.n_unread;
        self.unreadable.join(other.unreadable);
        self.notes.extend(other.notes);
        self.errors.extend(other.errors);
    }

    /// Adds those of a second reading that the first did not meet: damage it counted.
    pub fn add_new(&mut self, second: Self) {
        self.n_left_out += second.n_left_out;
        self.errors.extend(second.errors);
        self.errors.sort();
        self.errors.dedup();
    }

    /// Adds that a file could not be read, once.
    pub fn add_unreadable(&mut self, path: &str, error: &str) {
        self.add_new(Self { errors: vec![format!("{path}: {error}")], ..Self::default() });
    }

    /// Takes what was found, if it is a fault.
    #[inline]
    pub fn take(&mut self, found: &Found<'_>) {
        match found {
            Found::Event { ingested: Ingested::Damage(damage), .. } if !damage.kind.may_be_unfinished() => {
                self.n_damages += 1;
            }
            Found::Event {
                ingested: Ingested::Value { content: Content::Other(Kind::Unread), .. }, ..
            } => self.n_unread += 1,
            Found::Unreadable { path, error } => self.add_unreadable(path, error),
            Found::Event { path, ingested: Ingested::Damage(damage), .. }
                if damage.kind == DamageKind::Unfinished =>
            {
                self.notes.push(format!("{path}: {damage}"));
            }
            Found::Foreign { path, what } => self.notes.push(what.in_words(path)),
            Found::UnreadableReports { path, unreadable, .. } => self.unreadable.add(path, unreadable),
            Found::Event { .. }
            | Found::File { .. }
            | Found::Hypertune { .. }
            | Found::Rewritten { .. }
            | Found::MissedReports { .. }
            | Found::TooManyFiles { .. } => {}
        }
    }
}

/// That so many tensors of one element cannot be read.
#[must_use]
pub fn unread_in_words(n: u64) -> String {
    let cannot = if n == 1 { "tensor of one element cannot" } else { "tensors of one element cannot" };
    format!("{n} {cannot} be read: of a type that is not known here, or without a value of its type")
}
