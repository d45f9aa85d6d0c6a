//! Budgets that nothing could keep.

use super::Checker;
use crate::filesystem::ImageSize;
use crate::scalar::{GuestPath, Name, Size};
use crate::{Problem, Spanned, Target};

impl Checker<'_> {
    pub(super) fn budgets(&mut self, name: &Name, target: &Target) {
        let (max_size, size) = match target {
            Target::Filesystem(filesystem) => {
                let size = filesystem.size.as_ref().and_then(|size| match size.value {
                    ImageSize::Fixed(fixed) => Some((fixed, &size.place)),
                    ImageSize::Min => None,
                });
                (&filesystem.max_size, size)
            }
            Target::Rootfs(rootfs) => (&rootfs.max_size, None),
            Target::Initramfs(initramfs) => (&initramfs.max_size, None),
            _ => (&None, None),
        };
        if let (Some(most), Some((size, place))) = (max_size, size)
            && size > most.value
        {
            self.report(
                Problem::at(&most.place, format!("`{name}` has more than its `max-size`"))
                    .related(place, "its size is fixed here"),
            );
        }
        let Some(budgets) = crate::budget::Budgets::of(target) else { return };
        let directories: Vec<(&GuestPath, &Spanned<Size>)> = budgets.directories.iter().collect();
        for (path, budget) in &directories {
            if let Some(most) = max_size.as_ref().filter(|most| budget.value > most.value) {
                self.report(
                    Problem::at(
                        &budget.place,
                        format!("`{}` may take more than `{name}` as a whole", path.as_str()),
                    )
                    .related(&most.place, "its `max-size` is here"),
                );
            }
        }
    }
}
