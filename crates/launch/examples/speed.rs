//! How fast pages are measured: `cargo run --release -p launch --example speed [MIB [PLATFORM]]`.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "an example that measures time"
)]

use std::time::Instant;

use launch::{
    Data, Directive, File, Import, Page, PageKind, Platform, PlatformKind, Revision, ZeroPages, measure,
    write,
};

fn main() {
    let n_mib: usize = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(64);
    let mut state = 1_u64;
    let contents: Vec<u8> = (0..n_mib << 17)
        .flat_map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_le_bytes()
        })
        .collect();
    let kinds = [PlatformKind::SevSnp, PlatformKind::Tdx, PlatformKind::Vsm, PlatformKind::SevEs];
    let platforms = kinds.iter().zip(0..);
    let file = File {
        revision: Revision::V1,
        platforms: platforms
            .map(|(kind, bit)| Platform {
                kind: *kind,
                mask: 1 << bit,
                highest_vtl: 0,
                shared_gpa_boundary: 0,
            })
            .collect(),
        initializations: Vec::new(),
        directives: contents
            .chunks_exact(4096)
            .zip((0..).step_by(4096))
            .map(|(bytes, gpa)| {
                Directive::Page(Page {
                    gpa,
                    mask: 15,
                    kind: PageKind::Normal,
                    import: Import::Measured,
                    size: 4096,
                    data: Some(Data::new(bytes)),
                })
            })
            .collect(),
    };
    let bytes = write(&file).unwrap();
    let began = Instant::now();
    let file = File::parse(&bytes).unwrap();
    println!("read: {:.1} ms", began.elapsed().as_secs_f64() * 1e3);
    let only = std::env::args().nth(2);
    for kind in kinds.into_iter().filter(|kind| only.as_ref().is_none_or(|only| kind.name() == only)) {
        let best = (0..5)
            .map(|_| {
                let began = Instant::now();
                measure(&file, kind, ZeroPages::Normal).unwrap();
                began.elapsed().as_secs_f64()
            })
            .fold(f64::MAX, f64::min);
        println!("{kind}: {:.0} MB/s", contents.len() as f64 / 1e6 / best);
    }
}
