//! Draws a map as a table: one line for each region and each gap, nested regions indented.

use super::{Map, Placed};
use crate::number;
use crate::spec::AddressRange;

/// The widest that a drawing may be.
const MOST_COLUMNS: usize = 100;

/// Returns the drawing. It shows regions that overlap or leave their parent, too, and says so.
pub(super) fn draw(map: &Map) -> String {
    let entry = map.entry.as_ref();
    let mut rows = Rows { rows: Vec::new(), entry: entry.map(|start| start.region.as_str()) };
    let is_in = |memory: &AddressRange, region: &Placed| memory.has(region.range.start);
    let stray = map.regions.iter().filter(|region| !map.memory.iter().any(|memory| is_in(memory, region)));
    let mut tops: Vec<Top<'_>> = stray.map(Top::Region).chain(map.memory.iter().map(Top::Memory)).collect();
    tops.sort_by_key(|top| match top {
        Top::Region(region) => (region.range.start, region.range.end),
        Top::Memory(memory) => (memory.start, memory.end),
    });
    for top in tops {
        match top {
            Top::Region(region) => rows.region(region, 0),
            Top::Memory(memory) => {
                let inside: Vec<&Placed> =
                    map.regions.iter().filter(|region| is_in(memory, region)).collect();
                rows.push(*memory, 0, "RAM".to_owned(), String::new());
                rows.inside(*memory, &inside, 1);
            }
        }
    }
    let mut drawing = rows.table();
    if let Some(start) = entry {
        let region = cut(&start.region.escape_debug().to_string(), 32);
        drawing += &format!("the first processor starts in {region} at {}\n", number::hex(start.address));
    }
    drawing
}

enum Top<'a> {
    Region(&'a Placed),
    Memory(&'a AddressRange),
}

struct Rows<'a> {
    rows: Vec<Row>,
    entry: Option<&'a str>,
}

struct Row {
    range: AddressRange,
    size: String,
    name: String,
    content: String,
}

impl Rows<'_> {
    fn push(&mut self, range: AddressRange, depth: usize, name: String, content: String) {
        let size = number::human_size(range.size());
        self.rows.push(Row { range, size, name: format!("{}{name}", "  ".repeat(depth)), content });
    }

    fn gap(&mut self, range: AddressRange, depth: usize) {
        let size = number::human_room(range.size());
        let name = format!("{}(free)", "  ".repeat(depth));
        self.rows.push(Row { range, size, name, content: String::new() });
    }

    fn region(&mut self, region: &Placed, depth: usize) {
        let entry = if self.entry == Some(region.name.as_str()) { ", entry" } else { "" };
        let content = format!("{}{entry}", region.content.word());
        // Names that are wrong are drawn, too.
        self.push(region.range, depth, region.name.escape_debug().to_string(), content);
        if !region.regions.is_empty() {
            let inside: Vec<&Placed> = region.regions.iter().collect();
            self.inside(region.range, &inside, depth + 1);
        }
    }

    /// Draws the regions inside `range`, lowest first, and what is between them.
    fn inside(&mut self, range: AddressRange, regions: &[&Placed], depth: usize) {
        let mut cursor = range.start;
        for region in regions {
            let next = region.range;
            if next.start > cursor {
                self.gap(AddressRange { start: cursor, end: next.start }, depth);
            } else if next.start < cursor && next.size() > 0 {
                let both = AddressRange { start: next.start, end: cursor.min(next.end) };
                self.push(both, depth, "(OVERLAP)".to_owned(), String::new());
            }
            self.region(region, depth);
            cursor = cursor.max(next.end);
        }
        if cursor < range.end {
            self.gap(AddressRange { start: cursor, end: range.end }, depth);
        } else if cursor > range.end {
            let outside = AddressRange { start: range.end, end: cursor };
            self.push(outside, depth, "(PAST THE END)".to_owned(), String::new());
        }
    }

    fn table(&self) -> String {
        let last = self.rows.iter().map(|row| row.range.end).max().unwrap_or(0);
        // `0x` and digits; all addresses are as long as the longest, so that they can be compared by eye.
        let address_len = number::hex(last).len();
        let address = |address: u64| format!("{address:#0address_len$x}");
        let mut cells = vec![["start", "end", "size", "region", "content"].map(str::to_owned)];
        for row in &self.rows {
            let [start, end] = [row.range.start, row.range.end].map(address);
            cells.push([start, end, row.size.clone(), row.name.clone(), row.content.clone()]);
        }
        let mut widths = [0; 5];
        for row in &cells {
            for (column_idx, cell) in row.iter().enumerate() {
                widths[column_idx] = widths[column_idx].max(cell.chars().count());
            }
        }
        // A rule before, between and behind the columns, and a space on either side of each.
        let others = widths[0] + widths[1] + widths[2] + widths[4] + 3 * widths.len() + 1;
        widths[3] = widths[3].min(MOST_COLUMNS.saturating_sub(others));
        let rule = |left: char, middle: &str, right: char| {
            let columns: Vec<String> = widths.iter().map(|width| "─".repeat(width + 2)).collect();
            format!("{left}{}{right}\n", columns.join(middle))
        };
        let mut table = rule('┌', "┬", '┐');
        for (row_idx, [start, end, size, name, content]) in cells.iter().enumerate() {
            let [w_start, w_end, w_size, w_name, w_content] = widths;
            let name = cut(name, w_name);
            table += &format!(
                "│ {start:w_start$} │ {end:w_end$} │ {size:>w_size$} │ {name:w_name$} │ {content:w_content$} │\n"
            );
            if row_idx == 0 {
                table += &rule('├', "┼", '┤');
            }
        }
        table + &rule('└', "┴", '┘')
    }
}

/// Returns `text`, or as much of it as fits into `width` with a sign that it is not all.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}
