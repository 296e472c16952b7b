//! What holds for any table: it reads back as it was written, by readers that are not ours.

use std::collections::BTreeMap;
use std::io::{self, Write};

use ::parquet::data_type::Decimal;
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::record::{Field, RowAccessor};
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Map, Value as Json};

use super::*;
use crate::limits::EXPORT_ROW_GROUP_ROWS;
use crate::units::{RunName, Step, WallTime};

/// A run's name, its hyperparameters and its points.
type RunOf = (String, Hparams, Vec<PointOf>);

#[derive(Debug, Clone)]
struct PointOf {
    tag: String,
    step: i64,
    wall_time: f64,
    value: MetricValue,
    attempt: u32,
}

impl PointOf {
    fn as_point(&self) -> Point<'_> {
        let (step, wall_time) = (Step(self.step), WallTime(self.wall_time));
        Point { tag: &self.tag, step, wall_time, value: self.value, attempt: self.attempt }
    }
}

fn export(format: Format, shape: Shape, runs: &[RunOf]) -> Result<Vec<u8>, ExportError> {
    let is_long = shape == Shape::Long;
    let bytes = export_by_point(format, shape, runs)?;
    if is_long {
        assert!(export_by_batch(format, runs)? == bytes, "batches give another table");
    }
    Ok(bytes)
}

fn table(format: Format, shape: Shape, runs: &[RunOf]) -> Result<PointTable<Vec<u8>>, ExportError> {
    let hparams = HparamColumns::of(runs.iter().map(|(_, hparams, _)| hparams));
    PointTable::new(format, shape, hparams, Vec::new())
}

/// The same table, its points encoded in batches.
fn export_by_batch(format: Format, runs: &[RunOf]) -> Result<Vec<u8>, ExportError> {
    let (mut long, encoder, mut file) = table(format, Shape::Long, runs)?.into_long()?;
    let mut batches = Vec::new();
    for (name, hparams, points) in runs {
        long.begin_run(&RunName::from(name.as_str()), hparams)?;
        for point in points {
            batches.extend(long.point(&point.as_point())?);
        }
    }
    batches.push(long.take());
    // Encoded in any order, and written in theirs.
    let mut encoded: Vec<_> = batches.into_iter().rev().map(|batch| encoder.encode(batch)).collect();
    while let Some(points) = encoded.pop() {
        file.write(points?)?;
    }
    file.finish()
}

fn export_by_point(format: Format, shape: Shape, runs: &[RunOf]) -> Result<Vec<u8>, ExportError> {
    let mut table = table(format, shape, runs)?;
    for (name, hparams, points) in runs {
        table.begin_run(&RunName::from(name.as_str()), hparams)?;
        for point in points {
            table.point(&point.as_point())?;
        }
    }
    table.finish()
}

fn wide(runs: &[RunOf]) -> Shape {
    let points = runs.iter().flat_map(|(_, _, points)| points);
    Shape::Wide {
        tags: points.map(|point| Tag::from(point.tag.as_str())).collect(),
        order: WideOrder::Attempts,
    }
}

/// Every hyperparameter column's cell as text, by the column's name.
type HparamTexts = BTreeMap<String, String>;

fn hparam_texts(hparams: &Hparams) -> HparamTexts {
    let text = |value: &HparamValue| match value {
        HparamValue::Bool(flag) => flag.to_string(),
        HparamValue::Number(number) => crate::units::shortest(*number),
        HparamValue::Text(text) => text.clone(),
    };
    hparams.iter().map(|(name, value)| (format!("hparam/{name}"), text(value))).collect()
}

fn csv_rows(bytes: &[u8]) -> Vec<BTreeMap<String, String>> {
    ::csv::Reader::from_reader(bytes).deserialize().collect::<Result<_, _>>().expect("it is CSV")
}

fn json_rows(bytes: &[u8]) -> Vec<Map<String, Json>> {
    let lines = std::str::from_utf8(bytes).expect("it is UTF-8").lines();
    lines.map(|line| serde_json::from_str(line).expect("it is an object")).collect()
}

fn parquet_rows(bytes: Vec<u8>) -> Vec<Vec<(String, Field)>> {
    let reader = SerializedFileReader::new(Bytes::from(bytes)).expect("it is a Parquet file");
    let rows = reader.get_row_iter(None).expect("it has rows");
    rows.map(|row| row.expect("it is a row").into_columns()).collect()
}

/// Whether the text reads back as the value, in the value's type and to the bit.
fn reads_back(text: &str, value: MetricValue) -> bool {
    let read = match value {
        MetricValue::F32(v) if v.is_nan() => return text == "NaN",
        MetricValue::F64(v) if v.is_nan() => return text == "NaN",
        MetricValue::F32(_) => text.parse().ok().map(MetricValue::F32),
        MetricValue::F64(_) => text.parse().ok().map(MetricValue::F64),
        MetricValue::I64(_) => text.parse().ok().map(MetricValue::I64),
        MetricValue::U64(_) => text.parse().ok().map(MetricValue::U64),
    };
    read == Some(value)
}

/// The text of a JSON number, or of the string that stands for what is not finite.
fn json_text(json: &Json) -> String {
    json.as_str().map_or_else(|| json.to_string(), str::to_owned)
}

fn same_bits(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

/// What a value is as a number, in every format.
fn key(value: MetricValue) -> String {
    if value.as_f64().is_nan() { "NaN".to_owned() } else { value.to_string() }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c]{1,2}", "[\",\n\r=;' \\\\é]{0,4}", any::<String>(), Just("step".to_owned())]
}

fn value() -> impl Strategy<Value = MetricValue> {
    prop_oneof![
        any::<u32>().prop_map(|bits| MetricValue::F32(f32::from_bits(bits))),
        (-100..100_i16).prop_map(|n| MetricValue::F32(f32::from(n) / 10.0)),
        any::<u64>().prop_map(|bits| MetricValue::F64(f64::from_bits(bits))),
        any::<i64>().prop_map(MetricValue::I64),
        any::<u64>().prop_map(MetricValue::U64),
    ]
}

fn wall_time() -> impl Strategy<Value = f64> {
    prop_oneof![any::<u64>().prop_map(f64::from_bits), 0.0..2e9]
}

fn point(value: impl Strategy<Value = MetricValue>) -> impl Strategy<Value = PointOf> {
    let step = prop_oneof![0..4_i64, any::<i64>()];
    let attempt = prop_oneof![0..2_u32, any::<u32>()];
    (text(), step, wall_time(), value, attempt).prop_map(|(tag, step, wall_time, value, attempt)| PointOf {
        tag,
        step,
        wall_time,
        value,
        attempt,
    })
}

fn hparams() -> impl Strategy<Value = Hparams> {
    let value = prop_oneof![
        any::<bool>().prop_map(HparamValue::Bool),
        (-1e3..1e3).prop_map(HparamValue::Number),
        text().prop_map(HparamValue::Text),
    ];
    prop::collection::btree_map(text(), value, 0..3)
}

fn runs(value: impl Strategy<Value = MetricValue>) -> impl Strategy<Value = Vec<RunOf>> {
    prop::collection::vec((text(), hparams(), prop::collection::vec(point(value), 0..12)), 0..4)
}

/// Values that every format holds in every shape.
fn modest_value() -> impl Strategy<Value = MetricValue> {
    value().prop_map(|value| match value {
        MetricValue::I64(v) => MetricValue::I64(v >> 11),
        MetricValue::U64(v) => MetricValue::U64(v >> 11),
        MetricValue::F32(_) | MetricValue::F64(_) => value,
    })
}

proptest! {
    #[test]
    fn csv_reads_back(runs in runs(value())) {
        let rows = csv_rows(&export(Format::Csv, Shape::Long, &runs).unwrap());
        let points = runs.iter().flat_map(|(run, hparams, points)| points.iter().map(move |p| (run, hparams, p)));
        prop_assert_eq!(rows.len(), points.clone().count());
        for (row, (run, hparams, point)) in rows.iter().zip(points) {
            prop_assert_eq!((&row["run"], &row["tag"]), (run, &point.tag));
            prop_assert_eq!(&row["step"], &point.step.to_string());
            prop_assert_eq!(&row["attempt"], &point.attempt.to_string());
            prop_assert!(reads_back(&row["wall_time"], MetricValue::F64(point.wall_time)));
            prop_assert!(reads_back(&row["value"], point.value), "{} for {:?}", row["value"], point.value);
            let is_told = |(name, text): &(&String, &String)| name.starts_with("hparam/") && !text.is_empty();
            let told = row.iter().filter(is_told).map(|(name, text)| (name.clone(), text.clone()));
            let mut expected = hparam_texts(hparams);
            expected.retain(|_, text| !text.is_empty());
            prop_assert_eq!(told.collect::<HparamTexts>(), expected);
        }
    }

    #[test]
    fn json_lines_read_back(runs in runs(value())) {
        let rows = json_rows(&export(Format::JsonLines, Shape::Long, &runs).unwrap());
        let points = runs.iter().flat_map(|(run, hparams, points)| points.iter().map(move |p| (run, hparams, p)));
        prop_assert_eq!(rows.len(), points.clone().count());
        for (row, (run, hparams, point)) in rows.iter().zip(points) {
            prop_assert_eq!((row["run"].as_str(), row["tag"].as_str()), (Some(run.as_str()), Some(point.tag.as_str())));
            prop_assert_eq!(row["step"].as_i64(), Some(point.step));
            prop_assert_eq!(row["attempt"].as_u64(), Some(u64::from(point.attempt)));
            prop_assert!(reads_back(&json_text(&row["wall_time"]), MetricValue::F64(point.wall_time)));
            let told = json_text(&row["value"]);
            prop_assert!(reads_back(&told, point.value), "{told} for {:?}", point.value);
            let names = ["run", "tag", "step", "wall_time", "value", "attempt"].map(str::to_owned);
            let names = names.into_iter().chain(hparam_texts(hparams).into_keys());
            prop_assert_eq!(row.keys().cloned().collect::<Vec<_>>(), names.collect::<Vec<_>>());
        }
    }

    #[test]
    fn parquet_reads_back(runs in runs(value())) {
        let rows = parquet_rows(export(Format::Parquet, Shape::Long, &runs).unwrap());
        let points = runs.iter().flat_map(|(run, hparams, points)| points.iter().map(move |p| (run, hparams, p)));
        prop_assert_eq!(rows.len(), points.clone().count());
        for (row, (run, hparams, point)) in rows.iter().zip(points) {
            let [(_, r), (_, t), (_, s), (_, w), (_, v), (_, exact), (_, a), told @ ..] = row.as_slice() else {
                return Err(TestCaseError::fail("the row is too short"));
            };
            prop_assert_eq!(r, &Field::Str(run.clone()));
            prop_assert_eq!(t, &Field::Str(point.tag.clone()));
            prop_assert_eq!((s, a), (&Field::Long(point.step), &Field::UInt(point.attempt)));
            let (Field::Double(w), Field::Double(v)) = (w, v) else {
                return Err(TestCaseError::fail(format!("got {w:?} and {v:?}, want doubles")));
            };
            prop_assert!(same_bits(*w, point.wall_time) && same_bits(*v, point.value.as_f64()));
            if let MetricValue::F32(value) = point.value {
                prop_assert!(value.is_nan() || (*v as f32).to_bits() == value.to_bits());
            }
            let whole = match point.value {
                MetricValue::I64(v) => Some(i128::from(v)),
                MetricValue::U64(v) => Some(i128::from(v)),
                MetricValue::F32(_) | MetricValue::F64(_) => None,
            };
            match exact {
                Field::Decimal(exact) => prop_assert_eq!(Some(integer(exact)), whole),
                exact => {
                    prop_assert_eq!(exact, &Field::Null);
                    prop_assert!(whole.is_none_or(|whole| *v as i128 == whole));
                }
            }
            let text = |field: &Field| match field {
                Field::Null => None,
                Field::Bool(flag) => Some(flag.to_string()),
                Field::Double(number) => Some(crate::units::shortest(*number)),
                Field::Str(text) => Some(text.clone()),
                other => Some(format!("{other:?}")),
            };
            let told = told.iter().filter_map(|(name, field)| Some((name.clone(), text(field)?)));
            prop_assert_eq!(told.collect::<HparamTexts>(), hparam_texts(hparams));
        }
    }

    #[test]
    fn the_wide_form_has_every_point_of_the_long_form(runs in runs(modest_value())) {
        let mut points = Vec::new();
        for (run, _, of_run) in &runs {
            for p in of_run {
                points.push((run.clone(), wide::column_name(&Tag::from(p.tag.as_str())), p.step, p.attempt, p.value));
            }
        }
        let texts = |as_text: &dyn Fn(MetricValue) -> String| {
            let mut all: Vec<_> =
                points.iter().map(|(run, tag, step, attempt, v)| (run.clone(), tag.clone(), *step, *attempt, as_text(*v))).collect();
            all.sort();
            all
        };
        let fixed = ["run", "step", "wall_time", "attempt"];
        let is_tag = |name: &str| !fixed.contains(&name) && !name.starts_with("hparam/");

        let mut told = Vec::new();
        for row in csv_rows(&export(Format::Csv, wide(&runs), &runs).unwrap()) {
            for (name, text) in row.iter().filter(|(name, text)| is_tag(name) && !text.is_empty()) {
                told.push((row["run"].clone(), name.clone(), row["step"].parse().unwrap(), row["attempt"].parse().unwrap(), text.clone()));
            }
        }
        told.sort();
        prop_assert_eq!(told, texts(&key));

        let mut told = Vec::new();
        for row in parquet_rows(export(Format::Parquet, wide(&runs), &runs).unwrap()) {
            let [(_, Field::Str(run)), (_, Field::Long(step)), _, (_, Field::UInt(attempt)), rest @ ..] = row.as_slice() else {
                return Err(TestCaseError::fail(format!("an unexpected row: {row:?}")));
            };
            for (name, field) in rest.iter().filter(|(name, _)| is_tag(name)) {
                if let Field::Double(v) = field {
                    told.push((run.clone(), name.clone(), *step, *attempt, key(MetricValue::F64(*v))));
                }
            }
        }
        told.sort();
        prop_assert_eq!(told, texts(&|v| key(MetricValue::F64(v.as_f64()))));
    }
}

fn integer(decimal: &Decimal) -> i128 {
    let sign = if decimal.data().first().is_some_and(|byte| byte & 0x80 != 0) { -1 } else { 0 };
    decimal.data().iter().fold(sign, |number, byte| number << 8 | i128::from(*byte))
}

fn one_run(values: &[MetricValue]) -> Vec<RunOf> {
    let point = |(value, step): (&MetricValue, i64)| PointOf {
        tag: "loss".to_owned(),
        step,
        wall_time: 1.5,
        value: *value,
        attempt: 0,
    };
    vec![("a".to_owned(), Hparams::new(), values.iter().zip(0..).map(point).collect())]
}

#[test]
fn an_integer_that_a_float_cannot_hold_is_never_rounded_in_silence() {
    #[track_caller]
    fn check(value: MetricValue, is_exact: bool) {
        let runs = one_run(&[value]);
        let result = export(Format::Parquet, wide(&runs), &runs);
        match result {
            Ok(_) => assert!(is_exact),
            Err(error) => assert!(!is_exact && matches!(error, ExportError::Inexact { .. }), "{error}"),
        }
        let rows = parquet_rows(export(Format::Parquet, Shape::Long, &runs).unwrap());
        assert_eq!(rows[0][5].1 == Field::Null, is_exact);
    }
    check(MetricValue::I64(1 << 53), true);
    check(MetricValue::I64((1 << 53) + 1), false);
    check(MetricValue::I64(i64::MIN), true);
    check(MetricValue::I64(i64::MAX), false);
    check(MetricValue::U64(1 << 63), true);
    check(MetricValue::U64(u64::MAX), false);
}

#[test]
fn a_long_table_is_cut_into_row_groups() {
    #[track_caller]
    fn check(n_rows: usize, expected: &[usize]) {
        // All different, so that the dictionary of the column is given up on the way.
        let values: Vec<f64> = (0..n_rows).map(|n| n as f64 / 7.0).collect();
        let runs = one_run(&values.iter().copied().map(MetricValue::F64).collect::<Vec<_>>());
        for shape in [Shape::Long, wide(&runs)] {
            let bytes = export(Format::Parquet, shape, &runs).unwrap();
            let reader = SerializedFileReader::new(Bytes::from(bytes)).unwrap();
            let groups = reader.metadata().row_groups();
            assert_eq!(groups.iter().map(|group| group.num_rows() as usize).collect::<Vec<_>>(), expected);
            let file = reader.metadata().file_metadata();
            let version = KeyValue::new("hptune.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
            assert_eq!(file.key_value_metadata(), Some(&vec![version]));
            // The value is the fifth column of either form.
            let rows = reader.get_row_iter(None).unwrap();
            let told = rows.map(|row| row.unwrap().get_double(4).unwrap());
            assert!(told.eq(values.iter().copied()), "{n_rows} rows");
        }
    }
    check(0, &[]);
    check(1, &[1]);
    check(EXPORT_ROW_GROUP_ROWS, &[EXPORT_ROW_GROUP_ROWS]);
    check(EXPORT_ROW_GROUP_ROWS + 1, &[EXPORT_ROW_GROUP_ROWS, 1]);
}

#[test]
fn long_texts_end_a_row_group_early() {
    let text = "x".repeat(1 << 20);
    let columns = vec![Column::required("text", ColumnKind::Text)];
    let mut table = TableWriter::new(Format::Parquet, columns, Vec::new()).unwrap();
    for _ in 0..40 {
        table.row([Cell::Text(&text)]).unwrap();
    }
    let reader = SerializedFileReader::new(Bytes::from(table.finish().unwrap())).unwrap();
    let n_rows: Vec<i64> = reader.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
    assert_eq!(n_rows, [16, 16, 8]);
}

#[test]
fn a_point_without_a_column_is_told_and_the_table_goes_on() {
    let shape = Shape::Wide { tags: vec![Tag::from("a")], order: WideOrder::Attempts };
    let mut table = PointTable::new(Format::Csv, shape, HparamColumns::default(), Vec::new()).unwrap();
    let point = |tag| {
        let (step, wall_time) = (Step(1), WallTime(2.0));
        Point { tag, step, wall_time, value: MetricValue::F32(0.1), attempt: 0 }
    };
    assert!(matches!(table.point(&point("a")), Err(ExportError::Misfit { .. })), "no run was begun");
    table.begin_run(&RunName::root(), &Hparams::new()).unwrap();
    assert!(matches!(table.point(&point("b")), Err(ExportError::UnknownTag { tag }) if tag.as_str() == "b"));
    table.point(&point("a")).unwrap();
    assert_eq!(table.finish().unwrap(), b"run,step,wall_time,attempt,a\n.,1,2,0,0.1\n");
}

#[test]
fn a_broken_pipe_keeps_its_kind() {
    struct Broken {
        n_bytes_left: usize,
    }
    impl Write for Broken {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let n_bytes = bytes.len().min(self.n_bytes_left);
            self.n_bytes_left -= n_bytes;
            if n_bytes == 0 { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(n_bytes) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    fn write(format: Format, n_bytes_left: usize) -> Result<Broken, ExportError> {
        let columns = vec![Column::required("step", ColumnKind::Integer)];
        let mut table = TableWriter::new(format, columns, Broken { n_bytes_left })?;
        for step in 0..100_000 {
            table.row([Cell::Integer(step)])?;
        }
        table.finish()
    }
    #[track_caller]
    fn check(format: Format, n_bytes_left: usize) {
        let Err(ExportError::Io(error)) = write(format, n_bytes_left) else {
            panic!("{format:?} did not tell that the pipe broke after {n_bytes_left} bytes");
        };
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
    for format in [Format::Csv, Format::JsonLines, Format::Parquet] {
        let n_bytes = usize::MAX - write(format, usize::MAX).ok().unwrap().n_bytes_left;
        for n_bytes_left in [0, 1, n_bytes / 2, n_bytes - 1] {
            check(format, n_bytes_left);
        }
    }
}
