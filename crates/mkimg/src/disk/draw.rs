//! Draws a map as a table: one line for each area and each gap.
//!
//! The map of a machine is drawn by the crate `vm` in the same style. What is drawn differs (sectors, numbers, no
//! nesting), and only the lines of the table could be shared: less than what a crate for them would take.

use super::map::Map;
use super::size::human;

/// The widest that a drawing may be.
const MOST_COLUMNS: usize = 100;
const HEADINGS: [&str; 6] = ["first", "last", "size", "#", "area", "content"];
/// The columns with text of any length.
const NAME: usize = 4;
const CONTENT: usize = 5;

/// Returns the drawing. It shows areas that overlap or leave the disk, too, and says so.
pub(super) fn draw(map: &Map) -> String {
    let mut rows = Rows { sector_size: map.sector_size, cells: vec![HEADINGS.map(str::to_owned)] };
    let mut cursor = 0;
    for area in &map.areas {
        if area.first > cursor {
            rows.push(cursor, area.first.min(map.sectors.max(cursor)), ["", "(free)", ""]);
        } else if area.first < cursor && area.sectors > 0 {
            rows.push(area.first, cursor.min(area.end()), ["", "(OVERLAP)", ""]);
        }
        let number = area.number.map_or(String::new(), |number| number.to_string());
        let name = area.name.escape_debug().to_string();
        rows.push(area.first, area.end(), [&number, &name, &area.content]);
        cursor = cursor.max(area.end());
    }
    if cursor < map.sectors {
        rows.push(cursor, map.sectors, ["", "(free)", ""]);
    } else if cursor > map.sectors {
        rows.push(map.sectors, cursor, ["", "(PAST THE END)", ""]);
    }
    rows.table()
}

struct Rows {
    sector_size: u64,
    cells: Vec<[String; 6]>,
}

impl Rows {
    fn push(&mut self, first: u64, end: u64, [number, name, content]: [&str; 3]) {
        let sectors = end.saturating_sub(first);
        let last = if sectors == 0 { String::new() } else { (end - 1).to_string() };
        let size = human(sectors.saturating_mul(self.sector_size));
        self.cells.push([
            first.to_string(),
            last,
            size,
            number.to_owned(),
            name.to_owned(),
            content.to_owned(),
        ]);
    }

    fn table(&self) -> String {
        let mut widths = [0; 6];
        for row in &self.cells {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        // A rule before, between and behind the columns, and a space on either side of each.
        let fixed: usize = widths[..NAME].iter().sum::<usize>() + 3 * widths.len() + 1;
        let room = MOST_COLUMNS.saturating_sub(fixed);
        widths[NAME] = widths[NAME].min(room.saturating_sub(HEADINGS[CONTENT].len()));
        widths[CONTENT] = widths[CONTENT].min(room.saturating_sub(widths[NAME]));
        let rule = |left: char, middle: &str, right: char| {
            let columns: Vec<String> = widths.iter().map(|width| "─".repeat(width + 2)).collect();
            format!("{left}{}{right}\n", columns.join(middle))
        };
        let mut table = rule('┌', "┬", '┐');
        for (row_idx, row) in self.cells.iter().enumerate() {
            for (column_idx, (cell, width)) in row.iter().zip(widths).enumerate() {
                let cell = cut(cell, width);
                // Numbers end where their columns do.
                table += &if column_idx < NAME {
                    format!("│ {cell:>width$} ")
                } else {
                    format!("│ {cell:width$} ")
                };
            }
            table += "│\n";
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
