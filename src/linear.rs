//! Triangular matrices: Cholesky factors, solutions and inverses.
//!
//! Layer 7, for search and stopping.
//!
//! Every sum is taken in one fixed order, over a fixed number of lanes and on one thread, so that the result is
//! the same to the last bit on every machine. That is why no linear algebra library is used: those choose
//! their instructions, and so their order of summation, by the machine that they run on.

#![expect(
    clippy::indexing_slicing,
    reason = "indices run over rows of a length that is fixed by the row's number"
)]

/// How many sums run side by side.
const LANES: usize = 4;

/// How many right-hand sides [`Lower::forward_many`] takes at once.
pub(crate) const BATCH: usize = 8;

/// A lower triangular matrix by rows, each up to its diagonal; of a symmetric one it is the lower half.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Lower {
    n: usize,
    values: Vec<f64>,
}

fn start(row: usize) -> usize {
    row * (row + 1) / 2
}

impl Lower {
    /// The matrix whose element in row `i` and column `j`, not behind the diagonal, is `element(i, j)`.
    pub(crate) fn new(n: usize, mut element: impl FnMut(usize, usize) -> f64) -> Self {
        let mut values = Vec::with_capacity(start(n));
        for i in 0..n {
            values.extend((0..=i).map(|j| element(i, j)));
        }
        Self { n, values }
    }

    /// The number of rows.
    pub(crate) fn n(&self) -> usize {
        self.n
    }

    /// The elements of a row up to its diagonal.
    pub(crate) fn row(&self, i: usize) -> &[f64] {
        &self.values[start(i)..start(i + 1)]
    }

    /// The Cholesky factor *L* of this half of a symmetric matrix, *L Lᵀ*; `None` where it is not positive
    /// definite.
    pub(crate) fn factor(mut self) -> Option<Self> {
        for i in 0..self.n {
            let (above, rest) = self.values.split_at_mut(start(i));
            if !eliminate(above, &mut rest[..=i]) {
                return None;
            }
        }
        Some(self)
    }

    /// Takes one more row of the matrix of which this is the factor; its last element is the diagonal. The
    /// answer is whether it is still positive definite; if not, nothing is changed.
    pub(crate) fn append(&mut self, row: &[f64]) -> bool {
        debug_assert_eq!(row.len(), self.n + 1);
        let mut row = row.to_vec();
        let is_definite = eliminate(&self.values, &mut row);
        if is_definite {
            self.values.extend_from_slice(&row);
            self.n += 1;
        }
        is_definite
    }

    /// Solves *L x = b* in place.
    pub(crate) fn forward(&self, b: &mut [f64]) {
        for i in 0..self.n {
            let row = self.row(i);
            b[i] = (b[i] - dot(&row[..i], &b[..i])) / row[i];
        }
    }

    /// Solves *L x = b* in place for several right-hand sides, each in its lane.
    pub(crate) fn forward_many(&self, b: &mut [[f64; BATCH]]) {
        for i in 0..self.n {
            let row = self.row(i);
            let (solved, rest) = b.split_at_mut(i);
            let mut sums = rest[0];
            for (factor, x) in row.iter().zip(solved.iter()) {
                for (sum, x) in sums.iter_mut().zip(x) {
                    *sum -= factor * x;
                }
            }
            rest[0] = sums.map(|sum| sum / row[i]);
        }
    }

    /// Solves *Lᵀ x = b* in place.
    pub(crate) fn backward(&self, b: &mut [f64]) {
        for i in (0..self.n).rev() {
            let row = self.row(i);
            let x = b[i] / row[i];
            b[i] = x;
            for (b, factor) in b.iter_mut().zip(&row[..i]) {
                *b -= factor * x;
            }
        }
    }

    /// The logarithm of the determinant of *L*.
    pub(crate) fn ln_determinant(&self) -> f64 {
        (0..self.n).map(|i| libm::log(self.row(i)[i])).sum()
    }

    /// The lower half of *(L Lᵀ)⁻¹*.
    pub(crate) fn inverse_of_product(&self) -> Self {
        let n = self.n;
        // First L⁻¹, row by row from those above.
        let mut inverse = vec![0.0; start(n)];
        for i in 0..n {
            let factors = self.row(i);
            let (above, rest) = inverse.split_at_mut(start(i));
            let row = &mut rest[..=i];
            add_rows(row, above, &factors[..i], 0);
            let scale = 1.0 / factors[i];
            for value in &mut row[..i] {
                *value *= -scale;
            }
            row[i] = scale;
        }
        // Then its product with its transpose, each row i the sum of the rows k >= i weighted by their element i.
        let mut product = vec![0.0; start(n)];
        let mut weights = Vec::with_capacity(n);
        for i in 0..n {
            weights.clear();
            weights.extend((i..n).map(|k| inverse[start(k) + i]));
            add_rows(&mut product[start(i)..start(i + 1)], &inverse, &weights, i);
        }
        Self { n, values: product }
    }
}

/// Turns a row of a matrix into a row of its Cholesky factor, given the rows of the factor above it.
fn eliminate(above: &[f64], row: &mut [f64]) -> bool {
    let i = row.len() - 1;
    let mut j = 0;
    while j + LANES <= i {
        // Four elements at once: their sums over the columns before them share what is read of this row.
        let rows: [&[f64]; LANES] = std::array::from_fn(|lane| &above[start(j + lane)..start(j + lane + 1)]);
        let sums = dot_with_each(&row[..j], rows);
        for (lane, sum) in sums.into_iter().enumerate() {
            let factors = rows[lane];
            let near: f64 = (j..j + lane).map(|k| row[k] * factors[k]).sum();
            row[j + lane] = (row[j + lane] - sum - near) / factors[j + lane];
        }
        j += LANES;
    }
    for j in j..i {
        let factors = &above[start(j)..start(j + 1)];
        row[j] = (row[j] - dot(&row[..j], &factors[..j])) / factors[j];
    }
    let rest = row[i] - dot(&row[..i], &row[..i]);
    row[i] = rest.sqrt();
    // NaN is not definite either.
    rest > 0.0 && rest.is_finite()
}

/// Adds to `target` rows `first`, `first + 1`, ... of a triangle, each by its factor and as far as both reach.
fn add_rows(target: &mut [f64], triangle: &[f64], factors: &[f64], first: usize) {
    let row = |k: usize| &triangle[start(first + k)..start(first + k + 1)];
    let mut k = 0;
    while k + LANES <= factors.len() {
        let [a, b, c, d] = [factors[k], factors[k + 1], factors[k + 2], factors[k + 3]];
        // What all four have; the rest of the three longer ones follows.
        let common = (first + k + 1).min(target.len());
        let rows = [row(k), row(k + 1), row(k + 2), row(k + 3)];
        let (near, far) = target.split_at_mut(common);
        let columns =
            rows[0][..common].iter().zip(&rows[1][..common]).zip(&rows[2][..common]).zip(&rows[3][..common]);
        for (value, (((w, x), y), z)) in near.iter_mut().zip(columns) {
            *value += (a * w + b * x) + (c * y + d * z);
        }
        for (factor, row) in [b, c, d].into_iter().zip(&rows[1..]) {
            for (value, x) in far.iter_mut().zip(&row[common..]) {
                *value += factor * x;
            }
        }
        k += LANES;
    }
    for (k, factor) in factors.iter().enumerate().skip(k) {
        for (value, x) in target.iter_mut().zip(row(k)) {
            *value += factor * x;
        }
    }
}

/// The sum of the products of two vectors, as far as the shorter reaches.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len().min(b.len());
    let (a, b) = (&a[..n], &b[..n]);
    let mut sums = [0.0; 2 * LANES];
    let (chunks_a, chunks_b) = (a.chunks_exact(2 * LANES), b.chunks_exact(2 * LANES));
    let rest: f64 = chunks_a.remainder().iter().zip(chunks_b.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in chunks_a.zip(chunks_b) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f64>() + rest
}

fn dot_with_each(a: &[f64], rows: [&[f64]; LANES]) -> [f64; LANES] {
    let n = a.len();
    let mut sums = [[0.0; LANES]; LANES];
    let rows = rows.map(|row| &row[..n]);
    let whole = n / LANES * LANES;
    let mut at = 0;
    while at < whole {
        let x = &a[at..at + LANES];
        for (sums, row) in sums.iter_mut().zip(rows) {
            for ((sum, x), y) in sums.iter_mut().zip(x).zip(&row[at..at + LANES]) {
                *sum += x * y;
            }
        }
        at += LANES;
    }
    let mut lane = 0;
    sums.map(|sums| {
        let rest: f64 = a[whole..].iter().zip(&rows[lane][whole..]).map(|(x, y)| x * y).sum();
        lane += 1;
        sums.iter().sum::<f64>() + rest
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A symmetric positive definite matrix without pattern.
    fn matrix(n: usize) -> Lower {
        Lower::new(n, |i, j| {
            let distance = (i as f64 - j as f64).powi(2) * 0.3 + ((i * j) % 7) as f64 * 0.01;
            (-distance).exp() + if i == j { 0.5 } else { 0.0 }
        })
    }

    fn at(m: &Lower, i: usize, j: usize) -> f64 {
        m.row(i.max(j))[i.min(j)]
    }

    #[test]
    fn a_worked_example() {
        // [4 2; 2 10] = [2 0; 1 3] [2 1; 0 3]
        let factor = Lower::new(2, |i, j| [[4.0, 0.0], [2.0, 10.0]][i][j]).factor().expect("it is definite");
        assert_eq!(factor.values, [2.0, 1.0, 3.0]);
        assert_eq!(factor.inverse_of_product().values, [10.0 / 36.0, -2.0 / 36.0, 4.0 / 36.0]);
        assert!((factor.ln_determinant() - 6.0_f64.ln()).abs() < 1e-15);
        assert_eq!(Lower::new(2, |i, j| [[1.0, 0.0], [2.0, 1.0]][i][j]).factor(), None);
        assert_eq!(Lower::new(1, |_, _| f64::NAN).factor(), None);
    }

    #[test]
    fn the_product_of_the_factor_is_the_matrix_and_the_inverse_inverts_it() {
        for n in [1, 2, 3, 4, 5, 9, 16, 37] {
            let a = matrix(n);
            let factor = a.clone().factor().expect("it is definite");
            let inverse = factor.inverse_of_product();
            for i in 0..n {
                for j in 0..n {
                    let product: f64 = (0..=i.min(j)).map(|k| factor.row(i)[k] * factor.row(j)[k]).sum();
                    assert!((product - at(&a, i, j)).abs() < 1e-12, "n {n}: {i} {j}");
                    let one: f64 = (0..n).map(|k| at(&a, i, k) * at(&inverse, k, j)).sum();
                    assert!((one - f64::from(u8::from(i == j))).abs() < 1e-10, "n {n}: {i} {j}: {one}");
                }
            }
        }
    }

    #[test]
    fn a_factor_that_grows_row_by_row_is_the_same_to_the_last_bit() {
        let a = matrix(23);
        let mut grown = Lower::default();
        for i in 0..23 {
            assert!(grown.append(a.row(i)));
        }
        assert_eq!(Some(&grown), a.factor().as_ref());
        let before = grown.clone();
        assert!(!grown.append(&[9.0; 24]), "it is not definite any more");
        assert_eq!(grown, before);
    }

    #[test]
    fn solutions_solve() {
        let n = 13;
        let factor = matrix(n).factor().expect("it is definite");
        let b: Vec<f64> = (0..n).map(|i| i as f64 - 3.0).collect();
        let mut x = b.clone();
        factor.forward(&mut x);
        let mut many: Vec<[f64; BATCH]> =
            b.iter().map(|b| std::array::from_fn(|lane| b * lane as f64)).collect();
        factor.forward_many(&mut many);
        for (one, many) in x.iter().zip(&many) {
            assert_eq!(many[0], 0.0);
            assert!((one * 3.0 - many[3]).abs() < 1e-12);
        }
        factor.backward(&mut x);
        for (i, b) in b.iter().enumerate() {
            let got: f64 = (0..n).map(|k| at(&matrix(n), i, k) * x[k]).sum();
            assert!((got - b).abs() < 1e-10);
        }
    }
}
