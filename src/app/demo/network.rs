//! A small neural network: one hidden layer, cross-entropy loss, gradient descent with momentum.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::digits::{Image, N_CLASSES, N_PIXELS, shuffle};

/// How much of the last step is taken again.
const MOMENTUM: f32 = 0.9;

/// The nonlinearity of the hidden layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Activation {
    /// max(0, x)
    Relu,
    /// tanh(x)
    Tanh,
    /// 1 / (1 + exp(-x))
    Sigmoid,
}

impl Activation {
    fn apply(self, x: f32) -> f32 {
        match self {
            Self::Relu => x.max(0.0),
            Self::Tanh => x.tanh(),
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        }
    }

    /// The slope where the activation is `y`.
    fn slope(self, y: f32) -> f32 {
        match self {
            Self::Relu => f32::from(y > 0.0),
            Self::Tanh => 1.0 - y * y,
            Self::Sigmoid => y * (1.0 - y),
        }
    }
}

/// Weights from every input to every output, with the gradient that gathers over a batch.
struct Layer {
    n_inputs: usize,
    /// By output; the last of each row is the bias.
    weights: Vec<f32>,
    gradient: Vec<f32>,
    velocity: Vec<f32>,
}

impl Layer {
    fn new(n_inputs: usize, n_outputs: usize, random: &mut ChaCha8Rng) -> Self {
        let row = n_inputs + 1;
        // He et al. 2015: a spread that keeps the signal's size from layer to layer.
        let spread = (6.0 / n_inputs as f32).sqrt();
        let weights = (0..row * n_outputs)
            .map(|i| if i % row == n_inputs { 0.0 } else { (unit(random) * 2.0 - 1.0) * spread })
            .collect();
        let zeros = vec![0.0; row * n_outputs];
        Self { n_inputs, weights, gradient: zeros.clone(), velocity: zeros }
    }

    fn forward(&self, inputs: &[f32], outputs: &mut [f32]) {
        for (output, row) in outputs.iter_mut().zip(self.weights.chunks_exact(self.n_inputs + 1)) {
            let (weights, bias) = row.split_at(self.n_inputs);
            let sum: f32 = weights.iter().zip(inputs).map(|(w, x)| w * x).sum();
            *output = sum + bias.iter().sum::<f32>();
        }
    }

    /// Gathers the gradient of one example, and passes it on to the inputs.
    fn backward(&mut self, inputs: &[f32], output_gradients: &[f32], input_gradients: &mut [f32]) {
        input_gradients.fill(0.0);
        let row = self.n_inputs + 1;
        let rows = self.weights.chunks_exact(row).zip(self.gradient.chunks_exact_mut(row));
        for (slope, (weights, gradient)) in output_gradients.iter().zip(rows) {
            let (gradient, bias) = gradient.split_at_mut(self.n_inputs);
            for (g, x) in gradient.iter_mut().zip(inputs) {
                *g += slope * x;
            }
            for g in bias {
                *g += slope;
            }
            for (g, w) in input_gradients.iter_mut().zip(weights) {
                *g += slope * w;
            }
        }
    }

    fn step(&mut self, rate: f32) {
        for ((w, g), v) in self.weights.iter_mut().zip(&mut self.gradient).zip(&mut self.velocity) {
            *v = MOMENTUM * *v - rate * *g;
            *w += *v;
            *g = 0.0;
        }
    }
}

/// The network.
pub(super) struct Network {
    activation: Activation,
    hidden: Layer,
    output: Layer,
    hidden_values: Vec<f32>,
    hidden_gradients: Vec<f32>,
    random: ChaCha8Rng,
}

impl Network {
    /// A network with random weights, always the same for one shape.
    #[must_use]
    pub(super) fn new(n_hidden: usize, activation: Activation) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let hidden = Layer::new(N_PIXELS, n_hidden, &mut random);
        let output = Layer::new(n_hidden, N_CLASSES, &mut random);
        let (hidden_values, hidden_gradients) = (vec![0.0; n_hidden], vec![0.0; n_hidden]);
        Self { activation, hidden, output, hidden_values, hidden_gradients, random }
    }

    /// Trains once with every image, in a new order. The answer is the mean loss.
    pub(super) fn train_epoch(&mut self, images: &mut [Image], batch_size: usize, rate: f32) -> f32 {
        shuffle(images, &mut self.random);
        let mut loss = 0.0;
        let mut pixel_gradients = [0.0; N_PIXELS];
        for batch in images.chunks(batch_size.max(1)) {
            for image in batch {
                let probabilities = self.forward(image);
                loss -= probabilities.get(image.digit).copied().unwrap_or(0.0).max(f32::MIN_POSITIVE).ln();
                let mut gradients = probabilities;
                if let Some(right) = gradients.get_mut(image.digit) {
                    *right -= 1.0;
                }
                self.output.backward(&self.hidden_values, &gradients, &mut self.hidden_gradients);
                for (g, y) in self.hidden_gradients.iter_mut().zip(&self.hidden_values) {
                    *g *= self.activation.slope(*y);
                }
                self.hidden.backward(&image.pixels, &self.hidden_gradients, &mut pixel_gradients);
            }
            let rate = rate / batch.len() as f32;
            self.hidden.step(rate);
            self.output.step(rate);
        }
        loss / images.len() as f32
    }

    /// The share of images that are recognised, 0 to 1.
    #[must_use]
    pub(super) fn accuracy(&mut self, images: &[Image]) -> f32 {
        let mut n_right = 0;
        for image in images {
            let probabilities = self.forward(image);
            let best = probabilities.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
            n_right += usize::from(best.is_some_and(|(digit, _)| digit == image.digit));
        }
        n_right as f32 / images.len() as f32
    }

    /// The probability of each digit.
    fn forward(&mut self, image: &Image) -> [f32; N_CLASSES] {
        self.hidden.forward(&image.pixels, &mut self.hidden_values);
        for value in &mut self.hidden_values {
            *value = self.activation.apply(*value);
        }
        let mut out = [0.0; N_CLASSES];
        self.output.forward(&self.hidden_values, &mut out);
        let largest = out.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        for value in &mut out {
            *value = (*value - largest).exp();
        }
        let sum: f32 = out.iter().sum();
        out.map(|value| value / sum)
    }
}

/// A number in [0, 1).
fn unit(random: &mut ChaCha8Rng) -> f32 {
    (random.next_u32() >> 8) as f32 / (1 << 24) as f32
}

#[cfg(test)]
mod tests {
    use super::super::digits;
    use super::*;

    #[test]
    fn a_few_epochs_learn_to_read_digits() {
        let (mut training, validation) = digits::load();
        for activation in [Activation::Relu, Activation::Tanh, Activation::Sigmoid] {
            let mut network = Network::new(24, activation);
            let before = network.accuracy(&validation);
            let first = network.train_epoch(&mut training, 16, 0.1);
            let mut last = first;
            for _ in 0..4 {
                last = network.train_epoch(&mut training, 16, 0.1);
            }
            let after = network.accuracy(&validation);
            assert!(last < first && before < 0.3 && after > 0.8, "{activation:?}: {before} to {after}");
        }
    }
}
