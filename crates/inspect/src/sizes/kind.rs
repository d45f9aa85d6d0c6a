//! What files are, for sums of their sizes.

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// An ELF program.
    Program,
    /// A shared library, or a part of one.
    Library,
    /// A kernel, or an initramfs.
    Kernel,
    /// A kernel module.
    Module,
    /// What devices are loaded with.
    Firmware,
    /// A script.
    Script,
    /// Compiled code of an interpreter.
    Bytecode,
    /// Manuals and other documentation.
    Documentation,
    /// What programs say in other languages, and how these are written.
    Locale,
    /// A font.
    Font,
    /// An image or a sound.
    Media,
    /// Something compressed, or an archive.
    Archive,
    /// A database.
    Database,
    /// Other text.
    Text,
    /// Something else.
    Data,
}

impl FileKind {
    /// Returns what people call files of the kind.
    pub fn name(self) -> &'static str {
        match self {
            FileKind::Program => "ELF programs",
            FileKind::Library => "libraries",
            FileKind::Kernel => "kernels",
            FileKind::Module => "kernel modules",
            FileKind::Firmware => "firmware",
            FileKind::Script => "scripts",
            FileKind::Bytecode => "bytecode",
            FileKind::Documentation => "documentation",
            FileKind::Locale => "locales",
            FileKind::Font => "fonts",
            FileKind::Media => "media",
            FileKind::Archive => "archives",
            FileKind::Database => "databases",
            FileKind::Text => "text",
            FileKind::Data => "other data",
        }
    }
}

/// Directories whose files are of one kind, whatever is in them.
const PLACES: [(&str, FileKind); 12] = [
    ("usr/share/doc/", FileKind::Documentation),
    ("usr/share/man/", FileKind::Documentation),
    ("usr/share/info/", FileKind::Documentation),
    ("usr/share/gtk-doc/", FileKind::Documentation),
    ("usr/share/locale/", FileKind::Locale),
    ("usr/share/i18n/", FileKind::Locale),
    ("usr/lib/locale/", FileKind::Locale),
    ("lib/firmware/", FileKind::Firmware),
    ("usr/lib/firmware/", FileKind::Firmware),
    ("usr/share/fonts/", FileKind::Font),
    ("var/lib/dpkg/info/", FileKind::Database),
    ("var/lib/apt/lists/", FileKind::Database),
];

/// Ends of names that say enough.
const ENDS: [(&str, FileKind); 47] = [
    (".ko", FileKind::Module),
    (".ko.gz", FileKind::Module),
    (".ko.xz", FileKind::Module),
    (".ko.zst", FileKind::Module),
    (".a", FileKind::Library),
    (".o", FileKind::Library),
    (".so", FileKind::Library),
    (".py", FileKind::Script),
    (".pl", FileKind::Script),
    (".pm", FileKind::Script),
    (".sh", FileKind::Script),
    (".js", FileKind::Script),
    (".rb", FileKind::Script),
    (".tcl", FileKind::Script),
    (".pyc", FileKind::Bytecode),
    (".elc", FileKind::Bytecode),
    (".class", FileKind::Bytecode),
    (".jar", FileKind::Bytecode),
    (".mo", FileKind::Locale),
    (".ttf", FileKind::Font),
    (".otf", FileKind::Font),
    (".pcf", FileKind::Font),
    (".png", FileKind::Media),
    (".svg", FileKind::Media),
    (".jpg", FileKind::Media),
    (".gif", FileKind::Media),
    (".ico", FileKind::Media),
    (".wav", FileKind::Media),
    (".ogg", FileKind::Media),
    (".gz", FileKind::Archive),
    (".xz", FileKind::Archive),
    (".zst", FileKind::Archive),
    (".bz2", FileKind::Archive),
    (".tar", FileKind::Archive),
    (".zip", FileKind::Archive),
    (".deb", FileKind::Archive),
    (".db", FileKind::Database),
    (".sqlite", FileKind::Database),
    (".hwdb", FileKind::Database),
    (".txt", FileKind::Text),
    (".h", FileKind::Text),
    (".conf", FileKind::Text),
    (".xml", FileKind::Text),
    (".json", FileKind::Text),
    (".html", FileKind::Text),
    (".css", FileKind::Text),
    (".rules", FileKind::Text),
];

/// Returns what a file is: by where it is or how it is called, or else by how it begins.
pub(super) fn of(path: &[u8], mode: Option<u32>, start: impl FnOnce() -> Option<Vec<u8>>) -> FileKind {
    let path = String::from_utf8_lossy(path);
    let name = path.rsplit('/').next().unwrap_or(&path);
    let by_end = || ENDS.iter().filter(|(end, _)| name.ends_with(end)).max_by_key(|(end, _)| end.len());
    if let Some((_, FileKind::Module)) = by_end() {
        return FileKind::Module;
    }
    if let Some((_, kind)) = PLACES.iter().find(|(place, _)| path.starts_with(place)) {
        return *kind;
    }
    if ["vmlinuz", "vmlinux", "initrd", "initramfs", "bzImage"].iter().any(|word| name.starts_with(word))
        && !name.contains(".h")
    {
        return FileKind::Kernel;
    }
    if name.contains(".so.") {
        return FileKind::Library;
    }
    if let Some((_, kind)) = by_end() {
        return *kind;
    }
    by_start(mode.is_some_and(|mode| mode & 0o111 != 0), &start().unwrap_or_default())
}

fn by_start(is_executable: bool, start: &[u8]) -> FileKind {
    if start.starts_with(b"\x7fELF") {
        // Of a program and a library, which are of one type, only one is run.
        let is_relocatable = start.get(16) == Some(&1) || start.get(17) == Some(&1);
        return if is_executable && !is_relocatable { FileKind::Program } else { FileKind::Library };
    }
    if start.starts_with(b"#!") {
        return FileKind::Script;
    }
    if start.starts_with(b"MZ") {
        return FileKind::Program;
    }
    let text = match std::str::from_utf8(start) {
        Ok(text) => text,
        // The last character may be cut off.
        Err(error) if error.valid_up_to() + 4 > start.len() => {
            std::str::from_utf8(&start[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return FileKind::Data,
    };
    let is_text = text.chars().all(|char| !char.is_control() || "\n\r\t\x0c\x1b".contains(char));
    if is_text && !text.is_empty() { FileKind::Text } else { FileKind::Data }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, mode: u32, start: &[u8], expected: FileKind) {
        assert_eq!(of(path.as_bytes(), Some(mode), || Some(start.to_vec())), expected, "{path}");
    }

    #[test]
    fn files_are_told_by_place_name_and_start() {
        let elf = |kind: u8| [&b"\x7fELF\x02\x01\x01"[..], &[0; 9], &[kind, 0], &[0; 8]].concat();
        check("usr/bin/bash", 0o755, &elf(3), FileKind::Program);
        check("usr/lib/x/libc-2.so", 0o755, b"", FileKind::Library);
        check("usr/lib/libc.so.6", 0o755, b"", FileKind::Library);
        check("usr/lib/x/plugin", 0o644, &elf(3), FileKind::Library);
        check("usr/lib/x/crt1", 0o755, &elf(1), FileKind::Library);
        check("usr/lib/modules/6.1/a.ko.xz", 0o644, b"", FileKind::Module);
        check("usr/bin/ldd", 0o755, b"#!/bin/bash\n", FileKind::Script);
        check("usr/share/doc/a/changelog.gz", 0o644, b"", FileKind::Documentation);
        check("boot/vmlinuz-6.1", 0o644, b"", FileKind::Kernel);
        check("etc/hostname", 0o644, "grün\n".as_bytes(), FileKind::Text);
        check("etc/cut", 0o644, b"gr\xc3", FileKind::Text);
        check("etc/random", 0o644, b"\xff\x00\x12\x13\x14", FileKind::Data);
        check("etc/empty", 0o644, b"", FileKind::Data);
    }

    #[test]
    fn what_is_told_by_its_name_is_not_read() {
        assert_eq!(of(b"usr/share/a.png", None, || panic!("it was read")), FileKind::Media);
    }
}
