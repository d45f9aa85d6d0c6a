//! What a boot finds of the machine it runs on: KVM, and what is known of it.
//!
//! Finding out that KVM is of no use takes seconds, so the answer is noted in a file for the boots that come
//! later. Who provides the file decides how long it is kept: the answer holds until the machine restarts.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The longest reason that is believed to be one.
const LONGEST_REASON: usize = 200;

/// The machine that guests run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The device of KVM.
    pub kvm: PathBuf,
    /// The file with what is known of KVM. It is used only if it exists, and may be empty.
    pub note: PathBuf,
}

impl Host {
    /// Returns the machine as a sandbox shows it, with the note in the file `note`.
    pub fn new(note: &Path) -> Host {
        Host { kvm: PathBuf::from("/dev/kvm"), note: note.to_owned() }
    }

    /// Returns what was found out about KVM before; `None` when that is nothing, or not understood.
    pub fn recall(&self) -> Option<Verdict> {
        fs::read_to_string(&self.note).ok()?.parse().ok()
    }

    /// Notes what was found out about KVM, if there is a file for it.
    pub fn note(&self, verdict: &Verdict) {
        if self.note.exists() {
            // Without the note the next boot only takes longer.
            let _ = fs::write(&self.note, format!("{verdict}\n"));
        }
    }
}

/// What is known of KVM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It runs guests as fast as it should.
    Usable,
    /// It does not, for this reason.
    Unusable(String),
}

/// Written as one line: `kvm`, or `tcg: ` and the reason.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Usable => f.write_str("kvm"),
            Verdict::Unusable(reason) => write!(f, "tcg: {reason}"),
        }
    }
}

/// A text is no verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither `kvm` nor `tcg: ` and a reason")]
pub struct NoVerdict;

impl FromStr for Verdict {
    type Err = NoVerdict;

    fn from_str(text: &str) -> Result<Verdict, NoVerdict> {
        match text.trim_end().split_once(": ") {
            None if text.trim_end() == "kvm" => Ok(Verdict::Usable),
            // It is shown to people, and whoever could write to the file may have put anything there.
            Some(("tcg", reason))
                if !reason.is_empty()
                    && reason.len() <= LONGEST_REASON
                    && !reason.contains(char::is_control) =>
            {
                Ok(Verdict::Unusable(reason.to_owned()))
            }
            _ => Err(NoVerdict),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_lines() {
        for verdict in [Verdict::Usable, Verdict::Unusable("KVM is too slow: 2 s".to_owned())] {
            assert_eq!(format!("{verdict}\n").parse(), Ok(verdict));
        }
        let long = format!("tcg: {}", "x".repeat(LONGEST_REASON + 1));
        for other in ["", "kvm: yes", "tcg", "tcg: ", "tcg: a\nb", "tcg: \u{1b}[2J", "KVM", &long] {
            assert_eq!(other.parse::<Verdict>(), Err(NoVerdict), "{other}");
        }
    }

    #[test]
    fn without_a_file_nothing_is_noted() {
        let directory = tempfile::tempdir().unwrap();
        let host = Host::new(&directory.path().join("note"));
        host.note(&Verdict::Usable);
        assert_eq!(host.recall(), None);
        fs::write(&host.note, "").unwrap();
        assert_eq!(host.recall(), None);
        host.note(&Verdict::Usable);
        assert_eq!(host.recall(), Some(Verdict::Usable));
    }
}
