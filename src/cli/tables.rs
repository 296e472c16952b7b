//! Tables of runs, files and what is found in them.

use std::path::Path;

use super::printer::Style;
use super::table::Table;
use super::text::{duration, printable, size};
use crate::app::doctor::Diagnosis;
use crate::app::inspect::{Inspection, Run};
use crate::app::verify::{Verification, VerifiedFile};
use crate::plot::printable as name;
use crate::units::{RunName, Step, Tag, natural_order};
use tfevents::record::Damage;
use tfevents::series::TagSummary;
use tfevents::unread_in_words;

/// The most stretches of damage that are listed for a run.
const MAX_DAMAGES: usize = 10;

/// The most runs of a diagnosed tag that have a row.
const MAX_PLACES: usize = 30;

/// What is in event files: a heading a run, a row a tag, and what is damaged.
pub(super) fn inspection(path: &Path, inspection: &Inspection, style: Style) -> String {
    let mut sections = vec![style.dim(&format!("{}:", path.display()))];
    if inspection.runs.is_empty() && inspection.notes.is_empty() {
        let hint = inspection.unnamed.as_ref().map(|hint| format!("\n  hint: {}", printable(hint)));
        sections.push(format!(
            "no event files (names with `tfevents`) here or below{}",
            hint.unwrap_or_default()
        ));
    }
    sections.extend(inspection.runs.iter().map(|(name, run)| section(name, run, style)));
    sections.extend(inspection.notes.iter().map(|note| format!("note: {}", printable(note))));
    sections
        .extend(inspection.warnings.iter().map(|warning| format!("cannot be read: {}", printable(warning))));
    sections.join("\n\n") + "\n"
}

fn section(run_name: &RunName, run: &Run, style: Style) -> String {
    let about = style.dim(&heading(run).join(", "));
    let mut lines = vec![format!("{}  {about}", style.bold(&name(run_name.as_str())))];
    if run.tags.is_empty() {
        lines.push("  no values".to_owned());
    } else {
        lines.push(tags(run, style));
    }
    if run.n_left_out > 0 {
        lines.push(format!("  and {} values under further tags, too many to be told apart", run.n_left_out));
    }
    let listed = |(path, damage): &(String, Damage)| format!("{}: {damage}", name(path));
    lines.extend(
        run.unfinished.iter().take(MAX_DAMAGES).map(|torn| format!("  unfinished: {}", listed(torn))),
    );
    let n_others: u64 = run.tags.values().map(|tag| tag.n_values - tag.count()).sum();
    if n_others > 0 {
        lines.push(format!("  {n_others} further values under these tags are no numbers"));
    }
    if run.n_unread > 0 {
        lines.push(format!("  {}", unread_in_words(run.n_unread)));
    }
    lines.extend(run.unreadable.in_words().map(|words| format!("  {}", printable(&words))));
    let n_damages = run.count_damages();
    if n_damages > 0 {
        let places = if n_damages == 1 { "place" } else { "places" };
        let kinds: Vec<String> =
            run.n_damages.iter().map(|(kind, n)| format!("{n} {}", kind.name())).collect();
        lines.push(format!("  damage in {n_damages} {places} ({})", kinds.join(", ")));
        lines.extend(run.damages.iter().take(MAX_DAMAGES).map(|damage| format!("    {}", listed(damage))));
        if n_damages > MAX_DAMAGES as u64 {
            lines.push(format!("    and {} more", n_damages - MAX_DAMAGES as u64));
        }
    }
    lines.join("\n")
}

/// What is known of a run beside its tags.
fn heading(run: &Run) -> Vec<String> {
    let count = |n: u64, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
    let mut about = vec![format!("{} ({})", count(run.n_files, "file"), size(run.n_bytes))];
    if run.n_empty_files > 0 {
        about.push(format!("{} of them empty", run.n_empty_files));
    }
    if run.n_graphs > 0 {
        about.push(count(run.n_graphs, "graph"));
    }
    if run.n_sessions > 1 {
        about.push(count(run.n_sessions as u64, "session"));
    }
    if !run.writers.is_empty() {
        about.push(format!("written by {}", name(&run.writers.join(", "))));
    }
    if let Some((first, last)) = run.wall_times {
        let begun = jiff::Timestamp::from_second(first.0 as i64).ok().filter(|_| first.0 > 0.0);
        about.extend(begun.map(|time| format!("{} UTC", time.strftime("%Y-%m-%d %H:%M:%S"))));
        let span = last.0 - first.0;
        about.extend(
            Some(span).filter(|s| s.is_finite() && *s > 0.0).map(|s| format!("over {}", duration(s))),
        );
    }
    about
}

/// A row a tag. Columns in which nothing would stand are left out.
fn tags(run: &Run, style: Style) -> String {
    let has_plugins = run.tags.values().any(|tag| !tag.plugin.is_empty());
    let has_non_finite = run.tags.values().any(|tag| tag.n_non_finite > 0);
    let n_attempts = |tag: &TagSummary| tag.rewinds().len() + 1;
    let has_attempts = run.tags.values().any(|tag| n_attempts(tag) > 1);
    let optional = |has: bool, text: String| has.then_some(text);
    let heading = |has, text: &str| optional(has, text.to_owned());
    let mut headings: Vec<String> = ["  TAG", "KIND"].map(str::to_owned).into();
    headings.extend(heading(has_plugins, "PLUGIN"));
    let n_left = headings.len();
    headings.extend(["COUNT", "STEPS", "LAST", "MIN", "MAX"].map(str::to_owned));
    headings.extend(heading(has_non_finite, "NON-FINITE"));
    headings.extend(heading(has_attempts, "ATTEMPTS"));
    let mut rows = Table::new(&headings);
    let mut summaries: Vec<(&Tag, &TagSummary)> = run.tags.iter().collect();
    summaries.sort_by(|(a, _), (b, _)| natural_order(a.as_str(), b.as_str()));
    for (tag, summary) in summaries {
        let mut row = vec![format!("  {}", name(tag.as_str())), summary.kind.to_string()];
        row.extend(optional(has_plugins, name(&summary.plugin)));
        let (last_step, last) = summary.last();
        row.extend([summary.count().to_string(), steps(summary.first_step, last_step)]);
        row.extend([last, summary.min, summary.max].map(|v| v.map(|v| v.to_string()).unwrap_or_default()));
        let count = |n: u64| if n > 0 { n.to_string() } else { String::new() };
        row.extend(optional(has_non_finite, count(summary.n_non_finite)));
        row.extend(optional(has_attempts, n_attempts(summary).to_string()));
        rows.add_row(row);
    }
    rows.align_right(n_left..headings.len());
    rows.draw(style.columns())
}

fn steps(first: Step, last: Step) -> String {
    if first == last { first.to_string() } else { format!("{first}..{last}") }
}

/// What is the matter with a metric: the finding, what to change, and what there is.
pub(super) fn diagnosis(diagnosis: &Diagnosis, style: Style) -> String {
    let mark = if diagnosis.found { "found" } else { "not found" };
    let mut sections = vec![format!("{}: {}", style.bold(mark), printable(&diagnosis.message))];
    let near: Vec<String> = diagnosis
        .near
        .iter()
        .map(|near| {
            let runs: Vec<&str> = near.runs.iter().take(3).map(RunName::as_str).collect();
            printable(&format!("  `{}` in {}: {}", near.tag, runs.join(", "), near.how))
        })
        .collect();
    if !near.is_empty() {
        sections.push(format!("What comes close:\n{}", near.join("\n")));
    }
    if !diagnosis.fix.is_empty() {
        let lines: Vec<String> =
            diagnosis.fix.iter().map(|line| format!("    {}", style.bold(&printable(line)))).collect();
        sections.push(format!("To mend it:\n{}", lines.join("\n")));
    }
    if !diagnosis.places.is_empty() {
        let mut rows = Table::new(["  RUN", "KIND", "COUNT", "NON-FINITE", "LAST STEP", "LAST", "READ"]);
        for place in diagnosis.places.iter().take(MAX_PLACES) {
            rows.add_row([
                format!("  {}", name(place.run.as_str())),
                place.kind.to_owned(),
                place.count.to_string(),
                place.non_finite.to_string(),
                place.last_step.to_string(),
                place.last_value.map(|v| v.to_string()).unwrap_or_default(),
                if place.is_read { "yes" } else { "" }.to_owned(),
            ]);
        }
        rows.align_right([2, 3, 4, 5]);
        let n_more = diagnosis.places.len().saturating_sub(MAX_PLACES);
        let more = if n_more > 0 { format!("\n  and {n_more} more runs") } else { String::new() };
        sections.push(rows.draw(style.columns()) + &more);
    } else if !diagnosis.tags.is_empty() {
        let mut rows = Table::new(["  TAG", "KIND", "RUNS"]);
        for there in &diagnosis.tags {
            let mut runs: Vec<&str> = there.runs.iter().take(3).map(RunName::as_str).collect();
            if there.runs.len() > runs.len() {
                runs.push("…");
            }
            rows.add_row([
                format!("  {}", name(there.tag.as_str())),
                there.kind.to_owned(),
                name(&runs.join(", ")),
            ]);
        }
        let n_more = diagnosis.n_tags.saturating_sub(diagnosis.tags.len());
        let more = if n_more > 0 { format!("\n  and {n_more} more tags") } else { String::new() };
        sections.push(format!("What is there:\n{}{more}", rows.draw(style.columns())));
    }
    sections.extend(diagnosis.notes.iter().map(|note| format!("note: {}", printable(note))));
    sections.join("\n\n")
}

/// What checking files gave: a row for each that is damaged, and the sum.
pub(super) fn verification(path: &Path, verification: &Verification, style: Style) -> String {
    let mut sections = Vec::new();
    for file in verification.files.iter().filter(|file| file.has_faults() || file.repaired.is_some()) {
        let mut lines = vec![format!(
            "{}  {}",
            style.bold(&name(&file.path)),
            style.dim(&format!(
                "{} good records, {} of {} bytes lost",
                file.n_records, file.bad_bytes, file.bytes
            ))
        )];
        lines.extend(
            file.damages
                .iter()
                .take(MAX_DAMAGES)
                .map(|(_, damage)| format!("  {}: {damage}", damage.kind.name())),
        );
        let n_damages: u64 = file.n_damages.values().sum();
        if n_damages > MAX_DAMAGES as u64 {
            lines.push(format!("  and {} more", n_damages - MAX_DAMAGES as u64));
        }
        lines.extend(file.warning.iter().map(|warning| format!("  {}", printable(warning))));
        lines.extend(
            file.repaired
                .iter()
                .map(|out| format!("  good records written to {}", name(&out.display().to_string()))),
        );
        sections.push(lines.join("\n"));
    }
    sections.extend(
        verification.warnings.iter().map(|warning| format!("cannot be read: {}", printable(warning))),
    );
    if verification.files.is_empty() {
        let hint = verification.unnamed.as_ref().map(|hint| format!("\n  hint: {}", printable(hint)));
        sections.push(format!(
            "{}: no event files (names with `tfevents`) here or below{}",
            path.display(),
            hint.unwrap_or_default()
        ));
    } else {
        let n_files = verification.files.len();
        let count =
            |has: fn(&VerifiedFile) -> bool| verification.files.iter().filter(|file| has(file)).count();
        let n_damaged = count(|file| !file.n_damages.is_empty());
        let n_failing = count(|file| file.warning.is_some());
        let n_records: u64 = verification.files.iter().map(|file| file.n_records).sum();
        let bytes: u64 = verification.files.iter().map(|file| file.bytes).sum();
        let counted = [(n_damaged, "damaged"), (n_failing, "with warning")];
        let counted = counted.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}"));
        let sum = counted.collect::<Vec<_>>().join(", ");
        let sum = if sum.is_empty() { "all good".to_owned() } else { sum };
        let files = if n_files == 1 { "file" } else { "files" };
        sections.push(format!(
            "{n_files} {files}, {n_records} records, {}: {}",
            size(bytes),
            style.bold(&sum)
        ));
    }
    sections.join("\n\n")
}
