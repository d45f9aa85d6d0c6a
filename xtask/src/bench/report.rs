//! What benchmarks found: medians, ranges and ratios, as a table and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::measure::Sample;

/// The version of the JSON.
const VERSION: u32 = 1;

/// What is to be reached.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    /// At most so many seconds.
    Seconds(f64),
    /// At most so much of the peer's time.
    Ratio(f64),
    /// At most so many seconds longer than the peer.
    Longer(f64),
}

/// Some numbers, in short.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Summary {
    median: f64,
    min: f64,
    max: f64,
}

impl Summary {
    /// Returns the summary of `values`, which must not be empty.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Summary {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median =
            if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
        Summary { median, min: values[0], max: values[values.len() - 1] }
    }

    pub(crate) fn median(self) -> f64 {
        self.median
    }

    fn to_json(self) -> Value {
        json!({ "median": self.median, "min": self.min, "max": self.max })
    }
}

/// One line of a table.
pub(crate) struct Row {
    name: String,
    wall: Summary,
    samples: Vec<Sample>,
    ratio: Option<Summary>,
    longer: Option<Summary>,
    goal: Option<Goal>,
    /// The most bytes that it may need.
    memory: Option<u64>,
}

impl Row {
    /// Returns the row of a command that was run several times.
    pub(crate) fn of(name: &str, samples: &[Sample]) -> Row {
        let wall = Summary::of(samples.iter().map(|sample| sample.wall));
        Row { samples: samples.to_vec(), ..Row::alone(name, wall) }
    }

    /// Returns the row of what was measured elsewhere, of which only some wall times are known.
    pub(crate) fn of_seconds(name: &str, seconds: &[f64]) -> Row {
        let wall = Summary::of(seconds.iter().copied());
        Row::alone(name, wall)
    }

    fn alone(name: &str, wall: Summary) -> Row {
        let (name, samples) = (name.to_owned(), Vec::new());
        Row { name, wall, samples, ratio: None, longer: None, goal: None, memory: None }
    }

    /// Adds how its time compares with that of its peer: run by run if both have runs, which were in turns.
    pub(crate) fn against(mut self, peer: &Row) -> Row {
        let compare = |compared: fn(f64, f64) -> f64| {
            if self.samples.is_empty() || peer.samples.is_empty() {
                Summary::of([compared(self.wall.median, peer.wall.median)])
            } else {
                let pairs = self.samples.iter().zip(&peer.samples);
                Summary::of(pairs.map(|(our, peer)| compared(our.wall, peer.wall)))
            }
        };
        let (ratio, longer) = (compare(|our, peer| our / peer), compare(|our, peer| our - peer));
        (self.ratio, self.longer) = (Some(ratio), Some(longer));
        self
    }

    /// Adds what is to be reached.
    pub(crate) fn goal(mut self, goal: Goal) -> Row {
        self.goal = Some(goal);
        self
    }

    /// Adds how much memory it may need at most, in bytes.
    pub(crate) fn memory(mut self, most: u64) -> Row {
        self.memory = Some(most);
        self
    }

    /// Returns the most memory that any run needed, if it was measured.
    fn peak(&self) -> Option<u64> {
        self.samples.iter().map(|sample| sample.peak).max()
    }

    /// Returns whether the goal is met, if there is one that can be judged.
    fn met(&self) -> Option<bool> {
        match self.goal? {
            Goal::Seconds(most) => Some(self.wall.median <= most),
            Goal::Ratio(most) => Some(self.ratio?.median <= most),
            Goal::Longer(most) => Some(self.longer?.median <= most),
        }
    }

    fn cells(&self) -> [String; 7] {
        let of_samples = |value: fn(&Sample) -> f64| {
            (!self.samples.is_empty()).then(|| Summary::of(self.samples.iter().map(value)).median)
        };
        let unit = Unit::of(self.wall.median);
        let ratio = self.ratio.map_or_else(String::new, |ratio| {
            let range = if ratio.min < ratio.max {
                format!(" ({:.2}–{:.2})", ratio.min, ratio.max)
            } else {
                String::new()
            };
            format!("{:.2} ×{range}", ratio.median)
        });
        let judged = |text: String, met: Option<bool>| match met {
            Some(true) => format!("{text} met"),
            Some(false) => format!("{text} MISSED"),
            None => format!("{text} no peer"),
        };
        let goal = self.goal.map(|goal| match goal {
            Goal::Seconds(most) => judged(format!("≤ {}", Unit::of(most).show(most)), self.met()),
            Goal::Ratio(most) => judged(format!("≤ {most:.2} ×"), self.met()),
            Goal::Longer(most) => {
                let longer = self.longer.map(|longer| format!("+{} ", unit.show(longer.median)));
                judged(format!("{}≤ +{}", longer.unwrap_or_default(), Unit::of(most).show(most)), self.met())
            }
        });
        let megabytes = |bytes: u64| format!("{:.0} MB", bytes as f64 / 1e6);
        let memory = self.memory.zip(self.peak());
        let memory = memory.map(|(most, peak)| judged(format!("≤ {}", megabytes(most)), Some(peak <= most)));
        let goals: Vec<String> = goal.into_iter().chain(memory).collect();
        [
            self.name.clone(),
            unit.show(self.wall.median),
            format!("{}–{}", unit.number(self.wall.min), unit.number(self.wall.max)),
            of_samples(|sample| sample.cpu).map_or_else(String::new, |cpu| Unit::of(cpu).show(cpu)),
            self.peak().map_or_else(String::new, megabytes),
            ratio,
            goals.join(", "),
        ]
    }

    fn to_json(&self) -> Value {
        let goal = self.goal.map(|goal| match goal {
            Goal::Seconds(most) => json!({ "wall_seconds": most, "met": self.met() }),
            Goal::Ratio(most) => json!({ "ratio": most, "met": self.met() }),
            Goal::Longer(most) => json!({ "seconds_longer": most, "met": self.met() }),
        });
        json!({
            "name": self.name,
            "wall_seconds": self.wall.to_json(),
            "ratio": self.ratio.map(Summary::to_json),
            "seconds_longer": self.longer.map(Summary::to_json),
            "goal": goal,
            "memory": self.memory.map(|most| json!({ "peak_bytes": most, "met": self.peak().map(|peak| peak <= most) })),
            "samples": self.samples.iter().map(|sample| sample.to_json()).collect::<Vec<_>>(),
        })
    }
}

/// What one benchmark found.
pub(crate) struct Report {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// What was measured, in a sentence.
    pub(crate) title: String,
    /// The figures.
    pub(crate) rows: Vec<Row>,
    /// What is to be known beside them: a peer that is missing and where to get it.
    pub(crate) notes: Vec<String>,
}

impl Report {
    /// Returns it for people.
    pub(crate) fn table(&self) -> String {
        let head = ["", "median", "min–max", "CPU", "peak", "of the peer", "goal"].map(str::to_owned);
        let rows: Vec<[String; 7]> = std::iter::once(head).chain(self.rows.iter().map(Row::cells)).collect();
        let widths: Vec<usize> = (0..7)
            .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default())
            .collect();
        let mut text = format!("{}: {}\n", self.name, self.title);
        for row in &rows {
            let mut line = format!("  {:<width$}", row[0], width = widths[0]);
            for (cell, width) in row[1..].iter().zip(&widths[1..]) {
                let _ = write!(line, "  {cell:>width$}");
            }
            let _ = writeln!(text, "{}", line.trim_end());
        }
        for note in &self.notes {
            let _ = writeln!(text, "  {note}");
        }
        text
    }
}

/// Returns the reports for programs.
pub(crate) fn to_json(reports: &[Report]) -> Value {
    let benchmarks: Vec<Value> = reports
        .iter()
        .map(|report| {
            json!({
                "name": report.name,
                "title": report.title,
                "rows": report.rows.iter().map(Row::to_json).collect::<Vec<_>>(),
                "notes": report.notes,
            })
        })
        .collect();
    json!({ "version": VERSION, "benchmarks": benchmarks })
}

/// How times of some length are written.
enum Unit {
    Seconds,
    Milliseconds,
}

impl Unit {
    fn of(seconds: f64) -> Unit {
        if seconds < 1.0 { Unit::Milliseconds } else { Unit::Seconds }
    }

    fn number(&self, seconds: f64) -> String {
        match self {
            Unit::Seconds => format!("{seconds:.2}"),
            Unit::Milliseconds => format!("{:.1}", seconds * 1e3),
        }
    }

    fn show(&self, seconds: f64) -> String {
        let name = match self {
            Unit::Seconds => "s",
            Unit::Milliseconds => "ms",
        };
        format!("{} {name}", self.number(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(walls: &[f64]) -> Vec<Sample> {
        walls.iter().map(|wall| Sample { wall: *wall, cpu: wall / 2.0, peak: 30_000_000 }).collect()
    }

    #[test]
    fn the_middle_of_an_even_number_is_between_two() {
        assert_eq!(Summary::of([4.0, 1.0, 3.0, 2.0]), Summary { median: 2.5, min: 1.0, max: 4.0 });
        assert_eq!(Summary::of([3.0, 1.0, 2.0]).median, 2.0);
    }

    #[test]
    fn runs_are_compared_with_the_run_beside_them() {
        // The machine was ten times slower in the second round, for both.
        let peer = Row::of("peer", &samples(&[0.1, 1.0, 0.1]));
        let ours = Row::of("ours", &samples(&[0.05, 0.5, 0.05])).against(&peer).goal(Goal::Ratio(0.5));
        assert_eq!(ours.ratio, Some(Summary { median: 0.5, min: 0.5, max: 0.5 }));
        assert_eq!(ours.met(), Some(true));
        // Medians of runs of different rounds are 0.05 apart.
        let ours = Row::of("ours", &samples(&[0.2, 1.0, 0.2])).against(&peer);
        assert_eq!(ours.longer.map(Summary::median), Some(0.1));
        let judged = ours.goal(Goal::Longer(0.05));
        assert_eq!((judged.met(), judged.cells()[6].as_str()), (Some(false), "+100.0 ms ≤ +50.0 ms MISSED"));
    }

    #[test]
    fn a_table() {
        let peer = Row::of("peer", &samples(&[1.5, 3.0, 2.0]));
        let ours = Row::of("ours", &samples(&[0.06, 0.03, 0.04])).against(&peer).goal(Goal::Seconds(0.03));
        let ours = ours.memory(20_000_000);
        let alone = Row::of_seconds("alone", &[0.002]).goal(Goal::Ratio(1.0));
        let report = Report {
            name: "name",
            title: "title".to_owned(),
            rows: vec![ours, peer, alone],
            notes: vec!["note".to_owned()],
        };
        let table = report.table();
        for word in [
            "40.0 ms",
            "30.0–60.0",
            "0.02 × (0.01–0.04)",
            "≤ 30.0 ms MISSED, ≤ 20 MB MISSED",
            "1.50–3.00",
            "≤ 1.00 × no peer",
            "note",
        ] {
            assert!(table.contains(word), "{word}\n{table}");
        }
    }
}
