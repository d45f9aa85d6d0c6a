//! The report as a page: a treemap to walk through, a map of the disk, and everything as tables.

use serde_json::{Value, json};

use super::{Growth, Image, Region, Sum, kinds, packages};
use crate::numbers::{bytes, change, percent};
use crate::page::{Escaped, Page};
use crate::tree::Tree;
use crate::treemap::{Rect, squarify};

/// Of a directory so many have a box of their own.
const BOXES: usize = 60;
/// What has less than this part of everything has none: a page has to be drawn at once.
const LEAST: u64 = 4000;
/// The map is wider than high.
const WHOLE: Rect = Rect { x: 0.0, y: 0.0, width: 16.0, height: 9.0 };
/// The part of a box that its label takes, of its height: inner boxes come below.
const LABEL: f64 = 0.12;
/// How many rows a table has at most.
const ROWS: usize = 100;
/// How many colours there are for what is on top; the last is for the rest.
const COLORS: usize = 7;
/// Inner boxes of what is smaller than this part of the map could not be told apart; as in `treemap.js`.
const LEAST_WITH_INNER: f64 = 0.012;
/// Inner boxes have names where there is room, in parts of ten thousand of the map; as in `treemap.js`.
const NAMED: [u32; 2] = [600, 450];

/// Returns the report as one page.
pub fn page(image: &Image, before: Option<&Image>) -> String {
    let used = image.used();
    let summary = format!("{}, {}", image.formats.join(", "), image.how);
    let mut page = Page::new(&format!("What takes up {}", image.name), &summary);
    page.style(include_str!("../../assets/size.css"));
    let growth = before.map(|before| Growth::of(image, before));
    page.section("sum", "In short");
    page.add(format_args!("<dl class=\"facts\">\n"));
    fact(&mut page, "File", &bytes(image.size));
    fact(&mut page, "Used in it", &bytes(used));
    fact(&mut page, "Files", &format!("{} of {}", image.files.len(), bytes(image.contents())));
    fact(
        &mut page,
        "They take",
        &format!(
            "{}, {} of what they have",
            bytes(image.stored()),
            percent(image.stored(), image.contents())
        ),
    );
    if let Some(growth) = &growth {
        fact(&mut page, &format!("Since {}", growth.against), &change(growth.used_before, used));
    }
    page.add(format_args!("</dl>\n"));
    for problem in &image.problems {
        page.add(format_args!("<p class=\"bad\">{}</p>\n", Escaped(problem)));
    }
    if !image.regions.is_empty() {
        regions(&mut page, &image.regions);
    }
    let full = image.tree();
    let tree = full.pruned(BOXES, used / LEAST);
    let places = Places::of(&tree);
    treemap(&mut page, image, &tree, &places);
    if let Some(growth) = &growth {
        grown(&mut page, growth);
    }
    page.section("packages", "Packages");
    sums(&mut page, "What packages take", "Package", &packages(image, before), used);
    page.section("types", "Types");
    sums(&mut page, "What files of each type take", "Type", &kinds(image, before), used);
    largest(&mut page, image, used);
    page.script(include_str!("../../assets/treemap.js"), data(image, &tree, &places));
    page.finish()
}

fn fact(page: &mut Page, name: &str, value: &str) {
    page.add(format_args!("<div><dt>{}</dt><dd>{}</dd></div>\n", Escaped(name), Escaped(value)));
}

/// Where boxes go, in parts of ten thousand.
struct Places {
    /// In the map, when what they are in fills it.
    boxes: Vec<[u32; 4]>,
    /// In the box of what they are in, below its label.
    inner: Vec<[u32; 4]>,
    colors: Vec<usize>,
}

impl Places {
    fn of(tree: &Tree) -> Places {
        let n_nodes = tree.0.len();
        let mut places = Places {
            boxes: vec![[0; 4]; n_nodes],
            inner: vec![[0; 4]; n_nodes],
            colors: vec![COLORS; n_nodes],
        };
        for (at, node) in tree.0.iter().enumerate() {
            let values = |of: usize| -> Vec<u64> {
                tree.0[of].children.iter().map(|child| tree.0[*child].bytes).collect()
            };
            let rects = squarify(&values(at), WHOLE);
            for ((rank, child), rect) in node.children.iter().enumerate().zip(&rects) {
                places.boxes[*child] = parts(*rect, WHOLE);
                // What is in one place has one colour, all the way down.
                if !tree.0[*child].is_rest {
                    places.colors[*child] = if at == 0 { rank % COLORS } else { places.colors[at] };
                }
                let below = Rect { height: rect.height * (1.0 - LABEL), ..*rect };
                for (inner, rect) in tree.0[*child].children.iter().zip(squarify(&values(*child), below)) {
                    places.inner[*inner] = parts(rect, below);
                }
            }
        }
        places
    }
}

/// Returns where a rectangle is in another. Edges are rounded, not lengths, so that neighbours stay neighbours.
fn parts(rect: Rect, whole: Rect) -> [u32; 4] {
    let part = |at: f64, start: f64, length: f64| {
        if length > 0.0 { ((at - start) / length * 10_000.0).round().clamp(0.0, 10_000.0) as u32 } else { 0 }
    };
    let left = part(rect.x, whole.x, whole.width);
    let top = part(rect.y, whole.y, whole.height);
    let right = part(rect.x + rect.width, whole.x, whole.width);
    let bottom = part(rect.y + rect.height, whole.y, whole.height);
    [left, top, right.saturating_sub(left), bottom.saturating_sub(top)]
}

/// Returns what the script reads: of each node its name, its size and where it goes.
fn data(image: &Image, tree: &Tree, places: &Places) -> Value {
    let nodes = &tree.0;
    let part = |at: usize| percent(nodes[at].bytes, nodes[nodes[at].parent].bytes);
    let names: Vec<&str> =
        nodes.iter().enumerate().map(|(at, node)| if at == 0 { &*image.name } else { &*node.name }).collect();
    json!({
        "name": names,
        "bytes": nodes.iter().map(|node| node.bytes).collect::<Vec<_>>(),
        "size": nodes.iter().map(|node| bytes(node.bytes)).collect::<Vec<_>>(),
        "part": (0..nodes.len()).map(part).collect::<Vec<_>>(),
        "parent": nodes.iter().map(|node| node.parent).collect::<Vec<_>>(),
        "children": nodes.iter().map(|node| &node.children).collect::<Vec<_>>(),
        "rest": nodes.iter().map(|node| u8::from(node.is_rest)).collect::<Vec<_>>(),
        "color": places.colors,
        "box": places.boxes,
        "inner": places.inner,
    })
}

fn treemap(page: &mut Page, image: &Image, tree: &Tree, places: &Places) {
    page.section("map", "Treemap");
    page.add(format_args!(
        "<p class=\"only-screen\">Areas are in proportion to the bytes in the image. Arrow keys go from box to box, \
         Enter or a click goes into one, Escape goes out. The table below has the same.</p>\n\
         <nav class=\"where only-screen\" aria-label=\"Where in the image\"><ol id=\"trail\">\
         <li aria-current=\"location\">{}</li></ol></nav>\n\
         <div id=\"treemap\" class=\"treemap\" role=\"tree\" aria-label=\"Treemap of /\">\n",
        Escaped(&image.name)
    ));
    for (rank, at) in tree.0[0].children.iter().enumerate() {
        let node = &tree.0[*at];
        let (size, part) = (bytes(node.bytes), percent(node.bytes, tree.0[0].bytes));
        let name = Escaped(&node.name);
        page.add(format_args!(
            "<div class=\"box c{}{}\" role=\"treeitem\" aria-label=\"/{name}, {size}, {part} of what it is in\"{} \
             tabindex=\"{}\" data-node=\"{at}\" style=\"{}\"><span class=\"label\">{name} {size}</span>",
            places.colors[*at],
            if node.is_rest { " rest" } else { "" },
            if node.children.is_empty() { "" } else { " aria-expanded=\"false\"" },
            if rank == 0 { 0 } else { -1 },
            style(places.boxes[*at]),
        ));
        let [_, _, width, height] = places.boxes[*at];
        if !node.children.is_empty() && f64::from(width) * f64::from(height) / 1e8 >= LEAST_WITH_INNER {
            page.add(format_args!("<div class=\"inner\" aria-hidden=\"true\">"));
            for child in &node.children {
                let [_, _, across, down] = places.inner[*child];
                let is_named = across * width >= NAMED[0] * 10_000 && down * height >= NAMED[1] * 10_000;
                let name = if is_named { &*tree.0[*child].name } else { "" };
                page.add(format_args!(
                    "<div style=\"{}\">{}</div>",
                    style(places.inner[*child]),
                    Escaped(name)
                ));
            }
            page.add(format_args!("</div>"));
        }
        page.add(format_args!("</div>\n"));
    }
    page.add(format_args!(
        "</div>\n<p id=\"here\" class=\"quiet path only-screen\"></p>\n\
         <p id=\"news\" class=\"skip\" role=\"status\"></p>\n<div class=\"scroll\"><table>\n\
         <caption>What is in what the treemap shows</caption>\n\
         <thead><tr><th scope=\"col\">Name</th><th scope=\"col\" class=\"n\">In the image</th>\
         <th scope=\"col\" class=\"n\">Part</th></tr></thead>\n<tbody id=\"rows\">\n"
    ));
    for at in &tree.0[0].children {
        let node = &tree.0[*at];
        let name = Escaped(&node.name);
        let (size, part) = (bytes(node.bytes), percent(node.bytes, tree.0[0].bytes));
        let name = if node.children.is_empty() {
            name.to_string()
        } else {
            format!("<button type=\"button\" data-node=\"{at}\">{name}</button>")
        };
        page.add(format_args!(
            "<tr><td class=\"path\">{name}</td><td class=\"n\">{size}</td><td class=\"n\">{part}</td></tr>\n"
        ));
    }
    page.add(format_args!("</tbody>\n</table></div>\n"));
}

fn style([left, top, width, height]: [u32; 4]) -> String {
    let part = |number: u32| format!("{}.{:02}%", number / 100, number % 100);
    format!("left:{};top:{};width:{};height:{}", part(left), part(top), part(width), part(height))
}

/// Draws where what lies on a disk.
fn regions(page: &mut Page, regions: &[Region]) {
    page.section("disk", "The disk");
    let end = regions.iter().map(|region| region.end).max().unwrap_or(0);
    let named: Vec<&str> = regions.iter().map(|region| region.name.as_str()).collect();
    page.add(format_args!(
        "<div class=\"map\" role=\"img\" aria-label=\"What lies where: {}\">\n",
        Escaped(&named.join(", "))
    ));
    for (idx, region) in regions.iter().enumerate() {
        let length = region.end.saturating_sub(region.start);
        // A table of a few sectors should be seen, too: lengths are stretched by the least width.
        let share = length as f64 * 100.0 / end.max(1) as f64;
        let color = if region.name == "-" { COLORS } else { idx % COLORS };
        page.add(format_args!(
            "<div class=\"c{color}{}\" style=\"flex:{share:.4} 1 0\">{}</div>\n",
            if region.name == "-" { " rest" } else { "" },
            Escaped(if share >= 4.0 { &region.name } else { "" })
        ));
    }
    page.add(format_args!(
        "</div>\n<div class=\"scroll\"><table>\n<caption>Regions in order; <code>-</code> is in none</caption>\n\
         <thead><tr><th scope=\"col\">Name</th><th scope=\"col\" class=\"n\">From byte</th>\
         <th scope=\"col\" class=\"n\">To</th><th scope=\"col\" class=\"n\">Size</th></tr></thead>\n<tbody>\n"
    ));
    for region in regions {
        page.add(format_args!(
            "<tr><td class=\"path\">{}</td><td class=\"n\">{:#x}</td><td class=\"n\">{:#x}</td>\
             <td class=\"n\">{}</td></tr>\n",
            Escaped(&region.name),
            region.start,
            region.end,
            bytes(region.end.saturating_sub(region.start))
        ));
    }
    page.add(format_args!("</tbody>\n</table></div>\n"));
}

fn grown(page: &mut Page, growth: &Growth) {
    page.section("growth", "What grew");
    if growth.files.is_empty() {
        page.add(format_args!("<p>No file takes more or less than in {}.</p>\n", Escaped(&growth.against)));
        return;
    }
    page.add(format_args!(
        "<div class=\"scroll\"><table>\n<caption>Against {}, what changed most first{}</caption>\n\
         <thead><tr><th scope=\"col\">File</th><th scope=\"col\">Package</th><th scope=\"col\" class=\"n\">Before</th>\
         <th scope=\"col\" class=\"n\">Now</th><th scope=\"col\" class=\"n\">Change</th></tr></thead>\n<tbody>\n",
        Escaped(&growth.against),
        first_of(growth.files.len())
    ));
    for file in growth.files.iter().take(ROWS) {
        let shown = |size: Option<u64>| size.map_or("–".to_owned(), bytes);
        page.add(format_args!(
            "<tr><td class=\"path\">/{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td></tr>\n",
            Escaped(&file.path),
            Escaped(file.package.as_deref().unwrap_or_default()),
            shown(file.before),
            shown(file.after),
            change(file.before.unwrap_or(0), file.after.unwrap_or(0))
        ));
    }
    page.add(format_args!("</tbody>\n</table></div>\n"));
}

fn first_of(n_rows: usize) -> String {
    if n_rows > ROWS { format!("; the first {ROWS} of {n_rows}") } else { String::new() }
}

fn sums(page: &mut Page, caption: &str, name: &str, sums: &[Sum], used: u64) {
    let has_before = sums.iter().any(|sum| sum.before.is_some());
    let change_head = if has_before { "<th scope=\"col\" class=\"n\">Change</th>" } else { "" };
    page.add(format_args!(
        "<div class=\"scroll\"><table>\n<caption>{caption}{}</caption>\n<thead><tr><th scope=\"col\">{name}</th>\
         <th scope=\"col\" class=\"n\">Files</th><th scope=\"col\" class=\"n\">Their size</th>\
         <th scope=\"col\" class=\"n\">In the image</th><th scope=\"col\" class=\"n\">Part</th>{change_head}</tr></thead>\n\
         <tbody>\n",
        first_of(sums.len())
    ));
    for sum in sums.iter().take(ROWS) {
        let change = match sum.before {
            Some(before) => format!("<td class=\"n\">{}</td>", change(before, sum.bytes)),
            None => String::new(),
        };
        page.add(format_args!(
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td>{change}</tr>\n",
            Escaped(&sum.name),
            sum.files,
            bytes(sum.size),
            bytes(sum.bytes),
            percent(sum.bytes, used)
        ));
    }
    page.add(format_args!("</tbody>\n</table></div>\n"));
}

fn largest(page: &mut Page, image: &Image, used: u64) {
    page.section("files", "Largest files");
    let mut files: Vec<&super::File> = image.files.iter().filter(|file| file.stored > 0).collect();
    files.sort_by(|a, b| b.stored.cmp(&a.stored).then_with(|| a.path.cmp(&b.path)));
    page.add(format_args!(
        "<div class=\"scroll\"><table>\n<caption>Files by what they take{}</caption>\n<thead><tr>\
         <th scope=\"col\">File</th><th scope=\"col\">Package</th><th scope=\"col\">Type</th>\
         <th scope=\"col\" class=\"n\">Its size</th><th scope=\"col\" class=\"n\">In the image</th>\
         <th scope=\"col\" class=\"n\">Part</th></tr></thead>\n<tbody>\n",
        first_of(files.len())
    ));
    for file in files.into_iter().take(ROWS) {
        page.add(format_args!(
            "<tr><td class=\"path\">/{}</td><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td></tr>\n",
            Escaped(&file.path),
            Escaped(file.package.as_deref().unwrap_or_default()),
            Escaped(&file.kind),
            bytes(file.size),
            bytes(file.stored),
            percent(file.stored, used)
        ));
    }
    page.add(format_args!("</tbody>\n</table></div>\n"));
}

#[cfg(test)]
mod tests {
    use super::super::{File, Rest};
    use super::*;

    fn image() -> Image {
        let file = |path: &str, stored| File {
            path: path.to_owned(),
            size: stored,
            stored,
            is_further_name: false,
            kind: "text".to_owned(),
            package: Some("a<b".to_owned()),
        };
        Image {
            name: "root".to_owned(),
            formats: vec!["a disk".to_owned()],
            size: 100,
            how: "as they are".to_owned(),
            files: vec![file("A/usr/<x>", 60), file("A/etc/y", 25), file("B/z", 10)],
            rest: vec![Rest { path: "A/[metadata]".to_owned(), bytes: 5, is_free: false }],
            regions: vec![
                Region { name: "A".to_owned(), start: 0, end: 90 },
                Region { name: "-".to_owned(), start: 90, end: 100 },
            ],
            problems: Vec::new(),
        }
    }

    #[test]
    fn a_page_is_the_same_for_the_same_data_and_escapes_names() {
        let one = page(&image(), None);
        assert_eq!(one, page(&image(), None));
        assert!(!one.contains("<x>") && one.contains("&lt;x&gt;"), "{one}");
        assert!(one.contains("a&lt;b"));
        // Two partitions on top, each a box.
        assert_eq!(one.matches("role=\"treeitem\"").count(), 2);
        assert!(!one.contains("What grew"));
        assert!(page(&image(), Some(&image())).contains("No file takes more or less than in root."));
    }

    #[test]
    fn boxes_tile_the_map() {
        let tree = image().tree();
        let places = Places::of(&tree);
        for node in &tree.0 {
            if node.children.is_empty() {
                continue;
            }
            let areas = node.children.iter().map(|child| {
                let [_, _, width, height] = places.boxes[*child];
                u64::from(width) * u64::from(height)
            });
            let area: u64 = areas.sum();
            assert!(area.abs_diff(100_000_000) < 100_000, "{area}");
        }
    }
}
