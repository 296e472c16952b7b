use super::*;
use crate::event;
use crate::limits::{HOLE_PATIENCE, OLD_FILE};
use crate::record;
use crate::scalar::Content;
use crate::units::{Step, WallTime};

const NOW: Time = Time::EPOCH;

/// A metrics file beside the event files.
const METRICS: &str = "m/output.metrics";

fn config() -> Config {
    let kind_of = |path: &str| match path {
        METRICS => Some(FileKind::Metrics),
        path => is_event_file(path).then_some(FileKind::Events),
    };
    Config { naming: Naming { kind_of, run_of }, ..Config::default() }
}

/// A directory in memory, and what following it gave.
struct World {
    files: Vec<(String, u64, Vec<u8>, i128)>,
    tail: Tail,
    steps: Vec<(String, i64)>,
    other: Vec<String>,
    now: Time,
}

impl World {
    fn new() -> Self {
        Self {
            files: Vec::new(),
            tail: Tail::with(config(), Progress::default(), NOW),
            steps: Vec::new(),
            other: Vec::new(),
            now: NOW,
        }
    }

    /// A world in which a file with inode 1 and steps 0 to 2 has been followed.
    fn with_followed_file() -> Self {
        let mut world = Self::new();
        world.write("x.tfevents.1", 1, &records(0..3));
        world.expect(&[(".", 0), (".", 1), (".", 2)]);
        world
    }

    /// A world in which a file has been followed that is zeros behind its steps 0 and 1.
    fn with_hole(whole: &[u8]) -> Self {
        let mut holed = whole.to_vec();
        holed[records(0..2).len()..].fill(0);
        let mut world = Self::new();
        world.write("x.tfevents.1", 1, &holed);
        world.expect(&[(".", 0), (".", 1)]);
        world
    }

    /// Puts `bytes` at `path`, as the file with this inode.
    fn write(&mut self, path: &str, inode: u64, bytes: &[u8]) {
        let modified = self.files.iter().map(|f| f.3).max().unwrap_or(0) + 1;
        self.files.retain(|f| f.0 != path);
        self.files.push((path.to_owned(), inode, bytes.to_vec(), modified));
    }

    /// Lists and reads until nothing is left to do.
    fn follow(&mut self) {
        let Self { files, tail, steps, other, now } = self;
        let now = *now;
        let mut found = |found: Found<'_>| match found {
            Found::Event {
                run, ingested: Ingested::Value { step, content: Content::Scalar(_), .. }, ..
            } => {
                steps.push((run.to_string(), step.0));
            }
            Found::Event { ingested: Ingested::Opened { .. }, .. } | Found::File { .. } => {}
            found => other.push(format!("{found:?}")),
        };
        tail.list_now(now);
        loop {
            match tail.poll_action(now) {
                Action::List => {
                    let listing = files
                        .iter()
                        .map(|(path, inode, bytes, modified)| Listed {
                            path: path.clone(),
                            id: FileId { device: 0, inode: *inode },
                            bytes: bytes.len() as u64,
                            modified_ns: *modified,
                        })
                        .collect();
                    tail.handle_listing(now, Duration::ZERO, listing, &mut found);
                }
                Action::Look { path } => panic!("nobody hinted at {path}"),
                Action::Read { id, offset_bytes, at_most_bytes, .. } => {
                    let bytes = &files.iter().find(|f| f.1 == id.inode).expect("it was listed").2;
                    let offset = usize::try_from(offset_bytes).expect("it is small");
                    // Pieces of 70 bytes: more than the head, less than two records.
                    let piece = &bytes[offset..bytes.len().min(offset + at_most_bytes.min(70))];
                    let at_end = if offset + piece.len() == bytes.len() { AtEnd::Yes } else { AtEnd::No };
                    tail.handle_read(id, Ok((piece, at_end)), &mut found);
                }
                Action::Wait(_) => break,
            }
        }
    }

    /// Nothing more is written.
    fn finish(&mut self) {
        self.tail.finish(&mut |_| {});
    }

    #[track_caller]
    fn expect(&mut self, steps: &[(&str, i64)]) {
        self.follow();
        let got: Vec<(String, i64)> = std::mem::take(&mut self.steps);
        let want: Vec<(String, i64)> = steps.iter().map(|(run, step)| ((*run).to_owned(), *step)).collect();
        assert_eq!(got, want);
    }
}

fn records(steps: impl IntoIterator<Item = i64>) -> Vec<u8> {
    records_made_at(1.0, steps)
}

fn records_made_at(made_at: f64, steps: impl IntoIterator<Item = i64>) -> Vec<u8> {
    let mut bytes = Vec::new();
    record::encode(&event::encode_file_version(WallTime(made_at), "test"), &mut bytes);
    for step in steps {
        let event = event::encode_scalars(WallTime(step as f64), Step(step), &[("m", 0.5)]);
        record::encode(&event, &mut bytes);
    }
    bytes
}

#[test]
fn a_growing_file_gives_each_value_once() {
    let bytes = records(0..3);
    let mut world = World::new();
    world.expect(&[]);
    for cut in 0..bytes.len() {
        world.write("a/events.tfevents.1", 1, &bytes[..cut]);
        world.follow();
    }
    world.write("a/events.tfevents.1", 1, &bytes);
    world.expect(&[("a", 0), ("a", 1), ("a", 2)]);
    world.expect(&[]);
}

#[test]
fn a_metrics_file_waits_for_no_listing() {
    let at = |ms| Time(Duration::from_millis(ms));
    let mut tail = Tail::with(config(), Progress::default(), at(0));
    let (path, id) = (METRICS.to_owned(), FileId { device: 0, inode: 1 });
    let listed = |bytes| Listed { path: path.clone(), id, bytes, modified_ns: 0 };
    let ignore: &mut dyn FnMut(Found<'_>) = &mut |_| {};
    let took = Duration::from_secs(10);
    tail.handle_listing(at(0), took, vec![listed(0)], ignore);
    let is_read = |action| matches!(action, Action::Read { offset_bytes: 0, .. });
    assert!(is_read(tail.poll_action(at(0))));
    tail.handle_read(id, Ok((b"", AtEnd::Yes)), ignore);
    let interval = u64::try_from(METRICS_INTERVAL.as_millis()).expect("it is short");
    for round in 1..4 {
        assert_eq!(tail.poll_action(at(round * interval - 1)), Action::Wait(at(round * interval)));
        assert_eq!(tail.poll_metrics_action(at(round * interval)), Action::Look { path: path.clone() });
        tail.handle_look(at(round * interval), Some(listed(round)), ignore);
        assert!(is_read(tail.poll_metrics_action(at(round * interval))));
        tail.handle_read(id, Ok((b"{}\n", AtEnd::Yes)), ignore);
    }
}

#[test]
fn files_are_followed_each_on_its_own_and_deep_down() {
    let mut world = World::new();
    world.write("x.tfevents.1", 1, &records(0..1));
    world.write("a/b/c/x.tfevents.1", 2, &records(5..6));
    world.expect(&[(".", 0), ("a/b/c", 5)]);
    world.write("x.tfevents.1", 1, &records(0..2));
    world.expect(&[(".", 1)]);
}

#[test]
fn a_hole_of_zeros_that_is_filled_in_later_loses_and_doubles_nothing() {
    let whole = records(0..4);
    let mut world = World::with_hole(&whole);
    world.write("x.tfevents.1", 1, &whole);
    world.expect(&[(".", 2), (".", 3)]);
    assert_eq!(world.other, Vec::<String>::new(), "no damage is told");
}

#[test]
fn a_hole_inside_a_record_is_filled_in_too() {
    let whole = records(0..4);
    for hole in records(0..2).len()..records(0..3).len() {
        let mut holed = whole[..records(0..3).len() - 1].to_vec();
        holed[hole..].fill(0);
        let mut world = World::new();
        world.write("x.tfevents.1", 1, &holed);
        world.expect(&[(".", 0), (".", 1)]);
        world.write("x.tfevents.1", 1, &whole);
        world.expect(&[(".", 2), (".", 3)]);
        assert_eq!(world.other, Vec::<String>::new(), "no damage is told");
    }
}

#[test]
fn a_hole_before_whole_records_waits_to_be_filled_in_and_not_for_ever() {
    let whole = records(0..6);
    let mut holed = whole.clone();
    holed[records(0..2).len()..records(0..4).len()].fill(0);
    let mut world = World::new();
    world.write("x.tfevents.1", 1, &holed);
    world.expect(&[(".", 0), (".", 1)]);
    // Filled in: all of it, in order.
    world.write("x.tfevents.1", 1, &whole);
    world.expect(&[(".", 2), (".", 3), (".", 4), (".", 5)]);
    assert_eq!(world.other, [] as [&str; 0]);
    // Not filled in: what stands behind it comes after a while, and the damage is told.
    let mut world = World::new();
    world.write("x.tfevents.1", 1, &holed);
    world.expect(&[(".", 0), (".", 1)]);
    world.now = NOW + HOLE_PATIENCE;
    world.expect(&[(".", 4), (".", 5)]);
    assert_eq!(world.other.len(), 1);
    assert!(world.other[0].contains("Damage"), "{:?}", world.other);
    // Damage in what has been there for long does not hold up what comes.
    world.now = world.now + HOLE_PATIENCE;
    world.expect(&[]);
    let mut longer = holed.clone();
    longer.extend_from_slice(&records(6..7)[records(0..0).len()..]);
    world.write("x.tfevents.1", 1, &longer);
    world.expect(&[(".", 6)]);
    // An old file has no holes that are still filled in.
    let mut world = World::new();
    world.now = NOW + OLD_FILE + HOLE_PATIENCE;
    world.write("x.tfevents.1", 1, &holed);
    world.expect(&[(".", 0), (".", 1), (".", 4), (".", 5)]);
    // At the end nothing waits.
    let mut world = World::new();
    world.write("x.tfevents.1", 1, &holed);
    world.expect(&[(".", 0), (".", 1)]);
    world.finish();
    world.expect(&[(".", 4), (".", 5)]);
}

#[test]
fn the_inode_of_an_event_file_may_go_to_a_metrics_file() {
    let mut world = World::with_followed_file();
    world.files.clear();
    let entry = b"{\"timestamp\": 1, \"trial\": \"0\", \"m\": \"0.5\", \"global_step\": \"7\"}\n";
    world.write(METRICS, 1, entry);
    world.expect(&[]);
    assert!(world.other.iter().any(|found| found.contains("Hypertune")), "{:?}", world.other);
}

#[test]
fn a_file_whose_first_bytes_came_one_by_one_is_known_again() {
    let bytes = records(0..3);
    let mut world = World::new();
    for n in [1, 5, 11, 30, bytes.len()] {
        world.write("x.tfevents.1", 1, &bytes[..n]);
        world.follow();
    }
    world.steps.clear();
    let mut other = records_made_at(2.0, 5..9);
    other.extend(records(0..9));
    world.write("x.tfevents.1", 1, &other);
    world.follow();
    assert_eq!(world.steps.first(), Some(&(".".to_owned(), 5)), "it is read from its start");
}

#[test]
fn a_long_hole_is_filled_in_at_the_end_at_the_latest() {
    let whole = records(0..100_000);
    let mut world = World::with_hole(&whole);
    world.write("x.tfevents.1", 1, &whole);
    world.expect(&[]);
    world.tail.distrust();
    world.follow();
    assert_eq!(world.steps.len(), 100_000 - 2);
    assert_eq!(world.other, Vec::<String>::new(), "no damage is told");
}

#[test]
fn a_torn_end_or_a_hole_that_stays_hides_no_newer_file_and_is_told_once() {
    let torn = &records(0..2)[..records(0..2).len() - 3];
    let hole = [records(5..6), vec![0; 4096]].concat();
    let mut world = World::new();
    world.write("a.tfevents.1", 1, torn);
    world.write("b.tfevents.1", 2, &hole);
    world.expect(&[(".", 0), (".", 5)]);
    world.write("c.tfevents.2", 3, &records(9..10));
    world.expect(&[(".", 9)]);
    let mut told = Vec::new();
    for _ in 0..2 {
        assert!(!world.tail.finish(&mut |found| told.push(format!("{found:?}"))));
    }
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("a.tfevents.1") && told[1].contains("b.tfevents.1"), "{told:?}");
}

#[test]
fn a_file_rewritten_in_place_is_read_anew() {
    let mut world = World::with_followed_file();
    world.write("x.tfevents.1", 1, &records(7..8));
    world.expect(&[(".", 7)]);
    assert_eq!(world.other.len(), 1);
}

#[test]
fn a_file_rewritten_in_place_to_a_greater_length_is_read_anew() {
    let mut world = World::with_followed_file();
    world.write("x.tfevents.1", 1, &records_made_at(2.0, 5..9));
    world.expect(&[(".", 5), (".", 6), (".", 7), (".", 8)]);
    assert_eq!(world.other.len(), 1);
}

#[test]
fn a_file_that_took_the_inode_of_another_is_read_from_its_start() {
    let mut world = World::with_followed_file();
    world.files.clear();
    world.write("a/y.tfevents.2", 1, &records_made_at(2.0, 5..9));
    world.expect(&[("a", 5), ("a", 6), ("a", 7), ("a", 8)]);
}

#[test]
fn a_file_that_is_renamed_goes_on() {
    let mut world = World::with_followed_file();
    world.files.clear();
    world.write("a/y.tfevents.2", 1, &records(0..4));
    world.expect(&[("a", 3)]);
}

#[test]
fn a_file_replaced_by_rename_goes_on_where_it_begins_the_same() {
    let mut world = World::with_followed_file();
    world.write("x.tfevents.1", 2, &records(0..5));
    world.expect(&[(".", 3), (".", 4)]);
    assert_eq!(world.other.len(), 0);
    world.write("x.tfevents.1", 3, &records_made_at(2.0, 5..9));
    world.expect(&[(".", 5), (".", 6), (".", 7), (".", 8)]);
    assert_eq!(world.other.len(), 1, "it is told that another file stands there");
}

#[test]
fn another_process_goes_on_where_one_stopped() {
    let bytes = records(0..9);
    for cut in 0..=bytes.len() {
        let mut world = World::new();
        world.write("x.tfevents.1", 1, &bytes[..cut]);
        world.follow();
        let stored = serde_json::to_string(&world.tail.progress()).expect("it is stored");
        let progress = serde_json::from_str(&stored).expect("it is read");
        world.tail = Tail::with(Config::default(), progress, NOW);
        // Another device number, as after a restart of the machine, and a longer file.
        world.write("x.tfevents.1", 7, &bytes);
        world.follow();
        let steps: Vec<i64> = world.steps.iter().map(|(_, step)| *step).collect();
        assert_eq!(steps, (0..9).collect::<Vec<_>>(), "stopped at byte {cut}");
        assert_eq!(world.other, Vec::<String>::new());
    }
}

#[test]
fn a_path_that_is_hinted_at_is_looked_at_before_the_next_listing() {
    let mut world = World::with_followed_file();
    world.tail.hint("checkpoint");
    assert!(matches!(world.tail.poll_action(NOW), Action::Wait(_)));
    world.tail.hint("x.tfevents.1");
    assert_eq!(world.tail.poll_action(NOW), Action::Look { path: "x.tfevents.1".into() });
    let bytes = records(0..4);
    let id = FileId { device: 0, inode: 1 };
    let listed = |inode| Listed {
        path: "x.tfevents.1".into(),
        id: FileId { device: 0, inode },
        bytes: bytes.len() as u64,
        modified_ns: 99,
    };
    world.tail.handle_look(NOW, Some(listed(1)), &mut |_| {});
    assert!(matches!(world.tail.poll_action(NOW), Action::Read { id: read, .. } if read == id));
    world.write("x.tfevents.1", 1, &bytes);
    world.expect(&[(".", 3)]);
    // A file that is new is taken at once, another one at a known path is left to a listing.
    let new = Listed { path: "y.tfevents.1".into(), ..listed(2) };
    world.tail.handle_look(NOW, Some(new), &mut |_| {});
    let asked = world.tail.poll_action(NOW);
    assert!(matches!(asked, Action::Read { id: FileId { inode: 2, .. }, .. }), "{asked:?}");
    let mut world = World::with_followed_file();
    world.tail.handle_look(NOW, Some(listed(3)), &mut |_| {});
    assert!(!matches!(world.tail.poll_action(NOW), Action::Read { .. }));
}

#[test]
fn an_error_is_told_once_and_the_file_tried_again() {
    let mut world = World::new();
    world.write("x.tfevents.1", 1, &records(0..1));
    let id = FileId { device: 0, inode: 1 };
    let listed = Listed { path: "x.tfevents.1".into(), id, bytes: 9, modified_ns: 0 };
    let mut told = 0;
    for _ in 0..2 {
        world.tail.handle_listing(NOW, Duration::ZERO, vec![listed.clone()], &mut |_| {});
        assert!(matches!(world.tail.poll_action(NOW), Action::Read { .. }));
        world.tail.handle_read(id, Err("stale file handle".into()), &mut |_| told += 1);
    }
    assert_eq!(told, 1);
    world.expect(&[(".", 0)]);
}

#[test]
fn only_event_files_are_followed() {
    #[track_caller]
    fn check(path: &str, expected: bool) {
        assert_eq!(is_event_file(path), expected, "{path}");
    }
    check("events.out.tfevents.1.host", true);
    check("a/b/events.out.tfevents.1.host.2.0.v2", true);
    check("checkpoint", false);
    check("tfevents/model.ckpt", false);
    check("events.out.tfevents.1.host.profile-empty", false);
    check("a/.events.out.tfevents.1.host.Xy12Z4", false);
    check("events.out.tfevents.1.host.sagemaker-uploaded", false);
}

/// What gzip makes of these, flushed behind each.
fn gzip(parts: &[&[u8]]) -> Vec<Vec<u8>> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let mut states = Vec::new();
    for part in parts {
        encoder.write_all(part).expect("no IO");
        encoder.flush().expect("no IO");
        states.push(encoder.get_ref().clone());
    }
    states.push(encoder.finish().expect("no IO"));
    states
}

#[test]
fn a_compressed_file_is_followed_as_it_grows() {
    let states = gzip(&[&records(0..2), &records(2..5), &records(5..6)]);
    let mut world = World::new();
    let all: Vec<(&str, i64)> = (0..6).map(|step| (".", step)).collect();
    // Its first bytes alone.
    world.write("x.tfevents.1.gz", 1, &states[0][..2]);
    world.expect(&[]);
    for (state, new) in states.iter().zip([0..2, 2..5, 5..6, 6..6]) {
        world.write("x.tfevents.1.gz", 1, state);
        world.expect(&all[new]);
    }
    world.finish();
    assert_eq!(world.other, [""; 0]);
}

#[test]
fn a_compressed_file_is_followed_on_by_another_process() {
    let states = gzip(&[&records(0..2), &records(2..5)]);
    let mut world = World::new();
    world.write("x.tfevents.1.gz", 1, &states[0]);
    world.expect(&[(".", 0), (".", 1)]);
    for _ in 0..2 {
        world.tail = Tail::with(config(), world.tail.progress(), NOW);
    }
    world.expect(&[]);
    world.write("x.tfevents.1.gz", 1, &states[2]);
    world.expect(&[(".", 2), (".", 3), (".", 4)]);
}

#[test]
fn a_file_that_is_compressed_in_its_place_is_not_told_again() {
    let mut world = World::with_followed_file();
    let packed = gzip(&[&records(0..5)]).pop().expect("it has some");
    // While gzip is at work both are there.
    world.write("x.tfevents.1.gz", 2, &packed[..packed.len() / 2]);
    world.expect(&[]);
    world.write("x.tfevents.1.gz", 2, &packed);
    world.files.retain(|file| file.0 != "x.tfevents.1");
    world.expect(&[(".", 3), (".", 4)]);
    assert_eq!(world.other, [""; 0]);
}

#[test]
fn a_hole_in_a_compressed_file_is_read_when_it_is_filled_in() {
    let packed = gzip(&[&records(0..40)]).pop().expect("it has some");
    let mut holed = packed.clone();
    let middle = packed.len() / 2;
    holed[middle..].fill(0);
    let mut world = World::new();
    world.write("x.tfevents.1.gz", 1, &holed);
    world.follow();
    assert!(world.steps.len() < 40);
    world.write("x.tfevents.1.gz", 1, &packed);
    let all: Vec<(&str, i64)> = (0..40).map(|step| (".", step)).collect();
    // With those from before the hole, which are not told again.
    world.expect(&all);
}
