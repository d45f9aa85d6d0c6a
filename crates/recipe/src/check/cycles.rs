//! Who needs whom, and environments, targets and tests that need themselves.

use std::collections::{BTreeMap, BTreeSet};

use crate::device_tree::Origin;
use crate::scalar::Name;
use crate::stack::Recipe;
use crate::target::{ArchiveFile, Content, FileEntry, Target};
use crate::{Machine, Place, Problem, Spanned};

/// Reports environments, targets and tests that need themselves, each cycle once.
pub(super) fn check(recipe: &Recipe, problems: &mut Vec<Problem>) {
    let environments: Edges<'_> = recipe
        .env
        .iter()
        .map(|(name, env)| (name, env.extends.iter().map(|parent| (&***parent, &parent.place)).collect()))
        .collect();
    let targets: Edges<'_> = {
        let needed = |target| references(target, &recipe.machine);
        recipe.target.iter().map(|(name, target)| (name, needed(target))).collect()
    };
    let tests: Edges<'_> = recipe
        .test
        .iter()
        .map(|(name, test)| (name, test.after.iter().map(|after| (&***after, &after.place)).collect()))
        .collect();
    let all =
        [("environment", "extend", environments), ("target", "need", targets), ("test", "follow", tests)];
    for (noun, verb, edges) in all {
        for cycle in find_cycles(&edges) {
            let names: Vec<String> = cycle.iter().map(|(name, _)| format!("`{name}`")).collect();
            let message = match &names[..] {
                [only] => format!("{noun} {only} {verb}s itself"),
                _ => format!("{noun}s {verb} each other: {} → {}", names.join(" → "), names[0]),
            };
            let (_, closing) = cycle[cycle.len() - 1];
            let mut problem = Problem::at(closing, message);
            for (idx, (name, place)) in cycle.iter().enumerate().take(cycle.len() - 1) {
                problem = problem.related(place, format!("`{name}` {verb}s {} here", names[idx + 1]));
            }
            problems.push(problem.help("one of these references has to go"));
        }
    }
}

/// Returns the targets that `target` needs, and where it says so; what a device tree needs, `machines` have.
pub(crate) fn references<'a>(
    target: &'a Target,
    machines: &'a BTreeMap<Name, Spanned<Machine>>,
) -> Vec<(&'a Name, &'a Place)> {
    fn files<'a>(files: impl Iterator<Item = &'a Spanned<FileEntry>>) -> Vec<(&'a Name, &'a Place)> {
        files
            .filter_map(|file| match &file.content {
                Content::Target(reference) => Some((&reference.target, &reference.place)),
                Content::Text(_) | Content::File(_) => None,
            })
            .collect()
    }
    fn of_target(file: &Spanned<ArchiveFile>) -> Option<(&Name, &Place)> {
        match &file.value {
            ArchiveFile::Target(reference) => Some((&reference.target, &reference.place)),
            ArchiveFile::File(_) => None,
        }
    }
    match target {
        Target::Command(command) => {
            command.inputs.values().map(|input| (&input.target, &input.place)).collect()
        }
        Target::Cargo(cargo) => cargo.inputs.values().map(|input| (&input.target, &input.place)).collect(),
        Target::Make(make) => make.inputs.values().map(|input| (&input.target, &input.place)).collect(),
        Target::Xbuild(xbuild) => xbuild.firmware.iter().filter_map(of_target).collect(),
        Target::Rootfs(rootfs) => {
            let layers = rootfs.layers.iter().map(|layer| (&***layer, &layer.place));
            layers.chain(files(rootfs.files.values())).collect()
        }
        Target::Initramfs(initramfs) => {
            let layers = initramfs.layers.iter().map(|layer| (&***layer, &layer.place));
            let kernel = initramfs.modules.iter().map(|modules| (&**modules.kernel, &modules.kernel.place));
            let entries = initramfs.files.values().chain([&initramfs.init]);
            let contents = files(entries.chain(initramfs.early.values()));
            let archives = initramfs.prepend.iter().filter_map(of_target);
            layers.chain(kernel).chain(contents).chain(archives).collect()
        }
        Target::Filesystem(filesystem) => {
            let rootfs = filesystem.rootfs.iter().map(|rootfs| (&***rootfs, &rootfs.place));
            let boot = filesystem.iso.iter().flat_map(|iso| iso.bytes().filter_map(|bytes| bytes.target));
            let boot = boot.map(|target| (&target.target, &target.place));
            rootfs.chain(files(filesystem.files.values())).chain(boot).collect()
        }
        Target::Disk(disk) => {
            let targets = disk.bytes().filter_map(|bytes| bytes.target);
            targets.map(|target| (&target.target, &target.place)).collect()
        }
        Target::Convert(convert) => {
            let backing = convert.formats.backing().and_then(|backing| backing.target.as_ref());
            let targets = convert.target.iter().chain(backing);
            targets.map(|target| (&target.target, &target.place)).collect()
        }
        Target::Dtb(dtb) => {
            let base = dtb.base.iter().map(|base| (&base.target, &base.place));
            let initrd = dtb.initrd.iter().filter_map(|initrd| {
                let machine = machines.get(initrd.machine.as_str())?;
                let file = machine.regions.get(initrd.region.as_str())?.content.file()?;
                Some((&file.target, &initrd.region.place))
            });
            let machine = dtb.machine.iter().filter_map(|machine| machines.get(machine.as_str()));
            let qemu = machine.filter_map(|machine| machine.qemu.as_ref());
            let qemu = qemu.map(|file| (&file.target, &file.place));
            let sources = dtb.dts.iter().chain(&dtb.includes).chain(&dtb.overlays);
            let sources = sources.filter_map(|origin| match &origin.value {
                Origin::Target(reference) => Some((&reference.target, &reference.place)),
                Origin::Project(_) | Origin::Source(_) => None,
            });
            base.chain(initrd).chain(qemu).chain(sources).collect()
        }
        Target::Igvm(igvm) => igvm.files().filter_map(of_target).collect(),
        Target::Uki(uki) => {
            let root_hash = uki.root_hash.iter().map(|of| (&of.target, &of.place));
            let texts = files(uki.os_release.iter());
            uki.files().filter_map(of_target).chain(root_hash).chain(texts).collect()
        }
        Target::Signed(signed) => signed.files().filter_map(of_target).collect(),
        Target::EfiVariables(variables) => variables.files().filter_map(of_target).collect(),
        Target::Verity(verity) => of_target(&verity.image).into_iter().collect(),
        Target::Grub(grub) => files(grub.config.iter()),
        Target::Kernel(_) | Target::KernelPackage(_) | Target::Extract(_) => Vec::new(),
    }
}

type Edges<'a> = BTreeMap<&'a Name, Vec<(&'a Name, &'a Place)>>;

/// Returns cycles, each as its members with the place where the member refers to the next one. Every member
/// of a cycle is in one that is returned.
fn find_cycles<'a>(edges: &Edges<'a>) -> Vec<Vec<(&'a Name, &'a Place)>> {
    let mut cycles = Vec::new();
    let mut done: BTreeSet<&Name> = BTreeSet::new();
    for start in edges.keys() {
        // The path from `start`, each member with the index of its next reference to follow: a stack of our
        // own, since a recipe may have chains longer than ours.
        let mut path: Vec<(&'a Name, usize)> = vec![(start, 0)];
        while let Some((name, next)) = path.last_mut() {
            let name = *name;
            let Some((to, _)) = (!done.contains(name)).then(|| edges.get(name)?.get(*next)).flatten() else {
                done.insert(name);
                path.pop();
                continue;
            };
            *next += 1;
            if let Some(begin) = path.iter().position(|(member, _)| member == to) {
                let member = |(name, next): &(&'a Name, usize)| (*name, edges[name][next - 1].1);
                cycles.push(path[begin..].iter().map(member).collect());
            } else if edges.contains_key(to) {
                path.push((to, 0));
            }
        }
    }
    cycles
}
