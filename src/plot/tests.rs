//! What holds for every chart of any curves.

use proptest::prelude::*;

use super::label::columns;
use super::*;

fn curve(name: &str, points: &[(f64, f64)]) -> Curve {
    Curve { name: name.to_owned(), points: points.to_vec(), ..Curve::default() }
}

/// One chart of these curves.
fn one(curves: &[Curve]) -> [Chart; 1] {
    [Chart { title: String::new(), curves: curves.to_vec() }]
}

const SMALL: Cells = Cells { width: 30, height: 4 };

#[track_caller]
fn check(curves: &[Curve], look: &Look, ink: Ink, expected: &str) {
    let chart = text(curves, look, SMALL, ink);
    assert_eq!(chart, expected.trim_start_matches('\n'), "\n{chart}");
}

fn log() -> Look {
    Look { y_scale: Scale::Log, ..Look::default() }
}

#[test]
fn one_curve_is_drawn_in_braille_with_its_axes() {
    let look = Look {
        title: "fit".to_owned(),
        x_label: "step".to_owned(),
        y_label: "loss".to_owned(),
        ..Look::default()
    };
    check(
        &[curve("a", &[(0.0, 1.0), (10.0, 0.0), (20.0, 0.5)])],
        &look,
        Ink::Plain,
        "
             fit
loss
1 ┤⠑⠢⢄⡀
  │   ⠈⠑⠤⣀                   ⣀
  │       ⠉⠒⢄⡀        ⢀⣀⠤⠔⠒⠊⠉
0 ┤          ⠈⠑⠢⢄⡠⠤⠒⠒⠉⠁
  └┬────────────┬────────────┬
   0           10           20
              step
  a  0.5
",
    );
}

#[test]
fn without_colour_each_curve_has_its_own_character() {
    let curves = [curve("up", &[(0.0, 0.0), (4.0, 1.0)]), curve("日本", &[(0.0, 1.0), (4.0, 0.0)])];
    check(
        &curves,
        &Look::default(),
        Ink::Plain,
        "
1 ┤xxxxx                 •••••
  │     xxxxxxxx•••••••••
  │     ••••••••xxxxxxxxx
0 ┤•••••                 xxxxx
  └┬────────────┬────────────┬
   0            2            4
  • up    1   x 日本  0
",
    );
}

#[test]
fn with_colour_each_curve_has_its_own_colour() {
    let chart = text(
        &[curve("up", &[(0.0, 0.0), (4.0, 1.0)]), curve("down", &[(0.0, 1.0), (4.0, 0.0)])],
        &Look::default(),
        SMALL,
        Ink::Colour,
    );
    assert!(chart.contains("\x1b[36m━━\x1b[0m up") && chart.contains("\x1b[35m━━\x1b[0m down"), "{chart}");
    assert!(chart.chars().any(|c| ('\u{2801}'..='\u{28FF}').contains(&c)), "{chart}");
}

#[test]
fn a_gap_is_not_joined_and_is_counted() {
    let points = [(0.0, 1.0), (1.0, 1.0), (2.0, f64::NAN), (3.0, 1.0), (4.0, 1.0)];
    check(
        &[curve("a", &points)],
        &Look::default(),
        Ink::Plain,
        "
    │
1.0 ┤⣀⣀⣀⣀⣀⣀⡀           ⢀⣀⣀⣀⣀⣀⣀
    │
    │
    └┬───────────┬───────────┬
     0           2           4
  a  1
  left out as NaN or infinite:
  1 value in 1 curve
",
    );
}

#[test]
fn a_logarithmic_axis_leaves_out_what_is_not_positive() {
    let points = [(0.0, 100.0), (1.0, 10.0), (2.0, 1.0), (3.0, 0.0), (4.0, -1.0)];
    check(
        &[curve("a", &points)],
        &log(),
        Ink::Plain,
        "
100 ┤⠑⠢⢄
    │   ⠉⠒⠤⡀
    │      ⠈⠑⠢⣀
  1 ┤          ⠑⠢⢄
    └┬───────────┬───────────┬
     0           2           4
  a  -1
  left out as not positive on
  a logarithmic axis: 2 values
  in 1 curve
",
    );
}

#[test]
fn one_point_can_be_seen() {
    check(
        &[curve("a", &[(7.0, 0.5)])],
        &Look::default(),
        Ink::Plain,
        "
     │
0.50 ┤            ⣀
     │            ⠉
     │
     └────────────┬───────────
                  7
  a  0.5
",
    );
}

#[test]
fn nothing_to_draw_is_said() {
    check(&[], &Look::default(), Ink::Plain, "  no values to draw\n");
    let look = Look { title: "t".to_owned(), ..Look::default() };
    check(
        &[curve("a\u{7}", &[]), curve("b", &[(0.0, f64::NAN)])],
        &look,
        Ink::Plain,
        "
              t
  no values to draw
  • a\\u{7}  no points
  x b             NaN
  left out as NaN or infinite:
  1 value in 1 curve
",
    );
}

#[test]
fn a_smoothed_chart_in_a_terminal_shows_the_smoothed_curve_alone() {
    let points: Vec<(f64, f64)> = (0..400).map(|i| (f64::from(i), f64::from(i % 2) * 100.0)).collect();
    let look = Look { smoothing: 0.99, ..Look::default() };
    let chart = text(&[curve("a", &points)], &look, SMALL, Ink::Plain);
    assert!(!chart.contains("100 ┤") && chart.contains("smoothed by 0.99"), "{chart}");
}

#[test]
fn a_picture_shows_the_raw_curve_behind_the_smoothed_one() {
    #[track_caller]
    fn check(smoothing: f64, n_lines: usize) {
        let points: Vec<(f64, f64)> = (0..50).map(|i| (f64::from(i), f64::from(i * 7 % 5))).collect();
        let look = Look { smoothing, ..Look::default() };
        let picture = svg(&one(&[curve("a", &points)]), &look, Pixels::default()).expect("the size is right");
        // One line more is the legend's.
        assert_eq!(picture.matches("<polyline").count(), n_lines + 1);
    }
    check(0.0, 1);
    check(0.6, 2);
}

#[test]
fn a_name_stays_text_in_a_picture_and_in_a_page() {
    let name = "</script><b>&\u{1b}\u{2028}";
    let curves = [curve(name, &[(0.0, 1.0)])];
    let look = Look { title: name.to_owned(), ..Look::default() };
    let picture = svg(&one(&curves), &look, Pixels::default()).expect("the size is right");
    assert!(picture.contains("&lt;/script&gt;&lt;b&gt;&amp;\\u{1b}\\u{2028}"), "{picture}");
    let page = html(&one(&curves), &look);
    assert_eq!(page.matches("</script>").count(), 2);
    assert!(!page.contains("<b>") && !page.contains('\u{2028}'));
}

#[test]
fn two_million_points_make_a_small_picture_and_a_page_of_bounded_size() {
    let noise = |i: u32| f64::from(i.wrapping_mul(2_654_435_761) >> 16);
    let points: Vec<(f64, f64)> = (0..2_000_000).map(|i| (f64::from(i), noise(i))).collect();
    let curves = [Curve { name: "noise".to_owned(), points, ..Curve::default() }];
    let look = Look::default();
    assert!(svg(&one(&curves), &look, Pixels::default()).expect("the size is right").len() < 60_000);
    let data = page_data(&html(&one(&curves), &look));
    let xs = data["charts"][0]["curves"][0]["x"].as_array().expect("x is a list");
    assert!((50_000..=100_000).contains(&xs.len()), "{}", xs.len());
    assert_eq!(data["charts"][0]["curves"][0]["n"], 2_000_000);
}

#[test]
fn a_page_keeps_every_number_and_writes_it_short() {
    let page = html(
        &one(&[curve("a", &[(1.0, 0.1), (2.0, f64::NAN), (3.0, -2.0), (4.5, 1e300)])]),
        &Look::default(),
    );
    assert!(
        page.contains(r#""x":[1,2,3,4.5],"y":[0.1,null,-2,1e+300]"#)
            || page.contains(r#""x":[1,2,3,4.5],"y":[0.1,null,-2,1e300]"#)
    );
    assert!(page.contains(r#""n_not_finite":1,"n_not_positive":1,"n_no_place":0"#));
}

#[test]
fn a_page_asks_for_nothing_outside() {
    let page = html(&[], &Look::default());
    for word in ["src=", "href=", "@import", "url(", "fetch(", "XMLHttpRequest"] {
        assert!(!page.contains(word), "{word}");
    }
}

#[test]
fn a_size_that_leaves_no_room_is_refused() {
    #[track_caller]
    fn check(width: u32, height: u32) {
        let error = svg(&[], &Look::default(), Pixels { width, height }).expect_err("it is refused");
        assert!(matches!(error, PlotError::Size { .. }), "{error}");
        png(&[], &Look::default(), Pixels { width, height }).expect_err("it is refused");
    }
    check(0, 0);
    check(199, 600);
    check(u32::MAX, u32::MAX);
}

/// So many curves that each rise to another height.
fn fan(n: usize) -> Vec<Curve> {
    (0..n).map(|i| curve(&format!("run {i}"), &[(0.0, 0.0), (10.0, i as f64)])).collect()
}

#[test]
fn every_curve_of_a_full_chart_has_its_own_colour_and_dash() {
    let picture =
        svg(&one(&fan(crate::limits::MAX_CURVES)), &Look::default(), Pixels { width: 1000, height: 900 })
            .expect("the size is right");
    let looks: std::collections::HashSet<&str> = picture
        .lines()
        .filter(|line| line.starts_with("<polyline") && line.contains("stroke-width=\"1.8\""))
        .filter_map(|line| Some(line.split_once("stroke-linejoin")?.1.split_once(" points=")?.0))
        .collect();
    assert_eq!(looks.len(), crate::limits::MAX_CURVES);
    let legend = picture.lines().filter(|line| line.contains("stroke-width=\"2.6\"")).count();
    assert_eq!(legend, crate::limits::MAX_CURVES, "each in the legend too");
}

#[test]
fn a_picture_follows_its_viewer_into_the_dark_unless_its_paper_is_dark() {
    let picture = |paper| {
        svg(&one(&fan(2)), &Look { paper, ..Look::default() }, Pixels::default()).expect("the size is right")
    };
    let light = picture(Paper::Light);
    let (style, _) = light.split_once("</style>").expect("there is a style");
    assert!(style.contains("prefers-color-scheme:dark"), "{style}");
    for class in light.split("class=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(style.contains(&format!(".{class}{{")), "{class}");
    }
    assert!(!picture(Paper::Dark).contains("<style>"));
}

#[test]
fn charts_side_by_side_have_one_legend_and_their_own_axes() {
    let chart = |title: &str, high: f64| Chart {
        title: title.to_owned(),
        curves: vec![
            Curve { paint: Paint::Of(0), ..curve("a", &[(0.0, 0.0), (10.0, high)]) },
            Curve { paint: Paint::Of(1), ..curve("b", &[(0.0, 0.0), (10.0, high / 2.0)]) },
        ],
    };
    let charts = [chart("accuracy", 1.0), chart("loss", 4000.0)];
    let picture = svg(&charts, &Look::default(), Pixels::default()).expect("the size is right");
    let n = |text: &str| picture.matches(&format!(">{text}</text>")).count();
    assert_eq!([n("accuracy"), n("loss"), n("a"), n("b"), n("0.8"), n("4000")], [1; 6], "{picture}");
}

#[test]
fn quiet_curves_share_an_entry_and_a_faint_one_has_none_beside_its_own() {
    let mut curves = fan(5);
    for curve in curves.iter_mut().skip(2) {
        curve.paint = Paint::Quiet;
    }
    curves[1] = Curve { paint: Paint::Of(0), is_faint: true, ..curves[1].clone() };
    let chart = text(&curves, &Look::default(), Cells { width: 60, height: 4 }, Ink::Plain);
    assert!(chart.contains("• run 0") && chart.contains("· 3 others") && !chart.contains("run 1"), "{chart}");
    let picture = svg(&one(&curves), &Look::default(), Pixels::default()).expect("the size is right");
    assert!(picture.contains(">run 0<") && picture.contains(">3 others<") && !picture.contains(">run 1<"));
}

fn page_data(page: &str) -> serde_json::Value {
    let (_, rest) = page.split_once("id=\"data\">").expect("there are data");
    let (json, _) = rest.split_once("</script>").expect("the data end");
    serde_json::from_str(json).expect("it is JSON")
}

fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -1e3..1e3_f64,
        2 => any::<f64>(),
        1 => any::<i64>().prop_map(|n| n as f64),
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(f64::MAX),
        1 => Just(f64::MIN),
        1 => Just(0.0),
    ]
}

fn any_curve() -> impl Strategy<Value = Curve> {
    let points = prop_oneof![
        proptest::collection::vec((any_number(), any_number()), 0..40),
        (any_number(), any_number()).prop_map(|point| vec![point; 3]),
        proptest::collection::vec(any_number(), 0..300).prop_map(|ys| ys
            .into_iter()
            .enumerate()
            .map(|(i, y)| (i as f64 * 10.0, y))
            .collect()),
    ];
    (".{0,20}", points).prop_map(|(name, points)| Curve { name, points, ..Curve::default() })
}

fn any_look() -> impl Strategy<Value = Look> {
    let scale = prop_oneof![Just(Scale::Linear), Just(Scale::Log)];
    let smoothing = prop_oneof![Just(0.0), 0.0..1.0_f64, any_number()];
    (".{0,60}", ".{0,20}", ".{0,20}", scale, smoothing).prop_map(
        |(title, x_label, y_label, y_scale, smoothing)| Look {
            title,
            x_label,
            y_label,
            y_scale,
            smoothing,
            ..Look::default()
        },
    )
}

proptest! {
    #[test]
    fn a_terminal_chart_of_any_curves_fits_and_moves_no_cursor(
        curves in proptest::collection::vec(any_curve(), 0..16),
        look in any_look(),
        width in 0_usize..420,
        height in 0_usize..40,
    ) {
        let chart = text(&curves, &look, Cells { width, height }, Ink::Plain);
        for line in chart.lines() {
            prop_assert!(columns(line) <= width.max(20), "{line:?} is wider than {width}");
            prop_assert!(!line.chars().any(char::is_control), "{line:?}");
        }
        let coloured = text(&curves, &look, Cells { width, height }, Ink::Colour);
        prop_assert!(coloured.matches('\x1b').count().is_multiple_of(2));
    }

    #[test]
    fn a_picture_of_any_curves_is_whole_and_small(
        curves in proptest::collection::vec(any_curve(), 0..16),
        look in any_look(),
    ) {
        let picture = svg(&one(&curves), &look, Pixels { width: 300, height: 200 }).expect("the size is right");
        prop_assert!(picture.starts_with("<svg width=\"300\" height=\"200\" viewBox=\"0 0 300 200\""));
        prop_assert!(picture.trim_end().ends_with("</svg>"));
        let is_xml = |c: char| !c.is_control() || c == '\n';
        prop_assert!(picture.chars().all(is_xml));
        prop_assert!(picture.len() < 600_000);
    }

    #[test]
    fn a_page_of_any_curves_has_data_that_read_back(
        curves in proptest::collection::vec(any_curve(), 0..16),
        look in any_look(),
    ) {
        let data = page_data(&html(&one(&curves), &look));
        prop_assert_eq!(data["charts"][0]["curves"].as_array().map(Vec::len), Some(curves.len()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn an_image_of_any_curves_reads_back(
        curves in proptest::collection::vec(any_curve(), 0..4),
        look in any_look(),
    ) {
        let file = png(&one(&curves), &look, Pixels { width: 220, height: 160 }).expect("the size is right");
        let reader = ::png::Decoder::new(std::io::Cursor::new(file)).read_info().expect("it is a PNG");
        prop_assert_eq!((reader.info().width, reader.info().height), (220, 160));
    }
}
