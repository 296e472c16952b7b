//! What a command needs that runs in another directory than the one it was given in.

use std::env;
use std::path::Path;

/// A command whose words that name files, alone or behind `=`, name them wherever it runs. A directory is meant
/// where a word has a `/` in it, or is `.` or `..`: `train` may be a directory here and a subcommand there.
pub(super) fn absolute(words: &[String], directory: &Path) -> Vec<String> {
    let mut words = words.to_vec();
    if let Some(program) = words.first_mut()
        && program.contains('/')
    {
        // Others are looked for in PATH.
        *program = directory.join(&*program).to_string_lossy().into_owned();
    }
    for word in words.iter_mut().skip(1) {
        let (name, path) = word.split_at(word.find('=').map_or(0, |at| at + 1));
        if let Some(path) = absolute_path(word, directory) {
            *word = path;
        } else if let Some(path) = absolute_path(path, directory) {
            *word = [name, &path].concat();
        }
    }
    words
}

fn absolute_path(word: &str, directory: &Path) -> Option<String> {
    let path = Path::new(word);
    if word.is_empty() || path.is_absolute() {
        return None;
    }
    let there = directory.join(path);
    let names_directory = word.contains('/') || [".", ".."].contains(&word);
    let is_meant = there.is_file() || (names_directory && there.is_dir());
    is_meant.then(|| std::path::absolute(&there).unwrap_or(there).to_string_lossy().into_owned())
}

/// `PYTHONPATH`: the directory that a command was given in comes first, for modules that Python would have found
/// there, then what the variable has. `None` where the directory's name holds what stands between paths there.
pub(super) fn python_path(directory: &Path) -> Option<String> {
    let given = env::var_os("PYTHONPATH").unwrap_or_default();
    let given = env::split_paths(&given).filter(|path| !path.as_os_str().is_empty());
    let all = std::iter::once(directory.to_owned()).chain(given.map(|path| directory.join(path)));
    env::join_paths(all).ok().map(|paths| paths.to_string_lossy().into_owned())
}
