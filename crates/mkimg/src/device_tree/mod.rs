//! Writes device trees: one that is there, or an empty one, with overlays and edits.

pub(crate) mod compile;

use std::fs;
use std::io::Write as _;
use std::path::Path;

use fdt::{Edit, Part, Tree};

use crate::error::Error;
use crate::files::Directory;
use crate::spec::{DeviceTreeSpec, RamdiskSpec};

/// The node by which a boot program tells the kernel what it needs (Devicetree Specification v0.4, 3.6).
const CHOSEN: &str = "/chosen";

/// Edits the base and writes it as a blob and as source. Fails when the result is not a device tree that anybody could
/// read, with all that is wrong; returns what is wrong and was so in the base.
pub(crate) fn write(spec: &DeviceTreeSpec, directory: &Directory<'_>) -> Result<Vec<String>, Error> {
    let mut base = match &spec.base {
        Some(base) => read(&directory.path(base))?,
        None => Tree::default(),
    };
    for overlay in &spec.overlays {
        let path = directory.path(overlay);
        let overlay = read(&path)?;
        base = base.overlaid(overlay).map_err(|source| Error::DeviceTreeOverlay { path, source })?;
    }
    // What the recipe calls nodes goes before what the source calls them.
    let mut labels = base.symbols();
    labels.extend(spec.labels.clone());
    if spec.drop_symbols {
        base = base.without_symbols();
    }
    let inherited = fdt::check(&base);
    let mut edits = spec.edits.clone();
    if let Some(ramdisk) = &spec.ramdisk {
        edits.extend(ramdisk_edits(ramdisk, directory)?);
    }
    let tree = base.edited(&edits, &labels).map_err(Error::DeviceTreeEdit)?;
    let is_told =
        |problem: &fdt::Problem| inherited.contains(problem) && (!spec.strict || problem.is_of_name);
    let (told, problems): (Vec<_>, Vec<_>) = fdt::check(&tree).into_iter().partition(is_told);
    if !problems.is_empty() {
        return Err(Error::DeviceTree(problems.iter().map(ToString::to_string).collect()));
    }
    let blob = tree.write().map_err(Error::DeviceTreeWrite)?;
    for (path, bytes) in [(&spec.output, blob), (&spec.source_output, tree.to_dts().into_bytes())] {
        directory.produce(path, |output| {
            let mut writer = output.writer();
            writer.write_all(&bytes).map_err(|source| output.error(source))?;
            output.close(writer)
        })?;
    }
    Ok(told.iter().map(ToString::to_string).collect())
}

fn read(path: &Path) -> Result<Tree, Error> {
    let bytes = fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    Tree::parse(&bytes).map_err(|source| Error::DeviceTreeRead { path: path.to_owned(), source })
}

/// Says where the ramdisk is: `linux,initrd-start` and the first byte after it.
fn ramdisk_edits(ramdisk: &RamdiskSpec, directory: &Directory<'_>) -> Result<[Edit; 2], Error> {
    let path = directory.path(&ramdisk.file);
    let size = fs::metadata(&path).map_err(|source| Error::Read { path, source })?.len();
    let set = |property: &str, number: u64| Edit::SetProperty {
        node: CHOSEN.to_owned(),
        property: property.to_owned(),
        value: vec![Part::U64(vec![number])],
    };
    let end = ramdisk.address.saturating_add(size);
    Ok([set("linux,initrd-start", ramdisk.address), set("linux,initrd-end", end)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> DeviceTreeSpec {
        let set = |node: &str, property: &str, value| Edit::SetProperty {
            node: node.to_owned(),
            property: property.to_owned(),
            value,
        };
        DeviceTreeSpec {
            output: "out/a.dtb".to_owned(),
            source_output: "out/a.dts".to_owned(),
            edits: vec![
                set("/", "#address-cells", vec![Part::U32(vec![2])]),
                set("/", "#size-cells", vec![Part::U32(vec![2])]),
                set("/memory@40000000", "device_type", vec![Part::String("memory".to_owned())]),
                set("/memory@40000000", "reg", vec![Part::U64(vec![0x4000_0000, 0x2000_0000])]),
            ],
            ..DeviceTreeSpec::default()
        }
    }

    #[test]
    fn a_tree_out_of_nothing_with_a_ramdisk_and_again_with_more() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = Directory::new(scratch.path());
        fs::write(scratch.path().join("initrd"), [0; 1000]).unwrap();
        let ramdisk = Some(RamdiskSpec { file: "initrd".to_owned(), address: 0x5400_0000 });
        write(&DeviceTreeSpec { ramdisk, ..spec() }, &directory).unwrap();
        let source = fs::read_to_string(scratch.path().join("out/a.dts")).unwrap();
        assert!(source.contains("linux,initrd-end = <0x00 0x540003e8>;"), "{source}");

        let rename =
            Edit::RenameNode { node: "/memory@40000000".to_owned(), name: "memory@48000000".to_owned() };
        let again = DeviceTreeSpec {
            base: Some("out/a.dtb".to_owned()),
            output: "out/b.dtb".to_owned(),
            source_output: "out/b.dts".to_owned(),
            edits: vec![rename],
            ..DeviceTreeSpec::default()
        };
        let error = write(&again, &directory).unwrap_err().to_string();
        assert!(error.contains("/memory@48000000"), "the unit address is not that of `reg`: {error}");
    }

    #[test]
    fn what_was_wrong_in_a_blob_is_only_told() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = Directory::new(scratch.path());
        let set = |node: &str, property: &str, value| Edit::SetProperty {
            node: node.to_owned(),
            property: property.to_owned(),
            value,
        };
        let wrong = [
            set("/a", "status", vec![Part::U32(vec![1])]),
            set("/b@7", "reg", vec![Part::U32(vec![0, 8, 1])]),
            set("/__symbols__", "a", vec![Part::String("/a".to_owned())]),
        ];
        let base = Tree::default().edited(&wrong, &fdt::Labels::new()).unwrap();
        fs::write(scratch.path().join("base"), base.write().unwrap()).unwrap();
        let reference = Part::Phandle(fdt::Reference::Label("a".to_owned()));
        let edits = vec![set("/c", "memory-region", vec![reference])];
        let spec = DeviceTreeSpec { base: Some("base".to_owned()), edits, drop_symbols: true, ..spec() };
        let told = write(&spec, &directory).unwrap();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("`status` of `/a` should be `okay`"), "{told:?}");
        let source = fs::read_to_string(scratch.path().join("out/a.dts")).unwrap();
        assert!(source.contains("memory-region = <0x01>") && !source.contains("__symbols__"), "{source}");

        // In source of one's own a value counts; what a node is called does not yet.
        let error =
            write(&DeviceTreeSpec { strict: true, ..spec.clone() }, &directory).unwrap_err().to_string();
        assert!(error.contains("`status` of `/a`") && !error.contains("`/b@7`"), "{error}");
        let edits = vec![set("/d", "status", vec![Part::U32(vec![1])])];
        let error = write(&DeviceTreeSpec { edits, ..spec }, &directory).unwrap_err().to_string();
        assert!(error.contains("`status` of `/d`") && !error.contains("`/a`"), "{error}");
    }

    #[test]
    fn what_is_no_device_tree_is_said_so() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = Directory::new(scratch.path());
        fs::write(scratch.path().join("base"), "not a tree").unwrap();
        let spec = DeviceTreeSpec { base: Some("base".to_owned()), ..spec() };
        assert!(write(&spec, &directory).unwrap_err().to_string().contains("is not a device tree"));
    }
}
