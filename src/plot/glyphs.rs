//! Text in pictures: the embedded font, how wide a text is, and its pixels.
//!
//! Imports nothing of this crate and does no IO. The font's origin and licence lie in `font/`.

use std::convert::Infallible;
use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, GlyphId, PxScale, point};
use plotters_backend::text_anchor::{HPos, Pos, VPos};
use plotters_backend::{BackendColor, BackendCoord, BackendTextStyle, FontFamily, FontTransform};
use unicode_width::UnicodeWidthChar;

static FONT: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    FontRef::try_from_slice(include_bytes!("font/DejaVuSans-subset.ttf")).expect("the embedded font is whole")
});

/// Where a baseline lies below the top of a line, in ems; the SVG backend has the same.
const BASELINE: f32 = 0.76;

/// A text's size, colour and place relative to its point. Implements the text style of the drawing
/// backends: SVG takes its properties, bitmaps its pixels.
#[derive(Clone)]
pub(super) struct Lettering {
    /// The em, in the backend's units.
    pub(super) em: f64,
    pub(super) colour: BackendColor,
    pub(super) across: HPos,
    pub(super) down: VPos,
    pub(super) turned: FontTransform,
}

/// The width of a text in ems.
pub(super) fn width_ems(text: &str) -> f64 {
    text.chars().map(advance_ems).sum()
}

/// How far a character moves the pen, in ems.
fn advance_ems(c: char) -> f64 {
    match FONT.glyph_id(c) {
        // Another font draws it in SVG: a square where terminals give it two columns.
        GlyphId(0) => c.width().unwrap_or(0) as f64 * 0.5 + 0.1,
        glyph => f64::from(FONT.h_advance_unscaled(glyph)) / f64::from(units_per_em()),
    }
}

fn units_per_em() -> f32 {
    FONT.units_per_em().unwrap_or(2048.0)
}

impl BackendTextStyle for Lettering {
    type FontError = Infallible;

    fn color(&self) -> BackendColor {
        self.colour
    }

    fn size(&self) -> f64 {
        // The SVG backend divides by it again.
        self.em * 1.24
    }

    fn transform(&self) -> FontTransform {
        self.turned.clone()
    }

    fn anchor(&self) -> Pos {
        Pos::new(self.across, self.down)
    }

    fn family(&self) -> FontFamily<'_> {
        FontFamily::SansSerif
    }

    fn layout_box(&self, text: &str) -> Result<((i32, i32), (i32, i32)), Infallible> {
        Ok(((0, 0), ((width_ems(text) * self.em) as i32, self.em as i32)))
    }

    fn draw<E, D: FnMut(i32, i32, BackendColor) -> Result<(), E>>(
        &self,
        text: &str,
        (left, top): BackendCoord,
        mut draw: D,
    ) -> Result<Result<(), E>, Infallible> {
        let em = self.em as f32;
        let scale = PxScale::from(em * FONT.height_unscaled() / units_per_em());
        let mut at = 0.0;
        for c in text.chars() {
            let placed = FONT.glyph_id(c).with_scale_and_position(scale, point(at, em * BASELINE));
            at += advance_ems(c) as f32 * em;
            let Some(outline) = FONT.outline_glyph(placed) else { continue };
            let corner = outline.px_bounds().min;
            let mut said = Ok(());
            outline.draw(|x, y, coverage| {
                let (x, y) = (corner.x as i32 + x as i32 + left, corner.y as i32 + y as i32 + top);
                if said.is_ok() && coverage > 0.0 {
                    said = draw(x, y, self.colour.mix(f64::from(coverage.min(1.0))));
                }
            });
            if said.is_err() {
                return Ok(said);
            }
        }
        Ok(Ok(()))
    }
}
