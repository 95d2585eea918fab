//! The log on stderr. It holds no bodies, tokens, passwords or badge codes: whoever logs sees to that.

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// What a server logs unless `HALLWAY_LOG` says otherwise.
pub const SERVER: &str = "info,rumqttd=warn,sled=warn";
/// What a command logs unless `HALLWAY_LOG` says otherwise.
pub const COMMAND: &str = "warn";
const VARIABLE: &str = "HALLWAY_LOG";

/// The log did not start.
#[derive(Debug, thiserror::Error)]
#[error("{VARIABLE}: {0}: take a level (error, warn, info, debug, trace) or module=level, with commas between")]
pub struct BadFilter(String);

/// Starts logging.
///
/// # Errors
/// The filter in the environment is not one.
pub fn start(format: LogFormat, default: &str) -> Result<(), BadFilter> {
    let filter = std::env::var(VARIABLE).unwrap_or_else(|_| default.to_owned());
    let filter: EnvFilter = filter.parse().map_err(|error| BadFilter(format!("'{filter}': {error}")))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Ok(())
}
