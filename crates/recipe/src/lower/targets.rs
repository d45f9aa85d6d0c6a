//! Targets as steps.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::{Input, Kept, Placement, Requirements, Step, StepId};
use mkimg::spec::{
    AccountsSpec, EntryPath, EntrySpec, ExtractSpec, ExtractedSpec, GroupSpec, InitramfsSpec, LayerSpec,
    ModulesSpec, NodeSpec, Spec, UserSpec,
};

use super::{CACHES, INPUTS, Layer, Lowering, OUT, Reuse, SOURCES, TargetOutput, place_layers, timeout};
use crate::Spanned;
use crate::check;
use crate::formats::Format;
use crate::scalar::{GuestPath, Name};
use crate::target::{
    ArchiveFile, Command, Compression, Content, DeviceType, DirectoryEntry, Extract, FileEntry, Initramfs,
    Modules, Rootfs, Run, Target,
};

/// Runs the script or program it is given and then looks for the outputs it was to leave.
///
/// The script is a process of its own, so that an `exit 0` in it does not end the check.
const CHECKED: &str = r#"outputs=$1; shift
"$@" || exit
printf '%s\n' "$outputs" | {
  missing=0
  while IFS= read -r output; do
    [ -e "out/$output" ] || [ -h "out/$output" ] || {
      echo "error: declared output \`$output\` was not made" >&2; missing=1
    }
  done
  exit "$missing"
}"#;

/// Links and directories that programs of an initramfs take for granted. Package layers have everything
/// below `usr`.
const INITRAMFS_LINKS: [(&str, &str); 4] =
    [("bin", "usr/bin"), ("lib", "usr/lib"), ("lib64", "usr/lib64"), ("sbin", "usr/sbin")];
const INITRAMFS_DIRECTORIES: [(&str, u32); 10] = [
    ("dev", 0o755),
    ("proc", 0o555),
    ("run", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("usr/bin", 0o755),
    ("usr/lib", 0o755),
    ("usr/lib64", 0o755),
    ("usr/sbin", 0o755),
];

impl<'a> Lowering<'a> {
    /// Adds what a target needs, and its own step unless that is only made on demand.
    pub(super) fn target(&mut self, name: &'a Name) {
        match &self.stack.targets[name].value {
            Target::Rootfs(rootfs) => {
                let layers = self.rootfs(name, rootfs);
                self.rootfs.insert(name.clone(), layers);
            }
            _ => _ = self.output(name),
        }
    }

    /// Returns the step whose output directory is the target's, or the main one if there are several.
    pub(super) fn output(&mut self, name: &Name) -> StepId {
        if let Some(output) = self.lowered.targets.get(name) {
            return output.steps[0];
        }
        let target = &self.stack.targets[name];
        let mut further = Vec::new();
        let step = match &target.value {
            Target::Command(command) => self.command(name, command),
            Target::Cargo(cargo) => self.cargo(name, cargo),
            Target::Make(make) => self.make(name, make),
            Target::Xbuild(xbuild) => {
                let images = self.xbuild(name, xbuild);
                further.extend(images.iter().skip(1));
                // After a problem nothing is run.
                images.first().copied().unwrap_or_else(|| self.nothing(name))
            }
            Target::Rootfs(_) => {
                let layers = self.rootfs[name].clone();
                self.layer(name.to_string(), "rootfs.tar", &layers, Changes::default())
            }
            Target::Initramfs(initramfs) => self.initramfs(name, initramfs),
            Target::Filesystem(filesystem) => self.filesystem(name, filesystem),
            Target::Disk(disk) => {
                let steps = self.disk(name, disk);
                self.several(name, &disk.written(), steps, &mut further)
            }
            Target::Convert(convert) => {
                let steps = self.convert(name, convert);
                self.several(name, &convert.written(), steps, &mut further)
            }
            Target::Kernel(kernel) => self.kernel(name, kernel),
            Target::KernelPackage(_) => self.kernel_package(name),
            Target::Extract(extract) => self.extract(name, extract),
            Target::Dtb(dtb) => self.device_tree(name, dtb),
            Target::Uki(uki) => self.uki(name, uki),
            Target::Igvm(igvm) => self.igvm(name, igvm),
            Target::Signed(signed) => self.signed(name, signed),
            Target::Verity(verity) => self.verity(name, verity),
            Target::Grub(grub) => self.grub(name, grub),
            Target::EfiVariables(variables) => self.efi_variables(name, variables),
        };
        let steps = std::iter::once(step).chain(further).collect();
        let output = TargetOutput { steps, main: check::main_file(name, target) };
        self.lowered.targets.insert(name.clone(), output);
        step
    }

    /// Adds a step that stands for one that could not be.
    fn nothing(&mut self, name: &Name) -> StepId {
        self.tool_step(name.to_string(), &["mkimg"], Vec::new(), Requirements::default())
    }

    /// Keeps which of several steps leaves which file, and returns the main one.
    fn several(
        &mut self,
        name: &Name,
        formats: &[Format<'_>],
        steps: Vec<StepId>,
        further: &mut Vec<StepId>,
    ) -> StepId {
        let files = formats.iter().map(|format| format.file(name)).zip(steps.iter().copied());
        self.lowered.formats.insert(name.clone(), files.collect());
        further.extend(&steps[1..]);
        steps[0]
    }

    fn command(&mut self, name: &Name, command: &Command) -> StepId {
        let environment = self.lowered.environments[command.env.as_str()];
        let mut inputs = vec![Placement { path: String::new(), input: Input::Merged(environment) }];
        for source in &command.sources {
            let input = self.source(source);
            inputs.push(Placement { path: format!("{SOURCES}/{}", source.as_str()), input });
        }
        for (name, reference) in &command.inputs {
            let input = self.reference(reference);
            inputs.push(Placement { path: format!("{INPUTS}/{name}"), input });
        }
        let program: Vec<String> = match &command.run {
            Run::Script(script) => vec!["sh".to_owned(), "-euc".to_owned(), script.clone()],
            Run::Arguments(arguments) => arguments.clone(),
        };
        let arguments = if command.outputs.is_empty() {
            program
        } else {
            let outputs: Vec<&str> = command.outputs.iter().map(|output| output.as_str()).collect();
            let head = ["sh", "-c", CHECKED, "sh", &outputs.join("\n")].map(str::to_owned);
            head.into_iter().chain(program).collect()
        };
        let mut environment = self.environment.clone();
        if !command.environment.is_empty() {
            Arc::make_mut(&mut environment)
                .extend(command.environment.iter().map(|(name, value)| (name.clone(), value.value.clone())));
        }
        debug_assert_eq!(environment["OUT"], OUT);
        let mut requirements =
            Requirements { root: command.root, ..timeout(command.timeout.map(|timeout| timeout.duration())) };
        for cache in &command.caches {
            inputs.push(Placement {
                path: format!("{CACHES}/{}", cache.as_str()),
                input: self.empty_directory(),
            });
            if self.reuse == Reuse::Kept {
                let kept = Kept {
                    name: format!("{name}+{}", cache.as_str()),
                    at: format!("/{CACHES}/{}", cache.as_str()),
                };
                requirements.kept.push(kept);
            }
        }
        self.step(Step { label: name.to_string(), arguments, environment, inputs, requirements })
    }

    fn rootfs(&mut self, name: &Name, rootfs: &Rootfs) -> Vec<Layer> {
        let mut layers: Vec<Layer> =
            rootfs.layers.iter().flat_map(|below| self.rootfs[below.as_str()].clone()).collect();
        if rootfs.distro.is_some() {
            let pins = self.pins(&format!("target.{name}"));
            if rootfs.configure {
                layers.extend(self.configured(name.as_str(), rootfs.arch.as_str(), &pins).layers);
            } else {
                layers.extend(pins.iter().map(|pin| self.package_layer(pin)));
            }
        }
        for (idx, overlay) in rootfs.overlays.iter().enumerate() {
            let tree = self.project_directory(overlay);
            let label = format!("{name}/overlay {}", overlay.as_str());
            let changes = Changes { trees: vec![tree], ..Changes::default() };
            let step = self.layer(label, "layer.tar", &[], changes);
            layers.push(layer(format!("overlay{idx}"), step));
        }
        let mut changes = Changes::default();
        self.files(&rootfs.files, &mut changes);
        self.links_and_directories(&rootfs.symlinks, &rootfs.directories, &mut changes);
        if let Some(hostname) = &rootfs.hostname {
            let input = self.blob(format!("{}\n", hostname.as_str()).into_bytes());
            changes.file("etc/hostname", input, 0o644, (0, 0));
        }
        for (name, user) in &rootfs.users {
            let home = user.home.as_ref().map_or("/nonexistent", |home| home.as_str());
            // One that is declared is as it is declared.
            if let Some(home) = user.home.as_ref().filter(|home| !rootfs.directories.contains_key(*home)) {
                changes.entry(home.in_layer(), NodeSpec::Directory, 0o755, (user.uid, user.uid));
            }
            changes.users.push(UserSpec {
                name: name.to_string(),
                uid: user.uid,
                home: home.to_owned(),
                shell: user.shell.clone(),
                groups: user.groups.iter().map(|group| group.value.to_string()).collect(),
                password: user.password.value.clone(),
            });
        }
        let groups = rootfs.groups.iter();
        changes.groups =
            groups.map(|(name, group)| GroupSpec { name: name.to_string(), gid: group.gid }).collect();
        if !changes.is_empty() {
            // Accounts are added to the files that the layers below have, so these are read then.
            if changes.has_accounts() {
                changes.below = layers.clone();
            }
            let step = self.layer(format!("{name}/files"), "layer.tar", &[], changes);
            layers.push(layer("files".to_owned(), step));
        }
        layers
    }

    fn initramfs(&mut self, name: &Name, initramfs: &Initramfs) -> StepId {
        let mut layers: Vec<Layer> =
            initramfs.layers.iter().flat_map(|below| self.rootfs[below.as_str()].clone()).collect();
        if !initramfs.packages.is_empty() {
            let pins = self.pins(&format!("target.{name}"));
            layers.extend(pins.iter().map(|pin| self.package_layer(pin)));
        }
        if let Some(modules) = &initramfs.modules {
            let step = self.modules(name, modules);
            layers.push(layer("modules".to_owned(), step));
        }
        let mut changes = Changes::default();
        for (path, mode) in INITRAMFS_DIRECTORIES {
            changes.entry(path, NodeSpec::Directory, mode, (0, 0));
        }
        for (path, target) in INITRAMFS_LINKS {
            changes.entry(path, NodeSpec::Symlink { target: target.to_owned() }, 0o777, (0, 0));
        }
        for applet in &initramfs.busybox {
            let path = format!("usr/bin/{}", applet.0);
            changes.entry(&path, NodeSpec::Symlink { target: "busybox".to_owned() }, 0o777, (0, 0));
        }
        self.files(&initramfs.files, &mut changes);
        self.links_and_directories(&initramfs.symlinks, &initramfs.directories, &mut changes);
        let (init, _) = self.content(&initramfs.init);
        let mode = initramfs.init.mode.map_or(0o755, |mode| mode.bits());
        changes.file("init", init, mode, (initramfs.init.uid, initramfs.init.gid));
        for (path, device) in &initramfs.devices {
            let numbers = device.major.as_deref().copied().zip(device.minor.as_deref().copied());
            let node = match (device.r#type, numbers) {
                (DeviceType::Char, Some((major, minor))) => NodeSpec::CharDevice { major, minor },
                (DeviceType::Block, Some((major, minor))) => NodeSpec::BlockDevice { major, minor },
                // That devices have numbers was checked.
                (DeviceType::Fifo, _) | (_, None) => NodeSpec::Fifo,
            };
            changes.entry(path.in_layer(), node, device.mode.bits(), (device.uid, device.gid));
        }
        let step = self.layer(format!("{name}/files"), "layer.tar", &[], changes);
        layers.push(layer("files".to_owned(), step));

        let (mut inputs, layers) = place_layers("layers", &layers);
        let mut prepend = Vec::new();
        for (idx, archive) in self.archives(name, initramfs).into_iter().enumerate() {
            inputs.push(Placement { path: format!("{INPUTS}/prepend/{idx}"), input: archive });
            prepend.push(format!("in/prepend/{idx}"));
        }
        let spec = Spec::Initramfs(InitramfsSpec {
            output: "out/initramfs.img".to_owned(),
            epoch: self.stack.epoch,
            layers,
            compression: match initramfs.compression {
                Compression::None => mkimg::spec::Compression::None,
                Compression::Gzip => mkimg::spec::Compression::Gzip,
                Compression::Zstd => mkimg::spec::Compression::Zstd,
                Compression::Xz => mkimg::spec::Compression::Xz,
                Compression::Lz4 => mkimg::spec::Compression::Lz4,
            },
            prepend,
            ..InitramfsSpec::default()
        });
        self.image(name.to_string(), &spec, inputs)
    }

    /// Returns the archives that come in front of an initramfs.
    fn archives(&mut self, name: &Name, initramfs: &Initramfs) -> Vec<Input> {
        let mut archives = Vec::new();
        if !initramfs.early.is_empty() {
            let mut changes = Changes::default();
            self.files(&initramfs.early, &mut changes);
            let step = self.layer(format!("{name}/early files"), "layer.tar", &[], changes);
            let (inputs, layers) = place_layers("layers", &[layer("early".to_owned(), step)]);
            let output = "out/early.cpio".to_owned();
            let spec = InitramfsSpec { output, epoch: self.stack.epoch, layers, ..InitramfsSpec::default() };
            let step = self.image(format!("{name}/early"), &Spec::Initramfs(spec), inputs);
            archives.push(Input::Output { step, path: "early.cpio".to_owned() });
        }
        for archive in &initramfs.prepend {
            archives.push(self.file(archive));
        }
        archives
    }

    /// Returns a file of a target or of the project.
    pub(super) fn file(&mut self, file: &ArchiveFile) -> Input {
        match file {
            ArchiveFile::Target(reference) => self.reference(reference),
            ArchiveFile::File(path) => self.project_file(path).0,
        }
    }

    /// Adds the step that makes a layer of kernel modules.
    fn modules(&mut self, name: &Name, modules: &Modules) -> StepId {
        let kernel = &modules.kernel.value;
        let layers = match &self.stack.targets[kernel.as_str()].value {
            Target::Kernel(_) => {
                let input = Input::Output { step: self.output(kernel), path: "modules.tar".to_owned() };
                vec![Layer { name: kernel.to_string(), input }]
            }
            _ => {
                let pins = self.pins(&format!("target.{}", kernel.as_str()));
                pins.iter().map(|pin| self.package_layer(pin)).collect()
            }
        };
        let (inputs, layers) = place_layers("layers", &layers);
        let names = modules.names.iter().map(|name| name.value.clone()).collect();
        let spec = Spec::Modules(ModulesSpec {
            output: "out/layer.tar".to_owned(),
            epoch: self.stack.epoch,
            layers,
            names,
            ..ModulesSpec::default()
        });
        self.image(format!("{name}/modules"), &spec, inputs)
    }

    fn kernel_package(&mut self, name: &Name) -> StepId {
        // `vmlinuz` on most architectures, `vmlinux` on some; the rest of the name is the release.
        let files = [("boot/vmlinu*-*", "vmlinuz"), ("boot/config-*", "config")];
        self.extracted(name, files.map(|(path, output)| (path.to_owned(), output.to_owned())).to_vec())
    }

    fn extract(&mut self, name: &Name, extract: &Extract) -> StepId {
        let files = extract.files.iter();
        let files = files.map(|(output, path)| (path.in_layer().to_owned(), output.as_str().to_owned()));
        self.extracted(name, files.collect())
    }

    fn extracted(&mut self, name: &Name, files: Vec<(String, String)>) -> StepId {
        let pins = self.pins(&format!("target.{name}"));
        let layers: Vec<Layer> = pins.iter().map(|pin| self.package_layer(pin)).collect();
        let (inputs, layers) = place_layers("layers", &layers);
        let files =
            files.into_iter().map(|(path, output)| ExtractedSpec { path, output: format!("out/{output}") });
        let spec = Spec::Extract(ExtractSpec { layers, files: files.collect() });
        self.image(name.to_string(), &spec, inputs)
    }

    /// Adds a step that runs `mkimg`.
    pub(super) fn image(&mut self, label: String, spec: &Spec, mut inputs: Vec<Placement>) -> StepId {
        inputs.push(Placement { path: format!("{INPUTS}/spec.json"), input: self.json(spec) });
        let earlier = spec.has_compressed_blocks().then(|| label.clone());
        let requirements = Requirements { earlier, ..Requirements::default() };
        self.tool_step(label, &["mkimg", "in/spec.json"], inputs, requirements)
    }

    /// Returns one more layer with these files.
    pub(super) fn layer_of_files(
        &mut self,
        label: String,
        files: &BTreeMap<GuestPath, Spanned<FileEntry>>,
    ) -> Layer {
        let mut changes = Changes::default();
        self.files(files, &mut changes);
        layer("files".to_owned(), self.layer(label, "layer.tar", &[], changes))
    }

    /// Adds the step that merges `layers` and what is laid over them into the file `output`.
    fn layer(&mut self, label: String, output: &str, layers: &[Layer], changes: Changes) -> StepId {
        let (mut inputs, layers) = place_layers("layers", layers);
        let (below_inputs, below) = place_layers("below", &changes.below);
        inputs.extend(below_inputs);
        let mut trees = Vec::new();
        for (idx, tree) in changes.trees.into_iter().enumerate() {
            trees.push(format!("in/trees/{idx}"));
            inputs.push(Placement { path: format!("{INPUTS}/trees/{idx}"), input: tree });
        }
        for (idx, file) in changes.contents.into_iter().enumerate() {
            inputs.push(Placement { path: format!("{INPUTS}/files/{idx}"), input: file });
        }
        let spec = Spec::Layer(LayerSpec {
            output: format!("out/{output}"),
            epoch: self.stack.epoch,
            layers,
            trees,
            entries: changes.entries.into_values().collect(),
            accounts: AccountsSpec { below, groups: changes.groups, users: changes.users },
        });
        self.image(label, &spec, inputs)
    }

    fn files(&mut self, files: &BTreeMap<GuestPath, Spanned<FileEntry>>, changes: &mut Changes) {
        for (path, file) in files {
            let (input, executable) = self.content(file);
            let mode = file.mode.map_or(if executable { 0o755 } else { 0o644 }, |mode| mode.bits());
            changes.file(path.in_layer(), input, mode, (file.uid, file.gid));
        }
    }

    /// Returns the content of a file, and whether it is executable where it comes from.
    pub(super) fn content(&mut self, file: &FileEntry) -> (Input, bool) {
        match &file.content {
            Content::Text(text) => (self.blob(text.clone().into_bytes()), text.starts_with("#!")),
            Content::File(path) => self.project_file(path),
            Content::Target(reference) => (self.reference(reference), false),
        }
    }

    fn links_and_directories(
        &mut self,
        symlinks: &BTreeMap<GuestPath, Spanned<String>>,
        directories: &BTreeMap<GuestPath, Spanned<DirectoryEntry>>,
        changes: &mut Changes,
    ) {
        for (path, target) in symlinks {
            changes.entry(path.in_layer(), NodeSpec::Symlink { target: target.value.clone() }, 0o777, (0, 0));
        }
        for (path, directory) in directories {
            changes.entry(
                path.in_layer(),
                NodeSpec::Directory,
                directory.mode.bits(),
                (directory.uid, directory.gid),
            );
        }
    }
}

fn layer(name: String, step: StepId) -> Layer {
    Layer { name, input: Input::Output { step, path: "layer.tar".to_owned() } }
}

/// What a layer has beside other layers.
#[derive(Default)]
struct Changes {
    trees: Vec<Input>,
    entries: BTreeMap<EntryPath, EntrySpec>,
    contents: Vec<Input>,
    /// The layers whose account files groups and users are added to.
    below: Vec<Layer>,
    groups: Vec<GroupSpec>,
    users: Vec<UserSpec>,
}

impl Changes {
    fn entry(&mut self, path: &str, node: NodeSpec, mode: u32, (uid, gid): (u32, u32)) {
        let path = EntryPath::new(path).expect("paths in a guest were checked when they were read");
        let entry =
            EntrySpec { path: path.clone(), mode, uid, gid, mtime: None, xattrs: BTreeMap::new(), node };
        self.entries.insert(path, entry);
    }

    fn file(&mut self, path: &str, content: Input, mode: u32, owner: (u32, u32)) {
        let source = format!("in/files/{}", self.contents.len());
        self.contents.push(content);
        self.entry(path, NodeSpec::File { source }, mode, owner);
    }

    fn has_accounts(&self) -> bool {
        !self.groups.is_empty() || !self.users.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.trees.is_empty() && self.entries.is_empty() && !self.has_accounts()
    }
}
