//! The event files that are measured, made once and kept under the target directory.

use std::f64::consts::E;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use hptune::units::{Step, WallTime};
use tfevents::event::{self, encode_scalars};
use tfevents::record::encode;

pub(crate) const N_RUNS: usize = 2_000;
pub(crate) const N_RUN_RECORDS: usize = 500;
pub(crate) const NAME: &str = "events.out.tfevents.1700000000.host";
const CLOCK: f64 = 1.7e9;

/// Makes what is not there yet; says where it is.
pub(crate) fn make() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
    let directory = target.join("bench-data");
    once(&directory.join("scalars"), |out| scalars(out, 2_000_000));
    once(&directory.join("tf2"), |out| tf2_scalars(out, 1_000_000));
    once(&directory.join("mixed"), |out| mixed(out, 1 << 30));
    once(&directory.join("long"), |out| long(out, 600 << 20));
    once(&directory.join("tags"), |out| tags(out, 10_000_000));
    once(&directory.join("zeros"), |out| zeros(out, 2_000_000_000));
    once(&directory.join("one"), |out| scalars(out, (N_RUNS * N_RUN_RECORDS) as i64));
    let many = directory.join("many");
    if !many.exists() {
        let part = many.with_extension("part");
        for run in 0..N_RUNS {
            once(&part.join(format!("{run}/eval")), |out| scalars(out, N_RUN_RECORDS as i64));
        }
        fs::rename(part, many).expect("it is renamed");
    }
    directory
}

fn once(directory: &Path, write: impl FnOnce(&mut BufWriter<File>)) {
    if directory.join(NAME).exists() {
        return;
    }
    fs::create_dir_all(directory).expect("the target directory can be written");
    let part = directory.join("part");
    let mut out = BufWriter::new(File::create(&part).expect("a file"));
    put(&mut out, &event::encode_file_version(WallTime(CLOCK), "bench"));
    write(&mut out);
    out.flush().expect("there is room");
    fs::rename(part, directory.join(NAME)).expect("it is renamed");
}

fn put(out: &mut impl Write, event: &[u8]) {
    let mut record = Vec::with_capacity(event.len() + 16);
    encode(event, &mut record);
    out.write_all(&record).expect("there is room");
}

fn scalars(out: &mut impl Write, n: i64) {
    for step in 0..n {
        let value = E.powf(-(step as f64) / n as f64) as f32;
        put(out, &encode_scalars(WallTime(CLOCK + step as f64), Step(step), &[("metric1", value)]));
    }
}

/// Scalars at the beginning of a file that was made this long beforehand.
fn zeros(out: &mut BufWriter<File>, n_bytes: u64) {
    scalars(out, 1_000);
    out.flush().expect("there is room");
    out.get_ref().set_len(n_bytes).expect("there is room");
}

/// A value under each of so many tags.
fn tags(out: &mut impl Write, n: i64) {
    for step in 0..n {
        put(out, &encode_scalars(WallTime(CLOCK), Step(step), &[(&format!("t{step}"), 0.5)]));
    }
}

/// A field of a message: its number and its bytes.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut n = content.len();
    while n > 127 {
        bytes.push((n & 127 | 128) as u8);
        n >>= 7;
    }
    bytes.push(n as u8);
    bytes.extend_from_slice(content);
    bytes
}

/// An event with one value: the fields behind its tag are given.
fn value_event(step: i64, tag: &str, rest: &[u8]) -> Vec<u8> {
    let value = [field(1, tag.as_bytes()), rest.to_vec()].concat();
    let mut event = encode_scalars(WallTime(CLOCK + step as f64), Step(step), &[]);
    // The summary is empty: its key and its length are the last two bytes.
    event.truncate(event.len() - 2);
    event.extend(field(5, &field(1, &value)));
    event
}

/// Scalars as TensorFlow 2 writes them: a tensor, and with each value what it is.
fn tf2_scalars(out: &mut impl Write, n: i64) {
    let metadata = field(9, &field(1, &field(1, b"scalars")));
    for step in 0..n {
        let value = E.powf(-(step as f64) / n as f64) as f32;
        let tensor = [vec![8, 1, 18, 0], field(4, &value.to_le_bytes())].concat();
        put(out, &value_event(step, "metric1", &[field(8, &tensor), metadata.clone()].concat()));
    }
}

/// A graph of so many bytes between two scalars.
fn long(out: &mut impl Write, n_bytes: usize) {
    scalars(out, 1);
    put(out, &field(4, &vec![7; n_bytes]));
    scalars(out, 1);
}

/// Five scalars and a histogram a step, an image of 256 KiB each ten steps.
fn mixed(out: &mut impl Write, n_bytes: u64) {
    let noise = |n: usize, seed: u64| {
        let mut state = seed | 1;
        (0..n).map(move |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
    };
    let mut written = 0_u64;
    let mut step = 0;
    while written < n_bytes {
        for tag in ["loss", "metric1", "accuracy", "learning_rate", "global_step/sec"] {
            let value = E.powf(-(step as f64) / 1e4) as f32;
            put(out, &encode_scalars(WallTime(CLOCK + step as f64), Step(step), &[(tag, value)]));
        }
        let buckets: Vec<u8> = noise(640, step as u64).collect();
        let histogram = [field(6, &buckets), field(7, &buckets)].concat();
        put(out, &value_event(step, "layer1/weights", &field(5, &histogram)));
        written += 5 * 60 + 1_400;
        if step % 10 == 0 {
            let pixels: Vec<u8> = noise(256 << 10, step as u64).collect();
            put(out, &value_event(step, "input/image", &field(4, &field(4, &pixels))));
            written += 256 << 10;
        }
        step += 1;
    }
}
