//! A file that is there whole or not at all.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A file that is being written. It takes its place, over an old one, at [`Output::finish`]; until then, and
/// when it is dropped before, what stands there is untouched.
#[derive(Debug)]
pub struct Output {
    target: Target,
}

#[derive(Debug)]
enum Target {
    /// Beside the file whose place it is to take.
    Beside(NamedTempFile, PathBuf),
    /// A pipe or a device, which cannot be replaced.
    Direct(File),
}

impl Output {
    /// Begins a file for `path`. A link there is followed.
    ///
    /// # Errors
    /// Those of opening; [`io::ErrorKind::IsADirectory`] where a directory stands there.
    pub fn begin(path: &Path) -> io::Result<Self> {
        let there = match path.metadata() {
            Ok(metadata) if metadata.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            Ok(metadata) if !metadata.is_file() => {
                return Ok(Self { target: Target::Direct(OpenOptions::new().write(true).open(path)?) });
            }
            Ok(metadata) => Some(metadata.permissions()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(e),
        };
        let real = if there.is_some() { path.canonicalize()? } else { path.to_owned() };
        let directory = real.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // As any new file, it may be read by whomever the process lets read.
        let permissions = there.unwrap_or_else(|| PermissionsExt::from_mode(0o666));
        let file =
            tempfile::Builder::new().prefix(".hptune-").permissions(permissions).tempfile_in(directory)?;
        Ok(Self { target: Target::Beside(file, real) })
    }

    /// Puts the file in its place, durably.
    ///
    /// # Errors
    /// Those of writing and renaming.
    pub fn finish(self) -> io::Result<()> {
        match self.target {
            Target::Direct(mut file) => file.flush(),
            Target::Beside(file, path) => {
                file.as_file().sync_all()?;
                file.persist(path)?;
                Ok(())
            }
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.target {
            Target::Beside(file, _) => file.write(bytes),
            Target::Direct(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.target {
            Target::Beside(file, _) => file.flush(),
            Target::Direct(file) => file.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(path: &Path, text: &str) {
        let mut output = Output::begin(path).expect("it begins");
        output.write_all(text.as_bytes()).expect("it is written");
        output.finish().expect("it takes its place");
    }

    #[test]
    fn a_file_takes_its_place_only_when_it_is_whole() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("out");
        write(&path, "first");
        let mut second = Output::begin(&path).expect("it begins");
        second.write_all(b"sec").expect("it is written");
        drop(second);
        assert_eq!(fs::read_to_string(&path).expect("it is there"), "first");
        assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 1, "nothing is left over");
    }

    #[test]
    fn a_link_stays_one_and_permissions_are_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let (real, link) = (directory.path().join("real"), directory.path().join("link"));
        write(&real, "first");
        fs::set_permissions(&real, PermissionsExt::from_mode(0o640)).expect("they are set");
        symlink("real", &link).expect("it is linked");
        write(&link, "second");
        assert!(link.symlink_metadata().expect("it is there").is_symlink());
        assert_eq!(fs::read_to_string(&real).expect("it is there"), "second");
        assert_eq!(real.metadata().expect("it is there").permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn a_device_is_written_to() {
        write(Path::new("/dev/null"), "gone");
        assert!(!Path::new("/dev/null").metadata().expect("it is there").is_file());
        let error = Output::begin(Path::new("/")).expect_err("it is a directory");
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
    }
}
