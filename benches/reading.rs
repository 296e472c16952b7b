fn main() {
    use std::os::unix::fs::FileExt;
    use std::time::Instant;
    let path = std::env::args().nth(1).unwrap();
    let what = std::env::args().nth(2).unwrap();
    let file = std::fs::File::open(&path).unwrap();
    let mut small = vec![0; 256 << 10];
    for _ in 0..20 {
        let start = Instant::now();
        let mut n2 = 0u64;
        if what == "record" {
            let mut r = hptune::series::Recording::default();
            hptune::tail::read_at(&mut small, |at, b| file.read_at(b, at), &mut |_, said| {
                if let hptune::tail::Ingested::Value {
                    step,
                    wall_time,
                    tag,
                    content: hptune::scalar::Content::Scalar(value),
                    ..
                } = said
                {
                    r.add(tag, hptune::series::Point { step, wall_time, value });
                }
            })
            .unwrap();
        } else {
            hptune::tail::read_at(&mut small, |at, b| file.read_at(b, at), &mut |_, said| {
                if let hptune::tail::Ingested::Value { .. } = said {
                    n2 += 1;
                }
            })
            .unwrap();
        }
        println!("{n2} {:?}", start.elapsed());
    }
}
