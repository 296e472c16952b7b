//! The verbs that read event files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::args::{Chosen, Doctor, Export, Plot, Verify, XAxis};
use super::output::{TableOut, TableTarget, write_file};
use super::printer::Printer;
use super::tables;
use crate::app::export::{Request, Source};
use crate::app::plot::{self, Abscissa, Drawing, Layout};
use crate::app::{
    Failure, doctor as app_doctor, inspect as app_inspect, quoted, unnamed_hint, verify as app_verify,
};
use crate::edge::files;
use crate::limits::MAX_TAGS;
use crate::objective::SeriesFilter;
use crate::objective::near_misses;
use crate::plot::{Cells, Ink, Look, Paper, Scale, printable};
use crate::units::Tag;
use tfevents::{Faults, unread_in_words};

/// How many tags are named where none was matched.
const MAX_TAGS_NAMED: usize = 8;

pub(super) fn inspect(paths: &[PathBuf], json: bool, printer: Printer) -> Result<u8, Failure> {
    let code_of = |found: &app_inspect::Inspection| match (found.has_faults(), found.warnings.is_empty()) {
        (false, _) => 0,
        (true, true) => 1,
        (true, false) => 3,
    };
    let show =
        |path: &Path, found: &app_inspect::Inspection| tables::inspection(path, found, printer.style());
    for_each(paths, json, printer, app_inspect::inspect, code_of, show, |path, found| {
        serde_json::to_value(app_inspect::InspectionJson::new(path, found)).unwrap_or_default()
    })
}

pub(super) fn doctor(args: &Doctor, printer: Printer) -> Result<u8, Failure> {
    let diagnose = |path: &Path| app_doctor::doctor(path, args.tag.as_deref(), args.run.as_deref());
    let show = |path: &Path, diagnosis: &app_doctor::Diagnosis| {
        let shown = tables::diagnosis(diagnosis, printer.style());
        if args.paths.len() == 1 { shown } else { format!("{}:\n\n{shown}", path.display()) }
    };
    let code = |diagnosis: &app_doctor::Diagnosis| u8::from(!diagnosis.found);
    for_each(&args.paths, args.json, printer, diagnose, code, show, |_, diagnosis| {
        serde_json::to_value(diagnosis).unwrap_or_default()
    })
}

/// Does the same with each of several paths: one answer after the other, or a list of them. What cannot be looked at is
/// told, and the others are all the same; the exit code is the greatest.
fn for_each<T>(
    paths: &[PathBuf],
    json: bool,
    printer: Printer,
    look: impl Fn(&Path) -> Result<T, Failure>,
    code_of: impl Fn(&T) -> u8,
    show: impl Fn(&Path, &T) -> String,
    to_json: impl Fn(&Path, &T) -> serde_json::Value,
) -> Result<u8, Failure> {
    let mut code = 0;
    let mut documents = Vec::new();
    for path in paths {
        let found = match look(path) {
            Ok(found) => found,
            Err(failure) => {
                printer.error(&failure.to_string());
                code = code.max(failure.exit_code());
                continue;
            }
        };
        code = code.max(code_of(&found));
        if json {
            documents.push(to_json(path, &found));
        } else {
            printer.data(&show(path, &found))?;
        }
    }
    match (json, documents.pop()) {
        (true, Some(only)) if paths.len() == 1 => printer.document(&format!("{only:#}"))?,
        (true, Some(last)) => {
            documents.push(last);
            printer.document(&format!("{:#}", serde_json::Value::from(documents)))?;
        }
        (true | false, _) => {}
    }
    Ok(code)
}

pub(super) fn verify(args: &Verify, printer: Printer) -> Result<u8, Failure> {
    let verification = app_verify::verify(&args.paths, args.repair.as_deref())?;
    let place = place_of(&args.paths);
    if args.json {
        let json = serde_json::to_value(app_verify::VerificationJson::new(&place, &verification));
        printer.document(&format!("{:#}", json.unwrap_or_default()))?;
    } else {
        printer.data(&tables::verification(&place, &verification, printer.style()))?;
    }
    Ok(if verification.has_warnings() { 3 } else { u8::from(verification.has_faults()) })
}

pub(super) fn export(args: &Export, printer: Printer) -> Result<u8, Failure> {
    let target = TableTarget::new(args.output.as_deref(), args.replacing, args.format, printer)?;
    let filter = filter(&args.chosen)?;
    let request =
        Request { filter: filter.clone(), format: target.format, is_wide: args.wide, is_latest: args.latest };
    let source = Source::open(&args.paths, request)?;
    let place = place_of(&args.paths);
    if source.is_empty() {
        let tags: Vec<&Tag> = source.other_tags().collect();
        let told = tell(source.faults(), &place, printer);
        let code =
            nothing_chosen(&place, &filter, source.has_no_files(), &tags, ("export", &args.paths), printer)?;
        return Ok(code.max(told));
    }
    tell_unmatched(&filter, &source.tags().collect::<Vec<_>>(), source.other_tags(), printer);
    let write = |out: &mut dyn TableOut| source.write(out).map(|(exported, _)| exported);
    let Some(exported) = target.write(printer, write)? else { return Ok(0) };
    if let Some(path) = &args.output {
        printer.talk(&format!("{} points written to {}", exported.n_points, path.display()));
    }
    if exported.n_without_steps > 0 {
        let series = if exported.n_without_steps == 1 { "series counts" } else { "series count" };
        printer.talk(&format!(
            "note: {} {series} no steps (every point is at step 0); all their points stand, as they were written",
            exported.n_without_steps
        ));
    }
    Ok(tell(&exported.faults, &place, printer))
}

pub(super) fn plot(args: &Plot, store: Option<PathBuf>, printer: Printer) -> Result<u8, Failure> {
    let filter = filter(&args.chosen)?;
    let abscissa = match args.x {
        XAxis::Step => Abscissa::Step,
        XAxis::Relative => Abscissa::Relative,
        XAxis::Wall => Abscissa::Wall,
    };
    let (curves, place) = match &args.job {
        Some(job) => {
            let store = super::jobs::store_path(store, printer)?;
            let curves = plot::Curves::of_job(&store, job, &filter, abscissa, args.smoothing)?;
            (curves, PathBuf::from(format!("job {job}")))
        }
        None => {
            let curves = plot::Curves::read(&args.paths, &filter, abscissa, args.attempts, args.smoothing)?;
            (curves, place_of(&args.paths))
        }
    };
    if curves.is_empty() {
        let tags: Vec<&Tag> = curves.other_tags().collect();
        let told = tell(curves.faults(), &place, printer);
        let code =
            nothing_chosen(&place, &filter, curves.has_no_files(), &tags, ("plot", &args.paths), printer)?;
        return Ok(code.max(told));
    }
    tell_unmatched(&filter, &curves.tags().collect::<Vec<_>>(), curves.other_tags(), printer);
    let layout = if args.together { Layout::Together } else { Layout::ByTag };
    let look = Look {
        y_scale: if args.log_y { Scale::Log } else { Scale::Linear },
        smoothing: args.smoothing,
        x_label: abscissa.label().to_owned(),
        paper: if args.dark { Paper::Dark } else { Paper::Light },
        ..Look::default()
    };
    match &args.output {
        Some(path) => draw_to_file(args, &curves, layout, look, path)?,
        None => {
            let default = Cells::default();
            let given = |n: Option<u32>, default: usize| n.map_or(default, |n| n as usize);
            let size = Cells {
                width: given(args.width, printer.style().columns().unwrap_or(default.width)),
                height: given(args.height, default.height),
            };
            let ink = if printer.is_coloured() { Ink::Colour } else { Ink::Plain };
            let look = curves.look(look);
            let drawn: Vec<String> = curves
                .charts(layout)
                .iter()
                .map(|chart| {
                    let titles = [&look.title, &chart.title];
                    let titles: Vec<&str> =
                        titles.into_iter().map(String::as_str).filter(|title| !title.is_empty()).collect();
                    let look = Look { title: titles.join(": "), ..look.clone() };
                    crate::plot::text(&chart.curves, &look, size, ink)
                })
                .collect();
            printer.data(drawn.join("\n").trim_end())?;
        }
    }
    for note in curves.notes(layout) {
        printer.talk(&format!("note: {note}"));
    }
    Ok(tell(curves.faults(), &place, printer))
}

fn draw_to_file(
    args: &Plot,
    curves: &plot::Curves,
    layout: Layout,
    look: Look,
    path: &Path,
) -> Result<(), Failure> {
    let drawing = match path.extension().and_then(|ending| ending.to_str()) {
        Some("svg") => Drawing::Svg,
        Some("png") => Drawing::Png,
        Some("html" | "htm") => Drawing::Html,
        _ => {
            return Err(Failure::usage(format!(
                "{}: want a name that ends in .svg, .png or .html",
                path.display()
            )));
        }
    };
    let bytes = curves.draw(drawing, layout, look, (args.width, args.height))?;
    write_file(path, args.replacing.force, &bytes)
}

/// How some paths are called together.
fn place_of(paths: &[PathBuf]) -> PathBuf {
    match paths {
        [one] => one.clone(),
        several => files::of(several).base().to_owned(),
    }
}

fn filter(chosen: &Chosen) -> Result<SeriesFilter, Failure> {
    Ok(SeriesFilter::new(&chosen.tags, &chosen.runs)?)
}

/// Says that nothing was chosen, and what there would be.
fn nothing_chosen(
    path: &Path,
    filter: &SeriesFilter,
    has_no_files: bool,
    tags: &[&Tag],
    (verb, paths): (&str, &[PathBuf]),
    printer: Printer,
) -> Result<u8, Failure> {
    let shown = path.display();
    let message = if has_no_files {
        format!("{shown}: no event files (names with `tfevents`) here or below, or none that --run allows")
    } else if tags.is_empty() {
        format!("{shown}: no tag holds numbers")
    } else {
        format!("{shown}: no tag that holds numbers matches --tag")
    };
    printer.error(&message);
    if has_no_files && let Some(hint) = unnamed_hint(verb, paths) {
        printer.talk(&format!("  hint: {hint}"));
    }
    if !tags.is_empty() {
        let near = filter
            .names()
            .first()
            .map(|tag| near_misses(tag.as_str(), tags.iter().copied()))
            .unwrap_or_default();
        let named = if near.is_empty() { tags.to_vec() } else { near };
        let mut listed: Vec<String> =
            named.iter().take(MAX_TAGS_NAMED).map(|tag| format!("`{}`", printable(tag.as_str()))).collect();
        if named.len() > MAX_TAGS_NAMED {
            listed.push(format!("{} more", named.len() - MAX_TAGS_NAMED));
        }
        printer.talk(&format!("  hint: there are {}", listed.join(", ")));
    }
    for hint in filter.hints_on_brackets(&[], tags.iter().copied(), !has_no_files) {
        printer.talk(&format!("  hint: {hint}"));
    }
    Ok(1)
}

/// Tells of each tag that was named in vain beside others.
fn tell_unmatched<'t>(
    filter: &SeriesFilter,
    chosen: &[&'t Tag],
    others: impl Iterator<Item = &'t Tag>,
    printer: Printer,
) {
    let all: BTreeSet<&Tag> = chosen.iter().copied().chain(others).collect();
    for named in filter.unmatched(chosen) {
        let near = near_misses(named, all.iter().copied());
        let near: Vec<String> = near.iter().map(|tag| format!("`{}`", printable(tag.as_str()))).collect();
        let hint =
            if near.is_empty() { String::new() } else { format!("; did you mean {}?", near.join(" or ")) };
        printer.talk(&format!("warning: no tag that holds numbers matches `{}`{hint}", printable(named)));
    }
    for hint in filter.hints_on_brackets(chosen, all.iter().copied(), true) {
        printer.talk(&format!("  hint: {hint}"));
    }
}

/// Tells what was wrong with the files; the answer is the exit code for it.
fn tell(faults: &Faults, path: &Path, printer: Printer) -> u8 {
    if faults.n_damages > 0 {
        let places = if faults.n_damages == 1 { "place" } else { "places" };
        printer.talk(&format!(
            "warning: the files are damaged in {} {places}; what is intact was read (hptune verify {})",
            faults.n_damages,
            quoted(&path.display().to_string())
        ));
    }
    for note in &faults.notes {
        printer.talk(&format!("note: {note}"));
    }
    if let Some(words) = faults.unreadable.in_words() {
        printer.talk(&format!("warning: {words}"));
    }
    if faults.n_unread > 0 {
        printer.talk(&format!("warning: {}", unread_in_words(faults.n_unread)));
    }
    if faults.n_left_out > 0 {
        printer.talk(&format!(
            "warning: {} values were left out: their file has more than {MAX_TAGS} tags",
            faults.n_left_out
        ));
    }
    for warning in &faults.errors {
        printer.talk(&format!("warning: cannot be read: {warning}"));
    }
    if faults.errors.is_empty() { u8::from(faults.any()) } else { 3 }
}
