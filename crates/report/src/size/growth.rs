//! What differs in size between two images.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Image;

/// How an image differs in size from an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Growth {
    /// What the other one is called.
    pub against: String,
    /// How many bytes its file has.
    pub size_before: u64,
    /// How many bytes are used in it.
    pub used_before: u64,
    /// What differs: what changed most comes first.
    pub files: Vec<Changed>,
}

/// A file that takes more or less than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// Its path.
    pub path: String,
    /// How many bytes it took; none if it was not there.
    pub before: Option<u64>,
    /// How many bytes it takes; none if it is not there any more.
    pub after: Option<u64>,
    /// What brought it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
}

impl Changed {
    /// Returns by how much it grew, which is negative for what shrank.
    pub fn by(&self) -> i128 {
        i128::from(self.after.unwrap_or(0)) - i128::from(self.before.unwrap_or(0))
    }
}

impl Growth {
    /// Returns how `image` differs from `before`.
    pub fn of(image: &Image, before: &Image) -> Growth {
        let mut files: BTreeMap<&str, Changed> = BTreeMap::new();
        let new = |path: &str, package: &Option<String>| Changed {
            path: path.to_owned(),
            before: None,
            after: None,
            package: package.clone(),
        };
        for file in &before.files {
            let changed = files.entry(&file.path).or_insert_with(|| new(&file.path, &file.package));
            changed.before = Some(changed.before.unwrap_or(0).saturating_add(file.stored));
        }
        for file in &image.files {
            let changed = files.entry(&file.path).or_insert_with(|| new(&file.path, &file.package));
            changed.after = Some(changed.after.unwrap_or(0).saturating_add(file.stored));
            if file.package.is_some() {
                changed.package.clone_from(&file.package);
            }
        }
        let mut files: Vec<Changed> = files.into_values().filter(|changed| changed.by() != 0).collect();
        files.sort_by(|a, b| b.by().abs().cmp(&a.by().abs()).then_with(|| a.path.cmp(&b.path)));
        Growth { against: before.name.clone(), size_before: before.size, used_before: before.used(), files }
    }
}

#[cfg(test)]
mod tests {
    use super::super::File;
    use super::*;

    fn image(files: &[(&str, u64)]) -> Image {
        let file = |(path, stored): &(&str, u64)| File {
            path: (*path).to_owned(),
            size: *stored,
            stored: *stored,
            is_further_name: false,
            kind: "text".to_owned(),
            package: None,
        };
        Image { name: "image".to_owned(), files: files.iter().map(file).collect(), ..Image::default() }
    }

    #[test]
    fn what_changed_most_comes_first() {
        let before = image(&[("a", 10), ("b", 10), ("gone", 30), ("c", 5)]);
        let after = image(&[("a", 11), ("b", 10), ("new", 70), ("c", 1)]);
        let growth = Growth::of(&after, &before);
        let found: Vec<(&str, i128)> =
            growth.files.iter().map(|changed| (changed.path.as_str(), changed.by())).collect();
        assert_eq!(found, [("new", 70), ("gone", -30), ("c", -4), ("a", 1)]);
        assert_eq!((growth.files[1].before, growth.files[1].after), (Some(30), None));
        assert_eq!(growth.used_before, 55);
    }

    #[test]
    fn an_earlier_image_takes_over_what_brought_its_files() {
        let mut after = image(&[("a", 10), ("b", 5)]);
        after.files[0].package = Some("one".to_owned());
        let mut before = image(&[("a", 4), ("c", 1)]);
        assert_eq!(Growth::of(&after, &before).files[0].package.as_deref(), Some("one"));
        before.adopt_packages(&after);
        assert_eq!(before.files[0].package.as_deref(), Some("one"));
        assert_eq!(before.files[1].package, None);
        assert_eq!(crate::size::packages(&after, Some(&before))[0].before, Some(4));
    }
}
