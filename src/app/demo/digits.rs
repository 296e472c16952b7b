//! The data set of the demo: images of handwritten digits, 8 by 8 pixels. Its origin and licence
//! stand in `README.md` beside this file.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Pixels of an image.
pub(super) const N_PIXELS: usize = 64;

/// Digits there are.
pub(super) const N_CLASSES: usize = 10;

const TEXT: &str = include_str!("digits.txt");

/// The darkest pixel.
const MAX_INK: f32 = 16.0;

/// One in so many images is kept from training, for validation: half of them, so that one image
/// more or less is a tenth of a percent.
const VALIDATION_SHARE: usize = 2;

/// An image and what it shows.
#[derive(Debug, Clone)]
pub(super) struct Image {
    /// The pixels by row, each 0 (blank) to 1.
    pub(super) pixels: [f32; N_PIXELS],
    /// The digit, 0 to 9.
    pub(super) digit: usize,
}

/// The images to train with and those to validate with. The division is always the same.
#[must_use]
pub(super) fn load() -> (Vec<Image>, Vec<Image>) {
    let mut images: Vec<Image> = TEXT.lines().filter_map(parse).collect();
    shuffle(&mut images, &mut ChaCha8Rng::seed_from_u64(0));
    let validation = images.split_off(images.len() - images.len() / VALIDATION_SHARE);
    (images, validation)
}

/// Puts `items` into a random order (Fisher and Yates).
pub(super) fn shuffle<T>(items: &mut [T], random: &mut ChaCha8Rng) {
    for i in (1..items.len()).rev() {
        items.swap(i, (random.next_u64() % (i as u64 + 1)) as usize);
    }
}

fn parse(line: &str) -> Option<Image> {
    let (digit, ink) = line.split_once(' ')?;
    let mut pixels = [0.0; N_PIXELS];
    for (pixel, c) in pixels.iter_mut().zip(ink.chars()) {
        *pixel = c.to_digit(17)? as f32 / MAX_INK;
    }
    Some(Image { pixels, digit: digit.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_is_there() {
        let (training, validation) = load();
        assert_eq!((training.len(), validation.len()), (899, 898));
        let mut counts = [0; N_CLASSES];
        for image in training.iter().chain(&validation) {
            counts[image.digit] += 1;
            assert!(image.pixels.iter().all(|p| (0.0..=1.0).contains(p)));
        }
        assert!(counts.iter().all(|n| (174..=183).contains(n)), "{counts:?}");
    }
}
