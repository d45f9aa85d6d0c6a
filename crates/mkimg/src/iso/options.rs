//! What a caller decides about a file system before anything is in it.

use super::date::is_long;
use super::error::Error;
use super::hybrid::Hybrid;
use crate::tree::Timestamp;

/// The time of a volume's last change, which `blkid` and boot loaders know as its UUID: sixteen digits, YYYYMMDDhhmmsscc.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Uuid(pub(super) [u8; 16]);

impl Uuid {
    /// Reads sixteen digits, or the form with hyphens that `blkid` prints.
    pub fn parse(text: &str) -> Option<Uuid> {
        let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
        let digits = <[u8; 16]>::try_from(digits).ok()?;
        is_long(&digits).then_some(Uuid(digits))
    }
}

/// What the volume descriptor says to people.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels {
    /// The system that can use the first sectors.
    pub system: String,
    /// The set of volumes that it is one of.
    pub volume_set: String,
    /// Who publishes it.
    pub publisher: String,
    /// Who made it.
    pub preparer: String,
    /// What it is for, or what made it.
    pub application: String,
}

/// Options of a file system.
#[derive(Debug, Clone)]
pub struct Options {
    /// The name of the volume, by which it is found: 1 to 32 bytes of printable ASCII.
    pub volume_id: String,
    /// What else the volume descriptor says.
    pub labels: Labels,
    /// When it was made; the root has this time, too.
    pub epoch: Timestamp,
    /// Its UUID, if that is not the epoch.
    pub uuid: Option<Uuid>,
    /// Whether there is a second tree for Windows. It has no links and no devices, and names of 64 UTF-16 units.
    pub joliet: bool,
    /// What is in the sectors before the file system.
    pub hybrid: Option<Hybrid>,
}

impl Options {
    /// Returns the options of a file system with a Joliet tree, and nothing before the file system.
    pub fn new(volume_id: &str, epoch: Timestamp) -> Options {
        let labels = Labels { system: "LINUX".to_owned(), ..Labels::default() };
        Options { volume_id: volume_id.to_owned(), labels, epoch, uuid: None, joliet: true, hybrid: None }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let Labels { system, volume_set, publisher, preparer, application } = &self.labels;
        let texts = [
            ("volume id", &self.volume_id, 1, 32),
            ("system id", system, 0, 32),
            ("id of the volume set", volume_set, 0, 128),
            ("publisher", publisher, 0, 128),
            ("preparer", preparer, 0, 128),
            ("application id", application, 0, 128),
        ];
        for (what, text, least, limit) in texts {
            let is_printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
            if !(least..=limit).contains(&text.len()) || !is_printable {
                return Err(Error::Label { what, text: text.clone(), least, limit });
            }
        }
        match &self.hybrid {
            Some(hybrid) => hybrid.check(),
            None => Ok(()),
        }
    }
}
