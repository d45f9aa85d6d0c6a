//! Device trees: their bytes, what `dtc` says of them, changes, and what is wrong with some.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod blob;
mod checks;
mod dtc;
mod edits;
mod overlays;

use std::error::Error;

use fdt::machine::{self, Chosen, PsciMethod};
use fdt::{Edit, Labels, Part, Region, Tree};

/// Returns the messages of an error and of its causes.
fn chain(error: &dyn Error) -> String {
    let causes = error.source().map(chain);
    causes.map_or_else(|| error.to_string(), |causes| format!("{error}: {causes}"))
}

fn set(node: &str, property: &str, value: &[Part]) -> Edit {
    Edit::SetProperty { node: node.to_owned(), property: property.to_owned(), value: value.to_vec() }
}

fn cells(cells: &[u32]) -> Part {
    Part::U32(cells.to_vec())
}

fn string(text: &str) -> Part {
    Part::String(text.to_owned())
}

fn build(edits: &[Edit]) -> Tree {
    Tree::default().edited(edits, &Labels::new()).unwrap()
}

/// Everything that [`machine`] can describe.
fn virtual_machine() -> Tree {
    let region = |address, size| Region { address, size };
    let chosen = Chosen {
        bootargs: Some("console=ttyAMA0 \"quoted\"".to_owned()),
        initrd: Some(region(0x4800_0000, 0x10_0000)),
        stdout_path: Some("/serial@9000000:115200n8".to_owned()),
    };
    let edits = [
        machine::root("Toy", &["example,toy"]),
        machine::gic_v3(region(0x800_0000, 0x1_0000), region(0x80a_0000, 0xf6_0000)),
        machine::memory(region(0x4000_0000, 1 << 33)),
        machine::cpus(18, &["arm,armv8"]),
        machine::psci(PsciMethod::Hvc),
        machine::timer(0),
        machine::pl011(region(0x900_0000, 0x1000), 1, 24_000_000),
        machine::virtio_mmio(region(0xa00_0000, 0x200), 16),
        machine::chosen(&chosen),
    ];
    build(&edits.concat())
}
