//! Pages of lists, and the tokens that lead from one to the next.
//!
//! A token names the last element of its page, so that jobs which are added meanwhile move nothing.

use std::collections::HashMap;

use super::error::ApiError;

/// Which page is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    /// How many elements at most.
    pub(super) size: usize,
    /// The number that the token of the page before has.
    pub(super) behind: Option<i64>,
}

/// Reads `pageSize` and `pageToken`; a size of 0 or none is `default`, a larger one than `largest` is `largest`.
///
/// # Errors
/// They are no number, negative, or no token of ours.
pub(super) fn page(
    query: &HashMap<String, String>,
    default: usize,
    largest: usize,
) -> Result<Page, ApiError> {
    let given = |name: &str| query.get(name).filter(|text| !text.is_empty());
    let size = match given("pageSize").map(|text| text.parse::<i64>()) {
        None | Some(Ok(0)) => default,
        Some(Ok(size)) if size > 0 => usize::try_from(size).unwrap_or(largest).min(largest),
        Some(_) => return Err(ApiError::of_field("pageSize", "want a number, 0 or more")),
    };
    let behind = given("pageToken").map(|token| {
        let number = token.strip_prefix('p').and_then(|number| i64::from_str_radix(number, 36).ok());
        number
            .filter(|number| *number >= 0)
            .ok_or_else(|| ApiError::of_field("pageToken", "is none that was given out here"))
    });
    Ok(Page { size, behind: behind.transpose()? })
}

/// The token of the page behind the element of this number, 0 or more.
pub(super) fn token(mut number: i64) -> String {
    let mut digits = Vec::new();
    loop {
        let digit = u32::try_from(number % 36).unwrap_or_default();
        digits.push(char::from_digit(digit, 36).unwrap_or('0'));
        number /= 36;
        if number <= 0 {
            break;
        }
    }
    std::iter::once('p').chain(digits.into_iter().rev()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Page, ApiError> {
        let query = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        page(&query, 20, 100)
    }

    #[test]
    fn a_token_reads_back() {
        for number in [0, 1, 35, 36, 123_456_789, i64::MAX] {
            assert_eq!(read(&[("pageToken", &token(number))]).expect("it is ours").behind, Some(number));
        }
    }

    #[test]
    fn sizes_have_their_range() {
        #[track_caller]
        fn check(size: &str, expected: Option<usize>) {
            assert_eq!(read(&[("pageSize", size)]).ok().map(|page| page.size), expected);
        }
        check("", Some(20));
        check("0", Some(20));
        check("7", Some(7));
        check("1000000", Some(100));
        check("-1", None);
        check("x", None);
        assert!(read(&[("pageToken", "x")]).is_err());
        assert!(read(&[("pageToken", "p-1")]).is_err());
    }
}
