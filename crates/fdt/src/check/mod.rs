//! What every tree has to satisfy (Devicetree Specification v0.4, chapters 2 and 3), whatever it describes.

mod index;
mod references;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::dts;
use crate::name::path;
use crate::tree::{Node, Tree, cell};
use index::Index;

/// Something in a tree that cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The path of the node.
    pub node: String,
    /// The name of the property.
    pub property: String,
    /// What it should be.
    pub expected: String,
    /// What it is.
    pub found: String,
    /// Whether only the node's name is at odds with it, which drivers do not look at: the trees of many boards have such
    /// nodes.
    pub is_of_name: bool,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { node, property, expected, found, .. } = self;
        write!(f, "`{property}` of `{node}` should be {expected}, but is {found}")
    }
}

/// Returns all that is wrong with `tree`, in the order of its nodes.
///
/// Names, which cannot be written if they are wrong, are not looked at. A property whose length depends on one
/// that is wrong itself is passed over.
pub fn check(tree: &Tree) -> Vec<Problem> {
    let aliases = tree.node("/aliases").map_or(&[][..], |aliases| &aliases.properties);
    let mut checker = Checker {
        root: &tree.root,
        index: Index::default(),
        aliases: aliases.iter().map(|alias| alias.name.as_str()).collect(),
        phandles: BTreeMap::new(),
        problems: Vec::new(),
    };
    checker.number(&mut vec![&tree.root]);
    checker.node(&mut vec![&tree.root]);
    checker.problems
}

/// Properties that are one string (2.3, 3.6); of the others with strings, `compatible` and names are lists.
const STRINGS: [&str; 5] = ["bootargs", "device_type", "label", "model", "serial-number"];
/// What a node may say of itself (2.3.4), and what Linux takes for the first of these.
const STATES: [&str; 5] = ["okay", "ok", "disabled", "reserved", "fail"];
/// Properties that are only there or not (2.3.9, 2.4, 3.5): whoever gives one the value 0 does not get what he wants.
const FLAGS: [&str; 6] =
    ["dma-coherent", "dma-noncoherent", "gpio-controller", "interrupt-controller", "no-map", "reusable"];
/// Numbers of one or two cells (2.3, 3.6, 3.8.1).
const NUMBERS: [&str; 4] =
    ["clock-frequency", "linux,initrd-end", "linux,initrd-start", "timebase-frequency"];
/// Nodes of these types are nothing without `reg` (3.4, 3.8.1).
const WITH_REG: [&[u8]; 2] = [b"cpu\0", b"memory\0"];

/// The nodes from the root to one of them.
type Chain<'a> = [&'a Node];

struct Checker<'a> {
    root: &'a Node,
    index: Index<'a>,
    /// The names of the properties of `/aliases`.
    aliases: BTreeSet<&'a str>,
    /// The first node with each number.
    phandles: BTreeMap<u32, Vec<&'a Node>>,
    problems: Vec<Problem>,
}

impl<'a> Checker<'a> {
    fn number(&mut self, chain: &mut Vec<&'a Node>) {
        let node = chain[chain.len() - 1];
        self.index.add(node);
        if let Some(phandle) = node.phandle() {
            self.phandles.entry(phandle).or_insert_with(|| chain.clone());
        }
        for child in &node.children {
            chain.push(child);
            self.number(chain);
            chain.pop();
        }
    }

    fn node(&mut self, chain: &mut Vec<&'a Node>) {
        let node = chain[chain.len() - 1];
        for property in &node.properties {
            self.property(chain, &property.name, &property.value);
        }
        let is_kind = |kind: &&[u8]| node.property("device_type") == Some(*kind);
        if WITH_REG.iter().any(is_kind) && node.property("reg").is_none() {
            self.report(chain, "reg", "in a node of this `device_type`", "missing".to_owned());
        }
        for child in &node.children {
            chain.push(child);
            self.node(chain);
            chain.pop();
        }
    }

    fn property(&mut self, chain: &Chain<'a>, name: &str, value: &[u8]) {
        let is_string = || value.strip_suffix(&[0]).is_some_and(|string| !string.contains(&0));
        if self.reference(chain, name, value) {
            return;
        }
        let is_list = |list: &[u8]| list.split(|byte| *byte == 0).all(|string| !string.is_empty());
        let (expected, is_right) = match name {
            "reg" => return self.reg(chain, value),
            "ranges" | "dma-ranges" => return self.ranges(chain, name, value),
            "interrupts" => return self.interrupts(chain, value),
            "phandle" | "linux,phandle" => return self.phandle(chain, name, value),
            "interrupt-parent" => {
                let target = cell(value).and_then(|phandle| self.phandles.get(&phandle));
                ("the phandle of a node", target.is_some())
            }
            "compatible" => {
                ("strings, each with a NUL at its end", value.strip_suffix(&[0]).is_some_and(is_list))
            }
            "enable-method" => {
                ("strings, each with a NUL at its end", value.strip_suffix(&[0]).is_some_and(is_list))
            }
            "status" => {
                let state = value.strip_suffix(&[0]).unwrap_or_default();
                let is_known =
                    STATES.iter().any(|known| known.as_bytes() == state) || state.starts_with(b"fail-");
                ("`okay`, `disabled`, `reserved` or `fail`", is_known)
            }
            "stdout-path" if is_string() => return self.console(chain, value),
            "stdout-path" => ("one string with a NUL at its end", false),
            _ if FLAGS.contains(&name) => ("without a value", value.is_empty()),
            _ if NUMBERS.contains(&name) => ("one or two cells", [4, 8].contains(&value.len())),
            // Some are empty strings, where what would be named has no name.
            _ if name.ends_with("-names") => {
                ("strings, each with a NUL at its end", value.last() == Some(&0))
            }
            _ if STRINGS.contains(&name) => ("one string with a NUL at its end", is_string()),
            _ if name.starts_with('#') && name.ends_with("-cells") => ("one cell", cell(value).is_some()),
            _ => return,
        };
        if !is_right {
            self.report(chain, name, expected, shown(value));
        }
    }

    /// Checks that `reg` has whole entries (2.3.6), and that the node's name has the first address (2.2.1).
    fn reg(&mut self, chain: &Chain<'a>, value: &[u8]) {
        let [.., parent, node] = chain else { return };
        let cells = |name, default| self.index.cells(parent, name, default);
        let Some((address, size)) = cells("#address-cells", 2).zip(cells("#size-cells", 1)) else {
            return;
        };
        let sum = format!("{address} + {size}");
        if value.is_empty() || !self.is_whole(chain, "reg", value, address + size, &sum) {
            if value.is_empty() {
                self.report(chain, "reg", "one entry or more", "empty".to_owned());
            }
            return;
        }
        let n_address_bytes = usize::try_from(address * 4).unwrap_or(usize::MAX);
        let (Some(unit), Some(bytes)) = (node.unit_address(), value.get(..n_address_bytes)) else { return };
        let is_pci = self.index.property(parent, "device_type") == Some(b"pci\0");
        if !unit_matches(unit, bytes, is_pci) {
            let expected = format!("at the unit address `{unit}`");
            self.report(chain, "reg", &expected, format!("at {}", shown(bytes)));
            self.problems.iter_mut().last().expect("it was reported").is_of_name = true;
        }
    }

    /// Checks that `ranges` is empty or has whole entries (2.3.8).
    fn ranges(&mut self, chain: &Chain<'a>, name: &str, value: &[u8]) {
        let [.., parent, node] = chain else { return };
        let cells = |node, name, default| self.index.cells(node, name, default);
        let here = cells(node, "#address-cells", 2).zip(cells(node, "#size-cells", 1));
        if let Some(((child, size), above)) = here.zip(cells(parent, "#address-cells", 2))
            && !value.is_empty()
        {
            self.is_whole(chain, name, value, child + above + size, &format!("{child} + {above} + {size}"));
        }
    }

    /// Checks that `interrupts` has whole entries of the node's interrupt parent (2.4.1).
    fn interrupts(&mut self, chain: &Chain<'a>, value: &[u8]) {
        // The other property counts where both are there.
        if chain.last().is_some_and(|node| node.property("interrupts-extended").is_some()) {
            return;
        }
        let mut parent = None;
        for (depth, above) in chain.iter().enumerate().rev() {
            let is_provider = ["interrupt-controller", "interrupt-map"]
                .iter()
                .any(|name| self.index.property(above, name).is_some());
            if depth + 1 < chain.len() && is_provider {
                parent = Some(chain[..=depth].to_vec());
                break;
            }
            if let Some(phandle) = self.index.property(above, "interrupt-parent") {
                parent = cell(phandle).and_then(|phandle| self.phandles.get(&phandle)).cloned();
                if parent.is_none() {
                    // It is reported where it is.
                    return;
                }
                break;
            }
        }
        let Some(parent) = parent else {
            let expected = "below a node with `interrupt-parent` or `interrupt-controller`";
            return self.report(chain, "interrupts", expected, "not".to_owned());
        };
        let controller = parent[parent.len() - 1];
        match self.index.property(controller, "#interrupt-cells").map(cell) {
            Some(Some(cells)) => {
                let sum = format!("{cells} by `{}`", path(&parent));
                self.is_whole(chain, "interrupts", value, u64::from(cells), &sum);
            }
            Some(None) => {}
            None => {
                let expected =
                    format!("for a node with `#interrupt-cells`, which `{}` has not", path(&parent));
                self.report(chain, "interrupts", &expected, shown(value));
            }
        }
    }

    /// Checks that a phandle is a number that no other node has (2.3.3).
    fn phandle(&mut self, chain: &Chain<'a>, name: &str, value: &[u8]) {
        let Some(phandle) = cell(value).filter(|phandle| ![0, u32::MAX].contains(phandle)) else {
            return self.report(chain, name, "one cell between 1 and 0xfffffffe", shown(value));
        };
        let first = self.phandles.get(&phandle);
        let is_own = |first: &&Vec<&Node>| {
            first.last().is_some_and(|first| std::ptr::eq(*first, chain[chain.len() - 1]))
        };
        if let Some(first) = first.filter(|first| !is_own(first)) {
            let found = format!("{} like that of `{}`", shown(value), path(first));
            self.report(chain, name, "a number of its own", found);
        }
    }

    /// Says whether `value` is entries of so many cells, and reports it if not.
    fn is_whole(&mut self, chain: &Chain<'a>, name: &str, value: &[u8], n_cells: u64, sum: &str) -> bool {
        let len = value.len() as u64;
        let is_whole = if n_cells == 0 { len == 0 } else { len.is_multiple_of(n_cells * 4) };
        if !is_whole {
            let expected = format!("entries of {n_cells} cells ({sum})");
            self.report(chain, name, &expected, format!("{len} bytes"));
        }
        is_whole
    }

    fn report(&mut self, chain: &Chain<'a>, property: &str, expected: &str, found: String) {
        let (property, expected) = (property.to_owned(), expected.to_owned());
        self.problems.push(Problem { node: path(chain), property, expected, found, is_of_name: false });
    }
}

/// Says whether `unit` is one of the ways in which buses write an address: one number, the cells with commas
/// between them, or for PCI the device and function in the upper cell. The lowest cell alone will do: QEMU and
/// others leave the upper one out.
fn unit_matches(unit: &str, address: &[u8], is_pci: bool) -> bool {
    let numbers: Option<Vec<u128>> =
        unit.split(',').map(|part| u128::from_str_radix(part, 16).ok()).collect();
    // More than four cells fit no number; nobody has such a bus.
    let (Some(numbers), true) = (numbers, address.len() <= 16) else { return address.len() > 16 };
    let cells: Vec<u128> = address
        .chunks(4)
        .map(|cell| cell.iter().fold(0, |number, byte| number << 8 | u128::from(*byte)))
        .collect();
    if let (true, Some(upper)) = (is_pci, cells.first()) {
        let (device, function) = (upper >> 11 & 0x1f, upper >> 8 & 7);
        return numbers == [device, function] || (function == 0 && numbers == [device]);
    }
    numbers == cells
        || cells.last().is_some_and(|lowest| numbers == [*lowest])
        || numbers == [cells.iter().fold(0, |number, cell| number << 32 | cell)]
}

/// Returns the beginning of a value as source.
fn shown(value: &[u8]) -> String {
    match dts::value(value.get(..64).unwrap_or(value)) {
        text if text.is_empty() => "empty".to_owned(),
        text if value.len() > 64 => format!("`{text}…`"),
        text => format!("`{text}`"),
    }
}
