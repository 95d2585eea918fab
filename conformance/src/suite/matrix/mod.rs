//! The authorization matrix: `conformance/matrix.txt`, every cell really run, in a conversation of its own.
//!
//! - [`table`]: the file.
//! - [`world`]: people and conversations as a cell wants them.

mod table;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};

use super::Report;
use crate::client::Outcome;
use crate::script::reasons::code_of;
use crate::server::{Options, Server};
use table::Cell;
use world::World;

const THREADS: usize = 4;

/// Runs all cells, or those of one method.
///
/// # Errors
/// When the file is not understood, or the server does not start.
pub fn run(method: Option<&str>, report: &mut Report) -> Result<()> {
    let mut cells = table::parse(include_str!("../../../matrix.txt")).context("conformance/matrix.txt")?;
    cells.retain(|cell| method.is_none_or(|method| cell.section.starts_with(method)));
    ensure!(!cells.is_empty(), "no cell of that method");
    let server = Server::start(Options::new().without_rates())?;
    world::people(&server)?;
    let results = run_cells(&server, &cells)?;
    let mut sections: Vec<&str> = cells.iter().map(|cell| cell.section.as_str()).collect();
    sections.dedup();
    for section in sections {
        let of_section: Vec<&(usize, Result<()>)> = results.iter().filter(|(at, _)| cells[*at].section == section).collect();
        report.check(&format!("matrix [{section}]"), || {
            let wrong: Vec<String> =
                of_section.iter().filter_map(|(_, result)| result.as_ref().err().map(|error| format!("{error:#}"))).collect();
            ensure!(wrong.is_empty(), "{} of {} cells:\n{}", wrong.len(), of_section.len(), wrong.join("\n"));
            Ok(format!("{} cells", of_section.len()))
        });
    }
    Ok(())
}

/// Each cell by its index, in order.
fn run_cells(server: &Server, cells: &[Cell]) -> Result<Vec<(usize, Result<()>)>> {
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (next, results) = (&next, &results);
                scope.spawn(move || -> Result<()> {
                    let mut world = World::new(server, thread)?;
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(cell) = cells.get(at) else { return Ok(()) };
                        let result = world.run(cell).and_then(|outcome| judge(cell, &outcome));
                        if let Ok(mut results) = results.lock() {
                            results.push((at, result));
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a thread panicked"))))
    })?;
    let mut results = results.into_inner().unwrap_or_default();
    ensure!(results.len() == cells.len(), "{} of {} cells were run", results.len(), cells.len());
    results.sort_by_key(|(at, _)| *at);
    Ok(results)
}

fn judge(cell: &Cell, outcome: &Outcome) -> Result<()> {
    let came = outcome.as_ref().map_or_else(|error| error.reason.as_str(), |_| "ok");
    let from = if cell.foreign { " of another conference" } else { "" };
    let who = format!("matrix.txt:{}: {} {}{from} to {}: ", cell.line, cell.standing, cell.role, cell.kind);
    ensure!(cell.expected.iter().any(|expected| expected == came), "{who}expected {}, came {came}", cell.expected.join(" or "));
    if let Err(error) = outcome {
        ensure!(Some(error.code) == code_of(came), "{who}{came} has the code {}", error.code);
    }
    Ok(())
}
