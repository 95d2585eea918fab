//! The commands that do one thing and end: over the control socket of the running server, or on the store itself when none runs.

use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hallway_broker::backup;
use hallway_broker::commit::StoreError;
use hallway_broker::control::socket::ControlClient;
use hallway_broker::control::{self, ConferenceLine, ControlError, ControlReply, ControlRequest, Secret};
use hallway_broker::hub::{Hub, OpenError};
use hallway_broker::log::LogError;
use hallway_broker::model::SignIn;
use hallway_broker::state::StateError;

use crate::cli::{ChannelCommand, ConferenceCommand, OneShot, UserCommand};
use crate::conferences::{self, ConferencesError, default_sign_in};
use crate::config::Loaded;
use crate::password::{self, PasswordError};
use crate::serve;

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It was refused.
    #[error(transparent)]
    Refused(#[from] ControlError),
    /// There is no password.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The control socket is there but cannot be used.
    #[error("cannot talk to the running server: {0}: run the command as the user that runs the server")]
    Socket(io::Error),
    /// The store is held by somebody who does not answer.
    #[error("{0}, which does not answer on its control socket: it may be starting or stopping, so try again in a moment")]
    Held(OpenError),
    /// The store does not open.
    #[error(transparent)]
    Open(OpenError),
    /// Configured conferences could not be made.
    #[error(transparent)]
    Conferences(#[from] ConferencesError),
    /// The server must not run.
    #[error("a server runs on this data directory: stop it first")]
    ServerRuns,
    /// A backup could not be used.
    #[error(transparent)]
    Backup(#[from] backup::BackupError),
    /// A path or stdout.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Prints every setting with its origin.
///
/// # Errors
/// Nobody reads it.
pub fn print_config(loaded: &Loaded) -> io::Result<()> {
    print(&format!("{}\n", loaded.all().join("\n")))
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Runs a command.
///
/// # Errors
/// What stood in its way, and what to do.
pub async fn run(loaded: &Loaded, command: OneShot) -> Result<(), CommandError> {
    match command {
        OneShot::User(UserCommand::List { conference }) => list_users(loaded, conference.as_str()).await,
        OneShot::Restore(file) => {
            nobody_serves(loaded).await?;
            report(&backup::restore(&loaded.config.store.path, &file)?)
        }
        OneShot::Rebuild => {
            nobody_serves(loaded).await?;
            report(&backup::rebuild(&loaded.config.store.path)?)
        }
        OneShot::Check => check(loaded).await,
        other => {
            let request = request(loaded, other)?;
            let mut store = Store::reach(loaded).await?;
            let reply = store.ask(request).await;
            store.leave();
            show(reply?)
        }
    }
}

/// The request of a command that is one.
fn request(loaded: &Loaded, command: OneShot) -> Result<ControlRequest, CommandError> {
    Ok(match command {
        OneShot::User(UserCommand::Add { user, password, name, role }) => {
            let password = Secret(password::read(&password)?);
            ControlRequest::UserAdd { conference: user.conference.to_string(), uid: user.uid.to_string(), password, name, role }
        }
        OneShot::User(UserCommand::Password { user, password }) => {
            let password = Secret(password::read(&password)?);
            ControlRequest::UserPassword { conference: user.conference.to_string(), uid: user.uid.to_string(), password }
        }
        OneShot::User(UserCommand::Remove { user }) => {
            ControlRequest::UserRemove { conference: user.conference.to_string(), uid: user.uid.to_string() }
        }
        OneShot::User(UserCommand::List { conference }) => ControlRequest::UserList { conference: conference.to_string(), after: None },
        OneShot::Token(user) => ControlRequest::Token { conference: user.conference.to_string(), uid: user.uid.to_string() },
        OneShot::Conference(ConferenceCommand::Add { id, title, sign_in }) => {
            let sign_in = sign_in.unwrap_or_else(|| default_sign_in(&loaded.config));
            ControlRequest::ConferenceAdd { conference: id.to_string(), title, sign_in }
        }
        OneShot::Conference(ConferenceCommand::List) => ControlRequest::ConferenceList,
        OneShot::Conference(ConferenceCommand::Remove { id }) => ControlRequest::ConferenceRemove { conference: id.to_string() },
        OneShot::Channel(ChannelCommand::Add { channel, title, kind }) => ControlRequest::ChannelAdd {
            conference: channel.conference.to_string(),
            conversation: channel.conversation.to_string(),
            title,
            kind,
        },
        OneShot::Backup(file) => ControlRequest::Backup { file: absolute(&file)? },
        OneShot::Export(conference, file) => ControlRequest::Export { conference: conference.to_string(), file: absolute(&file)? },
        OneShot::Restore(_) | OneShot::Rebuild | OneShot::Check => ControlRequest::Status,
    })
}

/// The running server may have another working directory.
fn absolute(file: &Path) -> io::Result<PathBuf> {
    std::path::absolute(file)
}

/// The store, through the server that runs on it or by itself.
enum Store {
    Served(ControlClient),
    Opened(Arc<Hub>),
}

impl Store {
    async fn reach(loaded: &Loaded) -> Result<Self, CommandError> {
        if let Some(client) = connect(loaded).await? {
            return Ok(Self::Served(client));
        }
        let hub = match serve::open(&loaded.config) {
            Ok(hub) => hub,
            Err(error) if is_locked(&error) => return Err(CommandError::Held(error)),
            Err(error) => return Err(CommandError::Open(error)),
        };
        if let Err(error) = conferences::ensure(&hub, &loaded.config).await {
            hub.close();
            return Err(error.into());
        }
        Ok(Self::Opened(hub))
    }

    async fn ask(&mut self, request: ControlRequest) -> Result<ControlReply, ControlError> {
        match self {
            Self::Served(client) => client.ask(&request).await,
            Self::Opened(hub) => control::handle(hub, request).await,
        }
    }

    fn leave(self) {
        if let Self::Opened(hub) = self {
            hub.close();
        }
    }
}

async fn connect(loaded: &Loaded) -> Result<Option<ControlClient>, CommandError> {
    ControlClient::connect(&loaded.config.store.path).await.map_err(CommandError::Socket)
}

fn is_locked(error: &OpenError) -> bool {
    matches!(error, OpenError::Store(StoreError::Log(LogError::Locked(_)) | StoreError::State(StateError::Locked(_))))
}

async fn nobody_serves(loaded: &Loaded) -> Result<(), CommandError> {
    if connect(loaded).await?.is_some() { Err(CommandError::ServerRuns) } else { Ok(()) }
}

async fn list_users(loaded: &Loaded, conference: &str) -> Result<(), CommandError> {
    let mut store = Store::reach(loaded).await?;
    let mut after = None;
    let listed = loop {
        match store.ask(ControlRequest::UserList { conference: conference.to_owned(), after: after.take() }).await {
            Ok(ControlReply::Users { users, complete }) => {
                after = users.last().map(|user| user.uid.clone());
                show(ControlReply::Users { users, complete })?;
                if complete || after.is_none() {
                    break Ok(());
                }
            }
            Ok(_) => break Ok(()),
            Err(error) => break Err(error.into()),
        }
    };
    store.leave();
    listed
}

async fn check(loaded: &Loaded) -> Result<(), CommandError> {
    match connect(loaded).await? {
        Some(mut client) => show(client.ask(&ControlRequest::Status).await?),
        None => report(&backup::check(&loaded.config.store.path)?),
    }
}

/// Tells what was done on stderr: stdout is for what a command is asked for.
fn report(done: &impl fmt::Display) -> Result<(), CommandError> {
    eprintln!("{done}");
    Ok(())
}

fn show(reply: ControlReply) -> Result<(), CommandError> {
    match reply {
        ControlReply::Done => eprintln!("done"),
        ControlReply::Users { users, .. } => {
            let lines = users.iter().map(|user| format!("{}\t{}\t{}\n", user.uid, user.role, user.name));
            print(&lines.collect::<String>())?;
        }
        ControlReply::Conferences { conferences } => print(&conference_lines(&conferences))?,
        ControlReply::Token { token, .. } => print(&format!("{}\n", token.0))?,
        ControlReply::Written { bytes, what } => eprintln!("written: {what}, {bytes} bytes"),
        ControlReply::Status { version, pid, conferences } => {
            print(&format!("hallway {version} runs as process {pid} with {conferences} conferences; stop it to check the store itself\n"))?;
        }
    }
    Ok(())
}

fn conference_lines(conferences: &[ConferenceLine]) -> String {
    let mut lines = String::new();
    for line in conferences {
        let sign_in = match line.sign_in {
            SignIn::Open => "open",
            SignIn::Invite => "invite",
            SignIn::Password => "password",
            SignIn::Token => "token",
        };
        // Writing to a String does not fail.
        let _ = writeln!(lines, "{}\t{sign_in}\t{}\t{}", line.conference, line.users, line.title);
    }
    lines
}
