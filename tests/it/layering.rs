//! The architecture's invariants, each an absence in `src/`.

use std::fs;
use std::path::Path;

struct Source {
    /// Below `src/`, with `/` between the parts.
    path: String,
    /// The code without comments and without its unit tests.
    code: String,
}

impl Source {
    fn layer(&self) -> u8 {
        let first = self.path.split('/').next().unwrap_or("").trim_end_matches(".rs");
        match first {
            "units" | "limits" => 0,
            "tfrecord" => 1,
            "proto" | "event" => 2,
            "scalar" => 3,
            "series" => 4,
            "tail" => 5,
            "report" | "export" | "plot" => 6,
            "study" | "suggest" | "stop" | "controller" | "tuner" | "linear" => 7,
            "edge" => 8,
            "app" | "cli" | "main" | "lib" => 9,
            other => panic!("src/{other} has no layer: add it to the architecture first"),
        }
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    walkdir::WalkDir::new(&root)
        .sort_by_file_name()
        .into_iter()
        .map(|entry| entry.expect("src is readable"))
        .filter(|entry| entry.path().extension().is_some_and(|e| e == "rs"))
        .map(|entry| {
            let text = fs::read_to_string(entry.path()).expect("it is text");
            let code = text.split("#[cfg(test)]").next().unwrap_or("");
            let is_code = |line: &&str| !line.trim_start().starts_with("//");
            let path = entry.path().strip_prefix(&root).expect("below src").to_string_lossy().into_owned();
            Source { path, code: code.lines().filter(is_code).collect::<Vec<_>>().join("\n") }
        })
        .collect()
}

/// Every place in the chosen sources that has one of the words.
#[track_caller]
fn absent(words: &[&str], is_chosen: impl Fn(&Source) -> bool) {
    let sources = sources();
    let chosen: Vec<&Source> = sources.iter().filter(|source| is_chosen(source)).collect();
    assert!(!chosen.is_empty(), "nothing was looked at");
    let places: Vec<String> = chosen
        .iter()
        .flat_map(|source| {
            words
                .iter()
                .filter(|word| source.code.contains(**word))
                .map(|word| format!("{}: {word}", source.path))
        })
        .collect();
    assert_eq!(places, Vec::<String>::new());
}

#[test]
fn nothing_below_the_edge_touches_the_world() {
    let words = [
        "std::fs",
        "std::net",
        "std::process",
        "std::env",
        "std::thread",
        "tokio",
        "Instant::now",
        "SystemTime::now",
        "Timestamp::now",
        "println!",
        "print!",
    ];
    absent(&words, |source| source.layer() < 8);
}

#[test]
fn the_study_knows_no_protobuf_and_no_event_file() {
    let words = ["prost", "crate::proto", "crate::event", "crate::tfrecord", "crate::tail"];
    absent(&words, |source| source.layer() == 7);
}

#[test]
fn generated_types_stay_where_they_are_read() {
    absent(&["proto::"], |source| !matches!(source.layer(), 2 | 3 | 8));
}

#[test]
fn only_the_printer_prints_and_only_main_exits() {
    absent(&["println!", "print!(", "stdout()", "stderr()"], |source| source.path != "cli/printer.rs");
    absent(&["process::exit"], |_| true);
}

#[test]
fn nothing_is_unsafe_but_the_call_of_a_checksum_instruction() {
    absent(&["unsafe "], |source| source.path != "tfrecord/crc.rs");
}

#[test]
fn each_layer_imports_only_what_lies_below() {
    let module_layer = |module: &str| Source { path: module.to_owned(), code: String::new() }.layer();
    let may_import = |layer: u8, imported: u8| match layer {
        0 => imported == 0,
        3 => imported <= 3,
        4 => matches!(imported, 0 | 3 | 4),
        6 => matches!(imported, 0 | 3 | 4 | 6),
        7 => matches!(imported, 0 | 4 | 7),
        _ => imported <= layer,
    };
    let mut wrong = Vec::new();
    for source in sources() {
        for import in source.code.split("crate::").skip(1) {
            let module: String =
                import.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            if !module.is_empty() && !may_import(source.layer(), module_layer(&module)) {
                wrong.push(format!("{} imports {module}", source.path));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}
