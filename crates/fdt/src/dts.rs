//! Trees as source (Devicetree Specification v0.4, chapter 6), the way `dtc -O dts` prints them.

use std::fmt::Write as _;

use crate::tree::{Node, Tree};

impl Tree {
    /// Returns source from which `dtc -I dts -O dtb` makes the same tree.
    ///
    /// Source cannot say which processor boots: `dtc` takes the first one unless `-b` tells another. It also
    /// drops a property `name` that repeats what the node is called.
    pub fn to_dts(&self) -> String {
        let mut text = "/dts-v1/;\n\n".to_owned();
        for region in &self.reservations {
            push(&mut text, format_args!("/memreserve/\t{:#018x} {:#018x};\n", region.address, region.size));
        }
        print_node(&self.root, 0, &mut text);
        text
    }
}

fn print_node(node: &Node, depth: usize, text: &mut String) {
    let indent = "\t".repeat(depth);
    let name = if depth == 0 { "/" } else { &node.name };
    push(text, format_args!("{indent}{name} {{\n"));
    for property in &node.properties {
        match value(&property.value) {
            value if value.is_empty() => push(text, format_args!("{indent}\t{};\n", property.name)),
            value => push(text, format_args!("{indent}\t{} = {value};\n", property.name)),
        }
    }
    for child in &node.children {
        text.push('\n');
        print_node(child, depth + 1, text);
    }
    push(text, format_args!("{indent}}};\n"));
}

/// Returns a value as strings if it looks like some, else as cells, else as bytes. It is ASCII, and empty only if
/// the value is.
pub(crate) fn value(bytes: &[u8]) -> String {
    // All goes into one text: a value may have millions of cells.
    let mut text = String::new();
    if is_text(bytes) {
        for (number, string) in bytes[..bytes.len() - 1].split(|byte| *byte == 0).enumerate() {
            text.push_str(if number == 0 { "" } else { ", " });
            quote(string, &mut text);
        }
    } else if bytes.len().is_multiple_of(4) {
        for (number, cell) in bytes.chunks_exact(4).enumerate() {
            let cell = cell.iter().fold(0, |n, byte| n << 8 | u32::from(*byte));
            push(&mut text, format_args!("{}{cell:#04x}", if number == 0 { '<' } else { ' ' }));
        }
        text.push_str(if bytes.is_empty() { "" } else { ">" });
    } else {
        for (number, byte) in bytes.iter().enumerate() {
            push(&mut text, format_args!("{}{byte:02x}", if number == 0 { '[' } else { ' ' }));
        }
        text.push(']');
    }
    text
}

/// Says whether `dtc` takes a value for strings: all can be printed, the last ends, and not most of them are empty.
fn is_text(bytes: &[u8]) -> bool {
    let n_ends = bytes.iter().filter(|byte| **byte == 0).count();
    let is_printed = |byte: &u8| matches!(byte, 0 | 0x07..=0x0d | 0x20..=0x7e);
    bytes.last() == Some(&0) && bytes.iter().all(is_printed) && n_ends <= bytes.len() - n_ends
}

fn quote(string: &[u8], text: &mut String) {
    text.push('"');
    for byte in string {
        match byte {
            0x07 => text.push_str("\\a"),
            0x08 => text.push_str("\\b"),
            b'\t' => text.push_str("\\t"),
            b'\n' => text.push_str("\\n"),
            0x0b => text.push_str("\\v"),
            0x0c => text.push_str("\\f"),
            b'\r' => text.push_str("\\r"),
            b'"' | b'\\' => text.extend(['\\', char::from(*byte)]),
            _ => text.push(char::from(*byte)),
        }
    }
    text.push('"');
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("a string takes everything");
}
