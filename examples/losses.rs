//! Prints the points of one tag below a directory, each attempt of a restarted trainer on its own:
//!
//! ```text
//! cargo run --example losses -- LOGDIR loss
//! ```

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is what the example does")]

use std::error::Error;
use std::fs::File;
use std::path::Path;

use hptune::scalar::Content;
use hptune::series::{History, Point, Points, WriterId};
use hptune::tail::{self, Ingested};
use hptune::units::WallTime;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(directory), Some(wanted)) = (arguments.next(), arguments.next()) else {
        return Err("usage: losses LOGDIR TAG".into());
    };
    let mut history = History::default();
    let mut paths: Vec<_> =
        std::fs::read_dir(Path::new(&directory))?.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>()?;
    paths.sort();
    paths.retain(|path| tail::is_followed(&path.to_string_lossy()) && path.is_file());
    for (writer, path) in (0..).zip(&paths) {
        let (mut points, mut sessions) = (Points::default(), Vec::new());
        let mut began = WallTime::default();
        tail::read(File::open(path)?, &mut |started, said| {
            began = started;
            match said {
                Ingested::SessionStart(step) => sessions.push((points.len(), step)),
                Ingested::Value { step, wall_time, tag, content: Content::Scalar(value), .. }
                    if tag == wanted =>
                {
                    points.push(Point { step, wall_time, value });
                }
                Ingested::Damage(damage) => eprintln!("{}: {damage}", path.display()),
                Ingested::Value { .. } | Ingested::Opened { .. } | Ingested::Graph => {}
            }
        })?;
        history.offer(WriterId(writer), began, &sessions, &points);
    }
    for (point, attempt) in history.all() {
        println!("attempt {attempt}, step {}: {}", point.step, point.value);
    }
    Ok(())
}
