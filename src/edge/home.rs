//! The home directory, which a path that begins with `~` names where no shell has put it there: in configuration files,
//! behind `=`, and between quotes.

use std::env;
use std::path::{Component, Path, PathBuf};

/// That nobody knows what `~` is.
#[derive(Debug, thiserror::Error)]
#[error("{}: `~` is the home directory, and the variable HOME, which names it, is not set", .0.display())]
pub struct NoHome(PathBuf);

/// A path as it is meant: of one whose first part is `~` that is the home directory. `~` elsewhere, and `~name`, are
/// names like others.
///
/// # Errors
/// There is no home directory.
pub fn expand_home(path: &Path) -> Result<PathBuf, NoHome> {
    expand(path, env::var_os("HOME").map(PathBuf::from))
}

fn expand(path: &Path, home: Option<PathBuf>) -> Result<PathBuf, NoHome> {
    let mut parts = path.components();
    if parts.next() != Some(Component::Normal("~".as_ref())) {
        return Ok(path.to_owned());
    }
    let home = home.filter(|home| !home.as_os_str().is_empty()).ok_or_else(|| NoHome(path.to_owned()))?;
    let below = parts.as_path();
    Ok(if below.as_os_str().is_empty() { home } else { home.join(below) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tilde_at_the_beginning_is_the_home_directory() {
        #[track_caller]
        fn check(path: &str, expected: &str) {
            let expanded = expand(Path::new(path), Some("/home/me".into()));
            assert_eq!(expanded.expect("there is one"), Path::new(expected));
        }
        check("~/exp/j1", "/home/me/exp/j1");
        check("~", "/home/me");
        check("~/", "/home/me");
        check("~you/a", "~you/a");
        check("./~/a", "./~/a");
        check("a/~", "a/~");
        check("gs://bucket/~/a", "gs://bucket/~/a");
        check("", "");
        for none in [None, Some(PathBuf::new())] {
            let error = expand(Path::new("~/a"), none).expect_err("there is none").to_string();
            assert!(error.starts_with("~/a: ") && error.contains("HOME"), "{error}");
        }
    }
}
