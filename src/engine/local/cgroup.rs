//! Control groups: one for each trial where we may make one, and how often the kernel ran out of memory.
//!
//! Source: the kernel's documentation of cgroup v2 (`cgroup.procs`, `cgroup.kill`, `cgroup.events`, `memory.events`)
//! and of the memory controller of v1 (`memory.oom_control`). Everything works without: where groups are not
//! mounted, or are not ours to make, process trees are walked.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A group of version 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// The group of this name below ours, whether it is there or not; `None` where there can be none.
    #[must_use]
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(Self { path: own_group()?.join(name) })
    }

    /// Makes it, unless it is there; false where that is not possible.
    #[must_use]
    pub(super) fn make(&self) -> bool {
        match fs::create_dir(&self.path) {
            Ok(()) => true,
            Err(e) => e.kind() == io::ErrorKind::AlreadyExists,
        }
    }

    /// A group that was made before.
    #[must_use]
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Its directory.
    #[must_use]
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Does something in the group: what is started meanwhile belongs to it, and we are where we were afterwards.
    pub(super) fn within<T>(&self, action: impl FnOnce() -> T) -> T {
        let own = own_group();
        // 0 stands for the process that writes. Where it fails, the trees are walked.
        let has_moved = own.is_some() && fs::write(self.path.join("cgroup.procs"), "0").is_ok();
        let result = action();
        if let (true, Some(own)) = (has_moved, own) {
            // Failing, we stay inside, and go with the rest where that is killed.
            let _ = fs::write(own.join("cgroup.procs"), "0");
        }
        result
    }

    /// Whether no process is in it or below it; a group that is not there is empty.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        match fs::read_to_string(self.path.join("cgroup.events")) {
            Ok(events) => count(&events, "populated") == Some(0),
            Err(_) => true,
        }
    }

    /// Kills all that is in it at one stroke, those included that are born meanwhile.
    ///
    /// # Errors
    /// Kernels before 5.14 cannot.
    pub(super) fn kill(&self) -> io::Result<()> {
        fs::write(self.path.join("cgroup.kill"), "1")
    }

    /// Removes the group; one that is not empty stays.
    pub(super) fn remove(&self) {
        let _ = fs::remove_dir(&self.path);
    }
}

/// Where the kernel counts how often it killed a process for want of memory.
#[derive(Debug, Clone)]
pub(super) struct OutOfMemoryCount {
    path: PathBuf,
    name: &'static str,
}

impl OutOfMemoryCount {
    /// The count that is nearest to a group, or to ourselves.
    #[must_use]
    pub(super) fn nearest(group: Option<&Cgroup>) -> Option<Self> {
        let own = own_group();
        let above = group.map(Cgroup::path).or(own.as_deref()).into_iter().flat_map(Path::ancestors);
        let version_2 = above.map(|path| Self { path: path.join("memory.events"), name: "oom_kill" });
        let version_1 = own_group_of("memory").map(|path| path.join("memory.oom_control"));
        let version_1 = version_1.map(|path| Self { path, name: "oom_kill" });
        let machine = Self { path: "/proc/vmstat".into(), name: "oom_kill" };
        version_2.chain(version_1).chain([machine]).find(|count| count.read().is_some())
    }

    /// How often it was.
    #[must_use]
    pub(super) fn read(&self) -> Option<u64> {
        count(&fs::read_to_string(&self.path).ok()?, self.name)
    }
}

/// The directory of our own group of version 2.
fn own_group() -> Option<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    group_below(&mounts, "cgroup2", None, groups.lines().find_map(|line| line.strip_prefix("0::"))?)
}

/// The directory of our own group of a controller of version 1.
fn own_group_of(controller: &str) -> Option<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mut lines = groups.lines().map(|line| line.splitn(3, ':'));
    let group = lines.find_map(|mut fields| {
        let controllers = fields.nth(1)?;
        controllers.split(',').any(|name| name == controller).then(|| fields.next()).flatten()
    })?;
    group_below(&mounts, "cgroup", Some(controller), group)
}

/// Where a group is, going by the table of mounts (proc_pid_mountinfo(5)): root and mount point are its fields 4 and
/// 5; behind ` - ` come the type, the source and the options.
fn group_below(mounts: &str, kind: &str, option: Option<&str>, group: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (place, about) = line.split_once(" - ")?;
        let mut about = about.split(' ');
        let is_kind = about.next() == Some(kind);
        let has_option =
            option.is_none_or(|o| about.nth(1).is_some_and(|all| all.split(',').any(|x| x == o)));
        let mut place = place.split(' ').skip(3);
        let (root, point) = (place.next()?, place.next()?);
        // A group outside the mounted part is not to be seen here.
        let below = Path::new(group).strip_prefix(root).ok()?;
        (is_kind && has_option).then(|| Path::new(point).join(below))
    })
}

/// A figure from lines of a name and a figure.
fn count(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.split_once(' ').filter(|(n, _)| *n == name)?.1.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_below_its_mount() {
        let mounts = "30 1 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      31 1 0:27 /docker/x /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
        #[track_caller]
        fn check(mounts: &str, kind: &str, option: Option<&str>, group: &str, expected: Option<&str>) {
            assert_eq!(group_below(mounts, kind, option, group), expected.map(PathBuf::from));
        }
        check(mounts, "cgroup2", None, "/docker/x/a", Some("/sys/fs/cgroup/unified/a"));
        check(mounts, "cgroup2", None, "/elsewhere", None);
        check(mounts, "cgroup", Some("memory"), "/b", Some("/sys/fs/cgroup/memory/b"));
        check(mounts, "cgroup", Some("cpu"), "/b", None);
    }

    #[test]
    fn a_count_is_read_by_its_name() {
        assert_eq!(count("oom 3\noom_kill 2\noom_group_kill 0\n", "oom_kill"), Some(2));
        assert_eq!(count("populated 0\nfrozen 0\n", "populated"), Some(0));
        assert_eq!(count("", "populated"), None);
    }

    #[test]
    fn a_group_kills_all_that_is_in_it() {
        let group = Cgroup::named(&format!("hptune-test-{}", std::process::id()));
        let Some(group) = group.filter(Cgroup::make) else { return };
        // Not by `within`, which would take the other tests' processes along.
        let join = format!("echo $$ > {}/cgroup.procs; exec sleep 1000", group.path().display());
        let mut child = std::process::Command::new("sh").args(["-c", &join]).spawn().expect("it runs");
        while group.is_empty() {
            std::thread::yield_now();
        }
        group.kill().expect("it can");
        assert!(!child.wait().expect("it ends").success());
        while !group.is_empty() {
            std::thread::yield_now();
        }
        group.remove();
        assert!(!group.path().exists());
    }
}
