//! What comes out: tables on stdout, everything in one JSON file, medians of rounds.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use crate::meter::HostTime;
use crate::options::Options;

/// The results so far.
pub struct Report {
    host: HostTime,
    results: Map<String, Value>,
}

impl Report {
    /// Starts with what the figures depend on.
    pub fn new(options: &Options, cores: &str) -> Report {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        println!("kernel {}, {cores}, loopback, {} byte bodies", kernel.trim(), options.body_bytes);
        let mut results = Map::new();
        results.insert(
            "environment".into(),
            json!({ "kernel": kernel.trim(), "cores": cores, "body_bytes": options.body_bytes, "settings": options.settings }),
        );
        Report { results, host: HostTime::now() }
    }

    /// Prints a measurement's table and keeps its figures.
    pub fn add(&mut self, name: &str, note: &str, table: &Table, figures: Value) {
        let stolen = self.host.stolen_share();
        println!("\n{name}: {note}");
        table.print();
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().unwrap_or_default();
        println!("  ({:.0} % of the machine's time was stolen by its host; load average {load})", stolen * 100.0);
        self.host = HostTime::now();
        self.results.insert(name.into(), json!({ "note": note, "stolen_share": stolen, "load_average": load, "figures": figures }));
    }

    pub fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(&self.results)?;
        std::fs::write(file, text + "\n").with_context(|| format!("cannot write {}", file.display()))
    }
}

/// Rows of text in aligned columns.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(headers: &[&str]) -> Table {
        Table { rows: vec![headers.iter().map(ToString::to_string).collect()] }
    }

    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    fn print(&self) {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
        for row in &self.rows {
            let cells: Vec<String> = (0..columns)
                .map(|column| {
                    let cell = row.get(column).map_or("", String::as_str);
                    let pad = " ".repeat(width(column) - cell.chars().count());
                    // Names to the left, figures to the right.
                    if column == 0 { format!("{cell}{pad}") } else { format!("{pad}{cell}") }
                })
                .collect();
            println!("  {}", cells.join("  ").trim_end());
        }
    }
}

/// The middle value, or the mean of the two in the middle; 0 of nothing.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len() / 2, sorted.len() % 2) {
        (0, 0) => 0.0,
        (half, 0) => f64::midpoint(sorted[half - 1], sorted[half]),
        (half, _) => sorted[half],
    }
}

/// The median of one figure over the rounds.
pub fn median_of<T>(rounds: &[T], figure: impl Fn(&T) -> f64) -> f64 {
    median(&rounds.iter().map(figure).collect::<Vec<_>>())
}

/// `1234567.0` → `1.23M`, `45678.0` → `45.7k`.
pub fn short(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{:.2}M", v / 1e6),
        v if v >= 1e3 => format!("{:.1}k", v / 1e3),
        v => format!("{v:.0}"),
    }
}

/// Bytes as MiB.
pub fn mib(bytes: f64) -> String {
    format!("{:.1}", bytes / 1024.0 / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(&[]), 0.0);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
