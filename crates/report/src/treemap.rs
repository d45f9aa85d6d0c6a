//! Where boxes go whose areas are in proportion to numbers: the squarified treemaps of Bruls, Huizing and van Wijk, which
//! keep boxes as near to squares as going row by row allows.

/// A rectangle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rect {
    /// Its left edge.
    pub x: f64,
    /// Its upper edge.
    pub y: f64,
    /// Its width.
    pub width: f64,
    /// Its height.
    pub height: f64,
}

impl Rect {
    fn area(self) -> f64 {
        self.width * self.height
    }
}

/// Divides `area` among `values`, which should begin with the largest: a rectangle for each, in proportion to it. What
/// has no value gets no area.
pub fn squarify(values: &[u64], area: Rect) -> Vec<Rect> {
    let total: u128 = values.iter().map(|value| u128::from(*value)).sum();
    let scale = if total == 0 { 0.0 } else { area.area() / total as f64 };
    let areas: Vec<f64> = values.iter().map(|value| *value as f64 * scale).collect();
    let mut rects = Vec::with_capacity(values.len());
    let mut free = area;
    let mut rest = areas.as_slice();
    while !rest.is_empty() {
        let side = free.width.min(free.height);
        let mut length = 1;
        while length < rest.len() && worst(&rest[..length + 1], side) <= worst(&rest[..length], side) {
            length += 1;
        }
        let (row, others) = rest.split_at(length);
        let is_last = others.is_empty();
        free = place(row, free, is_last, &mut rects);
        rest = others;
    }
    rects
}

/// Returns how far from a square the worst box of a row would be along a side of this length.
fn worst(row: &[f64], side: f64) -> f64 {
    let sum: f64 = row.iter().sum();
    let smallest = row.iter().copied().fold(f64::INFINITY, f64::min);
    let largest = row.iter().copied().fold(0.0, f64::max);
    if sum <= 0.0 || smallest <= 0.0 || side <= 0.0 {
        return f64::INFINITY;
    }
    let (side, sum) = (side * side, sum * sum);
    (side * largest / sum).max(sum / (side * smallest))
}

/// Puts a row along the shorter side of what is free, and returns what is free then.
fn place(row: &[f64], free: Rect, is_last: bool, rects: &mut Vec<Rect>) -> Rect {
    let sum: f64 = row.iter().sum();
    let is_column = free.width >= free.height;
    let side = if is_column { free.height } else { free.width };
    let depth = if side > 0.0 { sum / side } else { 0.0 };
    // What rounding leaves would be a gap at the edge.
    let most = if is_column { free.width } else { free.height };
    let depth = if is_last { most } else { depth.min(most) };
    let mut before = 0.0;
    for area in row {
        let start = if sum > 0.0 { side * before / sum } else { 0.0 };
        before += area;
        let end = if sum > 0.0 { side * before / sum } else { 0.0 };
        let length = (end - start).max(0.0);
        rects.push(if is_column {
            Rect { x: free.x, y: free.y + start, width: depth, height: length }
        } else {
            Rect { x: free.x + start, y: free.y, width: length, height: depth }
        });
    }
    if is_column {
        Rect { x: free.x + depth, width: free.width - depth, ..free }
    } else {
        Rect { y: free.y + depth, height: free.height - depth, ..free }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AREA: Rect = Rect { x: 10.0, y: 20.0, width: 160.0, height: 90.0 };

    #[track_caller]
    fn check(values: &[u64]) {
        let rects = squarify(values, AREA);
        assert_eq!(rects.len(), values.len());
        let total: f64 = values.iter().map(|value| *value as f64).sum();
        for (rect, value) in rects.iter().zip(values) {
            let expected = AREA.area() * *value as f64 / total;
            assert!((rect.area() - expected).abs() < 1e-6 * AREA.area(), "{value}: {rect:?}");
            let inside = rect.x > AREA.x - 1e-9
                && rect.y > AREA.y - 1e-9
                && rect.x + rect.width < AREA.x + AREA.width + 1e-9
                && rect.y + rect.height < AREA.y + AREA.height + 1e-9;
            assert!(inside && rect.width >= 0.0 && rect.height >= 0.0, "{rect:?}");
        }
        for (idx, a) in rects.iter().enumerate() {
            for b in &rects[..idx] {
                let across = (a.x + a.width).min(b.x + b.width) - a.x.max(b.x);
                let down = (a.y + a.height).min(b.y + b.height) - a.y.max(b.y);
                assert!(across < 1e-9 || down < 1e-9, "{a:?} and {b:?} overlap");
            }
        }
    }

    #[test]
    fn areas_are_in_proportion_inside_and_apart() {
        check(&[1]);
        check(&[6, 6, 4, 3, 2, 2, 1]);
        check(&[1_000_000, 1]);
        check(&[5; 100]);
        check(&[7, 3, 0, 0]);
        let mut state = 1_u64;
        for length in 1..60 {
            let mut values: Vec<u64> = (0..length)
                .map(|_| {
                    state =
                        state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (state >> 40) >> (state & 15)
                })
                .collect();
            values.push(1);
            values.sort_by(|a, b| b.cmp(a));
            check(&values);
        }
    }

    #[test]
    fn boxes_are_near_to_squares() {
        for rect in squarify(&[6, 6, 4, 3, 2, 2, 1], Rect { x: 0.0, y: 0.0, width: 6.0, height: 4.0 }) {
            let ratio = (rect.width / rect.height).max(rect.height / rect.width);
            assert!(ratio < 3.0, "{rect:?}");
        }
    }

    #[test]
    fn nothing_is_divided_among_nobody() {
        assert_eq!(squarify(&[], AREA), []);
        for rect in squarify(&[0, 0], AREA) {
            assert_eq!(rect.area(), 0.0);
        }
        assert_eq!(squarify(&[u64::MAX, u64::MAX, 1], AREA).len(), 3);
    }
}
