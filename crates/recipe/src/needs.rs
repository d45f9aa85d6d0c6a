//! What a stack needs from outside before it can become actions: packages, sources, files of the project.

use std::collections::{BTreeMap, BTreeSet};

use cas::Digest;
use serde::Serialize;

use crate::check::references;
use crate::device_tree::Origin;
use crate::kernel::ConfigPart;
use crate::lock::Pin;
use crate::scalar::{Arch, Distro, Name, PackageName, ProjectPath, SourceRef, Url};
use crate::stack::{Base, Environment, Source};
use crate::target::{ArchiveFile, Content, FileEntry, Target};
use crate::xbuild::RELEASE;
use crate::{Place, Spanned, Stack};

/// Something that is wanted of a stack.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Goal {
    /// An environment, to enter it.
    Environment(Name),
    /// A target.
    Target(Name),
    /// A machine, to run it.
    Machine(Name),
    /// A test.
    Test(Name),
}

/// What must be known of the world before [`crate::lower`].
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// Package sets to resolve and fetch, by the name that the lock gives them: `env.tools`, `target.rootfs`.
    pub packages: BTreeMap<String, PackageSet>,
    /// Sources to lock and fetch, or to import. Those from a Debian package always name the distribution.
    pub sources: BTreeMap<Name, Spanned<Source>>,
    /// Files and directories of the project to import, and where each is asked for.
    pub paths: BTreeMap<ProjectPath, Place>,
    /// Files of sources that say what more is needed, and where each is asked for. It need not be there.
    pub texts: BTreeMap<FileIn, Place>,
    /// Those of them that are a `Cargo.lock` whose crates are needed.
    pub crates: BTreeMap<FileIn, Place>,
}

/// A file of a source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileIn {
    /// The source.
    pub source: Name,
    /// Its path in there, normalised.
    pub path: String,
}

/// Packages that one environment or target asks for.
#[derive(Clone, Debug)]
pub struct PackageSet {
    /// What is asked for.
    pub request: PackageRequest,
    /// Where it is asked for.
    pub place: Place,
    only: Option<&'static [&'static str]>,
}

impl PackageSet {
    /// Returns whether a pin of this set is used, and so has to be fetched.
    ///
    /// A package that merely depends on the newest kernel leads to it only through its relations; what else
    /// these bring is pinned and not used.
    pub fn uses(&self, pin: &Pin) -> bool {
        self.only.is_none_or(|prefixes| prefixes.iter().any(|prefix| pin.name.starts_with(prefix)))
    }
}

/// What is asked of a distribution. Whoever changes anything of it has to lock again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PackageRequest {
    /// The distribution, as in `debian`.
    pub distro: String,
    /// Its release, as in `bookworm`.
    pub release: String,
    /// The native architecture, by Debian's name.
    pub arch: String,
    /// The packages, each once, those of inherited environments first: `name`, `name:arch`, `name=version`. They are
    /// configured in this order, so that one at the end leaves the others as they are.
    pub packages: Vec<String>,
    /// What comes beside: `nothing`, `essential`, `minbase`.
    pub base: &'static str,
    /// Whether what packages recommend comes too.
    pub recommends: bool,
    /// Whether what packages need comes too.
    pub relations: bool,
    /// The archive, when not the distribution's own.
    pub mirror: Option<String>,
    /// The suites; none means the distribution's usual ones.
    pub suites: Vec<String>,
    /// The components; none means the usual one.
    pub components: Vec<String>,
}

impl PackageRequest {
    /// Returns what names this request in a lock: the SHA-256 of its canonical form. Packages in another order ask for
    /// the same, so what was locked for them stays.
    pub fn digest(&self) -> String {
        let mut canonical = self.clone();
        canonical.packages.sort_unstable();
        let text =
            serde_json::to_vec(&canonical).expect("a structure of texts and truth values is valid JSON");
        Digest::of(&text).hex()
    }
}

/// Kernel images and, where a distribution ships them apart, their modules.
const KERNEL_PACKAGES: &[&str] = &["linux-image-", "linux-modules-", "linux-modules-extra-"];

/// Everything that some goals stand on.
pub(crate) struct Closure<'a> {
    pub(crate) environments: BTreeSet<&'a Name>,
    /// What each needs comes before it.
    pub(crate) targets: Vec<&'a Name>,
    pub(crate) machines: BTreeSet<&'a Name>,
    pub(crate) tests: BTreeSet<&'a Name>,
}

/// Returns what the goals stand on. Goals that the stack does not have are not in it.
pub(crate) fn closure<'a>(stack: &'a Stack, goals: &[Goal]) -> Closure<'a> {
    let mut closure = Closure {
        environments: BTreeSet::new(),
        targets: Vec::new(),
        machines: BTreeSet::new(),
        tests: BTreeSet::new(),
    };
    let mut targets: Vec<&Name> = Vec::new();
    for goal in goals {
        match goal {
            Goal::Environment(name) => {
                closure.environments.extend(stack.environments.get_key_value(name).map(|(name, _)| name));
            }
            Goal::Target(name) => targets.extend(stack.targets.get_key_value(name).map(|(name, _)| name)),
            Goal::Machine(name) => {
                let Some((name, machine)) = stack.machines.get_key_value(name) else { continue };
                closure.machines.insert(name);
                // Nobody pushes anything into the guest of a test.
                targets.extend(machine.pushed().filter_map(|(_, file)| match &file.content {
                    Content::Target(file) => Some(&file.target),
                    Content::Text(_) | Content::File(_) => None,
                }));
            }
            Goal::Test(name) => {
                let mut next = stack.tests.get_key_value(name);
                while let Some((name, test)) = next {
                    closure.tests.insert(name);
                    let machine: &Name = &test.machine;
                    closure.machines.extend(stack.machines.get_key_value(machine).map(|(name, _)| name));
                    next = test.after.as_ref().and_then(|after| stack.tests.get_key_value(after.as_str()));
                }
            }
        }
    }
    for name in &closure.machines {
        let machine = &stack.machines[*name];
        closure.environments.insert(&machine.env);
        targets.extend(machine.files().map(|file| &file.target));
    }
    let mut done = BTreeSet::new();
    for target in targets {
        add_target(stack, target, &mut done, &mut closure.targets);
    }
    for name in &closure.targets {
        match &stack.targets[*name].value {
            Target::Command(command) => _ = closure.environments.insert(&command.env),
            Target::Kernel(kernel) => _ = closure.environments.insert(&kernel.env),
            Target::Cargo(cargo) => _ = closure.environments.insert(&cargo.env),
            Target::Make(make) => _ = closure.environments.insert(&make.env),
            Target::Xbuild(xbuild) => _ = closure.environments.insert(&xbuild.env),
            Target::Grub(grub) => _ = closure.environments.insert(&grub.env),
            Target::Dtb(dtb) => {
                closure
                    .environments
                    .extend(dtb.machine.iter().map(|machine| &*stack.machines[machine.as_str()].env.value));
                closure.environments.extend(dtb.env.iter().map(|env| &*env.value));
            }
            _ => {}
        }
    }
    closure
}

/// Adds a target behind everything that it needs. The stack has no cycles; its chains may be long, so the
/// way down is a list and not the call stack.
fn add_target<'a>(
    stack: &'a Stack,
    target: &'a Name,
    done: &mut BTreeSet<&'a Name>,
    order: &mut Vec<&'a Name>,
) {
    let mut path = vec![(target, false)];
    while let Some((name, is_ready)) = path.pop() {
        if is_ready {
            order.push(name);
        } else if done.insert(name) {
            path.push((name, true));
            let mut needed = references(&stack.targets[name], &stack.machines);
            needed.reverse();
            path.extend(needed.into_iter().map(|(name, _)| (name, false)));
        }
    }
}

/// Returns what the goals need from outside.
pub fn needs(stack: &Stack, goals: &[Goal]) -> Needs {
    let closure = closure(stack, goals);
    let mut needs = Needs::default();
    for goal in goals {
        if let Goal::Machine(name) = goal
            && let Some(machine) = stack.machines.get(name)
        {
            add_files(machine.pushed().map(|(_, file)| file), &mut needs);
        }
    }
    for name in closure.environments {
        let environment = &stack.environments[name];
        let request = environment_request(stack, environment);
        let set = PackageSet { request, place: environment.place.clone(), only: None };
        needs.packages.insert(format!("env.{name}"), set);
    }
    for name in closure.targets {
        let target = &stack.targets[name];
        if let Some((request, only)) = target_request(target) {
            let set = PackageSet { request, place: target.place.clone(), only };
            needs.packages.insert(format!("target.{name}"), set);
        }
        match &target.value {
            Target::Command(command) => {
                for source in &command.sources {
                    add_source(stack, source, &mut needs);
                }
            }
            Target::Cargo(cargo) => {
                add_source(stack, &cargo.source, &mut needs);
                add_crates(&cargo.source, cargo.lockfile(), &mut needs);
            }
            Target::Make(make) => {
                add_source(stack, &make.source, &mut needs);
                if let Some(lockfile) = &make.lockfile {
                    add_crates(&make.source, lockfile.as_str().to_owned(), &mut needs);
                }
            }
            Target::Xbuild(xbuild) => {
                add_source(stack, &xbuild.source, &mut needs);
                add_crates(&xbuild.source, "Cargo.lock".to_owned(), &mut needs);
                let texts = [(xbuild.recipe.as_str(), &xbuild.recipe.place), (RELEASE, &xbuild.source.place)];
                for (path, place) in texts {
                    let file = FileIn { source: (*xbuild.source.value).clone(), path: path.to_owned() };
                    needs.texts.insert(file, place.clone());
                }
                xbuild.firmware.iter().for_each(|file| add_file(file, &mut needs));
            }
            Target::Kernel(kernel) => {
                add_source(stack, &kernel.source, &mut needs);
                if let Some(patches) = &kernel.patches {
                    needs.paths.insert(patches.value.clone(), patches.place.clone());
                }
                for part in &kernel.config {
                    if let ConfigPart::Fragment(path) = &part.value {
                        needs.paths.insert(path.clone(), part.place.clone());
                    }
                }
            }
            Target::Rootfs(rootfs) => {
                for overlay in &rootfs.overlays {
                    needs.paths.insert(overlay.value.clone(), overlay.place.clone());
                }
                add_files(rootfs.files.values(), &mut needs);
            }
            Target::Initramfs(initramfs) => {
                let files = initramfs.files.values().chain([&initramfs.init]);
                add_files(files.chain(initramfs.early.values()), &mut needs);
                initramfs.prepend.iter().for_each(|archive| add_file(archive, &mut needs));
            }
            Target::Dtb(dtb) => {
                for origin in dtb.dts.iter().chain(&dtb.includes).chain(&dtb.overlays) {
                    match &origin.value {
                        Origin::Project(path) => _ = needs.paths.insert(path.clone(), origin.place.clone()),
                        Origin::Source(of) => add_source(stack, &of.source, &mut needs),
                        Origin::Target(_) => {}
                    }
                }
            }
            Target::Filesystem(filesystem) => {
                add_files(filesystem.files.values(), &mut needs);
                let boot = filesystem.iso.iter().flat_map(|iso| iso.bytes().filter_map(|bytes| bytes.file));
                for file in boot {
                    needs.paths.insert(file.value.clone(), file.place.clone());
                }
            }
            Target::Disk(disk) => {
                for file in disk.bytes().filter_map(|bytes| bytes.file) {
                    needs.paths.insert(file.value.clone(), file.place.clone());
                }
            }
            Target::Uki(uki) => {
                uki.files().for_each(|file| add_file(file, &mut needs));
                add_files(uki.os_release.iter(), &mut needs);
            }
            Target::Igvm(igvm) => igvm.files().for_each(|file| add_file(file, &mut needs)),
            Target::Signed(signed) => signed.files().for_each(|file| add_file(file, &mut needs)),
            Target::EfiVariables(variables) => {
                variables.files().for_each(|file| add_file(file, &mut needs));
            }
            Target::Verity(verity) => add_file(&verity.image, &mut needs),
            Target::Grub(grub) => add_files(grub.config.iter(), &mut needs),
            Target::Convert(convert) => {
                let backing = convert.formats.backing().and_then(|backing| backing.file.as_ref());
                for file in convert.file.iter().chain(backing) {
                    needs.paths.insert(file.value.clone(), file.place.clone());
                }
            }
            Target::KernelPackage(_) | Target::Extract(_) => {}
        }
    }
    needs
}

fn add_crates(source: &Spanned<SourceRef>, path: String, needs: &mut Needs) {
    let file = FileIn { source: (*source.value).clone(), path };
    needs.texts.insert(file.clone(), source.place.clone());
    needs.crates.insert(file, source.place.clone());
}

fn add_source(stack: &Stack, source: &Name, needs: &mut Needs) {
    needs.sources.insert(source.clone(), with_distro(stack, stack.sources[source].clone()));
}

/// Returns the source with the distribution that it leaves out: the one that all environments have.
fn with_distro(stack: &Stack, mut source: Spanned<Source>) -> Spanned<Source> {
    if let Source::Debian(debian) = &mut source.value
        && debian.distro.is_none()
    {
        debian.distro = stack.environments.values().find_map(|env| env.distro.clone());
    }
    source
}

fn add_file(file: &Spanned<ArchiveFile>, needs: &mut Needs) {
    if let ArchiveFile::File(path) = &file.value {
        needs.paths.insert(path.value.clone(), path.place.clone());
    }
}

fn add_files<'a>(files: impl Iterator<Item = &'a Spanned<FileEntry>>, needs: &mut Needs) {
    for file in files {
        if let Content::File(path) = &file.content {
            needs.paths.insert(path.value.clone(), path.place.clone());
        }
    }
}

/// Returns what an environment asks for, with all that it inherits.
fn environment_request(stack: &Stack, environment: &Environment) -> PackageRequest {
    // From the environment itself up to the one that extends nothing; nearer ones win.
    let mut chain = vec![environment];
    while let Some(parent) = &chain[chain.len() - 1].extends {
        chain.push(&stack.environments[parent.as_str()]);
    }
    let suites = chain.iter().find(|env| !env.suites.is_empty());
    let components = chain.iter().find(|env| !env.components.is_empty());
    let archive = Archive {
        distro: chain
            .iter()
            .find_map(|env| env.distro.as_deref())
            .expect("a checked environment has a distribution"),
        arch: chain.iter().find_map(|env| env.arch.as_deref().copied()).unwrap_or(Arch::Amd64),
        mirror: chain.iter().find_map(|env| env.mirror.as_ref()),
        suites: suites.map_or(&[], |env| &env.suites),
        components: components.map_or(&[], |env| &env.components),
    };
    PackageRequest {
        base: chain.iter().find_map(|env| env.base).unwrap_or(Base::Essential).as_str(),
        recommends: chain.iter().find_map(|env| env.recommends).unwrap_or(false),
        ..archive.request(chain.iter().rev().flat_map(|env| &env.packages))
    }
}

/// Where packages come from.
struct Archive<'a> {
    distro: &'a Distro,
    arch: Arch,
    mirror: Option<&'a Spanned<Url>>,
    suites: &'a [Spanned<String>],
    components: &'a [Spanned<String>],
}

impl Archive<'_> {
    fn request<'a>(&self, packages: impl IntoIterator<Item = &'a Spanned<PackageName>>) -> PackageRequest {
        let mut seen = BTreeSet::new();
        let packages = packages.into_iter().map(|package| package.as_str().to_owned());
        PackageRequest {
            distro: self.distro.name.clone(),
            release: self.distro.release.clone(),
            arch: self.arch.as_str().to_owned(),
            packages: packages.filter(|package| seen.insert(package.clone())).collect(),
            base: Base::Nothing.as_str(),
            recommends: false,
            relations: true,
            mirror: self.mirror.map(|mirror| mirror.as_str().to_owned()),
            suites: self.suites.iter().map(|suite| suite.value.clone()).collect(),
            components: self.components.iter().map(|component| component.value.clone()).collect(),
        }
    }
}

/// Returns what a target asks for, if it has packages, and what of the answer it uses.
fn target_request(target: &Target) -> Option<(PackageRequest, Option<&'static [&'static str]>)> {
    /// The keys of the same names of each kind of target.
    macro_rules! archive {
        ($target:ident, $distro:expr) => {
            Archive {
                distro: $distro,
                arch: $target.arch.value,
                mirror: $target.mirror.as_ref(),
                suites: &$target.suites,
                components: &$target.components,
            }
        };
    }
    match target {
        Target::Rootfs(rootfs) => {
            let archive = archive!(rootfs, rootfs.distro.as_ref()?);
            let request = archive.request(&rootfs.packages);
            Some((
                PackageRequest { base: rootfs.base.as_str(), recommends: rootfs.recommends, ..request },
                None,
            ))
        }
        Target::Initramfs(initramfs) if !initramfs.packages.is_empty() => {
            let archive = archive!(initramfs, initramfs.distro.as_ref()?);
            Some((PackageRequest { relations: false, ..archive.request(&initramfs.packages) }, None))
        }
        Target::KernelPackage(kernel) => {
            let archive = archive!(kernel, &kernel.distro);
            Some((archive.request([&kernel.package]), Some(KERNEL_PACKAGES)))
        }
        Target::Extract(extract) => {
            let archive = archive!(extract, &extract.distro);
            Some((PackageRequest { relations: false, ..archive.request(&extract.packages) }, None))
        }
        Target::Initramfs(_)
        | Target::Command(_)
        | Target::Cargo(_)
        | Target::Make(_)
        | Target::Xbuild(_)
        | Target::Filesystem(_)
        | Target::Disk(_)
        | Target::Convert(_)
        | Target::Kernel(_)
        | Target::Uki(_)
        | Target::Igvm(_)
        | Target::Signed(_)
        | Target::Verity(_)
        | Target::EfiVariables(_)
        | Target::Grub(_)
        | Target::Dtb(_) => None,
    }
}
