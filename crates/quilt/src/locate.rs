//! Finds the place of a hunk in a file whose lines may have moved.

/// Returns where `pattern` occurs in `lines`, as an index into them between `min` and `max`, nearest to `guess`;
/// of two places as near, the later one.
///
/// Takes time in proportion to the lines and the pattern, however often the one begins like the other. The lines that are
/// looked through are taken off `left`.
pub(crate) fn nearest(
    lines: &[&[u8]],
    pattern: &[&[u8]],
    (min, max): (usize, usize),
    guess: i64,
    left: &mut u64,
) -> Option<usize> {
    let last = lines.len().checked_sub(pattern.len())?.min(max);
    if min > last {
        return None;
    }
    // Most hunks are where they say.
    if let Ok(guess) = usize::try_from(guess)
        && (min..=last).contains(&guess)
        && lines[guess..guess + pattern.len()] == *pattern
    {
        return Some(guess);
    }
    if pattern.is_empty() {
        let nearest = guess.clamp(index(min), index(last));
        return usize::try_from(nearest).ok();
    }
    // Knuth, Morris and Pratt: how much of the pattern is still matched when its next line is not.
    let borders = borders(pattern);
    let mut best: Option<usize> = None;
    let mut matched = 0;
    for (line_idx, line) in lines.iter().enumerate().take(last + pattern.len()).skip(min) {
        *left = left.saturating_sub(1);
        while matched > 0 && pattern[matched] != *line {
            matched = borders[matched - 1];
        }
        matched += usize::from(pattern[matched] == *line);
        if matched < pattern.len() {
            continue;
        }
        matched = borders[matched - 1];
        let found = line_idx + 1 - pattern.len();
        let distance = |place: usize| index(place).abs_diff(guess);
        match best {
            Some(best) if distance(best) < distance(found) => break,
            _ => best = Some(found),
        }
    }
    best
}

/// Returns, for each beginning of the pattern, how long its longest proper beginning is that also ends it.
fn borders(pattern: &[&[u8]]) -> Vec<usize> {
    let mut borders = vec![0; pattern.len()];
    let mut length = 0;
    for idx in 1..pattern.len() {
        while length > 0 && pattern[length] != pattern[idx] {
            length = borders[length - 1];
        }
        length += usize::from(pattern[length] == pattern[idx]);
        borders[idx] = length;
    }
    borders
}

fn index(place: usize) -> i64 {
    i64::try_from(place).expect("a file in memory has fewer than 2^63 lines")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What it must be, slowly.
    fn simple(lines: &[&[u8]], pattern: &[&[u8]], (min, max): (usize, usize), guess: i64) -> Option<usize> {
        (min..=max)
            .filter(|start| lines.get(*start..start + pattern.len()) == Some(pattern))
            .min_by_key(|start| (index(*start).abs_diff(guess), std::cmp::Reverse(*start)))
    }

    proptest! {
        #[test]
        fn the_nearest_place_is_found(
            text in "[ab]{0,30}",
            part in "[ab]{0,4}",
            min in 0_usize..10,
            max in 0_usize..40,
            guess in -5_i64..40,
        ) {
            let lines: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            let pattern: Vec<&[u8]> = part.as_bytes().chunks(1).collect();
            prop_assert_eq!(
                nearest(&lines, &pattern, (min, max), guess, &mut 1000),
                simple(&lines, &pattern, (min, max), guess)
            );
        }
    }

    #[test]
    fn repetition_does_not_make_it_slow() {
        let lines: Vec<&[u8]> = vec![b"x\n"; 400_000];
        let mut pattern: Vec<&[u8]> = vec![b"x\n"; 200_000];
        pattern.push(b"y\n");
        assert_eq!(nearest(&lines, &pattern, (0, 400_000), 0, &mut 1_000_000), None);
    }
}
