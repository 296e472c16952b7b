//! Curves as pictures: in a terminal, as SVG and PNG, and as a web page that answers to the pointer.
//!
//! Layer 6: imports `limits`, and of `series` what a thinned curve lacks; does no IO. Curves go in, text or bytes come out; the same curves
//! always give the same bytes. No input makes it panic: what cannot be drawn is left out and counted
//! below the chart.
//!
//! ```text
//! charts → scene (sorted, smoothed, ranges) → reduce (min and max a column) → text | svg | png
//!                                         └──→ reduce (to a cap) ───────────→ html
//! ```

#[cfg(feature = "pictures")]
mod glyphs;
mod label;
#[cfg(feature = "pictures")]
mod legend;
mod page;
mod palette;
#[cfg_attr(not(feature = "pictures"), path = "picture_absent.rs")]
mod picture;
mod raster;
mod reduce;
mod scale;
mod scene;
mod smooth;
#[cfg(feature = "pictures")]
mod surface;
mod text;

pub use label::printable;
#[cfg(feature = "serve")]
pub(crate) use page::filled;
pub use page::html;
pub use picture::{png, svg};
pub use smooth::smooth;
pub use text::text;
pub use tfevents::series::Dropped;

/// One curve.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Curve {
    /// What the legend calls it. Control characters are shown escaped.
    pub name: String,
    /// Points `(x, y)` by rising x. A y that is NaN or infinite is a gap; a point whose x is not
    /// finite is left out. Points that do not rise are sorted, equal x in the order given.
    pub points: Vec<(f64, f64)>,
    /// The smoothed curve, where `points` are not all that there are and smoothing them would give another; otherwise
    /// empty.
    pub smoothed: Vec<(f64, f64)>,
    /// What is not among `points`.
    pub dropped: Dropped,
    /// Which colour and dash it has.
    pub paint: Paint,
    /// Whether it is drawn paler, beside one of the same paint: a trial's training beside its validation.
    pub is_faint: bool,
    /// How its end is marked.
    pub end: End,
    /// Names and values that a page shows where the pointer is on the curve.
    pub about: Vec<(String, String)>,
}

/// Which colour and dash a curve has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Paint {
    /// Those of its place in its chart.
    #[default]
    ByPlace,
    /// Those of a number, so that curves that belong together are alike in every chart.
    Of(usize),
    /// Grey, as what others are compared with. The legend has one entry for all of these.
    Quiet,
}

/// What the end of a curve says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum End {
    /// Nothing.
    #[default]
    Plain,
    /// It is the best: a dot, and a stronger line.
    Best,
    /// It was stopped early, or failed: a cross.
    Stopped,
}

/// Curves that are drawn over the same axes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Chart {
    /// What stands above it.
    pub title: String,
    /// The curves, the first on top.
    pub curves: Vec<Curve>,
}

/// The paper of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Paper {
    /// White; in SVG dark where the viewer is.
    #[default]
    Light,
    /// Dark.
    Dark,
}

/// How the y axis is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scale {
    /// Equal differences are equally far apart.
    #[default]
    Linear,
    /// Equal ratios are equally far apart. Values that are not positive are gaps.
    Log,
}

/// What a chart says around its curves, and how it shows them. Empty texts take no room.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Look {
    /// The line above the chart; where that is empty, the title of an only chart.
    pub title: String,
    /// What x counts, such as `step`.
    pub x_label: String,
    /// What y measures, such as `loss`.
    pub y_label: String,
    /// The scale of the y axis.
    pub y_scale: Scale,
    /// The weight of the past in [`smooth()`], from 0 (none) to below 1, as TensorBoard's slider. The
    /// terminal shows the smoothed curve alone, the others the raw one faint behind it.
    pub smoothing: f64,
    /// What there is to say of the curves, a line each.
    pub notes: Vec<String>,
    /// The paper of an SVG or PNG; a page is as its viewer.
    pub paper: Paper,
}

/// The size of a chart in a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cells {
    /// The columns of the whole chart; no line is wider. Taken into 20 to 1000.
    pub width: usize,
    /// The rows of the drawing; title, axis, legend and notes come on top. Taken into 3 to 500.
    pub height: usize,
}

/// 80 columns, 16 rows.
impl Default for Cells {
    fn default() -> Self {
        Self { width: 80, height: 16 }
    }
}

/// What tells the curves of a chart in a terminal apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ink {
    /// Characters: several curves are drawn each with its own.
    #[default]
    Plain,
    /// ANSI colours.
    Colour,
}

/// The size of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pixels {
    /// From left to right.
    pub width: u32,
    /// From top to bottom.
    pub height: u32,
}

/// 1000 by 600.
impl Default for Pixels {
    fn default() -> Self {
        Self { width: 1000, height: 600 }
    }
}

/// Why a picture could not be made. Another size may help with the first, nothing with the second.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// The size leaves no room for a chart or needs more memory than it is worth.
    #[error("got a picture of {width}x{height} pixels, want at least {min_width}x{min_height} and at most {max} pixels in all",
        min_width = picture::MIN_SIZE.width, min_height = picture::MIN_SIZE.height, max = crate::limits::MAX_PICTURE_PIXELS)]
    Size {
        /// As it was asked for.
        width: u32,
        /// As it was asked for.
        height: u32,
    },
    /// A drawing library refused.
    #[error("cannot draw the picture: {0}")]
    Draw(String),
}

#[cfg(test)]
mod tests;
