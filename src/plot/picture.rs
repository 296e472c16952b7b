//! Charts as SVG and PNG.
//!
//! Imports the scene, the reduction, the palette and the surfaces and does no IO. One function lays a picture out for either
//! surface, in pixels: a chart, or several small ones with a legend for all.

use plotters_backend::text_anchor::{HPos, VPos};
use plotters_bitmap::BitMapBackend;

use super::glyphs::width_ems;
use super::label::{brief, printable};
use super::legend::{Entry, dash, legend};
use super::reduce::{Point, reduce};
use super::scale::{Axis, Tick};
use super::scene::{Behind, Scene, Shown};
use super::surface::{Bitmap, Frame, Letters, Surface, Svg, Tint, Weight, refused};
use super::{Chart, End, Look, Pixels, PlotError};
use crate::limits::MAX_PICTURE_PIXELS;

/// Less leaves no room for a drawing beside its labels.
pub(super) const MIN_SIZE: Pixels = Pixels { width: 200, height: 150 };

const TITLE_EM: f64 = 17.0;
const LABEL_EM: f64 = 13.0;
const TICK_EM: f64 = 12.0;
const MARGIN: f64 = 14.0;

/// The least width of one of several charts.
const MIN_PANEL_WIDTH: f64 = 330.0;

/// How far apart ticks are at least, and where the values crowd.
const TICK_DISTANCE: f64 = 40.0;
/// See [`TICK_DISTANCE`].
const CROWDED_TICK_DISTANCE: f64 = 17.0;

/// Charts as an SVG document, with a legend for all of them below. It is light, and dark where its viewer is, unless the look
/// asks for dark paper. A curve of any length takes a few points a pixel column, its spikes kept.
///
/// # Errors
/// [`PlotError::Size`] where the size is too small or too large.
pub fn svg(charts: &[Chart], look: &Look, size: Pixels) -> Result<String, PlotError> {
    check(size)?;
    let mut surface = Svg::new(look.paper);
    lay_out(&mut surface, charts, look, size)?;
    Ok(surface.finish(size, &printable(heading(charts, look))))
}

/// Charts as a PNG file, as [`svg`] draws them. Characters beyond Latin, Greek and Cyrillic are shown as boxes.
///
/// # Errors
/// [`PlotError::Size`] where the size is too small or too large; [`PlotError::Draw`] where the encoder
/// refuses.
pub fn png(charts: &[Chart], look: &Look, size: Pixels) -> Result<Vec<u8>, PlotError> {
    check(size)?;
    // Drawn larger and averaged, edges come out smooth.
    let times: u32 =
        if u64::from(size.width) * u64::from(size.height) <= MAX_PICTURE_PIXELS / 4 { 3 } else { 2 };
    let (width, height) = (size.width * times, size.height * times);
    let mut large = vec![255; width as usize * height as usize * 3];
    let backend = BitMapBackend::with_buffer(&mut large, (width, height));
    lay_out(&mut Bitmap { backend, times: f64::from(times), paper: look.paper }, charts, look, size)?;
    let pixels = averaged(&large, width as usize, times as usize);
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, size.width, size.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(refused)?;
    writer.write_image_data(&pixels).map_err(refused)?;
    writer.finish().map_err(refused)?;
    Ok(file)
}

fn check(size: Pixels) -> Result<(), PlotError> {
    let Pixels { width, height } = size;
    let is_large_enough = width >= MIN_SIZE.width && height >= MIN_SIZE.height;
    if is_large_enough && u64::from(width) * u64::from(height) <= MAX_PICTURE_PIXELS {
        Ok(())
    } else {
        Err(PlotError::Size { width, height })
    }
}

/// Every square of `times` by `times` pixels as one.
fn averaged(large: &[u8], width: usize, times: usize) -> Vec<u8> {
    let n = (times * times) as u32;
    let mut out = Vec::with_capacity(large.len() / (times * times));
    for rows in large.chunks_exact(width * 3 * times) {
        let mut sums = vec![0_u32; width / times * 3];
        for row in rows.chunks_exact(width * 3) {
            for (sum, square) in sums.chunks_exact_mut(3).zip(row.chunks_exact(3 * times)) {
                for pixel in square.chunks_exact(3) {
                    for (sum, value) in sum.iter_mut().zip(pixel) {
                        *sum += u32::from(*value);
                    }
                }
            }
        }
        out.extend(sums.into_iter().map(|sum| ((sum + n / 2) / n) as u8));
    }
    out
}

/// What stands above all charts.
fn heading<'t>(charts: &'t [Chart], look: &'t Look) -> &'t str {
    match charts {
        [only] if look.title.is_empty() => &only.title,
        _ => &look.title,
    }
}

/// How many charts stand side by side in a picture of this width.
fn n_across(n_charts: usize, width: f64) -> usize {
    let most = ((width / MIN_PANEL_WIDTH) as usize).clamp(1, n_charts.max(1));
    // Four stand better two by two than three and one.
    n_charts.div_ceil(n_charts.div_ceil(most).max(1)).max(1)
}

fn lay_out(surface: &mut impl Surface, charts: &[Chart], look: &Look, size: Pixels) -> Result<(), PlotError> {
    let (width, height) = (f64::from(size.width), f64::from(size.height));
    surface.block(Frame { left: 0.0, top: 0.0, right: width, bottom: height }, Tint::Paper)?;
    let none = [Chart::default()];
    let charts = if charts.is_empty() { &none } else { charts };
    let mut scenes: Vec<Scene> =
        charts.iter().map(|chart| Scene::new(&chart.curves, look, Behind::Raw)).collect();
    if let [_, _, ..] = &*scenes {
        share_x(&mut scenes);
    }
    let [heading, x_label] = [heading(charts, look), &look.x_label].map(printable);
    let room = |text: &str, em: f64| if text.is_empty() { 0.0 } else { em * 1.6 };
    let legend = Legend::new(charts, width - 2.0 * MARGIN, height * 0.35);
    let mut notes: Vec<String> = Vec::new();
    for note in scenes.iter_mut().flat_map(|scene| std::mem::take(&mut scene.notes)) {
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    let notes_height = notes.len() as f64 * TICK_EM * 1.4;
    let top = MARGIN + room(&heading, TITLE_EM);
    let bottom =
        (height - MARGIN - notes_height - legend.height() - room(&x_label, LABEL_EM)).max(top + 30.0);

    let shown = fit_ems(&heading, (width - 2.0 * MARGIN) / TITLE_EM);
    let title =
        Letters { em: TITLE_EM, tint: Tint::Text, across: HPos::Center, down: VPos::Top, is_upright: false };
    surface.text(&shown, (width / 2.0, MARGIN), title)?;
    let across = n_across(scenes.len(), width - 2.0 * MARGIN);
    let (n_rows, gap) = (scenes.len().div_ceil(across), 18.0);
    let column = (width - 2.0 * MARGIN + gap) / across as f64;
    let row = (bottom - top + gap * 0.6) / n_rows as f64;
    for (idx, (scene, chart)) in scenes.iter_mut().zip(charts).enumerate() {
        let (left, upper) = (MARGIN + (idx % across) as f64 * column, top + (idx / across) as f64 * row);
        let place = Frame { left, top: upper, right: left + column - gap, bottom: upper + row - gap * 0.6 };
        let title = if charts.len() > 1 { printable(&chart.title) } else { String::new() };
        panel(surface, scene, place, &title, &printable(&look.y_label))?;
    }
    let label = Letters { em: LABEL_EM, ..title };
    let shown = fit_ems(&x_label, (width - 2.0 * MARGIN) / LABEL_EM);
    surface.text(&shown, (width / 2.0, bottom), label)?;
    let mut row_top = bottom + room(&x_label, LABEL_EM);
    legend.draw(surface, MARGIN, row_top)?;
    row_top += legend.height();
    for note in notes {
        let shown = fit_ems(&note, (width - 2.0 * MARGIN) / TICK_EM);
        let letters = Letters { em: TICK_EM, tint: Tint::PaleText, across: HPos::Left, ..title };
        surface.text(&shown, (MARGIN, row_top + 2.0), letters)?;
        row_top += TICK_EM * 1.4;
    }
    Ok(())
}

/// Gives charts that stand together the same x axis, so that what is above each other belongs together.
fn share_x(scenes: &mut [Scene]) {
    let points = scenes.iter().flat_map(|scene| &scene.curves).flat_map(|curve| {
        let raw = curve.raw.as_deref().unwrap_or_default();
        curve.points.iter().chain(raw).map(|(x, _)| *x)
    });
    let x = Axis::linear(points);
    for scene in scenes {
        scene.x = x;
    }
}

/// One chart in its place.
fn panel(
    surface: &mut impl Surface,
    scene: &mut Scene,
    place: Frame,
    title: &str,
    y_label: &str,
) -> Result<(), PlotError> {
    scene.y = scene.y.with_margin(0.03);
    let room = |text: &str, em: f64| if text.is_empty() { 0.0 } else { em * 1.6 };
    let top = place.top + room(title, LABEL_EM) + 2.0;
    let bottom = (place.bottom - TICK_EM * 1.8).max(top + 12.0);
    let n_ticks = |distance: f64, most: f64| ((bottom - top) / distance).clamp(2.0, most) as usize;
    let y_ticks = scene.y.dense_ticks(
        n_ticks(TICK_DISTANCE, 12.0),
        n_ticks(CROWDED_TICK_DISTANCE, 60.0),
        scene.crowd(),
    );
    let widest = y_ticks.iter().map(|tick| width_ems(&tick.label) * TICK_EM).fold(0.0, f64::max);
    let left = (place.left + room(y_label, LABEL_EM) + widest + 8.0).min((place.left + place.right) / 2.0);
    let frame = Frame { left, top, right: place.right - 10.0, bottom };
    let x_ticks = scene.x.ticks(((frame.right - left) / 85.0).clamp(2.0, 12.0) as usize, scene.x_grain);

    let letters =
        |em: f64, tint: Tint, across: HPos, down: VPos| Letters { em, tint, across, down, is_upright: false };
    mesh(surface, frame, &x_ticks, &y_ticks, &scene.y.minor_ticks())?;
    if scene.is_blank {
        let middle = letters(LABEL_EM, Tint::PaleText, HPos::Center, VPos::Center);
        surface.text("no values to draw", (frame.x(0.5), frame.y(0.5)), middle)?;
    }
    draw_curves(surface, scene, frame)?;
    let shown = fit_ems(title, (place.right - place.left) / LABEL_EM);
    surface.text(&shown, (left, place.top), letters(LABEL_EM, Tint::Text, HPos::Left, VPos::Top))?;
    let shown = fit_ems(y_label, (bottom - top) / LABEL_EM);
    let upright = Letters { is_upright: true, ..letters(LABEL_EM, Tint::Text, HPos::Center, VPos::Top) };
    surface.text(&shown, (place.left, frame.y(0.5)), upright)
}

fn mesh(
    surface: &mut impl Surface,
    frame: Frame,
    x_ticks: &[Tick],
    y_ticks: &[Tick],
    y_minor: &[f64],
) -> Result<(), PlotError> {
    let letters = |across: HPos, down: VPos| Letters {
        em: TICK_EM,
        tint: Tint::PaleText,
        across,
        down,
        is_upright: false,
    };
    for share in y_minor {
        surface.rule((frame.left, frame.y(*share)), (frame.right, frame.y(*share)), Tint::MinorMesh)?;
    }
    for tick in y_ticks {
        let y = frame.y(tick.share);
        surface.rule((frame.left, y), (frame.right, y), Tint::Mesh)?;
        surface.text(&tick.label, (frame.left - 6.0, y), letters(HPos::Right, VPos::Center))?;
    }
    let mut free_from = f64::NEG_INFINITY;
    for tick in x_ticks {
        let x = frame.x(tick.share);
        surface.rule((x, frame.top), (x, frame.bottom), Tint::Mesh)?;
        let half = width_ems(&tick.label) * TICK_EM / 2.0;
        if x - half >= free_from {
            surface.text(&tick.label, (x, frame.bottom + 6.0), letters(HPos::Center, VPos::Top))?;
            free_from = x + half + 8.0;
        }
    }
    surface.rule((frame.left, frame.bottom), (frame.right, frame.bottom), Tint::Axis)?;
    surface.rule((frame.left, frame.top), (frame.left, frame.bottom), Tint::Axis)
}

/// The raw curves first, so that none hides a smoothed one; then the quiet ones, the others, the first of them on top, and the
/// best.
fn draw_curves(surface: &mut impl Surface, scene: &Scene, frame: Frame) -> Result<(), PlotError> {
    let n_columns = (frame.right - frame.left).max(1.0) as usize;
    let place = |(x, y): &Point| (frame.x(scene.x.share(*x)), frame.y(scene.y.share(*y)));
    let mut draw = |points: &[Point], tint, width: f64, dash: &[f64]| {
        for run in reduce(points, &scene.x, n_columns) {
            let vertices: Vec<(f64, f64)> = run.iter().map(place).collect();
            match vertices.as_slice() {
                [point] => surface.spot(*point, width * 1.5, tint)?,
                vertices => surface.stroke(vertices, width, tint, dash)?,
            }
        }
        Ok(())
    };
    for curve in scene.curves.iter().rev() {
        if let Some(raw) = &curve.raw {
            draw(raw, Tint::Curve(curve.number, Weight::Raw), 1.0, &[])?;
        }
    }
    let rank = |curve: &&Shown| (curve.end == End::Best, curve.number.is_some(), !curve.is_faint);
    let mut ordered: Vec<&Shown> = scene.curves.iter().rev().collect();
    ordered.sort_by_key(rank);
    for curve in &ordered {
        let weight = if curve.is_faint { Weight::Faint } else { Weight::Full };
        let dash = curve.number.map_or(&[][..], dash);
        let width = match (curve.end, curve.number) {
            _ if curve.is_faint => 1.2,
            (End::Best, _) => 2.6,
            (_, None) => 1.0,
            (End::Plain | End::Stopped, Some(_)) => 1.8,
        };
        draw(&curve.points, Tint::Curve(curve.number, weight), width, dash)?;
    }
    for curve in ordered.iter().filter(|curve| !curve.is_faint) {
        if let Some(last) = curve.points.iter().rfind(|(_, y)| y.is_finite()) {
            end_mark(surface, curve.end, place(last), Tint::Curve(curve.number, Weight::Full))?;
        }
    }
    Ok(())
}

/// The mark at a curve's end.
fn end_mark(surface: &mut impl Surface, end: End, (x, y): (f64, f64), tint: Tint) -> Result<(), PlotError> {
    const REACH: f64 = 3.5;
    match end {
        End::Plain => Ok(()),
        End::Best => {
            surface.spot((x, y), 5.0, Tint::Paper)?;
            surface.spot((x, y), 4.0, tint)
        }
        End::Stopped => {
            surface.stroke(&[(x - REACH, y - REACH), (x + REACH, y + REACH)], 1.6, tint, &[])?;
            surface.stroke(&[(x + REACH, y - REACH), (x - REACH, y + REACH)], 1.6, tint, &[])
        }
    }
}

/// A text in at most so many ems, its middle given for an ellipsis.
fn fit_ems(text: &str, ems: f64) -> String {
    if width_ems(text) <= ems {
        return text.to_owned();
    }
    let mut width = super::label::columns(text);
    loop {
        let shorter = super::label::fit(text, width);
        if width_ems(&shorter) <= ems || width == 0 {
            return shorter;
        }
        width -= 1;
    }
}

/// The names of the curves in columns below the drawing; of a single chart with their last values.
struct Legend<'c> {
    entries: Vec<(Entry<'c>, String, String)>,
    n_across: usize,
    column: f64,
    n_more: usize,
}

impl<'c> Legend<'c> {
    const ROW: f64 = LABEL_EM * 1.5;
    const SWATCH: f64 = 38.0;
    const BEFORE_VALUE: f64 = 10.0;
    const BETWEEN: f64 = 26.0;

    fn new(charts: &'c [Chart], width: f64, max_height: f64) -> Self {
        let ems = |text: &str| width_ems(text) * LABEL_EM;
        let is_single = charts.len() == 1;
        let entry = |entry: Entry<'c>| {
            let (name, last) = entry_text(&entry, is_single);
            let room = width.min(600.0) - Self::SWATCH - Self::BEFORE_VALUE - ems(&last);
            (entry, fit_ems(&name, room / LABEL_EM), last)
        };
        let mut entries: Vec<_> = legend(charts).into_iter().map(entry).collect();
        let name = entries.iter().map(|(_, name, _)| ems(name)).fold(0.0, f64::max);
        let value = entries.iter().map(|(_, _, last)| ems(last)).fold(0.0, f64::max);
        let column = (Self::SWATCH + name + Self::BEFORE_VALUE + value).min(width);
        let n_across = (((width + Self::BETWEEN) / (column + Self::BETWEEN)) as usize).max(1);
        let n_shown = ((max_height / Self::ROW) as usize).max(1) * n_across;
        let n_more = if entries.len() > n_shown { entries.len() - (n_shown - 1) } else { 0 };
        entries.truncate(entries.len() - n_more);
        Self { entries, n_across, column, n_more }
    }

    fn height(&self) -> f64 {
        let n = self.entries.len() + usize::from(self.n_more > 0);
        n.div_ceil(self.n_across) as f64 * Self::ROW + 4.0
    }

    fn draw(&self, surface: &mut impl Surface, left: f64, top: f64) -> Result<(), PlotError> {
        let place = |idx: usize| {
            let x = left + (idx % self.n_across) as f64 * (self.column + Self::BETWEEN);
            (x, top + (idx / self.n_across) as f64 * Self::ROW + Self::ROW / 2.0)
        };
        let letters = |tint: Tint, across: HPos| Letters {
            em: LABEL_EM,
            tint,
            across,
            down: VPos::Center,
            is_upright: false,
        };
        for (idx, (entry, name, last)) in self.entries.iter().enumerate() {
            let (x, y) = place(idx);
            let (tint, end) = (Tint::Curve(entry.number, Weight::Full), x + Self::SWATCH - 10.0);
            let dash = entry.number.map_or(&[][..], dash);
            surface.stroke(&[(x, y), (end, y)], 2.6, tint, dash)?;
            if entry.n_quiet == 0 {
                end_mark(surface, entry.curve.end, (end, y), tint)?;
            }
            surface.text(name, (x + Self::SWATCH, y), letters(Tint::Text, HPos::Left))?;
            surface.text(last, (x + self.column, y), letters(Tint::PaleText, HPos::Right))?;
        }
        if self.n_more > 0 {
            let text = format!("and {} more", self.n_more);
            let (x, y) = place(self.entries.len());
            surface.text(&text, (x + Self::SWATCH, y), letters(Tint::PaleText, HPos::Left))?;
        }
        Ok(())
    }
}

/// The name of an entry, and the last value of its curve where there is one chart.
fn entry_text(entry: &Entry<'_>, is_single: bool) -> (String, String) {
    if entry.n_quiet > 0 {
        let others = if entry.n_quiet == 1 { "other" } else { "others" };
        return (format!("{} {others}", entry.n_quiet), String::new());
    }
    let last = super::scene::sorted(&entry.curve.points).last().map(|(_, y)| *y);
    let last = if is_single { last.map_or("no points".to_owned(), brief) } else { String::new() };
    (printable(&entry.curve.name), last)
}
