//! What the types cannot say: references lead somewhere, nothing needs itself, numbers make sense together.

mod boot;
mod budgets;
mod cargo;
mod cycles;
mod device_trees;
mod disks;
mod erofs;
mod formats;
mod igvm;
mod iso;
mod layout;
mod leaves;
mod machines;
mod squashfs;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use cycles::references;
pub(crate) use leaves::main_file;
use leaves::{Leaves, leaves};

use crate::kernel::{Kernel, Symbol};
use crate::scalar::{Arch, Distro, Name, PackageName, TargetName, TargetRef};
use crate::stack::{Environment, Recipe, Source};
use crate::target::{ArchiveFile, Command, Content, DeviceEntry, DeviceType, FileEntry, Initramfs, Rootfs};
use crate::value::Table;
use crate::{Place, Problem, Spanned, Target, suggest};

/// The names that each section has, also those of entries that could not be read: to report a reference to
/// one of them would be to report its mistake twice.
pub(crate) struct Names(BTreeMap<String, BTreeSet<String>>);

impl Names {
    pub(crate) fn of(top: &Table) -> Names {
        let names = |section: &Table| section.entries.iter().map(|entry| entry.key.clone()).collect();
        let sections =
            top.entries.iter().filter_map(|entry| Some((entry.key.clone(), entry.value.as_table()?)));
        Names(sections.map(|(key, section)| (key, names(section))).collect())
    }

    fn section(&self, section: &str) -> impl Iterator<Item = &str> {
        self.0.get(section).into_iter().flatten().map(String::as_str)
    }
}

/// Reports the references that lead nowhere.
pub(crate) fn references_lead_somewhere(
    references: &[(&'static str, Name, Place)],
    names: &Names,
    problems: &mut Vec<Problem>,
) {
    let mut known: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (section, name, place) in references {
        let known = known.entry(section).or_insert_with(|| names.section(section).collect());
        if known.contains(name.as_str()) {
            continue;
        }
        let (noun, nouns) = match *section {
            "env" => ("environment", "environments"),
            "source" => ("source", "sources"),
            "machine" => ("machine", "machines"),
            "test" => ("test", "tests"),
            _ => ("target", "targets"),
        };
        let help = suggest::help(name.as_str(), nouns, names.section(section));
        problems.push(Problem::at(place, format!("unknown {noun} `{name}`")).help(help));
    }
}

/// Reports everything that is wrong with a recipe whose parts are right.
pub(crate) fn check(recipe: &Recipe, problems: &mut Vec<Problem>) {
    let mut checker = Checker { recipe, problems };
    checker.stack();
    for (name, environment) in &recipe.env {
        checker.environment(name, environment);
    }
    for source in recipe.source.values() {
        checker.source(source);
    }
    for (name, target) in &recipe.target {
        checker.target(name, target);
    }
    for (name, machine) in &recipe.machine {
        checker.machine(name, machine);
    }
    for test in recipe.test.values() {
        checker.test(test);
        checker.disks_that_stay(test);
    }
    cycles::check(recipe, problems);
}

struct Checker<'a> {
    recipe: &'a Recipe,
    problems: &'a mut Vec<Problem>,
}

impl Checker<'_> {
    fn report(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    fn stack(&mut self) {
        let stack = &self.recipe.stack;
        if stack.format.value != 1 {
            self.report(
                Problem::at(&stack.format.place, format!("unknown recipe format {}", stack.format.value))
                    .help("this program knows format 1; a newer one may know more"),
            );
        }
        if stack.epoch.value < 0 {
            self.report(Problem::at(&stack.epoch.place, "`epoch` is before 1970"));
        }
    }

    /// Reports a reference that is not to a target of the kind `kind`.
    fn reference_to_kind(&mut self, name: &Spanned<TargetName>, kind: &'static str) {
        let Some(target) = self.recipe.target.get(name.as_str()) else { return };
        if kind_of(target) != kind {
            let known: Vec<&str> = self
                .recipe
                .target
                .iter()
                .filter(|(_, target)| kind_of(target) == kind)
                .map(|(name, _)| name.as_str())
                .collect();
            self.report(
                Problem::at(&name.place, format!("target `{}` is not a {kind}", name.as_str()))
                    .related(&target.place, format!("it is of kind `{}`", kind_of(target)))
                    .help(suggest::help(name.as_str(), "targets of that kind", known)),
            );
        }
    }

    /// Reports a reference to a target or file that is not there.
    fn file_reference(&mut self, reference: &Spanned<TargetRef>) {
        let (Some(target), Some(path)) = (self.recipe.target.get(&reference.target), &reference.path) else {
            return;
        };
        let left: Vec<String> = match leaves(&reference.target, target) {
            Leaves::Files(files) => files,
            Leaves::Unknown => return,
            Leaves::Declared(outputs) => outputs.iter().map(|output| output.as_str().to_owned()).collect(),
        };
        let is_under = |known: &String| {
            path == known || path.strip_prefix(known.as_str()).is_some_and(|p| p.starts_with('/'))
        };
        // A command that declares nothing may leave anything.
        if !left.is_empty() && !left.iter().any(is_under) {
            let help = suggest::help(path, "files of it", left.iter().map(String::as_str));
            self.report(
                Problem::at(&reference.place, format!("target `{}` leaves no `{path}`", reference.target))
                    .help(help),
            );
        }
    }

    /// Reports a reference that means a directory where a file is needed.
    fn one_file(&mut self, reference: &Spanned<TargetRef>, what: &str) {
        self.file_reference(reference);
        let Some(target) = self.recipe.target.get(&reference.target) else { return };
        if reference.path.is_none() && main_file(&reference.target, target).is_none() {
            let name = &reference.target;
            self.report(
                Problem::at(
                    &reference.place,
                    format!("{what} is one file, and target `{name}` leaves several or undeclared ones"),
                )
                .help(format!("say which: `{name}/…`, and list it in the target's `outputs`")),
            );
        }
    }

    /// Reports a file of a target that is none.
    fn file(&mut self, file: &Spanned<ArchiveFile>, what: &str) {
        if let ArchiveFile::Target(reference) = &file.value {
            self.one_file(reference, what);
        }
    }

    fn environment(&mut self, name: &Name, environment: &Spanned<Environment>) {
        self.package_names(&environment.packages);
        let mut chain = vec![name];
        let mut current = &environment.value;
        while current.distro.is_none() {
            let Some(parent) = &current.extends else {
                self.report(
                    Problem::at(&environment.place, format!("environment `{name}` has no `distro`"))
                        .help("name the distribution, as in `distro = \"debian:bookworm\"`"),
                );
                return;
            };
            let Some((parent, environment)) = self.recipe.env.get_key_value(parent.as_str()) else { return };
            if chain.contains(&parent) {
                return;
            }
            chain.push(parent);
            current = environment;
        }
    }

    /// Reports packages that are listed twice.
    fn package_names(&mut self, packages: &[Spanned<PackageName>]) {
        let mut seen: BTreeMap<&PackageName, &Place> = BTreeMap::new();
        for package in packages {
            if let Some(first) = seen.insert(&package.value, &package.place) {
                self.report(
                    Problem::at(&package.place, format!("package `{}` is listed twice", package.as_str()))
                        .related(first, "first listed here"),
                );
            }
        }
    }

    fn source(&mut self, source: &Spanned<Source>) {
        let Source::Debian(debian) = &source.value else { return };
        if debian.debian_source.architecture().is_some() {
            self.report(
                Problem::at(&debian.debian_source.place, "a source package is of no architecture")
                    .help("write `name`, or with a version `name=1.2-3`"),
            );
        }
        if debian.distro.is_none() {
            let distros: BTreeSet<&Distro> = self
                .recipe
                .env
                .values()
                .filter_map(|env| env.distro.as_ref().map(|distro| &distro.value))
                .collect();
            if distros.len() != 1 {
                self.report(
                    Problem::at(&source.place, "this source does not say of which distribution")
                        .help("the environments do not all have the same one: give it a `distro`"),
                );
            }
        }
    }

    fn target(&mut self, name: &Name, target: &Spanned<Target>) {
        self.budgets(name, target);
        match &target.value {
            Target::Command(command) => self.command(command),
            Target::Cargo(cargo) => self.cargo(target, cargo),
            Target::Make(make) => self.make(target, make),
            Target::Xbuild(xbuild) => self.xbuild(xbuild),
            Target::Rootfs(rootfs) => self.rootfs(target, rootfs),
            Target::Initramfs(initramfs) => self.initramfs(target, initramfs),
            Target::Filesystem(filesystem) => self.filesystem(target, filesystem),
            Target::Disk(disk) => self.disk(target, disk),
            Target::Convert(convert) => self.convert(target, convert),
            Target::Kernel(kernel) => self.kernel(kernel),
            Target::KernelPackage(_) => {}
            Target::Dtb(dtb) => self.device_tree(target, dtb),
            Target::Uki(uki) => self.uki(uki),
            Target::Igvm(igvm) => self.igvm(target, igvm),
            Target::Signed(signed) => {
                signed.files().for_each(|file| self.file(file, "what is signed, and what with,"));
            }
            Target::EfiVariables(variables) => {
                variables.files().for_each(|file| self.file(file, "a template or a certificate"));
            }
            Target::Verity(verity) => self.verity(verity),
            Target::Grub(grub) => self.grub(target, grub),
            Target::Extract(extract) => {
                self.package_names(&extract.packages);
                for (what, empty) in
                    [("packages", extract.packages.is_empty()), ("files", extract.files.is_empty())]
                {
                    if empty {
                        self.report(Problem::at(
                            &target.place,
                            format!("target `{name}` extracts nothing: it has no `{what}`"),
                        ));
                    }
                }
            }
        }
    }

    /// Reports rules that contradict each other: no configuration could keep both.
    fn kernel(&mut self, kernel: &Kernel) {
        let required = kernel.require.iter().map(|(symbol, value)| (symbol, value.as_config(), &value.place));
        let modules = kernel.modules.iter().map(|symbol| (&symbol.value, "m", &symbol.place));
        let forbidden = kernel.forbid.iter().map(|symbol| (&symbol.value, "n", &symbol.place));
        let mut seen: BTreeMap<&Symbol, (&str, &Place)> = BTreeMap::new();
        for (symbol, value, place) in required.chain(modules).chain(forbidden) {
            if let Some((earlier, first)) = seen.insert(symbol, (value, place))
                && earlier != value
            {
                let message = format!("`{}` must be {earlier} and {value} at once", symbol.as_str());
                self.report(Problem::at(place, message).related(first, "asked for here"));
            }
        }
    }

    fn command(&mut self, command: &Command) {
        for input in command.inputs.values() {
            self.file_reference(input);
        }
        for (idx, output) in command.outputs.iter().enumerate() {
            let within = |inner: &str, outer: &str| {
                inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'))
            };
            for earlier in &command.outputs[..idx] {
                let (new, old) = (output.as_str(), earlier.as_str());
                if new == old || within(new, old) || within(old, new) {
                    let message = if new == old {
                        format!("output `{new}` is listed twice")
                    } else {
                        format!("outputs `{old}` and `{new}` lie in each other")
                    };
                    self.report(
                        Problem::at(&output.place, message).related(&earlier.place, "first listed here"),
                    );
                    break;
                }
            }
        }
        self.variables(&command.environment);
    }

    /// Reports environment variables that cannot be, or are not for the recipe to set.
    fn variables(&mut self, environment: &BTreeMap<String, Spanned<String>>) {
        for (name, value) in environment {
            let valid = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
            if !valid {
                self.report(Problem::at(
                    &value.place,
                    format!("invalid environment variable `{}`", name.escape_debug()),
                ));
            } else if name == "OUT" {
                self.report(
                    Problem::at(&value.place, "`OUT` is always `/build/out`").help("use another name"),
                );
            }
        }
    }

    fn rootfs(&mut self, target: &Spanned<Target>, rootfs: &Rootfs) {
        for layer in &rootfs.layers {
            self.reference_to_kind(layer, "rootfs");
        }
        self.package_names(&rootfs.packages);
        self.packages_have_distro(target, &rootfs.packages, rootfs.distro.as_ref());
        let paths = [
            paths(&rootfs.files, "file"),
            paths(&rootfs.symlinks, "symbolic link"),
            paths(&rootfs.directories, "directory"),
        ];
        self.paths(paths.concat());
        for file in rootfs.files.values() {
            self.content(file);
        }
        self.users(rootfs);
        for user in rootfs.users.values() {
            let Some(home) = &user.home else { continue };
            let file = rootfs.files.get(&home.value).map(|file| &file.place);
            let link = rootfs.symlinks.get(&home.value).map(|link| &link.place);
            if let Some(place) = file.or(link) {
                let message = format!("`{}` is a home, and no directory", home.as_str());
                self.report(Problem::at(&home.place, message).related(place, "what it is"));
            }
        }
        if let Some(hostname) = &rootfs.hostname {
            // hostname(7): labels of letters, digits and hyphens; 64 is the kernel's limit.
            let valid = !hostname.is_empty()
                && hostname.len() <= 64
                && hostname.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
                && !hostname.starts_with(['-', '.']);
            if !valid {
                let message = format!("invalid host name `{}`", hostname.escape_debug());
                self.report(
                    Problem::at(&hostname.place, message)
                        .help("a host name has letters, digits, `-` and `.`"),
                );
            }
            let files = rootfs.files.iter().map(|(path, file)| (path, &file.place));
            let links = rootfs.symlinks.iter().map(|(path, link)| (path, &link.place));
            if let Some((_, place)) = files.chain(links).find(|(path, _)| path.as_str() == "/etc/hostname") {
                self.report(
                    Problem::at(&hostname.place, "`hostname` and a file `/etc/hostname` exclude each other")
                        .related(place, "given here"),
                );
            }
        }
    }

    fn users(&mut self, rootfs: &Rootfs) {
        let mut numbers: BTreeMap<u32, &Name> = BTreeMap::new();
        for (name, user) in &rootfs.users {
            if let Some(other) = numbers.insert(user.uid, name) {
                self.report(Problem::at(
                    &user.place,
                    format!("users `{other}` and `{name}` have the same number {}", user.uid),
                ));
            }
            if rootfs.groups.contains_key(name) {
                self.report(
                    Problem::at(&user.place, format!("a group `{name}` is listed, too"))
                        .help("each user gets a group of its own name and number"),
                );
            }
            for field in [&user.password.value, &user.shell] {
                if field.contains([':', '\n']) {
                    let message =
                        format!("user `{name}`: `{}` has a colon or a line break", field.escape_debug());
                    self.report(Problem::at(&user.place, message));
                }
            }
        }
        let mut numbers: BTreeMap<u32, &Name> =
            rootfs.users.iter().map(|(name, user)| (user.uid, name)).collect();
        for (name, group) in &rootfs.groups {
            if let Some(other) = numbers.insert(group.gid, name) {
                self.report(Problem::at(
                    &group.place,
                    format!("groups `{other}` and `{name}` have the same number {}", group.gid),
                ));
            }
        }
    }

    fn initramfs(&mut self, target: &Spanned<Target>, initramfs: &Initramfs) {
        for layer in &initramfs.layers {
            self.reference_to_kind(layer, "rootfs");
        }
        self.package_names(&initramfs.packages);
        self.packages_have_distro(target, &initramfs.packages, initramfs.distro.as_ref());
        let paths = [
            paths(&initramfs.files, "file"),
            paths(&initramfs.symlinks, "symbolic link"),
            paths(&initramfs.directories, "directory"),
            paths(&initramfs.devices, "device node"),
            vec![("/init", "program that is started first", &initramfs.init.place)],
        ];
        self.paths(paths.concat());
        for file in initramfs.files.values().chain([&initramfs.init]).chain(initramfs.early.values()) {
            self.content(file);
        }
        for archive in &initramfs.prepend {
            self.file(archive, "what comes in front of an initramfs");
        }
        for (path, device) in &initramfs.devices {
            self.device(path.as_str(), device);
        }
        if let Some(modules) = &initramfs.modules {
            let of = self.recipe.target.get(modules.kernel.as_str()).map(|target| kernel_arch(target));
            if matches!(of, Some(None)) {
                self.reference_to_kind(&modules.kernel, "kernel");
            }
            if let Some(Some(arch)) = of
                && arch.value != initramfs.arch.value
            {
                let message = format!("modules of a kernel for {}", arch.as_str());
                self.report(
                    Problem::at(&modules.kernel.place, message)
                        .help(format!("the initramfs is for {}", initramfs.arch.as_str())),
                );
            }
        }
    }

    fn device(&mut self, path: &str, device: &Spanned<DeviceEntry>) {
        // linux/kdev_t.h: twelve bits and twenty.
        for (what, number, limit) in [("major", &device.major, 1 << 12), ("minor", &device.minor, 1 << 20)] {
            match number {
                None if device.r#type != DeviceType::Fifo => self.report(
                    Problem::at(&device.place, format!("device node `{path}` has no `{what}`"))
                        .help("write both numbers, as in `major = 5, minor = 1`"),
                ),
                Some(number) if device.r#type == DeviceType::Fifo => self.report(
                    Problem::at(&number.place, format!("a pipe has no `{what}`")).help("leave it out"),
                ),
                Some(number) if number.value >= limit => self.report(
                    Problem::at(&number.place, format!("{} is out of range", number.value))
                        .help(format!("Linux has room for {what} numbers below {limit}")),
                ),
                _ => {}
            }
        }
    }

    fn packages_have_distro(
        &mut self,
        target: &Spanned<Target>,
        packages: &[Spanned<PackageName>],
        distro: Option<&Spanned<Distro>>,
    ) {
        if !packages.is_empty() && distro.is_none() {
            self.report(
                Problem::at(&target.place, "packages without a distribution")
                    .help("name it, as in `distro = \"debian:bookworm\"`"),
            );
        }
    }

    /// Reports paths that several kinds of entries claim.
    fn paths(&mut self, paths: Vec<(&str, &'static str, &Place)>) {
        let mut seen: BTreeMap<&str, (&str, &Place)> = BTreeMap::new();
        for (path, what, place) in paths {
            if let Some((earlier, first)) = seen.insert(path, (what, place)) {
                let message = format!("`{path}` is a {earlier} and a {what}");
                self.report(Problem::at(place, message).related(first, "first written here"));
            }
        }
    }

    fn content(&mut self, file: &FileEntry) {
        if let Content::Target(reference) = &file.content {
            self.one_file(reference, "a file's content");
        }
    }
}

/// Returns for what a target that is a kernel was built.
fn kernel_arch(target: &Target) -> Option<&Spanned<Arch>> {
    match target {
        Target::Kernel(kernel) => Some(&kernel.arch),
        Target::KernelPackage(kernel) => Some(&kernel.arch),
        _ => None,
    }
}

fn kind_of(target: &Target) -> &'static str {
    match target {
        Target::Command(_) => "command",
        Target::Cargo(_) => "cargo",
        Target::Make(_) => "make",
        Target::Xbuild(_) => "xbuild",
        Target::Rootfs(_) => "rootfs",
        Target::Initramfs(_) => "initramfs",
        Target::Filesystem(_) => "filesystem",
        Target::Disk(_) => "disk",
        Target::Convert(_) => "convert",
        Target::Kernel(_) => "kernel",
        Target::KernelPackage(_) => "kernel-package",
        Target::Dtb(_) => "dtb",
        Target::Uki(_) => "uki",
        Target::Igvm(_) => "igvm",
        Target::Signed(_) => "signed",
        Target::EfiVariables(_) => "efi-variables",
        Target::Verity(_) => "verity",
        Target::Grub(_) => "grub",
        Target::Extract(_) => "extract",
    }
}

fn paths<'a, T>(
    entries: &'a BTreeMap<crate::scalar::GuestPath, Spanned<T>>,
    what: &'static str,
) -> Vec<(&'a str, &'static str, &'a Place)> {
    entries.iter().map(|(path, entry)| (path.as_str(), what, &entry.place)).collect()
}
