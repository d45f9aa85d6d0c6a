//! Budgets: how large targets and directories in them may be.

use std::collections::BTreeMap;

use crate::Spanned;
use crate::scalar::{GuestPath, Size};
use crate::target::Target;

/// What a target may have at most.
#[derive(Clone, Copy, Debug)]
pub struct Budgets<'t> {
    /// As a whole.
    pub max_size: Option<Size>,
    /// By path.
    pub directories: &'t BTreeMap<GuestPath, Spanned<Size>>,
}

/// What a target without budgets for directories has.
static NONE: BTreeMap<GuestPath, Spanned<Size>> = BTreeMap::new();

impl Budgets<'_> {
    /// Returns the budgets of a target, if it has some.
    pub fn of(target: &Target) -> Option<Budgets<'_>> {
        let (max_size, directories) = match target {
            Target::Filesystem(filesystem) => (&filesystem.max_size, &filesystem.budgets),
            Target::Rootfs(rootfs) => (&rootfs.max_size, &rootfs.budgets),
            Target::Initramfs(initramfs) => (&initramfs.max_size, &initramfs.budgets),
            Target::Disk(disk) => (&disk.max_size, &NONE),
            _ => return None,
        };
        let budgets = Budgets { max_size: max_size.as_ref().map(|size| size.value), directories };
        (budgets.max_size.is_some() || !budgets.directories.is_empty()).then_some(budgets)
    }
}
