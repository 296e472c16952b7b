//! How near reading event files comes to its limit: a plain pass over the same bytes, read in 1 MiB pieces
//! and run through CRC32C, in the same process.
//!
//! `cargo bench` makes its data, times each way of reading in turn with the limit, and prints the ratios;
//! criterion shows the spread of each. It also prints how much memory reading takes. `README.md` beside this file has the figures.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod data;

use std::cell::RefCell;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use criterion::Criterion;
use hptune::app::export::{Request, Source};
use hptune::app::plot::{Abscissa, Curves, Drawing, Layout};
use hptune::export::Format;
use hptune::limits::READ_CHUNK_BYTES;
use hptune::objective::SeriesFilter;
use hptune::plot::Look;
use tfevents::disk::{self, Root};
use tfevents::scalar::Content;
use tfevents::series::{Point, Recording};
use tfevents::tail::{self, Found, Ingested};

const PROGRAM: &str = env!("CARGO_BIN_EXE_hptune");

/// How many times the program and the plain pass are timed in turn.
const N_PROGRAM_PAIRS: usize = 15;

fn main() {
    let directory = data::make();
    let file = |name: &str| directory.join(name).join(data::NAME);
    memory(&file("long"), "a record of 600 MiB between two scalars", 2);
    memory(&file("scalars"), "2,000,000 scalars", 2_000_000);
    plot_memory(&file("scalars"));
    wide_memory(&file("tags"));
    let mut criterion = Criterion::default().sample_size(20).configure_from_args();
    let scalars = file("scalars");
    against_limit(&mut criterion, "2,000,000 scalars, every point kept", &scalars, "6, aim 4", keep_points);
    let tf2 = file("tf2");
    against_limit(&mut criterion, "1,000,000 TF2 scalars, every point kept", &tf2, "none", keep_points);
    let mixed = file("mixed");
    against_limit(&mut criterion, "1 GiB with images, every point kept", &mixed, "1.15", keep_points);
    many(&mut criterion, &directory.join("many"));
    criterion.final_summary();
    programs(&directory);
}

/// Prints how long the whole program takes beside a plain pass over the same bytes on one core.
fn programs(directory: &Path) {
    let out = directory.join("exported");
    let inspect = |name: &'static str| (directory.join(name), vec!["inspect"]);
    let export = |format: &'static str| {
        let out = out.to_str().expect("the target directory is text");
        (directory.join("scalars"), vec!["export", "--format", format, "-o", out])
    };
    let figures = [
        ("inspect of 2,000,000 scalars", inspect("scalars"), "3.5"),
        ("inspect of 1,000,000 TF2 scalars", inspect("tf2"), "3.5"),
        ("inspect of 1 GiB with images", inspect("mixed"), "0.8"),
        ("inspect of 2,000 runs of 500 records", inspect("many"), "0.6"),
        ("inspect of 2 GB of zeros behind 1,000 scalars", inspect("zeros"), "1"),
        ("export of 2,000,000 points as CSV", export("csv"), "14"),
        ("export of 2,000,000 points as Parquet", export("parquet"), "12"),
    ];
    for (name, (path, arguments), target) in figures {
        let program = || {
            let mut command = Command::new(PROGRAM);
            command.args(&arguments).arg(&path).stdout(Stdio::null()).stderr(Stdio::null());
            timed(|| command.status().expect("it runs"))
        };
        let limit = || timed(|| plain_pass_of_all(&path));
        program();
        limit();
        let before = processor_ticks();
        let mut ratios: Vec<f64> =
            (0..N_PROGRAM_PAIRS).map(|_| program().as_secs_f64() / limit().as_secs_f64()).collect();
        let after = processor_ticks();
        ratios.sort_by(f64::total_cmp);
        let at = |i: usize| ratios.get(i).copied().unwrap_or(f64::NAN);
        let (median, low, high) =
            (at(N_PROGRAM_PAIRS / 2), at(N_PROGRAM_PAIRS / 4), at(3 * N_PROGRAM_PAIRS / 4));
        println!("==> {name}: {median:.2} x the limit, quartiles {low:.2} to {high:.2} (target: {target})");
        let ([own_before, programs_before], [own, programs]) = (before, after);
        let ratio = (programs - programs_before) / (own - own_before);
        println!("    processor time, of both cores: {ratio:.2} x the limit\n");
    }
    let _ = std::fs::remove_file(out);
}

/// The processor time of this process and that of the programs that it has run, in the system's ticks. Other programs on the
/// machine change it little.
fn processor_ticks() -> [f64; 2] {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux tells it");
    let (_, fields) = stat.rsplit_once(')').expect("the name is in parentheses");
    // utime, stime, cutime, cstime.
    let ticks: Vec<f64> = fields.split_whitespace().skip(11).take(4).filter_map(|n| n.parse().ok()).collect();
    let &[user, system, of_programs_user, of_programs_system] = ticks.as_slice() else {
        panic!("Linux tells them")
    };
    [user + system, of_programs_user + of_programs_system]
}

/// Reads a file, or all below a directory, as [`plain_pass`] does.
fn plain_pass_of_all(path: &Path) -> u32 {
    if path.is_file() {
        return plain_pass(path);
    }
    let entries =
        path.read_dir().expect("the data was made").map(|entry| entry.expect("it is readable").path());
    entries.map(|path| plain_pass_of_all(&path)).fold(0, |all, crc| all ^ crc)
}

/// Prints the most memory that reading takes beyond the points kept, 16 bytes and the value of each.
fn memory(path: &Path, name: &str, n_points: usize) {
    let (n, peak) = peak_mib(|| keep_points(path));
    assert_eq!(n, n_points);
    let points = (n * (16 + size_of::<f32>())) as f64 / f64::from(1 << 20);
    println!("==> {name}: {:.1} MiB beyond the points' {points:.1} MiB (target: 16)\n", peak - points);
}

/// What work gives, and the most memory that it takes beyond what the process had before, in MiB.
fn peak_mib<T>(work: impl FnOnce() -> T) -> (T, f64) {
    std::fs::write("/proc/self/clear_refs", "5").expect("Linux lets a process forget its peak");
    let before = resident_kib("VmRSS:");
    let done = work();
    (done, (resident_kib("VmHWM:") - before) / 1024.0)
}

/// Prints the most memory that a picture of a long curve takes.
fn plot_memory(path: &Path) {
    let (n, peak) = peak_mib(|| {
        let curves = Curves::read(&[path.to_owned()], &SeriesFilter::default(), Abscissa::Step, false, 0.6)
            .expect("it is readable");
        let look = Look { smoothing: 0.6, ..Look::default() };
        curves.draw(Drawing::Svg, Layout::Together, look, (None, None)).expect("it is drawn").len()
    });
    assert!(n > 0);
    println!("==> plot of 2,000,000 points of one tag: {peak:.1} MiB (target: 64)\n");
}

/// Prints what it takes to refuse a table of ten million columns.
fn wide_memory(path: &Path) {
    let request =
        Request { filter: SeriesFilter::default(), format: Format::Csv, is_wide: true, is_latest: false };
    let start = Instant::now();
    let (refused, peak) = peak_mib(|| Source::open(&[path.to_owned()], request).expect_err("it is refused"));
    assert!(refused.message.contains("tags"), "{refused}");
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "==> export --wide of 10,000,000 tags: refused in {seconds:.1} s with {peak:.1} MiB (target: 64)\n"
    );
}

/// A figure of the process's memory, in KiB.
fn resident_kib(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells it");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("it is there");
    line.trim().trim_end_matches(" kB").parse().expect("it is a number")
}

/// Reads a file in 1 MiB pieces and runs it through CRC32C.
fn plain_pass(path: &Path) -> u32 {
    let file = File::open(path).expect("the data was made");
    let mut buffer = vec![0; 1 << 20];
    let (mut at, mut crc) = (0, 0);
    loop {
        let n = file.read_at(&mut buffer, at).expect("it is readable");
        if n == 0 {
            return crc;
        }
        crc = crc32c::crc32c_append(crc, buffer.get(..n).unwrap_or(&[]));
        at += n as u64;
    }
}

/// Reads a file and keeps every point of every tag; says how many.
fn keep_points(path: &Path) -> usize {
    let file = File::open(path).expect("the data was made");
    let mut recording = Recording::default();
    let mut buffer = vec![0; READ_CHUNK_BYTES];
    let fill = |at: u64, buffer: &mut [u8]| file.read_at(buffer, at);
    tail::read_at(&mut buffer, fill, &mut |_, said| {
        if let Ingested::Value { step, wall_time, tag, content: Content::Scalar(value), .. } = said {
            recording.add(tag, Point { step, wall_time, value });
        }
    })
    .expect("it is readable");
    recording.iter().map(|(_, points)| points.len()).sum()
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    std::hint::black_box(work());
    start.elapsed()
}

/// Times two ways in turn, so that both meet the same noise; prints the median of the pairs' ratios.
fn pairs(
    criterion: &mut Criterion,
    name: &str,
    ours: impl Fn() -> Duration,
    other: impl Fn() -> Duration,
) -> f64 {
    let ratios = RefCell::new(Vec::new());
    other();
    criterion.bench_function(name, |bencher| {
        bencher.iter_custom(|n| {
            let mut total = Duration::ZERO;
            for _ in 0..n {
                let (ours, other) = (ours(), other());
                ratios.borrow_mut().push(ours.as_secs_f64() / other.as_secs_f64());
                total += ours;
            }
            total
        });
    });
    let mut ratios = ratios.into_inner();
    ratios.sort_by(f64::total_cmp);
    let at = |share: f64| ratios.get((ratios.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
    println!(
        "    ratio: median {:.2}, quartiles {:.2} to {:.2}, {} pairs",
        at(0.5),
        at(0.25),
        at(0.75),
        ratios.len()
    );
    at(0.5)
}

fn against_limit(criterion: &mut Criterion, name: &str, path: &Path, target: &str, ours: fn(&Path) -> usize) {
    let ratio = pairs(criterion, name, || timed(|| ours(path)), || timed(|| plain_pass(path)));
    println!("==> {name}: {ratio:.2} x the limit (target: {target})\n");
}

/// Lists and reads 2,000 runs of 500 records.
fn read_many(directory: &Path, n_threads: usize) -> usize {
    let root = Root::directory(directory);
    let (files, _) = root.list_with(n_threads);
    let mut n = 0;
    let keep = |recording: &mut Recording, found: Found<'_>| {
        if let Found::Event { ingested: Ingested::Value { step, wall_time, tag, content, .. }, .. } = found
            && let Content::Scalar(value) = content
        {
            recording.add(tag, Point { step, wall_time, value });
        }
    };
    disk::read_files(&root, &files, n_threads, Recording::default, keep, |recording| {
        n += recording.iter().map(|(_, points)| points.len()).sum::<usize>();
    });
    assert_eq!(n, data::N_RUNS * data::N_RUN_RECORDS);
    n
}

fn many(criterion: &mut Criterion, directory: &Path) {
    let name = "2,000 runs of 500 records";
    let ratio = pairs(
        criterion,
        &format!("{name}, 1 thread over 2"),
        || timed(|| read_many(directory, 1)),
        || timed(|| read_many(directory, 2)),
    );
    println!("==> {name}: {ratio:.2} x faster with 2 threads than with 1 (target: 1.8)\n");
    // The same records in one file have the same bytes, less a file's cost.
    let one = directory.with_file_name("one").join(data::NAME);
    let n_pairs = 15;
    let mut costs: Vec<f64> = (0..n_pairs)
        .map(|_| {
            let files = timed(|| read_many(directory, 1)).as_secs_f64();
            let bytes = timed(|| keep_points(&one)).as_secs_f64();
            (files - bytes) / data::N_RUNS as f64 * 1e6
        })
        .collect();
    costs.sort_by(f64::total_cmp);
    let cost = costs.get(n_pairs / 2).copied().unwrap_or(f64::NAN);
    println!("==> {name}: {cost:.1} us a file beyond its bytes, listing included (target: 25)\n");
}
