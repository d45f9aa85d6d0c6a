//! What in a tree refers to other nodes of it: by phandle, alone or with cells that the other node asks for, and by path.

use crate::name::path;
use crate::tree::{Node, cell};

use super::{Chain, Checker, shown};

/// Properties that are phandles, each followed by as many cells as a property of the node that it leads to says (2.4.1
/// of the specification, and the bindings of the Linux kernel).
const WITH_ARGUMENTS: [(&str, &str); 20] = [
    ("assigned-clock-parents", "#clock-cells"),
    ("assigned-clocks", "#clock-cells"),
    ("clocks", "#clock-cells"),
    ("cooling-device", "#cooling-cells"),
    ("dmas", "#dma-cells"),
    ("gpios", "#gpio-cells"),
    ("hwlocks", "#hwlock-cells"),
    ("interconnects", "#interconnect-cells"),
    ("interrupts-extended", "#interrupt-cells"),
    ("io-channels", "#io-channel-cells"),
    ("iommus", "#iommu-cells"),
    ("mboxes", "#mbox-cells"),
    ("msi-parent", "#msi-cells"),
    ("mux-controls", "#mux-control-cells"),
    ("phys", "#phy-cells"),
    ("power-domains", "#power-domain-cells"),
    ("pwms", "#pwm-cells"),
    ("resets", "#reset-cells"),
    ("sound-dai", "#sound-dai-cells"),
    ("thermal-sensors", "#thermal-sensor-cells"),
];

/// Properties that are phandles and nothing else.
const PHANDLES: [&str; 5] =
    ["interrupt-affinity", "memory-region", "next-level-cache", "operating-points-v2", "phy-handle"];

/// Nodes of the root whose properties are paths, as `dtc` makes them of labels (3.3).
const OF_PATHS: [&str; 2] = ["aliases", "__symbols__"];

impl<'a> Checker<'a> {
    /// Checks what refers to other nodes. Says whether `name` is such a property.
    pub(super) fn reference(&mut self, chain: &Chain<'a>, name: &str, value: &[u8]) -> bool {
        let node = chain[chain.len() - 1];
        // What a hog takes is of the node above it, so no phandle comes first (gpio/gpio.txt).
        let is_hogged = name == "gpios" && node.property("gpio-hog").is_some();
        let is_gpio = name.ends_with("-gpios") && !name.starts_with("nr-") && !name.ends_with(",nr-gpios");
        let has_paths = matches!(chain, [_, node] if OF_PATHS.contains(&node.name.as_str()));
        let argument = WITH_ARGUMENTS.iter().find(|(property, _)| *property == name).map(|(_, cells)| *cells);
        if let Some(count) = argument.or(is_gpio.then_some("#gpio-cells")).filter(|_| !is_hogged) {
            self.with_arguments(chain, name, value, count);
        } else if PHANDLES.contains(&name) {
            self.phandles(chain, name, value);
        } else if name == "interrupt-map" {
            self.interrupt_map(chain, value);
        } else if has_paths && !name.ends_with("phandle") {
            self.path(chain, name, value);
        } else {
            return false;
        }
        true
    }

    /// Returns the node with that number.
    fn target(&self, phandle: u32) -> Option<&'a Node> {
        self.phandles.get(&phandle).and_then(|chain| chain.last().copied())
    }

    fn with_arguments(&mut self, chain: &Chain<'a>, name: &str, value: &[u8], count: &str) {
        let Some(all) = self.all_cells(chain, name, value) else { return };
        let mut rest = &all[..];
        while let [phandle, arguments @ ..] = rest {
            rest = arguments;
            // Such an entry is left out.
            if [0, u32::MAX].contains(phandle) {
                continue;
            }
            let Some(target) = self.target(*phandle) else {
                return self.dangling(chain, name, *phandle);
            };
            let n_cells = match self.index.property(target, count).map(cell) {
                // There may be none where nothing has to be told apart (interrupt-controller/msi.txt).
                None if count == "#msi-cells" => 0,
                Some(Some(n_cells)) => n_cells as usize,
                // It is reported where it is.
                Some(None) => return,
                None => {
                    let other = self.phandles.get(phandle).map(|chain| path(chain)).unwrap_or_default();
                    let expected = format!("of nodes with `{count}`, which `{other}` has not");
                    return self.report(chain, name, &expected, shown(value));
                }
            };
            let Some(after) = rest.get(n_cells..) else {
                let other = self.phandles.get(phandle).map(|chain| path(chain)).unwrap_or_default();
                let expected = format!("a phandle and {n_cells} cells for `{other}`, which has `{count}`");
                return self.report(chain, name, &expected, shown(value));
            };
            rest = after;
        }
    }

    fn phandles(&mut self, chain: &Chain<'a>, name: &str, value: &[u8]) {
        for phandle in self.all_cells(chain, name, value).unwrap_or_default() {
            if ![0, u32::MAX].contains(&phandle) && self.target(phandle).is_none() {
                return self.dangling(chain, name, phandle);
            }
        }
    }

    /// Checks that `interrupt-map` has whole entries (2.4.3): an address and an interrupt here, a node, an address and an
    /// interrupt there.
    fn interrupt_map(&mut self, chain: &Chain<'a>, value: &[u8]) {
        let name = "interrupt-map";
        let node = chain[chain.len() - 1];
        let here =
            self.index.cells(node, "#address-cells", 2).zip(self.index.cells(node, "#interrupt-cells", 1));
        let (Some(all), Some((address, interrupt))) = (self.all_cells(chain, name, value), here) else {
            return;
        };
        let here = usize::try_from(address + interrupt).unwrap_or(usize::MAX);
        let mut rest = &all[..];
        while !rest.is_empty() {
            let Some([phandle, after @ ..]) = rest.get(here..) else {
                let expected = format!("entries that begin with {here} cells and a phandle");
                return self.report(chain, name, &expected, format!("{} bytes", value.len()));
            };
            let Some(parent) = self.target(*phandle) else {
                return self.dangling(chain, name, *phandle);
            };
            let cells = |name, default| self.index.cells(parent, name, default);
            let there = cells("#address-cells", 0).zip(cells("#interrupt-cells", 1));
            // What is no cell is reported where it is.
            let Some((address, interrupt)) = there else { return };
            let Some(after) = usize::try_from(address + interrupt).ok().and_then(|there| after.get(there..))
            else {
                let other = self.phandles.get(phandle).map(|chain| path(chain)).unwrap_or_default();
                let expected = format!("entries with {address} + {interrupt} cells for `{other}`");
                return self.report(chain, name, &expected, format!("{} bytes", value.len()));
            };
            rest = after;
        }
    }

    /// Checks that a value is the path of a node.
    pub(super) fn path(&mut self, chain: &Chain<'a>, name: &str, value: &[u8]) {
        let path = value.strip_suffix(&[0]).and_then(|text| std::str::from_utf8(text).ok());
        let is_there = path.is_some_and(|path| self.index.has_node(self.root, path));
        if !is_there {
            self.report(chain, name, "the path of a node", shown(value));
        }
    }

    /// Checks that the console is the path of a node or an alias of one, and perhaps options behind a colon (3.6).
    pub(super) fn console(&mut self, chain: &Chain<'a>, value: &[u8]) {
        let text = value.strip_suffix(&[0]).and_then(|text| std::str::from_utf8(text).ok());
        let name = text.map(|text| text.split(':').next().unwrap_or_default());
        let is_there =
            name.is_some_and(|name| self.index.has_node(self.root, name) || self.aliases.contains(name));
        if !is_there {
            let expected = "the path of a node or an alias, and perhaps `:` and options";
            self.report(chain, "stdout-path", expected, shown(value));
        }
    }

    fn all_cells(&mut self, chain: &Chain<'a>, name: &str, value: &[u8]) -> Option<Vec<u32>> {
        if !value.len().is_multiple_of(4) {
            self.report(chain, name, "cells", format!("{} bytes", value.len()));
            return None;
        }
        Some(value.chunks_exact(4).filter_map(cell).collect())
    }

    fn dangling(&mut self, chain: &Chain<'a>, name: &str, phandle: u32) {
        let found = format!("`{phandle:#04x}`, which no node has");
        self.report(chain, name, "of phandles that nodes have", found);
    }
}
