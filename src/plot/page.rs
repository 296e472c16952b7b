//! Curves as a web page of one file that answers to the pointer.
//!
//! Imports the scene's helpers and the reduction and does no IO. What a viewer sees and does is in
//! `page.html`, `page.css`, `page.js` and `axis.js`; here they and the data become one file.

use serde::{Serialize, Serializer};

use super::label::printable;
use super::reduce::{Point, reduce};
use super::scale::Axis;
use super::scene::sorted;
use super::{Chart, Curve, End, Look, Scale, palette};
use crate::limits::{MAX_PAGE_POINTS, MAX_PAGE_POINTS_A_CURVE};

const TEMPLATE: &str = include_str!("page.html");

/// Charts as one HTML file without any reference outside: crosshair, zoom, curves that are switched
/// on and off, smoothing and a logarithmic axis, in light and dark. Curves longer than
/// [`MAX_PAGE_POINTS_A_CURVE`] (fewer where there are many curves) are reduced to their lowest and
/// highest values, and the page says so.
#[must_use]
pub fn html(charts: &[Chart], look: &Look) -> String {
    let n_curves: usize = charts.iter().map(|chart| chart.curves.len()).sum();
    let cap = MAX_PAGE_POINTS_A_CURVE.min(MAX_PAGE_POINTS / n_curves.max(1)).max(16);
    let title = match charts {
        [only] if look.title.is_empty() => &only.title,
        _ => &look.title,
    };
    let embedded_chart = |chart: &Chart| EmbeddedChart {
        title: printable(&chart.title),
        curves: chart.curves.iter().enumerate().map(|(place, curve)| embedded(curve, place, cap)).collect(),
    };
    let hex = |(red, green, blue): &palette::Rgb| format!("#{red:02x}{green:02x}{blue:02x}");
    let data = Data {
        title: printable(title),
        x_label: printable(&look.x_label),
        y_label: printable(&look.y_label),
        log: look.y_scale == Scale::Log,
        smoothing: if look.smoothing > 0.0 { look.smoothing.min(0.999) } else { 0.0 },
        notes: look.notes.iter().map(|note| printable(note)).collect(),
        light: palette::LIGHT.iter().map(hex).collect(),
        dark: palette::DARK.iter().map(hex).collect(),
        dashes: palette::DASHES,
        charts: charts.iter().map(embedded_chart).collect(),
    };
    let json = serde_json::to_string(&data).expect("plain data serialize");
    let heading = if data.title.is_empty() { "curves" } else { &data.title };
    let script = [include_str!("axis.js"), include_str!("page.js")].concat();
    filled(TEMPLATE, heading, include_str!("page.css"), &json, &script)
}

/// A page of one file: its template with title, style, data and script at their places. The title and the data may hold
/// anything.
pub(crate) fn filled(template: &str, title: &str, style: &str, json: &str, script: &str) -> String {
    let parts = [
        ("{{title}}", escaped(title)),
        ("{{style}}", style.to_owned()),
        ("{{data}}", inert(json)),
        ("{{script}}", script.to_owned()),
    ];
    let (mut page, mut rest) = (String::new(), template);
    for (place, part) in parts {
        let (before, after) = rest.split_once(place).expect("the template has each place, in this order");
        page.extend([before, &part]);
        rest = after;
    }
    page + rest
}

#[derive(Serialize)]
struct Data {
    title: String,
    x_label: String,
    y_label: String,
    log: bool,
    smoothing: f64,
    notes: Vec<String>,
    /// Colours of curves, and their dashes.
    light: Vec<String>,
    dark: Vec<String>,
    dashes: [&'static [f64]; 7],
    charts: Vec<EmbeddedChart>,
}

#[derive(Serialize)]
struct EmbeddedChart {
    title: String,
    curves: Vec<Embedded>,
}

#[derive(Serialize)]
struct Embedded {
    name: String,
    /// `null` is quiet.
    number: Option<usize>,
    faint: bool,
    /// `best`, `stopped` or nothing.
    end: &'static str,
    about: Vec<(String, String)>,
    /// How many points there were before the reduction.
    n: usize,
    n_not_finite: usize,
    n_not_positive: usize,
    n_no_place: usize,
    /// The y of the last point.
    last: Option<Short>,
    x: Vec<Short>,
    /// `null` is a gap.
    y: Vec<Short>,
}

/// A number in few characters: whole ones without `.0`, what is not finite as `null`.
struct Short(f64);

impl Serialize for Short {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if self.0.fract() == 0.0 && self.0.abs() < EXACT {
            serializer.serialize_i64(self.0 as i64)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

fn embedded(curve: &Curve, place: usize, cap: usize) -> Embedded {
    let points = sorted(&curve.points);
    let n = points.len();
    let [n_dropped, n_more_not_finite, n_more_not_positive] =
        [curve.dropped.n, curve.dropped.n_not_finite, curve.dropped.n_not_positive].map(|n| n as usize);
    let count = |is_meant: fn(f64) -> bool| points.iter().filter(|(_, y)| is_meant(*y)).count();
    let (n_not_finite, n_not_positive) = (count(|y| !y.is_finite()), count(|y| y.is_finite() && y <= 0.0));
    let last = points.last().map(|(_, y)| Short(*y));
    let kept = if n <= cap { points } else { reduced(&points, cap) };
    Embedded {
        name: printable(&curve.name),
        number: palette::number(curve, place),
        faint: curve.is_faint,
        end: match curve.end {
            End::Plain => "",
            End::Best => "best",
            End::Stopped => "stopped",
        },
        about: curve.about.iter().map(|(name, value)| (printable(name), printable(value))).collect(),
        n: n + n_dropped,
        n_not_finite: n_not_finite + n_more_not_finite,
        n_not_positive: n_not_positive + n_more_not_positive,
        n_no_place: curve.points.len() - n,
        last,
        x: kept.iter().map(|(x, _)| Short(*x)).collect(),
        y: kept.iter().map(|(_, y)| Short(*y)).collect(),
    }
}

/// At most `cap` points, a gap between every two runs.
fn reduced(points: &[Point], cap: usize) -> Vec<Point> {
    let x = Axis::linear(points.iter().map(|(x, _)| *x));
    let mut n_columns = cap / 4;
    loop {
        let runs = reduce(points, &x, n_columns.max(1));
        if runs.iter().map(|run| run.len() + 1).sum::<usize>() <= cap + 1 || n_columns <= 1 {
            let gap = |run: &Vec<Point>| run.first().map(|(x, _)| (*x, f64::NAN));
            let mut out: Vec<Point> =
                runs.iter().flat_map(|run| gap(run).into_iter().chain(run.iter().copied())).collect();
            // Nothing comes before the first run.
            if !out.is_empty() {
                out.remove(0);
            }
            return out;
        }
        n_columns = n_columns * 3 / 4;
    }
}

/// Text as it stands in HTML.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            c => out.push(c),
        }
    }
    out
}

/// JSON that can stand in a script element: nothing in it ends the element or a line. The characters
/// occur within strings only.
fn inert(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out += &format!("\\u{:04x}", u32::from(c)),
            c => out.push(c),
        }
    }
    out
}
