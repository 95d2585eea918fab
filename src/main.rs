//! `hallway`: the command line. In reading order: [`cli`] (what can be said), [`config`] (what is in force), [`serve`] (the server), [`commands`]
//! (everything else). Nothing here decides what a conference is: that is the broker's.

mod cli;
mod commands;
mod conferences;
mod config;
mod logging;
mod password;
mod serve;
mod tickets;

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use hallway_broker::state::sled::panic_is_told;
use tokio::runtime::{Builder, Runtime};

use cli::{Cli, Task};

fn main() -> ExitCode {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !panic_is_told() {
            hook(panic);
        }
    }));
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hallway: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let (settings, task) = cli.into_task();
    let loaded = settings.load()?;
    match task {
        Task::PrintConfig => Ok(commands::print_config(&loaded)?),
        Task::Serve => {
            logging::start(loaded.config.server.log, logging::SERVER)?;
            let runtime = runtime()?;
            let served = runtime.block_on(serve::run(&loaded));
            // What is left is the lookup of some name, which may take as long as it likes.
            runtime.shutdown_background();
            Ok(served?)
        }
        Task::Command(command) => {
            logging::start(loaded.config.server.log, logging::COMMAND)?;
            Ok(runtime()?.block_on(commands::run(&loaded, command))?)
        }
    }
}

fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("the runtime does not start")
}
