//! What failures have in common: what a trainer said without what differs from trial to trial.

use super::{Assignment, ParamValue};

/// What was said with paths, numbers, whatever has a digit in it, and the trial's own values each as one word: two
/// failures for the same reason have the same gist.
#[must_use]
pub fn gist(said: &str, params: &Assignment) -> String {
    let texts = || {
        params.iter().filter_map(|(_, value)| match value {
            ParamValue::Text(text) => Some(&**text),
            ParamValue::Number(_) => None,
        })
    };
    let is_split = |c: char| c.is_whitespace() || "\"'`()[]{}<>=,;|".contains(c);
    // A value of several words is found before they are told apart.
    let is_long = |text: &&str| text.contains(is_split);
    let whole = texts().filter(is_long).fold(said.to_owned(), |said, text| said.replace(text, "*"));
    let mut out = String::with_capacity(whole.len());
    for word in whole.split_inclusive(is_split) {
        let (word, end) = match word.chars().next_back().filter(|c| is_split(*c)) {
            Some(c) => word.split_at(word.len() - c.len_utf8()),
            None => (word, ""),
        };
        let differs = word.contains('/') || word.contains(|c: char| c.is_ascii_digit());
        out.push_str(if differs || texts().any(|text| text == word) { "*" } else { word });
        out.push_str(if end.trim().is_empty() && !end.is_empty() { " " } else { end });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_numbers_and_the_trial_s_values_make_no_difference() {
        #[track_caller]
        fn check(a: &str, b: &str, expected: bool) {
            let params = |text: &str| Assignment(vec![("opt".into(), ParamValue::Text(text.into()))]);
            let (adam, sgd) = (gist(a, &params("adam")), gist(b, &params("very slow sgd")));
            assert_eq!(adam == sgd, expected, "{adam:?} {sgd:?}");
        }
        check(
            "t.py: error: unrecognized arguments: --lr=0.1 --opt=adam --job-dir=/jobs/1",
            "t.py: error: unrecognized arguments: --lr=1e-05 --opt=very slow sgd --job-dir=/jobs/12",
            true,
        );
        check("OSError: [Errno 2] '/a/b.txt' at 0x7f12ab", "OSError: [Errno 2] '/c.txt' at 0x55ffee00", true);
        check("12:01:07 pid=77 failed\n", "23:59:00 pid=1234 failed\n", true);
        check("ValueError: bad batch", "ValueError: bad rate", false);
        check("RuntimeError: CUDA out of memory", "ValueError: batch size 7", false);
    }
}
