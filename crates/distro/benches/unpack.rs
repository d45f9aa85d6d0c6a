//! What it costs to unpack packages to layers, and beside it to decompress them and throw everything away: all
//! packages of the directory that is the argument, two at a time, in turns.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "a benchmark")]

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use distro::deb::ar::Archive;
use distro::deb::{Compression, unpack};

const N_RUNS: usize = 9;
/// What is worked on at once.
const N_THREADS: usize = 2;

fn main() {
    let Some(directory) = std::env::args_os().skip(1).find(|argument| argument != "--bench") else {
        println!("skipped: the argument is to be a directory of packages");
        return;
    };
    let mut packages: Vec<(u64, PathBuf)> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "deb"))
        .map(|entry| (entry.metadata().unwrap().len(), entry.path()))
        .collect();
    // The largest first, or one of them would be left alone at the end.
    packages.sort_by(|left, right| right.cmp(left));
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut times = [Vec::new(), Vec::new()];
    // The first round warms up.
    for run in 0..=N_RUNS {
        let layers = scratch.path().join(run.to_string());
        fs::create_dir(&layers).unwrap();
        let layer = |idx: usize| layers.join(format!("{idx}.tar"));
        let unpacking = two_at_a_time(&packages, |idx, package| drop(unpack(package, &layer(idx)).unwrap()));
        let decompressing = two_at_a_time(&packages, |_, package| decompress(package));
        if run > 0 {
            times[0].push(unpacking);
            times[1].push(decompressing);
        }
    }
    println!("{} packages, {N_RUNS} runs", packages.len());
    println!("{:24} {:>9} {:>9} {:>9}", "", "fastest", "median", "90 %");
    let ms = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1e3);
    for (name, mut times) in ["unpack to layers", "decompress"].into_iter().zip(times) {
        times.sort();
        let [fastest, median, most] = [0, N_RUNS / 2, N_RUNS * 9 / 10].map(|idx| ms(times[idx]));
        println!("{name:24} {fastest:>9} {median:>9} {most:>9}");
    }
}

fn two_at_a_time(packages: &[(u64, PathBuf)], work: impl Fn(usize, &Path) + Sync) -> Duration {
    let next = AtomicUsize::new(0);
    let worker = || {
        loop {
            let idx = next.fetch_add(1, Ordering::Relaxed);
            let Some((_, package)) = packages.get(idx) else { return };
            work(idx, package);
        }
    };
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..N_THREADS {
            scope.spawn(worker);
        }
    });
    start.elapsed()
}

/// Decompresses all members of a package.
fn decompress(package: &Path) {
    let input = BufReader::with_capacity(64 << 10, File::open(package).unwrap());
    let mut archive = Archive::new(input).unwrap();
    let mut buffer = vec![0; 256 << 10];
    while let Some(member) = archive.next_member().unwrap() {
        let suffix = member.name.strip_prefix("control.tar").or(member.name.strip_prefix("data.tar"));
        let Some(compression) = suffix.and_then(Compression::from_suffix) else { continue };
        let mut decoded = compression.decode(archive.contents()).unwrap();
        while io::Read::read(&mut decoded, &mut buffer).unwrap() > 0 {}
    }
}
