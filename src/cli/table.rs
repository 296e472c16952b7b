//! A table as text, in as many columns of a terminal as there are.
//!
//! A table that does not fit is not wrapped, which nobody can read: its columns are laid out in several parts, one below the
//! other, each of which begins with the first column.

use super::text::{hang, width};

/// What stands between two columns.
const GAP: &str = "  ";

/// The least width in which the texts of the last column are broken.
const MIN_TEXT_COLUMNS: usize = 20;

/// How far a row is indented below its first cell, where that has a line to itself.
const INDENT: usize = 4;

/// Cells under headings.
pub(super) struct Table {
    headings: Vec<String>,
    rows: Vec<Vec<String>>,
    right: Vec<usize>,
}

impl Table {
    pub(super) fn new<T: ToString>(headings: impl IntoIterator<Item = T>) -> Self {
        let headings = headings.into_iter().map(|heading| heading.to_string()).collect();
        Self { headings, rows: Vec::new(), right: Vec::new() }
    }

    /// Adds a row with a cell for each heading.
    pub(super) fn add_row(&mut self, row: impl IntoIterator<Item = String>) {
        self.rows.push(row.into_iter().collect());
    }

    /// Has the cells of these columns end below each other.
    pub(super) fn align_right(&mut self, columns: impl IntoIterator<Item = usize>) {
        self.right.extend(columns);
    }

    /// The table in lines of at most `n_columns`, as far as no cell is longer than that.
    pub(super) fn draw(&self, n_columns: Option<usize>) -> String {
        let n_columns = n_columns.unwrap_or(usize::MAX);
        let widths: Vec<usize> = (0..self.headings.len())
            .map(|i| self.lines().filter_map(|row| row.get(i)).map(|cell| width(cell)).max().unwrap_or(0))
            .collect();
        let (Some(first), Some(last)) = (widths.first().copied(), widths.len().checked_sub(1)) else {
            return String::new();
        };
        let all: Vec<usize> = (0..widths.len()).collect();
        // All in one line, the last column's texts in several ones where that is enough.
        let behind = taken(widths.iter().take(last)) + GAP.len();
        let is_text = !self.right.contains(&last) && last > 0;
        if taken(widths.iter()) <= n_columns || is_text && behind + MIN_TEXT_COLUMNS <= n_columns {
            return self.part(&all, &widths, n_columns, 0).join("\n");
        }
        if 3 * first <= n_columns {
            let parts = split(&widths, first + GAP.len(), n_columns);
            let parts = parts.into_iter().map(|part| {
                let part: Vec<usize> = std::iter::once(0).chain(part).collect();
                self.part(&part, &widths, n_columns, 0).join("\n")
            });
            return parts.collect::<Vec<_>>().join("\n\n");
        }
        // The first cell has a line to itself, and the others stand below it.
        let parts = split(&widths, INDENT, n_columns);
        let parts: Vec<Vec<String>> =
            parts.iter().map(|part| self.part(part, &widths, n_columns, INDENT)).collect();
        let rows = self.lines().enumerate().map(|(i, row)| {
            let own = row.first().cloned().unwrap_or_default();
            let others = parts.iter().filter_map(|part| part.get(i).cloned());
            std::iter::once(own).chain(others).collect::<Vec<_>>().join("\n")
        });
        rows.collect::<Vec<_>>().join("\n")
    }

    /// The headings, then the rows.
    fn lines(&self) -> impl Iterator<Item = &Vec<String>> {
        std::iter::once(&self.headings).chain(&self.rows)
    }

    /// Each row's cells of some columns, behind `indent` blanks.
    fn part(&self, columns: &[usize], widths: &[usize], n_columns: usize, indent: usize) -> Vec<String> {
        let row = |row: &Vec<String>| {
            let mut line = " ".repeat(indent);
            for (i, column) in columns.iter().enumerate() {
                let cell = row.get(*column).map_or("", String::as_str);
                let blanks = " ".repeat(widths.get(*column).map_or(0, |all| all.saturating_sub(width(cell))));
                let is_last = i + 1 == columns.len();
                let is_right = self.right.contains(column);
                let at = width(&line);
                if is_last && !is_right && at > indent && at + width(cell) > n_columns {
                    let indent = " ".repeat(at);
                    return line + &hang(cell, n_columns.saturating_sub(at), 0).join(&format!("\n{indent}"));
                }
                line += &if is_right { blanks + cell } else { format!("{cell}{blanks}") };
                line += if is_last { "" } else { GAP };
            }
            line.trim_end().to_owned()
        };
        self.lines().map(row).collect()
    }
}

/// How wide columns are with what stands between them.
fn taken<'w>(widths: impl Iterator<Item = &'w usize>) -> usize {
    let (n, sum) = widths.fold((0, 0), |(n, sum), width| (n + 1, sum + width));
    sum + GAP.len() * usize::saturating_sub(n, 1)
}

/// The columns behind the first one in parts, each of which fits behind `indent`.
fn split(widths: &[usize], indent: usize, n_columns: usize) -> Vec<Vec<usize>> {
    let mut parts: Vec<Vec<usize>> = Vec::new();
    let mut end = usize::MAX;
    for (column, width) in widths.iter().enumerate().skip(1) {
        end = end.saturating_add(GAP.len() + width);
        match parts.last_mut() {
            Some(part) if end <= n_columns => part.push(column),
            _ => {
                parts.push(vec![column]);
                end = indent + width;
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(["TRIAL", "RESULT", "layers", "OUTCOME"]);
        table.add_row(["2", "0.5", "3", "succeeded"].map(str::to_owned));
        table.add_row(["10", "0.25", "12", "failed: exit code 1"].map(str::to_owned));
        table.align_right([0, 1, 2]);
        table
    }

    #[track_caller]
    fn check(table: &Table, n_columns: Option<usize>, expected: &str) {
        assert_eq!(table.draw(n_columns), expected.trim_start_matches('\n'));
    }

    #[test]
    fn columns_stand_below_their_headings() {
        let expected = "
TRIAL  RESULT  layers  OUTCOME
    2     0.5       3  succeeded
   10    0.25      12  failed: exit code 1";
        check(&table(), None, expected);
        check(&table(), Some(42), expected);
        check(&Table::new([""; 0]), Some(10), "");
    }

    #[test]
    fn a_table_that_is_too_wide_comes_in_parts() {
        let mut wide = table();
        wide.headings.push("TIME".to_owned());
        for row in &mut wide.rows {
            row.push("1.2 s".to_owned());
        }
        wide.align_right([4]);
        let expected = "
TRIAL  RESULT  layers
    2     0.5       3
   10    0.25      12

TRIAL  OUTCOME               TIME
    2  succeeded            1.2 s
   10  failed: exit code 1  1.2 s";
        check(&wide, Some(34), expected);
    }

    #[test]
    fn the_texts_of_the_last_column_take_several_lines() {
        let mut long = table();
        long.add_row(["11", "", "4", "lost: the machine was restarted"].map(str::to_owned));
        let expected = "
TRIAL  RESULT  layers  OUTCOME
    2     0.5       3  succeeded
   10    0.25      12  failed: exit code 1
   11               4  lost: the machine
                       was restarted";
        check(&long, Some(43), expected);
    }

    #[test]
    fn a_first_cell_that_takes_much_has_a_line_to_itself() {
        let mut tags = Table::new(["TAG", "COUNT", "STEPS", "LAST"]);
        tags.add_row(["validation/accuracy", "20", "1..20", "0.5"].map(str::to_owned));
        tags.align_right([1, 2, 3]);
        let expected = "
TAG
    COUNT  STEPS  LAST
validation/accuracy
       20  1..20   0.5";
        check(&tags, Some(30), expected);
        let expected = "
TAG
    COUNT  STEPS
    LAST
validation/accuracy
       20  1..20
     0.5";
        check(&tags, Some(17), expected);
    }
}
