//! Event files that somebody packed.

use crate::support::{Place, event_file};

#[test]
fn packed_event_files_are_named_as_such_and_not_damaged() {
    let place = Place::new();
    let gzip = [b"\x1f\x8b\x08\x08", &[0x55; 500][..]].concat();
    place.write("x.tfevents.1.gz", &gzip);
    let told = "x.tfevents.1.gz: packed with gzip";
    let shown = place.run(&["inspect", "."]);
    assert!(shown.code == Some(1) && shown.out.contains(told), "{}", shown.out);
    let found = place.run(&["doctor", ".", "--tag", "acc"]);
    assert!(found.code == Some(1) && found.out.contains(told), "{}", found.out);
    let export = place.run(&["export", "."]);
    assert!(export.code == Some(1) && export.err.contains(told), "{}", export.err);
    let verified = place.run(&["verify", "."]);
    assert!(
        verified.out.contains("packed with gzip") && !verified.out.contains("damage"),
        "{}",
        verified.out
    );
    for shown in [&shown, &found, &export] {
        assert!(!(shown.out.contains("damage") || shown.err.contains("damage")), "{shown:?}");
    }
    // Beside event files it is only said.
    place.write("x.tfevents.1", event_file(&[0.5]));
    for arguments in [&["inspect", "."][..], &["export", "."], &["plot", "."], &["watch", ".", "--once"]] {
        let ran = place.run(arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.err);
        assert!(ran.out.contains(told) || ran.err.contains(told), "{arguments:?}: {ran:?}");
    }
}
