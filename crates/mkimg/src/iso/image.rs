//! Sealing: everything gets its sectors, and every number of the file system is known.

use super::directory::{Encoded, Listing};
use super::eltorito::{self, BootEntry, Platform};
use super::error::Error;
use super::hierarchy::{Hierarchy, Names};
use super::hybrid::Places;
use super::options::Options;
use super::patch::UNITS;
use super::tree::{Iso, MOST_BYTES};
use super::volume::{self, Volume};
use super::{SECTOR, SYSTEM_AREA, susp};
use crate::tree::{Content, Node, ROOT, Tree};

/// A file system whose layout is fixed. [`Image::write`] makes its bytes.
pub struct Image {
    pub(super) tree: Tree,
    pub(super) boot: Vec<BootEntry>,
    /// The sectors before the file system.
    pub(super) area: Vec<u8>,
    /// Descriptors and path tables, in their order: each at the sector that follows the one before.
    pub(super) head: Vec<Vec<u8>>,
    pub(super) hierarchies: Vec<Hierarchy>,
    /// The boot catalog; empty if machines do not start from it.
    pub(super) catalog: Vec<u8>,
    /// What has data, in its order.
    pub(super) order: Vec<Node>,
    /// Where the data of a file is, by node.
    pub(super) starts: Vec<u32>,
    /// By node: files with several names have one.
    pub(super) serials: Vec<u32>,
    /// What is at the end of the image.
    pub(super) end: Vec<u8>,
    sectors: u32,
}

/// How many sectors of zeros follow the files, as `mkisofs` has them: GRUB and drives read ahead, and take the end of
/// the medium for an error in what they were asked for.
const PADDING: u64 = 150;

/// Gives out sectors.
struct Cursor {
    next: u64,
}

impl Cursor {
    /// Returns the first of `sectors` sectors.
    fn take(&mut self, sectors: u64) -> u32 {
        let start = self.next;
        self.next += sectors;
        // What is wrong with it then is seen when everything has its place.
        u32::try_from(start).unwrap_or(u32::MAX)
    }

    fn take_bytes(&mut self, bytes: u64) -> u32 {
        self.take(bytes.div_ceil(SECTOR as u64))
    }

    fn check(&self) -> Result<u32, Error> {
        let too_large =
            |_| Error::TooLarge { size: self.next.saturating_mul(SECTOR as u64), limit: MOST_BYTES };
        u32::try_from(self.next).map_err(too_large)
    }
}

impl Image {
    pub(super) fn new(format: Iso, tree: Tree) -> Result<Image, Error> {
        let Iso { options, boot } = format;
        let count = tree.directories.len();
        if count > usize::from(u16::MAX) {
            return Err(Error::TooManyDirectories { count });
        }
        check_devices(&tree)?;
        let (order, serials) = visit(&tree, &boot);
        let mut starts = vec![0; tree.nodes.len()];
        let names = if options.joliet { &[Names::Primary, Names::Joliet][..] } else { &[Names::Primary] };
        let mut hierarchies: Vec<Hierarchy> =
            names.iter().map(|names| Hierarchy::new(&tree, *names)).collect();

        // Descriptors, tables and directories are first, so that who looks for a name reads a small part of it.
        let has_boot = !boot.is_empty();
        let n_descriptors = hierarchies.len() as u64 + 1 + u64::from(has_boot);
        let mut cursor = Cursor { next: u64::from(SYSTEM_AREA) + n_descriptors };
        let mut tables = Vec::new();
        for hierarchy in &hierarchies {
            let length = hierarchy.table_len() as u64;
            tables.push([cursor.take_bytes(length), cursor.take_bytes(length)]);
        }
        for hierarchy in &mut hierarchies {
            for directory in hierarchy.order.clone() {
                let listing = Listing { tree: &tree, hierarchy, starts: &starts, serials: &serials };
                let Encoded { records, areas } = listing.encode(directory);
                let [sectors, areas] = [records.len(), areas.len()].map(|length| (length / SECTOR) as u64);
                let place = &mut hierarchy.places[directory];
                place.start = cursor.take(sectors + areas);
                // Memory has no directory of more than 2^32 sectors.
                (place.sectors, place.areas) = (sectors as u32, areas as u32);
            }
        }
        let catalog_sector = cursor.take(u64::from(has_boot));
        for node in &order {
            starts[node.index()] = cursor.take_bytes(size(&tree, *node));
        }
        cursor.take(PADDING);
        let hybrid = options.hybrid.as_ref();
        cursor.take(hybrid.map_or(0, |hybrid| hybrid.units_at_end().div_ceil(UNITS)));
        let sectors = cursor.check()?;

        let placed = |entry: &BootEntry| (*entry, size(&tree, entry.image), starts[entry.image.index()]);
        let placed: Vec<(BootEntry, u64, u32)> = boot.iter().map(placed).collect();
        let catalog = if has_boot { eltorito::encode(&placed) } else { Vec::new() };
        let (area, end) = match hybrid {
            Some(hybrid) => {
                let of = |platform| placed.iter().filter(move |(entry, ..)| entry.platform == platform);
                let efi: Vec<(u32, u64)> =
                    of(Platform::Efi).map(|(_, size, start)| (*start, *size)).collect();
                let bios = of(Platform::Bios).next().map(|(_, _, start)| *start);
                hybrid.encode(&Places { bios, efi: &efi, sectors })?
            }
            None => (Vec::new(), Vec::new()),
        };
        let listings = hierarchies.iter().map(|hierarchy| Listing {
            tree: &tree,
            hierarchy,
            starts: &starts,
            serials: &serials,
        });
        let roots = listings.map(|listing| listing.root()).collect();
        let head = head(&options, &hierarchies, &tables, roots, sectors, has_boot.then_some(catalog_sector));
        Ok(Image { tree, boot, area, head, hierarchies, catalog, order, starts, serials, end, sectors })
    }

    /// Returns the image's size in bytes.
    pub fn size(&self) -> u64 {
        u64::from(self.sectors) * SECTOR as u64
    }

    /// Returns the first sector of a file's data.
    pub fn sector(&self, node: Node) -> u32 {
        self.starts[node.index()]
    }

    pub(super) fn listing<'a>(&'a self, hierarchy: &'a Hierarchy) -> Listing<'a> {
        Listing { tree: &self.tree, hierarchy, starts: &self.starts, serials: &self.serials }
    }

    /// Returns a path of a file, for messages.
    pub(super) fn path(&self, node: Node) -> String {
        match self.tree.nodes[node.index()].links {
            0 => "the boot image".to_owned(),
            _ => self.tree.path(node),
        }
    }
}

/// Returns descriptors and path tables.
fn head(
    options: &Options,
    hierarchies: &[Hierarchy],
    tables: &[[u32; 2]],
    roots: Vec<Vec<u8>>,
    sectors: u32,
    catalog: Option<u32>,
) -> Vec<Vec<u8>> {
    let mut head = Vec::new();
    for ((hierarchy, tables), root) in hierarchies.iter().zip(tables).zip(roots) {
        // There are 65535 directories at most, with short names.
        let table_len = hierarchy.table_len() as u32;
        let volume = Volume { options, sectors, table_len, tables: *tables, root };
        match hierarchy.names {
            Names::Primary => {
                head.push(volume.primary());
                // It has to be the second one ("Bootable CD-ROM Format" 2.0).
                head.extend(catalog.map(volume::boot_record));
            }
            Names::Joliet => head.push(volume.joliet()),
        }
    }
    head.push(volume::terminator());
    for hierarchy in hierarchies {
        for is_big_endian in [false, true] {
            let mut table = hierarchy.table(is_big_endian);
            table.resize(table.len().next_multiple_of(SECTOR), 0);
            head.push(table);
        }
    }
    head
}

/// Returns the size of what has data, and zero for the rest.
pub(super) fn size(tree: &Tree, node: Node) -> u64 {
    match tree.nodes[node.index()].content {
        Content::File { size } => size,
        _ => 0,
    }
}

fn check_devices(tree: &Tree) -> Result<(), Error> {
    for (declared, index) in tree.nodes.iter().zip(0..) {
        if let Content::CharDevice { major, minor } | Content::BlockDevice { major, minor } = declared.content
            && !susp::is_device(major, minor)
        {
            let path = tree.path(Node::from_index(index));
            return Err(Error::Device { path, major: major.into(), minor });
        }
    }
    Ok(())
}

/// Walks the tree in the order of paths. Returns what has data, layer by layer behind the images that machines start
/// from, and the serial numbers of all nodes.
fn visit(tree: &Tree, boot: &[BootEntry]) -> (Vec<Node>, Vec<u32>) {
    let mut serials = vec![0; tree.nodes.len()];
    let mut next = 0;
    let mut files: Vec<Node> = boot.iter().map(|entry| entry.image).collect();
    let mut pending = vec![ROOT];
    while let Some(node) = pending.pop() {
        let serial = &mut serials[node.index()];
        if *serial == 0 {
            next += 1;
            *serial = next;
            files.push(node);
        }
        if let Some(directory) = tree.directory(node) {
            pending.extend(directory.entries.iter().rev().map(|(_, child)| child));
        }
    }
    let hidden = tree.nodes.iter().zip(0..).filter(|(declared, _)| declared.links == 0);
    files.extend(hidden.map(|(_, index)| Node::from_index(index)));
    let mut is_there = vec![false; tree.nodes.len()];
    files.retain(|node| size(tree, *node) > 0 && !std::mem::replace(&mut is_there[node.index()], true));
    let is_boot = |node: &&Node| boot.iter().any(|entry| entry.image == **node);
    let n_boot = files.iter().take_while(is_boot).count();
    tree.by_layer(&mut files[n_boot..]);
    (files, serials)
}
