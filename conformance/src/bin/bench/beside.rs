//! Fan-out of several servers and of the bare writer, in turn within each round, so that all have the same machine.

use anyhow::Result;
use serde_json::{Value, json};

use crate::deliveries::{Drive, Fan, Sample};
use crate::options::Options;
use crate::report::{Table, median_of, short};

/// Of the table; the first column is the load's.
pub fn headers(load: &str) -> [&str; 7] {
    [load, "", "deliveries/s", "of bare half", "of bare whole", "cores", "generator"]
}

/// All that is measured, one right after the other.
pub struct Round {
    /// In the order of the servers.
    servers: Vec<Sample>,
    half: Sample,
    whole: Sample,
}

/// By window. `bare` starts a bare writer that joins so many messages, of the bytes of the first server.
pub fn rounds<L: Fan>(
    drives: &mut [Drive<L>],
    bare: impl Fn(&Drive<L>, usize) -> Result<Drive<L>>,
    windows: &[usize],
    options: &Options,
) -> Result<Vec<Vec<Round>>> {
    let seconds = options.seconds_or(2.0);
    // The new connections' first windows and the server's first batches are not what lasts.
    let warmup_s = options.warmup_s.min(0.5);
    let mut rounds: Vec<Vec<Round>> = windows.iter().map(|_| Vec::new()).collect();
    for _ in 0..options.rounds_or(5) {
        for (&window, rounds) in windows.iter().zip(&mut rounds) {
            let mut servers = Vec::new();
            for index in 0..drives.len() {
                servers.push(drives[index].measure(window, warmup_s, seconds)?);
                drives.iter_mut().try_for_each(Drive::attend)?;
            }
            let half = bare(&drives[0], window.div_ceil(2))?.measure(window, warmup_s, seconds)?;
            drives.iter_mut().try_for_each(Drive::attend)?;
            let whole = bare(&drives[0], window)?.measure(window, warmup_s, seconds)?;
            drives.iter_mut().try_for_each(Drive::attend)?;
            rounds.push(Round { servers, half, whole });
        }
    }
    Ok(rounds)
}

/// A row per server, and the limits.
pub fn rows(table: &mut Table, load: &str, names: &[&str], rounds: &[Round]) {
    let mut load = load;
    let mut row = |name: &str, sample: &dyn Fn(&Round) -> Sample, is_limit: bool| {
        let ratio = |limit: fn(&Round) -> Sample| match is_limit {
            true => String::new(),
            false => format!("{:.2}", median_of(rounds, |round| sample(round).per_s / limit(round).per_s)),
        };
        table.row(vec![
            std::mem::take(&mut load).into(),
            name.into(),
            short(median_of(rounds, |round| sample(round).per_s)),
            ratio(|round| round.half),
            ratio(|round| round.whole),
            format!("{:.2}", median_of(rounds, |round| sample(round).used.peer_cores)),
            format!("{:.2}", median_of(rounds, |round| sample(round).used.own_cores)),
        ]);
    };
    for (index, name) in names.iter().enumerate() {
        row(name, &|round| round.servers[index], false);
    }
    row("bare half", &|round| round.half, true);
    row("bare whole", &|round| round.whole, true);
}

pub fn figures(window: usize, names: &[&str], rounds: &[Round]) -> Value {
    let mut figures = json!({
        "window": window,
        "bare_half_per_s": median_of(rounds, |round| round.half.per_s),
        "bare_whole_per_s": median_of(rounds, |round| round.whole.per_s),
    });
    for (index, &name) in names.iter().enumerate() {
        figures[name] = json!({
            "deliveries_per_s": median_of(rounds, |round| round.servers[index].per_s),
            "ratio_half": median_of(rounds, |round| round.servers[index].per_s / round.half.per_s),
            "ratio_whole": median_of(rounds, |round| round.servers[index].per_s / round.whole.per_s),
            "cores": median_of(rounds, |round| round.servers[index].used.peer_cores),
            "rounds": rounds.iter().map(|round| round.servers[index].per_s).collect::<Vec<_>>(),
        });
    }
    figures
}
