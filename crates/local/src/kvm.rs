//! What steps find out about KVM, kept for later ones until this machine restarts.
//!
//! What the text says is between the steps and whoever shows it; here it is one line that somebody left. It
//! never reaches a key: a step finds it beside its input tree, and its result must be the same either way.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Where a step that may use KVM finds what earlier ones left, and writes what it finds out itself.
pub(crate) const NOTE_IN_STEP: &str = "/build/host/kvm";

/// Another kernel may have another KVM: its name is that of this boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// More than this is no note.
const LONGEST: usize = 1000;

/// The file with what is known of KVM since this machine booted.
#[derive(Clone, Debug)]
pub struct KvmNote {
    path: PathBuf,
}

impl KvmNote {
    /// Returns the note of this boot in `directory`; `None` where the system does not tell boots apart.
    pub fn in_directory(directory: &Path) -> Option<KvmNote> {
        let boot = fs::read_to_string(BOOT_ID).ok()?;
        let boot = boot.trim();
        let is_name =
            !boot.is_empty() && boot.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        is_name.then(|| KvmNote { path: directory.join(format!("kvm-{boot}")) })
    }

    /// Returns where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns what it says; nothing is said as an empty text.
    pub fn read(&self) -> String {
        fs::read_to_string(&self.path).unwrap_or_default()
    }

    /// Puts a copy at `place` for a step.
    pub(crate) fn lend(&self, place: &Path) -> io::Result<()> {
        fs::write(place, self.read())
    }

    /// Takes over what a step made of its copy at `place`. Notes of earlier boots go.
    pub(crate) fn take_back(&self, place: &Path) -> io::Result<()> {
        let mut text = String::new();
        // Of a file that the step may have made as large as it likes.
        fs::File::open(place)?.take(LONGEST as u64 + 1).read_to_string(&mut text)?;
        if text.is_empty() || text.len() > LONGEST || text == self.read() {
            return Ok(());
        }
        let directory = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory)?;
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if entry.path() != self.path && entry.file_name().to_string_lossy().starts_with("kvm-") {
                // Another process may do the same.
                let _gone = fs::remove_file(entry.path());
            }
        }
        // Builds side by side may write at once; each must leave a whole line.
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        io::Write::write_all(&mut file, text.as_bytes())?;
        file.persist(&self.path).map(drop).map_err(|error| error.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_step_leaves_the_next_one_finds() {
        let scratch = tempfile::tempdir().unwrap();
        let notes = scratch.path().join("host");
        let note = KvmNote::in_directory(&notes).unwrap();
        let place = scratch.path().join("kvm");
        note.lend(&place).unwrap();
        assert_eq!(fs::read_to_string(&place).unwrap(), "");
        note.take_back(&place).unwrap();
        assert!(!notes.exists(), "nothing was found out");

        fs::write(&place, "kvm\n").unwrap();
        note.take_back(&place).unwrap();
        fs::write(notes.join("kvm-of-an-earlier-boot"), "tcg: old").unwrap();
        let later = scratch.path().join("later");
        KvmNote::in_directory(&notes).unwrap().lend(&later).unwrap();
        assert_eq!(fs::read_to_string(&later).unwrap(), "kvm\n");

        fs::write(&later, "tcg: KVM gave up\n").unwrap();
        note.take_back(&later).unwrap();
        assert_eq!(note.read(), "tcg: KVM gave up\n");
        assert_eq!(fs::read_dir(&notes).unwrap().count(), 1, "the note of an earlier boot is gone");

        fs::write(&later, "x".repeat(LONGEST + 1)).unwrap();
        note.take_back(&later).unwrap();
        assert_eq!(note.read(), "tcg: KVM gave up\n");
    }
}
