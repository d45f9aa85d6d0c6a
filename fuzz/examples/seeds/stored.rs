//! What our own files hold: directories in the store, and a lock.

use cas::{Digest, Directory, Node};
use recipe::{Lock, LockedFile, LockedRelease, LockedSet, LockedSource, Pin};

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
