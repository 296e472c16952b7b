// What the recipes of the crate's documentation are tried with; each includes this file.

/// A training that was restarted at step 2, and its validation.
#[allow(dead_code, reason = "each recipe takes one of the two")]
pub fn logs() -> Result<tempfile::TempDir, Box<dyn std::error::Error>> {
    use tfevents::units::{Step, WallTime};
    let logs = tempfile::tempdir()?;
    for (clock, steps) in [(1.0, 1..=3), (10.0, 3..=4)] {
        let mut train = tfevents::EventWriter::create(logs.path().join("train"))?;
        for step in steps {
            train.scalars(WallTime(clock + step as f64), Step(step), &[("loss", 1.0 / step as f32)])?;
        }
        train.flush()?;
    }
    let mut validation = tfevents::EventWriter::create(logs.path().join("validation"))?;
    validation.scalar("loss", 4, 0.3)?;
    validation.flush()?;
    Ok(logs)
}

/// A file whose second value of three is damaged.
#[allow(dead_code, reason = "each recipe takes one of the two")]
pub fn damaged_file() -> Result<tempfile::TempPath, Box<dyn std::error::Error>> {
    let mut writer = tfevents::EventWriter::new(Vec::new())?;
    for step in 1..=3 {
        writer.scalar("loss", step, 0.5)?;
    }
    let mut bytes = writer.into_inner()?;
    let n = bytes.len();
    bytes[n - 60] ^= 1;
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), bytes)?;
    Ok(file.into_temp_path())
}
