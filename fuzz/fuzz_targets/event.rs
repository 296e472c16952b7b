//! A file made of any events reads to its end, the same in every way of reading.
#![no_main]

use std::io::Read;

use tfevents::scalar::Content;
use tfevents::series::{Point, Recording};
use tfevents::tail::{self, Ingested};
use tfevents::record as tfrecord;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [size, data @ ..] = data else { return };
    let mut bytes = Vec::new();
    let mut rest = data;
    // Every so many bytes are one event.
    while let [length, more @ ..] = rest {
        let (event, more) = more.split_at(usize::from(*length).min(more.len()));
        tfrecord::encode(event, &mut bytes);
        rest = more;
    }
    let ways: [&dyn Fn(&mut dyn FnMut(String)); 3] = [
        &|say| tail::read_bytes(&bytes, &mut |_, said| say(format!("{said:?}"))),
        &|say| {
            let mut buffer = vec![0; 1 + usize::from(*size)];
            let fill = |at: u64, buffer: &mut [u8]| (&bytes[at as usize..]).read(buffer);
            tail::read_at(&mut buffer, fill, &mut |_, said| say(format!("{said:?}"))).expect("no IO");
        },
        &|say| tail::read(&*bytes, &mut |_, said| say(format!("{said:?}"))).expect("no IO"),
    ];
    let [first, second, third] = ways.map(|way| {
        let mut all = Vec::new();
        way(&mut |said| all.push(said));
        all
    });
    assert_eq!(first, second);
    assert_eq!(first, third);

    let (mut recording, mut n) = (Recording::default(), 0);
    tail::read_bytes(&bytes, &mut |_, said| {
        if let Ingested::Value { step, wall_time, tag, content, metadata } = said {
            // Nothing to compare: it must not panic.
            let _ = (metadata.plugin(), metadata.hparams());
            if let Content::Scalar(value) = content {
                recording.add(tag, Point { step, wall_time, value });
                n += 1;
            }
        }
    });
    assert_eq!(recording.iter().map(|(_, points)| points.iter().count()).sum::<usize>(), n);
});
