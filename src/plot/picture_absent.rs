//! Stands in for SVG and PNG in a program without the feature `pictures`.

use super::{Chart, Look, Pixels, PlotError};

/// The least size of a picture.
pub(super) const MIN_SIZE: Pixels = Pixels { width: 200, height: 150 };

const ABSENT: &str =
    "this hptune was built without pictures (the feature `pictures`); an HTML page can be made";

/// No SVG can be made.
///
/// # Errors
/// Always: the program was built without pictures.
pub fn svg(_charts: &[Chart], _look: &Look, _size: Pixels) -> Result<String, PlotError> {
    Err(PlotError::Draw(ABSENT.to_owned()))
}

/// No PNG can be made.
///
/// # Errors
/// Always: the program was built without pictures.
pub fn png(_charts: &[Chart], _look: &Look, _size: Pixels) -> Result<Vec<u8>, PlotError> {
    Err(PlotError::Draw(ABSENT.to_owned()))
}
