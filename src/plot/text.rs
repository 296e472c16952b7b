//! Curves in a terminal.
//!
//! Imports the scene, the reduction and the raster and does no IO. With [`Ink::Plain`] nothing depends
//! on colour: several curves are drawn each with its own character.

use super::label::{brief, columns, fit, printable};
use super::raster::{Cell, Pen, Raster};
use super::reduce::reduce;
use super::scale::{Grain, Tick};
use super::scene::{Behind, Scene, Shown};
use super::{Cells, Curve, End, Ink, Look};

/// Without colours: `•` first, then what differs most in shape.
const MARKERS: &[u8] = b"x+*o#%@abcdefghijklmnpqrstuvwyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// The colours that are readable on black and on white, as ANSI codes: cyan, magenta, yellow, green,
/// blue, red, then the bright ones.
const COLOURS: [u8; 12] = [36, 35, 33, 32, 34, 31, 96, 95, 93, 92, 94, 91];

/// The longest name in a legend, in columns, of a narrow chart; in a wide one it is half the width.
const MAX_NAME_WIDTH: usize = 48;

/// A chart for a terminal of one-column characters and braille: title, drawing with labelled axes, a
/// legend with the last value of each curve, and what was left out. Lines end with `\n`. Curves that
/// come first lie on top. Only the smoothed curves are shown where smoothing is asked for.
///
/// ```
/// use hptune::plot::{Cells, Curve, Ink, Look, text};
///
/// let curve = Curve { name: "loss".into(), points: vec![(0.0, 1.0), (10.0, 0.5), (20.0, 0.25)], ..Curve::default() };
/// let chart = text(&[curve], &Look::default(), Cells { width: 40, height: 8 }, Ink::Plain);
/// assert!(chart.contains("loss  0.25"));
/// ```
#[must_use]
pub fn text(curves: &[Curve], look: &Look, size: Cells, ink: Ink) -> String {
    let width = size.width.clamp(20, 1000);
    let height = size.height.clamp(3, 500);
    let scene = Scene::new(curves, look, Behind::Nothing);
    let n_told = scene.curves.iter().filter_map(|curve| curve.number).map(|number| number + 1).max();
    let has_quiet = scene.curves.iter().any(|curve| curve.number.is_none());
    let manner = Manner::new(n_told.unwrap_or(0) + usize::from(has_quiet && ink == Ink::Plain), ink);
    let mut lines = Vec::new();
    let title = fit(&printable(&look.title), width);
    if !title.is_empty() {
        lines.push(centred(&manner.bold(&title), columns(&title), width));
    }
    if scene.is_blank {
        lines.push("  no values to draw".to_owned());
    } else {
        drawing(&scene, look, (width, height), manner, &mut lines);
    }
    lines.extend(legend(&scene.curves, width, manner));
    lines.extend(scene.notes.iter().flat_map(|note| wrapped(note, width)));
    lines.iter().flat_map(|line| [line.trim_end(), "\n"]).collect()
}

/// Instead of a curve's number: it is a quiet one.
const QUIET: usize = usize::MAX;

/// Beside a curve's number: it is a faint one.
const FAINT: usize = 1 << 32;

/// What a curve is drawn with: its number, or [`QUIET`], or [`FAINT`] and its number.
fn stroke_of(curve: &Shown) -> usize {
    match curve.number {
        None => QUIET,
        Some(number) if curve.is_faint => FAINT + number,
        Some(number) => number,
    }
}

/// How curves are told apart.
#[derive(Clone, Copy)]
struct Manner {
    pen: Pen,
    ink: Ink,
}

impl Manner {
    fn new(n_curves: usize, ink: Ink) -> Self {
        let n_told_apart = match ink {
            Ink::Plain => 1,
            Ink::Colour => COLOURS.len(),
        };
        Self { pen: if n_curves <= n_told_apart { Pen::Braille } else { Pen::Marker }, ink }
    }

    fn marker(curve_idx: usize) -> char {
        if curve_idx == QUIET {
            return '·';
        }
        let markers = || ['•'].into_iter().chain(MARKERS.iter().map(|byte| char::from(*byte)));
        markers().nth(curve_idx % FAINT % (MARKERS.len() + 1)).unwrap_or('•')
    }

    fn cell(self, cell: Cell) -> char {
        match self.pen {
            _ if cell.is_empty() => ' ',
            Pen::Braille => cell.braille().unwrap_or(' '),
            Pen::Marker => Self::marker(cell.curve_idx),
        }
    }

    /// What stands before a curve's name.
    fn key(self, curve_idx: usize) -> String {
        let key = match (self.pen, self.ink) {
            (Pen::Braille, Ink::Plain) => return String::new(),
            (Pen::Braille, Ink::Colour) => "━━".to_owned(),
            (Pen::Marker, Ink::Plain | Ink::Colour) => Self::marker(curve_idx).to_string(),
        };
        self.coloured(&key, curve_idx)
    }

    fn key_width(self) -> usize {
        match (self.pen, self.ink) {
            (Pen::Braille, Ink::Plain) => 0,
            (Pen::Braille, Ink::Colour) => 3,
            (Pen::Marker, Ink::Plain | Ink::Colour) => 2,
        }
    }

    fn coloured(self, text: &str, curve_idx: usize) -> String {
        match self.ink {
            Ink::Plain => text.to_owned(),
            Ink::Colour => {
                let code = COLOURS.get(curve_idx % FAINT % COLOURS.len()).copied().unwrap_or(39);
                match curve_idx {
                    QUIET => format!("\x1b[2m{text}\x1b[0m"),
                    FAINT.. => format!("\x1b[2;{code}m{text}\x1b[0m"),
                    _ => format!("\x1b[{code}m{text}\x1b[0m"),
                }
            }
        }
    }

    fn bold(self, text: &str) -> String {
        match self.ink {
            Ink::Plain => text.to_owned(),
            Ink::Colour => format!("\x1b[1m{text}\x1b[0m"),
        }
    }
}

/// The curves between their axes.
fn drawing(
    scene: &Scene,
    look: &Look,
    (width, height): (usize, usize),
    manner: Manner,
    lines: &mut Vec<String>,
) {
    let y_ticks = scene.y.ticks((height * 2 / 3).clamp(2, 6), Grain::Fine);
    let widest = y_ticks.iter().map(|tick| columns(&tick.label)).max().unwrap_or(0);
    // The axis takes a column, and a column is left free before it.
    let label_width = widest.min(width / 2 - 2);
    let inner = width - label_width - 2;
    let mut raster = Raster::new(manner.pen, inner, height);
    let mut ordered: Vec<&Shown> = scene.curves.iter().rev().collect();
    ordered.sort_by_key(|curve| (curve.end == End::Best, curve.number.is_some(), !curve.is_faint));
    for curve in ordered {
        draw(scene, curve, stroke_of(curve), &mut raster);
    }
    let y_label = fit(&printable(&look.y_label), width);
    if !y_label.is_empty() {
        // Above the axis, so that it reads without turning the head.
        let start = (label_width + 1).saturating_sub(columns(&y_label) / 2).min(width - columns(&y_label));
        lines.push(format!("{}{y_label}", " ".repeat(start)));
    }
    let label_at = |row: usize| y_ticks.iter().find(|tick| raster.cell_at(0.0, tick.share).1 == row);
    for (row_idx, row) in raster.rows().enumerate() {
        let (label, axis) = match label_at(row_idx) {
            Some(tick) => (fit(&tick.label, label_width), '┤'),
            None => (String::new(), '│'),
        };
        lines.push(format!("{label:>label_width$} {axis}{}", inked(row, manner)));
    }
    let x_ticks = x_ticks(scene, inner);
    let place = |tick: &Tick| raster.cell_at(tick.share, 0.0).0;
    let marks: Vec<usize> = x_ticks.iter().map(place).collect();
    let axis: String = (0..inner).map(|column| if marks.contains(&column) { '┬' } else { '─' }).collect();
    lines.push(format!("{:label_width$} └{axis}", ""));
    lines.push(x_labels(
        x_ticks.iter().map(|tick| (label_width + 2 + place(tick), tick.label.as_str())),
        width,
    ));
    let x_label = fit(&printable(&look.x_label), inner);
    if !x_label.is_empty() {
        let line = centred(&x_label, columns(&x_label), inner);
        lines.push(format!("{}{line}", " ".repeat(label_width + 2)));
    }
}

/// As many ticks as have room for their labels.
fn x_ticks(scene: &Scene, inner: usize) -> Vec<Tick> {
    const MIN_DISTANCE: usize = 8;
    let has_room = |ticks: &Vec<Tick>| {
        let widest = ticks.iter().map(|tick| columns(&tick.label)).max().unwrap_or(0);
        ticks.len() * (widest + 3).max(MIN_DISTANCE) <= inner + MIN_DISTANCE
    };
    let n_maxes = (2..=10).rev();
    n_maxes.map(|n_max| scene.x.ticks(n_max, scene.x_grain)).find(has_room).unwrap_or_default()
}

fn draw(scene: &Scene, curve: &Shown, curve_idx: usize, raster: &mut Raster) {
    for run in reduce(&curve.points, &scene.x, raster.n_across()) {
        let dots: Vec<(i64, i64)> =
            run.iter().map(|(x, y)| raster.dot(scene.x.share(*x), scene.y.share(*y))).collect();
        match dots.as_slice() {
            [dot] => raster.spot(*dot, curve_idx),
            dots => {
                for (from, to) in dots.iter().zip(dots.iter().skip(1)) {
                    raster.line(*from, *to, curve_idx);
                }
            }
        }
    }
}

/// A row of cells as text; neighbours of one curve share their colour codes.
fn inked(row: &[Cell], manner: Manner) -> String {
    let is_same =
        |a: &Cell, b: &Cell| a.is_empty() == b.is_empty() && (a.is_empty() || a.curve_idx == b.curve_idx);
    let mut out = String::new();
    for stretch in row.chunk_by(is_same) {
        let text: String = stretch.iter().map(|cell| manner.cell(*cell)).collect();
        match stretch.first() {
            Some(cell) if !cell.is_empty() => out += &manner.coloured(&text, cell.curve_idx),
            _ => out += &text,
        }
    }
    // Trailing blanks are no part of the drawing.
    out.truncate(out.trim_end().len());
    out
}

/// Labels centred at their columns, those left out that would touch their neighbour.
fn x_labels<'a>(ticks: impl Iterator<Item = (usize, &'a str)>, width: usize) -> String {
    let mut line = String::new();
    for (column, label) in ticks {
        let used = columns(&line);
        let start = column.saturating_sub(columns(label) / 2).min(width.saturating_sub(columns(label)));
        let is_clear = used == 0 || start >= used + 2;
        if is_clear && start + columns(label) <= width {
            line += &" ".repeat(start - used);
            line += label;
        }
    }
    line
}

/// The names of the curves with their last values, in as many columns as there is room for.
fn legend(curves: &[Shown], width: usize, manner: Manner) -> Vec<String> {
    const INDENT: usize = 2;
    const BETWEEN: usize = 3;
    // A faint curve is told by the one beside it, quiet ones are told together.
    let has_other =
        |curve: &Shown| curves.iter().any(|other| other.number == curve.number && !other.is_faint);
    let n_quiet = curves.iter().filter(|curve| curve.number.is_none() && !curve.is_faint).count();
    let told = curves.iter().filter(|curve| curve.number.is_some() && !(curve.is_faint && has_other(curve)));
    let mut entries: Vec<(usize, String, String)> = told
        .map(|curve| {
            let last = curve.last.map_or("no points".to_owned(), brief);
            let room = width.saturating_sub(INDENT + manner.key_width() + 2 + columns(&last));
            (stroke_of(curve), fit(&curve.name, room.min(MAX_NAME_WIDTH.max(width / 2))), last)
        })
        .collect();
    if n_quiet > 0 {
        let others = if n_quiet == 1 { "other" } else { "others" };
        entries.push((QUIET, format!("{n_quiet} {others}"), String::new()));
    }
    let name_width = entries.iter().map(|(_, name, _)| columns(name)).max().unwrap_or(0);
    let last_width = entries.iter().map(|(_, _, last)| columns(last)).max().unwrap_or(0);
    let cell_width = manner.key_width() + name_width + 2 + last_width;
    let n_across = ((width - INDENT + BETWEEN) / (cell_width + BETWEEN)).max(1);
    let entry = |(stroke, name, last): &(usize, String, String)| {
        let key = match manner.key(*stroke) {
            key if key.is_empty() => key,
            key => format!("{key} "),
        };
        // Where one name fills the line, the values need not stand below each other.
        let fill = if n_across == 1 { (width - INDENT).min(cell_width) } else { cell_width };
        let used = manner.key_width() + columns(name) + columns(last);
        format!("{key}{name}{}{last}", " ".repeat(fill.saturating_sub(used).max(1)))
    };
    let entries: Vec<String> = entries.iter().map(entry).collect();
    entries.chunks(n_across).map(|row| format!("{:INDENT$}{}", "", row.join(&" ".repeat(BETWEEN)))).collect()
}

fn centred(text: &str, text_width: usize, width: usize) -> String {
    format!("{}{text}", " ".repeat(width.saturating_sub(text_width) / 2))
}

/// A sentence of ours in lines of at most `width` columns.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if columns(line) + 1 + columns(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("  {word}")),
        }
    }
    lines
}
