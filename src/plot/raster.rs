//! Lines drawn into the cells of a terminal: as braille dots, or one character a cell.
//!
//! Imports nothing of this crate and does no IO.

/// What a cell can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pen {
    /// Two dots across and four down.
    Braille,
    /// The curve's own character.
    Marker,
}

impl Pen {
    /// Dots in a cell, across and down.
    fn dots(self) -> (i64, i64) {
        match self {
            Self::Braille => (2, 4),
            Self::Marker => (1, 1),
        }
    }
}

/// What a cell shows: its dots, and which curve was drawn there last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Cell {
    pattern: u8,
    pub(super) curve_idx: usize,
}

impl Cell {
    /// The braille character of the dots; `None` where there are none.
    pub(super) fn braille(self) -> Option<char> {
        (!self.is_empty()).then(|| char::from_u32(0x2800 + u32::from(self.pattern)).unwrap_or(' '))
    }

    pub(super) fn is_empty(self) -> bool {
        self.pattern == 0
    }
}

/// A grid of cells, empty at first.
pub(super) struct Raster {
    pen: Pen,
    width: usize,
    cells: Vec<Cell>,
    n_dots: (i64, i64),
}

impl Raster {
    /// A raster of so many cells, both at least 1.
    pub(super) fn new(pen: Pen, width: usize, height: usize) -> Self {
        let (across, down) = pen.dots();
        let n_dots = (across * width as i64, down * height as i64);
        Self { pen, width, cells: vec![Cell::default(); width * height], n_dots }
    }

    /// How many dots there are from left to right.
    pub(super) fn n_across(&self) -> usize {
        self.n_dots.0 as usize
    }

    /// The dot at a share of the width and of the height; `(0, 0)` is the lower left end.
    pub(super) fn dot(&self, across: f64, up: f64) -> (i64, i64) {
        let last = (self.n_dots.0 - 1, self.n_dots.1 - 1);
        ((across * last.0 as f64).round() as i64, last.1 - (up * last.1 as f64).round() as i64)
    }

    /// The column of cells at a share of the width, and the row at a share of the height from below.
    pub(super) fn cell_at(&self, across: f64, up: f64) -> (usize, usize) {
        let (per_column, per_row) = self.pen.dots();
        let (x, y) = self.dot(across, up);
        ((x / per_column) as usize, (y / per_row) as usize)
    }

    /// One point that has no neighbours, large enough to be seen.
    pub(super) fn spot(&mut self, (x, y): (i64, i64), curve_idx: usize) {
        self.set((x, y), curve_idx);
        if self.pen == Pen::Braille {
            for (dx, dy) in [(1, 0), (0, 1), (1, 1)] {
                self.set((x + dx, y + dy), curve_idx);
            }
        }
    }

    /// A straight line between two dots, both included, as Bresenham draws it.
    pub(super) fn line(&mut self, from: (i64, i64), to: (i64, i64), curve_idx: usize) {
        let (across, down) = ((to.0 - from.0).abs(), -(to.1 - from.1).abs());
        let (right, below) = ((to.0 - from.0).signum(), (to.1 - from.1).signum());
        let (mut at, mut error) = (from, across + down);
        loop {
            self.set(at, curve_idx);
            if at == to {
                return;
            }
            let twice = 2 * error;
            if twice >= down {
                error += down;
                at.0 += right;
            }
            if twice <= across {
                error += across;
                at.1 += below;
            }
        }
    }

    fn set(&mut self, (x, y): (i64, i64), curve_idx: usize) {
        // By column and row: the dots of a braille character as Unicode numbers them.
        const BITS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
        if !(0..self.n_dots.0).contains(&x) || !(0..self.n_dots.1).contains(&y) {
            return;
        }
        let (across, down) = self.pen.dots();
        let cell_idx = (y / down) as usize * self.width + (x / across) as usize;
        let bit = BITS.get((x % across) as usize).and_then(|bits| bits.get((y % down) as usize));
        if let (Some(cell), Some(bit)) = (self.cells.get_mut(cell_idx), bit) {
            cell.pattern |= bit;
            cell.curve_idx = curve_idx;
        }
    }

    /// The rows of cells from above.
    pub(super) fn rows(&self) -> impl Iterator<Item = &[Cell]> {
        self.cells.chunks(self.width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(draw: impl Fn(&mut Raster), expected: &[&str]) {
        let mut raster = Raster::new(Pen::Braille, 3, 2);
        draw(&mut raster);
        let rows: Vec<String> =
            raster.rows().map(|row| row.iter().map(|cell| cell.braille().unwrap_or(' ')).collect()).collect();
        assert_eq!(rows, expected);
    }

    #[test]
    fn lines_join_their_ends_in_every_direction() {
        check(|raster| raster.line((0, 0), (5, 0), 0), &["⠉⠉⠉", "   "]);
        check(|raster| raster.line((0, 7), (0, 0), 0), &["⡇  ", "⡇  "]);
        check(|raster| raster.line((5, 7), (0, 2), 0), &["⢄  ", " ⠑⢄"]);
        check(|raster| raster.line((2, 3), (2, 3), 0), &[" ⡀ ", "   "]);
    }

    #[test]
    fn a_lone_point_is_four_dots_and_nothing_is_drawn_outside() {
        check(|raster| raster.spot((2, 1), 0), &[" ⠶ ", "   "]);
        check(|raster| raster.spot((5, 7), 0), &["   ", "  ⢀"]);
    }
}
