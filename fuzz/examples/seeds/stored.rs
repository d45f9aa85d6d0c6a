//! What our own files hold: directories and actions in the store, logs of builds, and locks.

use std::fs;
use std::time::Duration;

use cas::{Digest, Directory, Node};
use engine::{Action, ActionResult, Command, Event, EventKind, Run, Usage};
use fuzz::git;
use fuzz::step::Step;
use launch::lock::{Lock as Measurements, expected};
use launch::{PlatformKind, ZeroPages};
use recipe::{Lock, LockedFile, LockedRelease, LockedSet, LockedSource, Pin};

use crate::Result;
use crate::text::SHA256;

pub(crate) fn directory() -> Directory {
    let digest = Digest::of(b"content");
    let file = |executable| Node::File { digest, executable };
    let nodes = [
        ("a", file(false)),
        ("b", file(true)),
        ("c", Node::Directory { digest }),
        ("d", Node::Symlink { target: "../a".to_owned() }),
    ];
    Directory { entries: nodes.into_iter().map(|(name, node)| (name.to_owned(), node)).collect() }
}

pub(crate) fn lock() -> Lock {
    let text = str::to_owned;
    let release =
        || LockedRelease { suite: text("bookworm"), archive: text("debian"), date: text("20250111T101500Z") };
    let pin = Pin {
        name: text("demo"),
        version: text("1:1.0-1"),
        arch: text("amd64"),
        suite: text("bookworm"),
        filename: text("pool/main/d/demo/demo_1.0-1_amd64.deb"),
        size: 345,
        sha256: text(SHA256),
        with: Some(text("minbase")),
    };
    let set = LockedSet { request: text(SHA256), releases: vec![release()], pins: vec![pin] };
    let file =
        LockedFile { filename: text("pool/main/d/demo/demo_1.0-1.dsc"), size: 12, sha256: text(SHA256) };
    let sources = [
        ("url", LockedSource::Url { url: text("https://example.org/a"), sha256: text(SHA256), size: 1 }),
        (
            "git",
            LockedSource::Git {
                git: text("https://example.org/a.git"),
                rev: text("v1"),
                commit: text(&SHA256[..40]),
                submodules: true,
                tree: Digest::of(b"tree"),
            },
        ),
        (
            "debian",
            LockedSource::Debian {
                debian_source: text("demo"),
                distro: text("debian:bookworm"),
                version: text("1.0-1"),
                release: release(),
                files: vec![file],
            },
        ),
    ];
    Lock {
        packages: [(text("env e"), set)].into(),
        sources: sources.into_iter().map(|(name, source)| (name.to_owned(), source)).collect(),
    }
}

/// What is expected of an image.
pub(crate) fn measurements() -> Result<Measurements> {
    let [(_, file), _] = crate::igvm::igvm();
    let bytes = launch::write(&file)?;
    let expected = expected(&launch::File::parse(&bytes)?, PlatformKind::SevSnp, ZeroPages::Normal)?;
    Ok(Measurements { images: [("a.igvm".to_owned(), [(PlatformKind::SevSnp, expected)].into())].into() })
}

/// A message of each kind, and the log of a build.
pub(crate) fn messages() -> [(&'static str, Vec<u8>); 5] {
    let digest = Digest::of(b"content");
    let pairs = |name: &str| vec![(name.to_owned(), "value".to_owned())];
    let label = || "step".to_owned();
    let command = Command { arguments: vec![label()], environment: pairs("LANG"), platform: pairs("cores") };
    let action = Action { command: digest, input_root: digest, platform: pairs("cores") };
    let (wall, cpu) = (Duration::from_millis(1500), Duration::from_millis(2500));
    let usage = Usage { wall, cpu, peak_memory: 1 << 20 };
    let result = ActionResult { exit_code: 1, output: digest, log: digest, usage };
    let ended = EventKind::Ended {
        label: label(),
        action: digest,
        exit_code: 1,
        output: digest,
        log: digest,
        usage,
        kept: Some("/kept".to_owned()),
    };
    let kinds = [
        EventKind::Began { steps: 2, jobs: 2 },
        EventKind::Hit { label: "other".to_owned(), action: digest },
        EventKind::Started { label: label(), action: digest, slot: 0, attempt: 1, expected: Some(wall) },
        EventKind::Retried { label: label(), error: "no room".to_owned() },
        EventKind::Started { label: label(), action: digest, slot: 0, attempt: 2, expected: None },
        ended,
    ];
    let events: Vec<Event> = kinds.into_iter().map(|kind| Event { at: wall, kind }).collect();
    let log: String = events.iter().map(Event::to_line).collect();
    let runs: String = events.iter().filter_map(Run::of_event).map(|run| run.to_line()).collect();
    [
        ("command", command.encode()),
        ("action", action.encode()),
        ("result", result.encode()),
        ("log", log.into_bytes()),
        ("history", runs.into_bytes()),
    ]
}

/// Returns the journal of an update that writes a few bytes, makes a hole and lets the image grow. Its sums are made right by
/// the target.
pub(crate) fn journal() -> Vec<u8> {
    let number = u64::to_le_bytes;
    let record =
        |kind: u8, offset: u64, length: u64| [&[kind][..], &number(offset), &number(length)].concat();
    [
        b"BWUPDAT1",
        &number(40_000)[..],
        &number(0),
        &record(1, 4096, 5),
        b"bytes",
        &record(2, 8192, 8192),
        &record(1, 45_000, 3),
        b"end",
        &[0],
        &number(50_000),
        &number(0),
    ]
    .concat()
}

/// Returns what the target `earlier` reads: of each image what its own run leaves, with a digest that is right or is made so.
pub(crate) fn earlier() -> Result<Vec<(String, Vec<u8>)>> {
    let directory = std::env::temp_dir().join(format!("bootwright-seeds-{}", std::process::id()));
    let step = Step::new(&directory);
    let mut found = Vec::new();
    for way in 0..step.n_ways() {
        let (image, table) = step.run(way, None);
        let length = u32::try_from(table.len())?.to_le_bytes();
        for (name, bit) in [("as it is", 0), ("sealed", 1)] {
            let first = u8::try_from(way << 1 | bit)?;
            found.push((format!("{way}, {name}"), [&[first][..], &length, &table, &image].concat()));
        }
    }
    fs::remove_dir_all(directory)?;
    Ok(found)
}

/// Returns what the target `git` reads, one of each kind.
pub(crate) fn repositories() -> [(&'static str, Vec<u8>); 7] {
    let (pack, said) = (git::sample_pack(), git::with_pack(&git::sample_pack()));
    let first = git::with_references(&pack);
    let kind = |kind: u8, bytes: &[u8]| [&[kind], bytes].concat();
    [
        ("said", kind(0, &said)),
        ("said, first version", kind(0, &first)),
        ("pack", kind(1, &pack)),
        ("pack, first version", kind(2, &pack)),
        ("directory", kind(3, &git::sample_directory())),
        ("answers", kind(4, &git::with_pack_over_http(&pack).join(&b"\xff\xff"[..]))),
        ("pack, HTTP", kind(5, &pack)),
    ]
}
