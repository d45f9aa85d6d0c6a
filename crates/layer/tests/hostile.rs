//! Archives that mean harm: each is refused with a reason or is known to do none.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::io::{self, Read};

use layer::{Entry, ForeignReader, Limits};
use testkit::{Flood, Verdict, hostile_tars, tar};

/// Reads everything and returns the entries, or what is wrong with the archive.
fn read(archive: impl Read) -> Result<Vec<Entry>, String> {
    let mut reader = ForeignReader::new(archive, Limits::default());
    let mut entries = Vec::new();
    loop {
        match reader.next_entry() {
            Ok(None) => return Ok(entries),
            Ok(Some((entry, mut content))) => {
                entries.push(entry);
                io::copy(&mut content, &mut io::sink()).map_err(|error| error.to_string())?;
            }
            Err(error) => {
                let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |e| e.source());
                return Err(causes.map(ToString::to_string).collect::<Vec<_>>().join(": "));
            }
        }
    }
}

#[test]
fn every_hostile_archive_is_refused_or_harmless() {
    let all = hostile_tars();
    assert!(all.len() >= 60, "{}", all.len());
    let mut wrong = Vec::new();
    for hostile in all {
        let outcome = read(&hostile.bytes[..]);
        match (hostile.verdict, &outcome) {
            (Verdict::Refused(why), Err(text)) if text.contains(why) => {}
            (Verdict::Harmless(_) | Verdict::OnlyLayers(..), Ok(_)) => {}
            _ => wrong.push(format!("{}: {outcome:?} instead of {:?}", hostile.name, hostile.verdict)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_million_entries_are_read_and_one_more_is_refused() {
    assert_eq!(read(Flood::of_files(1_000_000)).unwrap().len(), 1_000_000);
    assert_eq!(read(Flood::of_files(1_000_001)).unwrap_err(), "the archive has more than 1000000 paths");
}

#[test]
fn headers_that_extend_nothing_end() {
    // No name is remembered of these, so only their number could be too large: they end with the input.
    for block in [tar::pax(&[]), tar::global(&[]), tar::directory("./")] {
        let _ = read(Flood::of(block, 100_000));
    }
}
