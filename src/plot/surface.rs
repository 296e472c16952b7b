//! What a picture is drawn on: the text of an SVG, or the pixels of a PNG.
//!
//! Imports the palette and the glyphs and does no IO. Places are in pixels, as fractions.

use std::fmt::Write;

use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{BackendColor, BackendCoord, BackendStyle, DrawingBackend, FontTransform};
use plotters_bitmap::BitMapBackend;

use super::glyphs::Lettering;
use super::page::escaped;
use super::palette::{DARK, LIGHT, Rgb};
use super::{Paper, Pixels, PlotError};

/// A rectangle in pixels; y grows downwards.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) right: f64,
    pub(super) bottom: f64,
}

impl Frame {
    pub(super) fn x(&self, share: f64) -> f64 {
        self.left + (self.right - self.left) * share
    }

    pub(super) fn y(&self, share: f64) -> f64 {
        self.bottom - (self.bottom - self.top) * share
    }
}

/// What is drawn, which has a colour on light and another on dark paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tint {
    Paper,
    Text,
    PaleText,
    Mesh,
    MinorMesh,
    Axis,
    /// A curve by its number, as strong as its weight says; without a number a quiet one.
    Curve(Option<usize>, Weight),
}

/// How strong a curve is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    Full,
    /// Beside another.
    Faint,
    /// Behind its smoothed one.
    Raw,
}

impl Tint {
    pub(super) fn on(self, paper: Paper) -> Rgb {
        let (ground, light_dark) = match paper {
            Paper::Light => ((255, 255, 255), 0),
            Paper::Dark => ((20, 23, 28), 1),
        };
        let of = |pair: [Rgb; 2]| pair.get(light_dark).copied().unwrap_or(ground);
        match self {
            Self::Paper => ground,
            Self::Text => of([(40, 40, 40), (226, 230, 234)]),
            Self::PaleText => of([(100, 105, 110), (152, 161, 171)]),
            Self::Mesh => of([(228, 228, 228), (40, 45, 52)]),
            Self::MinorMesh => of([(243, 243, 243), (29, 33, 39)]),
            Self::Axis => of([(150, 150, 150), (91, 99, 109)]),
            Self::Curve(number, weight) => {
                let plain = match number {
                    Some(number) => {
                        let at = number % LIGHT.len();
                        of([
                            LIGHT.get(at).copied().unwrap_or(ground),
                            DARK.get(at).copied().unwrap_or(ground),
                        ])
                    }
                    None => of([(176, 182, 189), (80, 88, 98)]),
                };
                match weight {
                    Weight::Full => plain,
                    Weight::Faint => mixed(plain, ground, 0.5),
                    Weight::Raw => mixed(plain, ground, 0.7),
                }
            }
        }
    }
}

fn mixed(a: Rgb, b: Rgb, share_of_b: f64) -> Rgb {
    let mix = |a: u8, b: u8| (f64::from(a) * (1.0 - share_of_b) + f64::from(b) * share_of_b).round() as u8;
    (mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
}

/// A text's size and place relative to its point.
#[derive(Clone, Copy)]
pub(super) struct Letters {
    pub(super) em: f64,
    pub(super) tint: Tint,
    pub(super) across: HPos,
    pub(super) down: VPos,
    /// Whether it reads from below.
    pub(super) is_upright: bool,
}

/// What a picture is drawn on.
pub(super) trait Surface {
    fn block(&mut self, frame: Frame, tint: Tint) -> Result<(), PlotError>;
    /// A line of strokes and gaps; of strokes only where `dash` is empty.
    fn stroke(
        &mut self,
        vertices: &[(f64, f64)],
        width: f64,
        tint: Tint,
        dash: &[f64],
    ) -> Result<(), PlotError>;
    fn spot(&mut self, at: (f64, f64), radius: f64, tint: Tint) -> Result<(), PlotError>;
    fn text(&mut self, text: &str, at: (f64, f64), letters: Letters) -> Result<(), PlotError>;

    /// A line along an axis, one pixel wide and sharp: it covers whole pixels.
    fn rule(&mut self, from: (f64, f64), to: (f64, f64), tint: Tint) -> Result<(), PlotError> {
        let (left, top) = (from.0.round(), from.1.round());
        let (right, bottom) = (to.0.round().max(left + 1.0), to.1.round().max(top + 1.0));
        self.block(Frame { left, top, right, bottom }, tint)
    }
}

// ---- SVG --------------------------------------------------------------------------------------------------------------

/// The text of an SVG document.
pub(super) struct Svg {
    body: String,
    paper: Paper,
    /// The tints so far: each has a class, by which it is another on dark paper.
    tints: Vec<Tint>,
}

impl Svg {
    pub(super) fn new(paper: Paper) -> Self {
        Self { body: String::new(), paper, tints: Vec::new() }
    }

    /// The document, of this size and with this name.
    pub(super) fn finish(self, size: Pixels, name: &str) -> String {
        let Pixels { width, height } = size;
        let mut style = String::new();
        if self.paper == Paper::Light {
            style += "<style>@media (prefers-color-scheme:dark){";
            for (class, tint) in self.tints.iter().enumerate() {
                let colour = hex(tint.on(Paper::Dark));
                style += &format!(".f{class}{{fill:{colour}}}.s{class}{{stroke:{colour}}}");
            }
            style += "}</style>\n";
        }
        let name =
            if name.is_empty() { String::new() } else { format!("<title>{}</title>\n", escaped(name)) };
        format!(
            "<svg width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             xmlns=\"http://www.w3.org/2000/svg\" font-family=\"DejaVu Sans, Verdana, sans-serif\">\n{name}{style}{}</svg>\n",
            self.body
        )
    }

    /// The attributes that give a tint to what is filled, or to what is drawn.
    fn tinted(&mut self, tint: Tint, what: &str) -> String {
        let class = self.tints.iter().position(|other| *other == tint).unwrap_or_else(|| {
            self.tints.push(tint);
            self.tints.len() - 1
        });
        let initial = what.get(..1).unwrap_or_default();
        format!("class=\"{initial}{class}\" {what}=\"{}\"", hex(tint.on(self.paper)))
    }

    fn element(&mut self, text: &str) -> Result<(), PlotError> {
        self.body.extend([text, "\n"]);
        Ok(())
    }
}

fn hex((red, green, blue): Rgb) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// A place to a tenth of a pixel.
fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0 + 0.0
}

impl Surface for Svg {
    fn block(&mut self, frame: Frame, tint: Tint) -> Result<(), PlotError> {
        let fill = self.tinted(tint, "fill");
        let Frame { left, top, right, bottom } = frame;
        let (width, height) = (tenth(right - left), tenth(bottom - top));
        self.element(&format!(
            "<rect x=\"{}\" y=\"{}\" width=\"{width}\" height=\"{height}\" {fill}/>",
            tenth(left),
            tenth(top)
        ))
    }

    fn stroke(
        &mut self,
        vertices: &[(f64, f64)],
        width: f64,
        tint: Tint,
        dash: &[f64],
    ) -> Result<(), PlotError> {
        let stroke = self.tinted(tint, "stroke");
        let mut places: Vec<(f64, f64)> = vertices.iter().map(|(x, y)| (tenth(*x), tenth(*y))).collect();
        places.dedup();
        let mut points = String::new();
        for (x, y) in places {
            let _ = write!(points, "{x},{y} ");
        }
        let dash = match dash {
            [] => String::new(),
            dash => {
                let lengths: Vec<String> = dash.iter().map(ToString::to_string).collect();
                format!(" stroke-dasharray=\"{}\"", lengths.join(" "))
            }
        };
        self.element(&format!(
            "<polyline fill=\"none\" stroke-width=\"{width}\" stroke-linejoin=\"round\" {stroke}{dash} points=\"{}\"/>",
            points.trim_end()
        ))
    }

    fn spot(&mut self, (x, y): (f64, f64), radius: f64, tint: Tint) -> Result<(), PlotError> {
        let fill = self.tinted(tint, "fill");
        self.element(&format!(
            "<circle cx=\"{}\" cy=\"{}\" r=\"{}\" {fill}/>",
            tenth(x),
            tenth(y),
            tenth(radius)
        ))
    }

    fn text(&mut self, text: &str, (x, y): (f64, f64), letters: Letters) -> Result<(), PlotError> {
        if text.is_empty() {
            return Ok(());
        }
        let fill = self.tinted(letters.tint, "fill");
        let anchor = match letters.across {
            HPos::Left => "start",
            HPos::Center => "middle",
            HPos::Right => "end",
        };
        // How far the line on which the letters stand is below the point.
        let down = letters.em
            * match letters.down {
                VPos::Top => 0.8,
                VPos::Center => 0.36,
                VPos::Bottom => -0.2,
            };
        let place = if letters.is_upright {
            format!("transform=\"translate({} {}) rotate(-90)\"", tenth(x + down), tenth(y))
        } else {
            format!("x=\"{}\" y=\"{}\"", tenth(x), tenth(y + down))
        };
        self.element(&format!(
            "<text {place} font-size=\"{}\" text-anchor=\"{anchor}\" {fill}>{}</text>",
            letters.em,
            escaped(text)
        ))
    }
}

// ---- PNG --------------------------------------------------------------------------------------------------------------

/// Pixels, several across for each of the picture.
pub(super) struct Bitmap<'b> {
    pub(super) backend: BitMapBackend<'b>,
    /// How many.
    pub(super) times: f64,
    pub(super) paper: Paper,
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

pub(super) fn refused(error: impl std::fmt::Display) -> PlotError {
    PlotError::Draw(error.to_string())
}

impl Bitmap<'_> {
    fn units(&self, (x, y): (f64, f64)) -> BackendCoord {
        ((x * self.times).round() as i32, (y * self.times).round() as i32)
    }

    fn colour(&self, tint: Tint) -> BackendColor {
        BackendColor { alpha: 1.0, rgb: tint.on(self.paper) }
    }

    /// A line piece by piece with round joints: as one polygon it would have holes where it crosses itself.
    fn line(&mut self, vertices: &[(f64, f64)], line: &Line) -> Result<(), PlotError> {
        let mut path: Vec<BackendCoord> = vertices.iter().map(|vertex| self.units(*vertex)).collect();
        path.dedup();
        for (from, to) in path.iter().zip(path.iter().skip(1)) {
            self.backend.draw_line(*from, *to, line).map_err(refused)?;
        }
        let inner = path.get(1..path.len().saturating_sub(1)).unwrap_or_default();
        for joint in inner {
            self.backend.draw_circle(*joint, line.width / 2, &line.colour, true).map_err(refused)?;
        }
        Ok(())
    }
}

impl Surface for Bitmap<'_> {
    fn block(&mut self, frame: Frame, tint: Tint) -> Result<(), PlotError> {
        let (from, to) = (self.units((frame.left, frame.top)), self.units((frame.right, frame.bottom)));
        let colour = self.colour(tint);
        self.backend.draw_rect(from, to, &colour, true).map_err(refused)
    }

    fn stroke(
        &mut self,
        vertices: &[(f64, f64)],
        width: f64,
        tint: Tint,
        dash: &[f64],
    ) -> Result<(), PlotError> {
        let line = Line { colour: self.colour(tint), width: (width * self.times).round().max(1.0) as u32 };
        match dash {
            [] => self.line(vertices, &line),
            dash => strokes(vertices, dash).iter().try_for_each(|stroke| self.line(stroke, &line)),
        }
    }

    fn spot(&mut self, at: (f64, f64), radius: f64, tint: Tint) -> Result<(), PlotError> {
        let (centre, radius) = (self.units(at), (radius * self.times).round() as u32);
        let colour = self.colour(tint);
        self.backend.draw_circle(centre, radius, &colour, true).map_err(refused)
    }

    fn text(&mut self, text: &str, at: (f64, f64), letters: Letters) -> Result<(), PlotError> {
        let style = Lettering {
            em: letters.em * self.times,
            colour: self.colour(letters.tint),
            across: letters.across,
            down: letters.down,
            turned: if letters.is_upright { FontTransform::Rotate270 } else { FontTransform::None },
        };
        let at = self.units(at);
        if text.is_empty() { Ok(()) } else { self.backend.draw_text(text, &style, at).map_err(refused) }
    }
}

/// The strokes of a dashed line, which begins with one.
fn strokes(vertices: &[(f64, f64)], dash: &[f64]) -> Vec<Vec<(f64, f64)>> {
    let mut lengths = dash.iter().copied().cycle();
    let mut left = lengths.next().unwrap_or(f64::INFINITY);
    let (mut done, mut is_on) = (Vec::new(), true);
    let mut open: Vec<(f64, f64)> = vertices.iter().take(1).copied().collect();
    for (from, to) in vertices.iter().zip(vertices.iter().skip(1)) {
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        let mut at = 0.0;
        while length - at > left {
            at += left;
            let share = at / length;
            let place = (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share);
            open.push(place);
            if is_on {
                done.push(std::mem::take(&mut open));
            }
            open = vec![place];
            is_on = !is_on;
            left = lengths.next().unwrap_or(f64::INFINITY);
        }
        left -= length - at;
        if is_on {
            open.push(*to);
        }
    }
    if is_on && open.len() > 1 {
        done.push(open);
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dashed_line_goes_round_corners() {
        let line = [(0.0, 0.0), (4.0, 0.0), (4.0, 4.0)];
        let expected: [&[(f64, f64)]; 2] = [&[(0.0, 0.0), (3.0, 0.0)], &[(4.0, 1.0), (4.0, 4.0)]];
        assert_eq!(strokes(&line, &[3.0, 2.0]), expected);
        assert_eq!(strokes(&line, &[100.0, 1.0]), [line]);
    }
}
