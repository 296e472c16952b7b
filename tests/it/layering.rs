//! The architecture's invariants, each an absence in `src/`.

use std::fs;
use std::path::Path;

struct Source {
    /// Below `src/`, with `/` between the parts.
    path: String,
    /// The code without comments and without what is compiled for unit tests only.
    code: String,
}

impl Source {
    fn layer(&self) -> u8 {
        let first = self.path.split('/').next().unwrap_or("").trim_end_matches(".rs");
        match first {
            "units" | "limits" => 0,
            // The reading library, under the names of its modules.
            "layout" | "event" | "tfrecord" | "scalar" | "series" | "tail" => 1,
            "objective" => 2,
            "export" | "plot" => 6,
            "report" | "study" | "suggest" | "stop" | "controller" | "tuner" | "linear" => 7,
            "edge" | "engine" => 8,
            "app" | "cli" | "main" | "lib" | "serve" => 9,
            other => panic!("src/{other} has no layer: add it to the architecture first"),
        }
    }
}

/// The code of a file without comments, and without each item under `#[cfg(test)]`: what follows an item is looked at.
fn code_of(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            if !line.trim_start().starts_with("//") {
                code.push_str(line);
                code.push('\n');
            }
            continue;
        }
        // As rustfmt lays code out, an item ends on a line of its own depth.
        let depth = line.len() - line.trim_start().len();
        let is_end = |line: &str| {
            line.len() - line.trim_start().len() == depth
                && !line.trim_start().starts_with('#')
                && (line.ends_with([';', '}']))
        };
        lines.by_ref().find(|line| is_end(line)).expect("the item ends");
    }
    code
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
            let path = entry.path().strip_prefix(&root).expect("below src").to_string_lossy().into_owned();
            Source { path, code: code_of(&text) }
        })
        // Modules of tests in files of their own.
        .filter(|source| !["/tests.rs", "/simulation.rs"].iter().any(|name| source.path.ends_with(name)))
        .collect()
}

#[test]
fn what_follows_a_test_item_is_looked_at() {
    let text = "a\n#[cfg(test)]\nmod tests;\nb\n    #[cfg(test)]\n    fn f() {\n        x;\n    }\nc\n#[cfg(test)]\nmod t {\n    y\n}\nd\n";
    assert_eq!(code_of(text), "a\nb\nc\nd\n");
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
    let words = [
        "prost",
        "crate::event",
        "crate::tfrecord",
        "crate::tail",
        "tfevents::event",
        "tfevents::record",
        "tfevents::tail",
        "tfevents::disk",
    ];
    absent(&words, |source| source.layer() == 7);
}

#[test]
fn only_the_printer_prints_and_only_main_exits() {
    absent(&["println!", "print!(", "stdout()", "stderr()"], |source| source.path != "cli/printer.rs");
    absent(&["process::exit"], |_| true);
}

#[test]
fn nothing_is_unsafe() {
    absent(&["unsafe "], |_| true);
}

#[test]
fn only_the_engine_knows_processes_groups_and_gpus() {
    // Its parts are private modules of `engine::local`; the table of processes is the edge's, for `watch` and leases too.
    let words = ["edge::process_table"];
    absent(&words, |source| {
        source.path.starts_with("app/run/")
            || matches!(source.layer(), 0..=7)
            || source.path.starts_with("app/prepare/")
    });
}

#[test]
fn each_layer_imports_only_what_lies_below() {
    let module_layer = |module: &str| Source { path: module.to_owned(), code: String::new() }.layer();
    let may_import = |layer: u8, imported: u8| match layer {
        6 => matches!(imported, 0 | 1 | 2 | 6),
        7 => matches!(imported, 0 | 1 | 2 | 7),
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
