//! A build step's world around `pkgroot`, and packages of this machine's own programs for its root.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use layer::{NodeKind, Tree};
use sandbox::{Error, Files, Mount, Root, Sandbox, Standard, Stream, User, remove_tree, spawn};

use crate::fixtures::{self, TarEntry, control, directory, file, program, symlink as link};

/// What the scripts may use. dpkg wants to find the last ones, but never runs them here.
const PROGRAMS: &[&str] = &[
    "sh",
    "cat",
    "chmod",
    "chown",
    "cp",
    "ln",
    "mkdir",
    "mkfifo",
    "mknod",
    "mv",
    "rm",
    "touch",
    "dpkg",
    "dpkg-divert",
];
const STAND_INS: &[&str] = &["diff", "dpkg-deb", "ldconfig", "start-stop-daemon", "tar"];

const ORDINARY_USER: u32 = 54_321;
const GIVEN_WORLD: &str = "PKGROOT_TEST_WORLD";

/// A package to be unpacked.
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) deb: Vec<u8>,
}

/// How `pkgroot configure` ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    Done,
    Failed { code: i32, printed: String },
}

/// Says why a test did not run. Under `CI=1` that is a failure.
#[allow(clippy::disallowed_methods, reason = "whether this is CI, only the environment says")]
pub(crate) fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "1"), "under CI=1 this has to run: {why}");
    println!("skipped: {why}");
}

/// Directories as a build step of `pkgroot configure` has them.
pub(crate) struct World(PathBuf);

impl World {
    /// Unpacks `packages` beside those of this machine. `None` if that cannot be tried here.
    pub(crate) fn new(packages: &[Package]) -> Option<World> {
        let Some(mut all) = userland() else {
            skip("this machine has no dpkg, or not all the programs that the scripts need");
            return None;
        };
        all.extend(
            packages.iter().map(|package| Package { name: package.name.clone(), deb: package.deb.clone() }),
        );
        let world = World::of_stages(&serde_json::json!([]), &all);
        match world.try_configure(&["true"]) {
            Ok(_) => Some(world),
            Err(error) => {
                skip(&format!("{error}: {}", error.help().unwrap_or_default()));
                None
            }
        }
    }

    /// Unpacks `packages` on top of those that were configured here.
    pub(crate) fn on_top(&self, packages: &[Package]) -> World {
        let spec = self.spec();
        let absolute = |path: &serde_json::Value| serde_json::json!(self.path().join(path.as_str().unwrap()));
        let all = |paths: &serde_json::Value| -> Vec<_> {
            paths.as_array().unwrap().iter().map(absolute).collect()
        };
        let mut below: Vec<_> = spec["below"].as_array().unwrap().clone();
        for stage in &mut below {
            stage["packages"] = all(&stage["packages"]).into();
            stage["changes"] = absolute(&stage["changes"]);
        }
        let layers = all(&spec["layers"]);
        below.push(serde_json::json!({ "packages": layers, "changes": self.path().join("out/layer.tar") }));
        World::of_stages(&serde_json::Value::Array(below), packages)
    }

    /// `below` is as a specification has it, with absolute paths.
    fn of_stages(below: &serde_json::Value, packages: &[Package]) -> World {
        let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let path = tempfile::Builder::new().prefix("pkgroot-").tempdir_in(base).unwrap().keep();
        let world = World(path);
        for name in ["world/build", "in/layers", "in/below", "in/root", "out", "tmp"] {
            fs::create_dir_all(world.path().join(name)).unwrap();
        }
        let mut n_below = 0;
        let mut bring = |path: &serde_json::Value| {
            let layer = format!("in/below/{n_below}.tar");
            n_below += 1;
            fs::copy(path.as_str().unwrap(), world.path().join(&layer)).unwrap();
            serde_json::Value::String(layer)
        };
        let mut below = below.clone();
        for stage in below.as_array_mut().unwrap() {
            stage["packages"].as_array_mut().unwrap().iter_mut().for_each(|layer| *layer = bring(layer));
            stage["changes"] = bring(&stage["changes"]);
        }
        let mut layers = Vec::new();
        for package in packages {
            let layer = format!("in/layers/{}.tar", package.name);
            let (_, bytes) = distro::deb::unpack_to(&package.deb[..], Vec::new(), "unused".into()).unwrap();
            fs::write(world.path().join(&layer), bytes).unwrap();
            layers.push(layer);
        }
        let spec = serde_json::json!({
            "root": "in/root", "below": below, "layers": layers, "architecture": "amd64",
        });
        fs::write(world.path().join("in/configure.json"), spec.to_string()).unwrap();
        check_out(&Tree::open(&world.layers()).unwrap(), &world.path().join("in/root"));
        // A copy could not be executed while a child of another test has it open for writing, as all have between fork and
        // exec.
        fs::hard_link(env!("CARGO_BIN_EXE_pkgroot"), world.path().join("pkgroot")).unwrap();
        world
    }

    fn spec(&self) -> serde_json::Value {
        serde_json::from_slice(&fs::read(self.path().join("in/configure.json")).unwrap()).unwrap()
    }

    /// Returns the layers that go in, bottom first.
    fn layers(&self) -> Vec<PathBuf> {
        let spec = self.spec();
        let mut layers = Vec::new();
        for stage in spec["below"].as_array().unwrap() {
            layers.extend(stage["packages"].as_array().unwrap().iter().chain([&stage["changes"]]));
        }
        layers.extend(spec["layers"].as_array().unwrap());
        layers.into_iter().map(|layer| self.path().join(layer.as_str().unwrap())).collect()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Gives the files of the checkout other modes: ours are write-protected, those of others are not.
    pub(crate) fn make_writable(&self) {
        for entry in walk(&self.path().join("in/root")) {
            let mode = fs::symlink_metadata(&entry).unwrap().permissions().mode();
            if !entry.is_symlink() && !entry.is_dir() {
                fs::set_permissions(&entry, fs::Permissions::from_mode(mode | 0o200)).unwrap();
            }
        }
    }

    pub(crate) fn configure(&self) -> Outcome {
        self.try_configure(&["/build/tools/pkgroot", "configure", "in/configure.json"]).unwrap()
    }

    fn try_configure(&self, arguments: &[&str]) -> Result<Outcome, Error> {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let tree = self.path().join("world");
        let mut sandbox = Sandbox::new(Root::Directory(tree.clone()), arguments);
        sandbox.user = User::Root;
        sandbox.directory = "/build".to_owned();
        sandbox.environment = vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())];
        // The tool is static when it is built to be used, but not here.
        for path in ["/usr", "/bin", "/lib", "/lib64"] {
            match fs::read_link(path) {
                Ok(target) => drop(symlink(target, tree.join(&path[1..]))),
                Err(_) if Path::new(path).is_dir() => sandbox.mounts.push(Mount::read_only(path, path)),
                Err(_) => {}
            }
        }
        for (name, at) in [("in", "/build/in"), ("out", "/build/out"), ("tmp", "/tmp")] {
            sandbox.mounts.push(Mount::read_write(self.path().join(name), at));
        }
        let pkgroot = self.path().join("pkgroot");
        sandbox.mounts.push(Mount::read_only(&pkgroot, "/build/tools/pkgroot"));
        let log = self.path().join("log");
        let output = fs::File::create(&log).unwrap();
        let stream = Stream::File(output.as_fd());
        let standard = Standard::Streams { stdin: Stream::Null, stdout: stream, stderr: stream };
        let ended = spawn(&sandbox, &Files { standard, ..Files::default() }, &pkgroot)?.wait()?;
        Ok(match ended.exit.code() {
            0 => Outcome::Done,
            code => Outcome::Failed { code, printed: fs::read_to_string(log).unwrap() },
        })
    }

    /// Configures as somebody who is not root. `None` if this program cannot be run by others.
    pub(crate) fn configure_as_ordinary_user(&self) -> Option<Outcome> {
        let this = self.path().join("this-test");
        fs::copy(std::env::current_exe().unwrap(), &this).unwrap();
        for entry in walk(self.path()).into_iter().chain([self.path().to_owned()]) {
            std::os::unix::fs::lchown(&entry, Some(ORDINARY_USER), Some(ORDINARY_USER)).unwrap();
        }
        let ran = Command::new(this)
            .args(["--exact", "helper_for_ordinary_users", "--nocapture"])
            .env(GIVEN_WORLD, self.path())
            .current_dir("/")
            .uid(ORDINARY_USER)
            .gid(ORDINARY_USER)
            .output()
            .ok()?;
        let printed = String::from_utf8_lossy(&ran.stderr).into_owned();
        let code = ran.status.code().unwrap_or(-1);
        Some(if ran.status.success() { Outcome::Done } else { Outcome::Failed { code, printed } })
    }

    pub(crate) fn layer(&self) -> Vec<u8> {
        fs::read(self.path().join("out/layer.tar")).unwrap()
    }

    /// Returns what `pkgroot` and the scripts printed last.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path().join("log")).unwrap()
    }

    fn entries(&self) -> Vec<String> {
        let layer = layer::Layer::open(&self.path().join("out/layer.tar")).unwrap();
        let entries: Result<Vec<_>, _> = layer.entries().unwrap().collect();
        entries.unwrap().iter().map(|located| located.entry.to_string()).collect()
    }

    pub(crate) fn changes(&self) -> Vec<String> {
        let is_link = |line: &String| line.starts_with("symlink") && line.contains(" -> usr/");
        let all = self.entries().into_iter().filter(|line| !is_link(line));
        all.filter(|line| !line.contains("var/lib/dpkg")).collect()
    }

    pub(crate) fn changes_of_database(&self) -> Vec<String> {
        self.entries().into_iter().filter(|line| line.contains("var/lib/dpkg")).collect()
    }

    /// Reads a file of the resulting root.
    pub(crate) fn read(&self, path: &str) -> String {
        let mut layers = self.layers();
        layers.push(self.path().join("out/layer.tar"));
        let tree = Tree::open(&layers).unwrap();
        match tree.get(path.as_bytes()).unwrap_or_else(|| panic!("there is no {path}")).node.kind {
            NodeKind::File(extent) => String::from_utf8(tree.read_content(extent).unwrap()).unwrap(),
            ref kind => panic!("{path} is {kind:?}"),
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _left_for_cargo_clean = remove_tree(&self.0);
    }
}

/// Configures the world that the environment names, for another process.
#[allow(clippy::disallowed_methods, reason = "the process that started this one has no other way to say it")]
pub(crate) fn configure_given_world() {
    let Some(path) = std::env::var_os(GIVEN_WORLD) else { return };
    let world = std::mem::ManuallyDrop::new(World(path.into()));
    if let Outcome::Failed { printed, .. } = world.configure() {
        panic!("{printed}");
    }
}

fn walk(above: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(above).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(walk(&path));
        }
        found.push(path);
    }
    found
}

/// Writes a tree as the store checks it out: contents, what is executable, and nothing writable.
fn check_out(tree: &Tree, root: &Path) {
    for item in tree.items() {
        let path = root.join(std::ffi::OsStr::from_bytes(item.path.as_bytes()));
        match &item.node.kind {
            NodeKind::Directory => fs::create_dir(&path).unwrap(),
            NodeKind::File(extent) => {
                fs::write(&path, tree.read_content(*extent).unwrap()).unwrap();
                let mode = if item.node.metadata.mode & 0o111 == 0 { 0o444 } else { 0o555 };
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            }
            NodeKind::Symlink { target } => symlink(std::ffi::OsStr::from_bytes(target), &path).unwrap(),
            _ => {}
        }
    }
}

/// Packages with a shell, dpkg and what they need, from this machine.
fn userland() -> Option<Vec<Package>> {
    let mut files = BTreeSet::new();
    for name in PROGRAMS {
        let path = ["/usr/bin", "/bin"].map(|directory| Path::new(directory).join(name));
        let path = path.into_iter().find(|path| path.exists())?;
        let libraries = Command::new("ldd").arg(&path).output().ok()?.stdout;
        let libraries = String::from_utf8_lossy(&libraries).into_owned();
        files.extend(libraries.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from));
        files.insert(Path::new("/usr/bin").join(name));
    }
    let mut data: Vec<TarEntry> = [
        "etc",
        "root",
        "run",
        "tmp",
        "var",
        "var/lib",
        "var/lib/dpkg",
        "proc",
        "dev",
        "usr",
        "usr/bin",
        "usr/sbin",
    ]
    .map(|name| directory(&format!("./{name}/")))
    .into();
    for path in &files {
        // On a machine whose /usr is not merged, programs of /bin are not in /usr/bin.
        let elsewhere = || fs::read(Path::new("/").join(path.strip_prefix("/usr").unwrap_or(path)));
        let content = fs::read(path).or_else(|_| elsewhere()).ok()?;
        data.push(TarEntry { content, ..program(&format!(".{}", path.display()), "") });
    }
    data.extend(STAND_INS.iter().map(|name| program(&format!("./usr/bin/{name}"), "#!/bin/sh\nexit 1\n")));
    data.push(link("./etc/mtab", "/proc/mounts"));
    // The newest of all: what scripts make is as old.
    data.push(TarEntry { mtime: 1_700_000_000, ..file("./usr/share/newest", "") });
    let control = [control("dpkg", "Essential: yes\n"), file("./md5sums", "")];
    Some(vec![Package { name: "dpkg".to_owned(), deb: fixtures::deb(&control, &data) }])
}
