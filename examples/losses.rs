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
use hptune::series::{Attempts, History, Point, Writer, WriterId, Written};

use hptune::tail::{self, Ingested};
use hptune::units::Tag;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(directory), Some(wanted)) = (arguments.next(), arguments.next()) else {
        return Err("usage: losses LOGDIR TAG".into());
    };
    let mut files = Vec::new();
    let mut paths: Vec<_> =
        std::fs::read_dir(Path::new(&directory))?.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>()?;
    paths.sort();
    paths.retain(|path| tail::is_followed(&path.to_string_lossy()) && path.is_file());
    for (id, path) in (0..).zip(&paths) {
        let (mut writer, mut sessions, mut written) = (None, Vec::new(), Written::default());
        tail::read(File::open(path)?, &mut |started, said| match said {
            Ingested::SessionStart(step) => {
                writer.get_or_insert(Writer::new(WriterId(id), started));
                sessions.push(step);
            }
            Ingested::Value { step, wall_time, tag, content, .. } => {
                writer.get_or_insert(Writer::new(WriterId(id), started)).at_work(wall_time);
                if let Content::Scalar(value) = content
                    && tag == wanted
                {
                    written.add(&sessions, Point { step, wall_time, value });
                }
            }
            Ingested::Damage(damage) => eprintln!("{}: {damage}", path.display()),
            Ingested::Opened { .. } | Ingested::Graph => {}
        })?;
        if let Some(writer) = writer {
            files.push((writer, sessions, written));
        }
    }
    let tag = Tag::from(&*wanted);
    let outlines =
        files.iter().map(|(writer, sessions, written)| (*writer, &**sessions, [(&tag, written.stretches())]));
    let attempts = Attempts::of_run(outlines);
    let mut history = History::default();
    files.into_iter().for_each(|(writer, _, written)| history.offer(writer, written));
    for (point, attempt) in history.all(&attempts) {
        println!("attempt {attempt}, step {}: {}", point.step, point.value);
    }
    Ok(())
}
