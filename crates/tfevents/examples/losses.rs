//! Prints the points of one tag below a directory, each attempt of a restarted trainer on its own:
//!
//! ```text
//! cargo run --example losses -- LOGDIR loss
//! ```

#![expect(clippy::print_stdout, reason = "it is what the example does")]

use tfevents::LogDir;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [directory, tag] =
        std::env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "want LOGDIR TAG")?;
    for series in LogDir::open(directory)?.scalars(&tag) {
        let series = series?;
        for (point, attempt) in series.all() {
            println!("{} attempt {attempt} step {}: {}", series.run(), point.step, point.value);
        }
    }
    Ok(())
}
