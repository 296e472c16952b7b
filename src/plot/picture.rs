//! Curves as SVG and PNG.
//!
//! Imports the scene, the reduction and the glyphs and does no IO. One function lays a picture out for
//! either backend, in pixels; a canvas turns pixels into the backend's finer units.

use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{BackendColor, BackendCoord, BackendStyle, DrawingBackend, FontTransform};
use plotters_bitmap::BitMapBackend;
use plotters_svg::SVGBackend;

use super::glyphs::{Lettering, width_ems};
use super::label::{brief, printable};
use super::reduce::reduce;
use super::scale::{Grain, Tick};
use super::scene::{Behind, Scene, Shown};
use super::{Curve, Look, Pixels, PlotError};
use crate::limits::MAX_PICTURE_PIXELS;

/// Less leaves no room for a drawing beside its labels.
pub(super) const MIN_SIZE: Pixels = Pixels { width: 200, height: 150 };

/// Okabe and Ito's colours, which the colour-blind tell apart, without the yellow that white swallows,
/// and a violet.
const PALETTE: [(u8, u8, u8); 8] = [
    (0, 114, 178),
    (230, 135, 0),
    (0, 140, 100),
    (204, 100, 155),
    (70, 165, 220),
    (190, 70, 0),
    (110, 80, 180),
    (90, 90, 90),
];

const INK: (u8, u8, u8) = (40, 40, 40);
const PALE_INK: (u8, u8, u8) = (110, 110, 110);
const MESH: (u8, u8, u8) = (228, 228, 228);
const AXIS: (u8, u8, u8) = (150, 150, 150);
const PAPER: (u8, u8, u8) = (255, 255, 255);

const TITLE_EM: f64 = 17.0;
const LABEL_EM: f64 = 13.0;
const TICK_EM: f64 = 12.0;

/// A chart as an SVG document on white, with a legend below the drawing. A curve of any length takes
/// a few points a pixel column, its spikes kept.
///
/// # Errors
/// [`PlotError::Size`] where the size is too small or too large.
pub fn svg(curves: &[Curve], look: &Look, size: Pixels) -> Result<String, PlotError> {
    const UNITS_A_PIXEL: u32 = 10;
    check(size)?;
    let (width, height) = (size.width * UNITS_A_PIXEL, size.height * UNITS_A_PIXEL);
    let mut document = String::new();
    let canvas = Canvas {
        backend: SVGBackend::with_string(&mut document, (width, height)),
        unit: f64::from(UNITS_A_PIXEL),
        strokes: Strokes::Whole,
    };
    chart(canvas, curves, look, size)?;
    // The units of the drawing stay fine while the picture has the size that was asked for.
    let fine = format!("width=\"{width}\" height=\"{height}\"");
    let asked = format!("width=\"{}\" height=\"{}\"", size.width, size.height);
    Ok(document.replacen(&fine, &asked, 1))
}

/// A chart as a PNG file on white, as [`svg`] draws it. Characters beyond Latin, Greek and Cyrillic
/// are shown as boxes.
///
/// # Errors
/// [`PlotError::Size`] where the size is too small or too large; [`PlotError::Draw`] where the encoder
/// refuses.
pub fn png(curves: &[Curve], look: &Look, size: Pixels) -> Result<Vec<u8>, PlotError> {
    check(size)?;
    // Drawn larger and averaged, edges come out smooth.
    let times: u32 =
        if u64::from(size.width) * u64::from(size.height) <= MAX_PICTURE_PIXELS / 4 { 3 } else { 2 };
    let (width, height) = (size.width * times, size.height * times);
    let mut large = vec![255; width as usize * height as usize * 3];
    let canvas = Canvas {
        backend: BitMapBackend::with_buffer(&mut large, (width, height)),
        unit: f64::from(times),
        strokes: Strokes::Jointed,
    };
    chart(canvas, curves, look, size)?;
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

fn refused(error: impl std::fmt::Display) -> PlotError {
    PlotError::Draw(error.to_string())
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

/// A rectangle in pixels; y grows downwards.
#[derive(Clone, Copy)]
struct Frame {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl Frame {
    fn x(&self, share: f64) -> f64 {
        self.left + (self.right - self.left) * share
    }

    fn y(&self, share: f64) -> f64 {
        self.bottom - (self.bottom - self.top) * share
    }
}

fn chart<B: DrawingBackend>(
    mut canvas: Canvas<B>,
    curves: &[Curve],
    look: &Look,
    size: Pixels,
) -> Result<(), PlotError> {
    const MARGIN: f64 = 14.0;
    let mut scene = Scene::new(curves, look, Behind::Raw);
    scene.y = scene.y.with_margin(0.03);
    let (width, height) = (f64::from(size.width), f64::from(size.height));
    let [title, x_label, y_label] = [&look.title, &look.x_label, &look.y_label].map(|text| printable(text));
    let room = |text: &str, em: f64| if text.is_empty() { 0.0 } else { em * 1.6 };

    canvas.block(Frame { left: 0.0, top: 0.0, right: width, bottom: height }, PAPER)?;
    let legend = Legend::new(&scene, width - 2.0 * MARGIN, height * 0.35);
    let notes_height = scene.notes.len() as f64 * TICK_EM * 1.4;
    let top = MARGIN + room(&title, TITLE_EM);
    let bottom =
        (height - MARGIN - notes_height - legend.height() - room(&x_label, LABEL_EM) - TICK_EM * 1.8)
            .max(top + 30.0);
    let y_ticks = scene.y.ticks(((bottom - top) / 45.0).clamp(2.0, 10.0) as usize, Grain::Fine);
    let widest = y_ticks.iter().map(|tick| width_ems(&tick.label) * TICK_EM).fold(0.0, f64::max);
    let left = (MARGIN + room(&y_label, LABEL_EM) + widest + 8.0).min(width / 2.0);
    let frame = Frame { left, top, right: width - MARGIN - 10.0, bottom };
    let x_ticks = scene.x.ticks(((frame.right - left) / 85.0).clamp(2.0, 12.0) as usize, scene.x_grain);

    mesh(&mut canvas, frame, &x_ticks, &y_ticks)?;
    if scene.is_blank {
        let middle = (frame.x(0.5), frame.y(0.5));
        canvas.text("no values to draw", middle, LABEL_EM, PALE_INK, (HPos::Center, VPos::Center))?;
    }
    draw_curves(&mut canvas, &scene, frame)?;
    let middle = frame.x(0.5);
    let fitted = |text: &str, em: f64, room: f64| fit_ems(text, room / em);
    let shown = fitted(&title, TITLE_EM, width - 2.0 * MARGIN);
    let title_middle = middle.min(width - MARGIN - width_ems(&shown) * TITLE_EM / 2.0);
    canvas.text(&shown, (title_middle, MARGIN), TITLE_EM, INK, (HPos::Center, VPos::Top))?;
    let below_ticks = bottom + TICK_EM * 1.8;
    let shown = fitted(&x_label, LABEL_EM, frame.right - left);
    canvas.text(&shown, (middle, below_ticks), LABEL_EM, INK, (HPos::Center, VPos::Top))?;
    let shown = fitted(&y_label, LABEL_EM, bottom - top);
    canvas.upright(&shown, (MARGIN, frame.y(0.5)), LABEL_EM, INK)?;
    let mut row_top = below_ticks + room(&x_label, LABEL_EM);
    legend.draw(&mut canvas, MARGIN, row_top)?;
    row_top += legend.height();
    for note in &scene.notes {
        let shown = fitted(note, TICK_EM, width - 2.0 * MARGIN);
        canvas.text(&shown, (MARGIN, row_top + 2.0), TICK_EM, PALE_INK, (HPos::Left, VPos::Top))?;
        row_top += TICK_EM * 1.4;
    }
    canvas.backend.present().map_err(refused)
}

fn mesh<B: DrawingBackend>(
    canvas: &mut Canvas<B>,
    frame: Frame,
    x_ticks: &[Tick],
    y_ticks: &[Tick],
) -> Result<(), PlotError> {
    for tick in y_ticks {
        let y = frame.y(tick.share);
        canvas.rule((frame.left, y), (frame.right, y), MESH)?;
        canvas.text(&tick.label, (frame.left - 6.0, y), TICK_EM, PALE_INK, (HPos::Right, VPos::Center))?;
    }
    let mut free_from = f64::NEG_INFINITY;
    for tick in x_ticks {
        let x = frame.x(tick.share);
        canvas.rule((x, frame.top), (x, frame.bottom), MESH)?;
        let half = width_ems(&tick.label) * TICK_EM / 2.0;
        if x - half >= free_from {
            canvas.text(
                &tick.label,
                (x, frame.bottom + 6.0),
                TICK_EM,
                PALE_INK,
                (HPos::Center, VPos::Top),
            )?;
            free_from = x + half + 8.0;
        }
    }
    canvas.rule((frame.left, frame.bottom), (frame.right, frame.bottom), AXIS)?;
    canvas.rule((frame.left, frame.top), (frame.left, frame.bottom), AXIS)
}

/// The raw curves first, so that none hides a smoothed one; the first curve on top.
fn draw_curves<B: DrawingBackend>(
    canvas: &mut Canvas<B>,
    scene: &Scene,
    frame: Frame,
) -> Result<(), PlotError> {
    let n_columns = (frame.right - frame.left).max(1.0) as usize;
    let mut draw = |points: &[(f64, f64)], rgb, width: f64| {
        for run in reduce(points, &scene.x, n_columns) {
            let place = |(x, y): &(f64, f64)| (frame.x(scene.x.share(*x)), frame.y(scene.y.share(*y)));
            let vertices: Vec<(f64, f64)> = run.iter().map(place).collect();
            match vertices.as_slice() {
                [point] => canvas.spot(*point, width * 1.5, rgb)?,
                vertices => canvas.stroke(vertices, width, rgb)?,
            }
        }
        Ok(())
    };
    for (idx, curve) in scene.curves.iter().enumerate().rev() {
        if let Some(raw) = &curve.raw {
            draw(raw, mixed(colour(idx), PAPER, 0.7), 1.0)?;
        }
    }
    for (idx, curve) in scene.curves.iter().enumerate().rev() {
        draw(&curve.points, colour(idx), 1.8)?;
    }
    Ok(())
}

/// The colour of a curve: the palette, then the palette darker, then lighter.
fn colour(curve_idx: usize) -> (u8, u8, u8) {
    let plain = PALETTE.get(curve_idx % PALETTE.len()).copied().unwrap_or(INK);
    match curve_idx / PALETTE.len() % 3 {
        0 => plain,
        1 => mixed(plain, (0, 0, 0), 0.45),
        _ => mixed(plain, PAPER, 0.45),
    }
}

fn mixed(a: (u8, u8, u8), b: (u8, u8, u8), share_of_b: f64) -> (u8, u8, u8) {
    let mix = |a: u8, b: u8| (f64::from(a) * (1.0 - share_of_b) + f64::from(b) * share_of_b).round() as u8;
    (mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
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

/// The names of the curves with their last values, in columns below the drawing.
struct Legend {
    /// Names and values.
    entries: Vec<(String, String)>,
    n_across: usize,
    column: f64,
    n_more: usize,
}

impl Legend {
    const ROW: f64 = LABEL_EM * 1.5;
    const SWATCH: f64 = 26.0;
    const BEFORE_VALUE: f64 = 10.0;
    const BETWEEN: f64 = 26.0;

    fn new(scene: &Scene, width: f64, max_height: f64) -> Self {
        let ems = |text: &str| width_ems(text) * LABEL_EM;
        let entry = |curve: &Shown| {
            let last = curve.last.map_or("no points".to_owned(), brief);
            let room = width.min(600.0) - Self::SWATCH - Self::BEFORE_VALUE - ems(&last);
            (fit_ems(&curve.name, room / LABEL_EM), last)
        };
        let mut entries: Vec<(String, String)> = scene.curves.iter().map(entry).collect();
        let name = entries.iter().map(|(name, _)| ems(name)).fold(0.0, f64::max);
        let value = entries.iter().map(|(_, last)| ems(last)).fold(0.0, f64::max);
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

    fn draw<B: DrawingBackend>(&self, canvas: &mut Canvas<B>, left: f64, top: f64) -> Result<(), PlotError> {
        let place = |idx: usize| {
            let x = left + (idx % self.n_across) as f64 * (self.column + Self::BETWEEN);
            (x, top + (idx / self.n_across) as f64 * Self::ROW + Self::ROW / 2.0)
        };
        for (idx, (name, last)) in self.entries.iter().enumerate() {
            let (x, y) = place(idx);
            canvas.stroke(&[(x, y), (x + 18.0, y)], 3.0, colour(idx))?;
            canvas.text(name, (x + Self::SWATCH, y), LABEL_EM, INK, (HPos::Left, VPos::Center))?;
            canvas.text(last, (x + self.column, y), LABEL_EM, PALE_INK, (HPos::Right, VPos::Center))?;
        }
        if self.n_more > 0 {
            let text = format!("and {} more", self.n_more);
            let (x, y) = place(self.entries.len());
            canvas.text(&text, (x + Self::SWATCH, y), LABEL_EM, PALE_INK, (HPos::Left, VPos::Center))?;
        }
        Ok(())
    }
}

/// How a backend draws a line of many points.
#[derive(Clone, Copy)]
enum Strokes {
    /// As one element.
    Whole,
    /// Piece by piece with round joints: as one polygon it would have holes where it crosses itself.
    Jointed,
}

/// A backend that takes pixels as fractions.
struct Canvas<B> {
    backend: B,
    /// Units of the backend in a pixel.
    unit: f64,
    strokes: Strokes,
}

/// A colour and a width in the backend's units.
struct Line {
    colour: BackendColor,
    width: u32,
}

impl BackendStyle for Line {
    fn color(&self) -> BackendColor {
        self.colour
    }

    fn stroke_width(&self) -> u32 {
        self.width
    }
}

fn opaque(rgb: (u8, u8, u8)) -> BackendColor {
    BackendColor { alpha: 1.0, rgb }
}

impl<B: DrawingBackend> Canvas<B> {
    fn units(&self, (x, y): (f64, f64)) -> BackendCoord {
        ((x * self.unit).round() as i32, (y * self.unit).round() as i32)
    }

    fn block(&mut self, frame: Frame, rgb: (u8, u8, u8)) -> Result<(), PlotError> {
        let corners = (self.units((frame.left, frame.top)), self.units((frame.right, frame.bottom)));
        self.backend.draw_rect(corners.0, corners.1, &opaque(rgb), true).map_err(refused)
    }

    /// A line along an axis, one pixel wide and sharp: it covers whole pixels.
    fn rule(&mut self, from: (f64, f64), to: (f64, f64), rgb: (u8, u8, u8)) -> Result<(), PlotError> {
        let (left, top) = (from.0.round(), from.1.round());
        let (right, bottom) = (to.0.round().max(left + 1.0), to.1.round().max(top + 1.0));
        self.block(Frame { left, top, right, bottom }, rgb)
    }

    fn stroke(&mut self, vertices: &[(f64, f64)], width: f64, rgb: (u8, u8, u8)) -> Result<(), PlotError> {
        let mut path: Vec<BackendCoord> = vertices.iter().map(|vertex| self.units(*vertex)).collect();
        path.dedup();
        let width = (width * self.unit).round().max(1.0) as u32;
        let line = Line { colour: opaque(rgb), width };
        match self.strokes {
            Strokes::Whole => self.backend.draw_path(path, &line).map_err(refused),
            Strokes::Jointed => {
                for (from, to) in path.iter().zip(path.iter().skip(1)) {
                    self.backend.draw_line(*from, *to, &line).map_err(refused)?;
                }
                let inner = path.get(1..path.len().saturating_sub(1)).unwrap_or_default();
                for joint in inner {
                    self.backend.draw_circle(*joint, width / 2, &line.colour, true).map_err(refused)?;
                }
                Ok(())
            }
        }
    }

    fn spot(&mut self, at: (f64, f64), radius: f64, rgb: (u8, u8, u8)) -> Result<(), PlotError> {
        let (centre, radius) = (self.units(at), (radius * self.unit).round() as u32);
        self.backend.draw_circle(centre, radius, &opaque(rgb), true).map_err(refused)
    }

    fn text(
        &mut self,
        text: &str,
        at: (f64, f64),
        em: f64,
        rgb: (u8, u8, u8),
        (across, down): (HPos, VPos),
    ) -> Result<(), PlotError> {
        let style =
            Lettering { em: em * self.unit, colour: opaque(rgb), across, down, turned: FontTransform::None };
        self.written(text, at, &style)
    }

    /// A text that reads from below, its left side at the point.
    fn upright(&mut self, text: &str, at: (f64, f64), em: f64, rgb: (u8, u8, u8)) -> Result<(), PlotError> {
        let style = Lettering {
            em: em * self.unit,
            colour: opaque(rgb),
            across: HPos::Center,
            down: VPos::Top,
            turned: FontTransform::Rotate270,
        };
        self.written(text, at, &style)
    }

    fn written(&mut self, text: &str, at: (f64, f64), style: &Lettering) -> Result<(), PlotError> {
        let at = self.units(at);
        if text.is_empty() { Ok(()) } else { self.backend.draw_text(text, style, at).map_err(refused) }
    }
}
