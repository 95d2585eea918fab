//! What can be said on the command line.

pub mod badge;

pub mod push;

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use hallway_broker::ids::{ConferenceId, ConversationId, Uid};
use hallway_broker::model::SignIn;

use badge::{AttendeesCommand, BadgeCommand, LeadsCommand, ReaderCommand};

use push::PushCommand;

use crate::config::{Address, ConfigError, DEFAULT_FILE, Layers, Loaded};

/// The chat backbone of a conference: WebSocket, Socket.IO, MQTT and XMPP in the same conversations.
#[derive(Debug, Parser)]
#[command(name = "hallway", version, subcommand_help_heading = "Commands")]
pub struct Cli {
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    serve: ServeArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What every command takes.
#[derive(Debug, Clone, Default, Args)]
pub struct Settings {
    /// Configuration file [default: hallway.toml, when there is one]
    #[arg(long, global = true, value_name = "FILE", env = "HALLWAY_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    /// Data directory [default: data]
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<String>,
    #[arg(skip)]
    listen: Vec<(&'static str, &'static str, String)>,
}

#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Options of serve")]
struct ServeArgs {
    /// Address of HTTP and WebSocket, or none; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT")]
    http: Option<Address>,
    /// Address of MQTT, or none
    #[arg(long, value_name = "ADDR:PORT")]
    mqtt: Option<Address>,
    /// Address of MQTT over TLS, or none
    #[arg(long, value_name = "ADDR:PORT")]
    mqtts: Option<Address>,
    /// Address of XMPP, or none
    #[arg(long, value_name = "ADDR:PORT")]
    xmpp: Option<Address>,
    /// Address of XMPP over TLS, or none
    #[arg(long, value_name = "ADDR:PORT")]
    xmpps: Option<Address>,
    /// Print every setting with its origin, and stop
    #[arg(long)]
    print_config: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve (the default)
    Serve(ServeArgs),
    /// Accounts
    #[command(subcommand)]
    User(UserCommand),
    /// Make a bearer token for a user and print it
    Token {
        /// Whose
        #[arg(value_name = "CONFERENCE/UID")]
        user: UserPath,
    },
    /// Invitations to make an account
    #[command(subcommand)]
    Invite(InviteCommand),
    /// Conferences
    #[command(subcommand)]
    Conference(ConferenceCommand),
    /// Channels
    #[command(subcommand)]
    Channel(ChannelCommand),
    /// Badges
    #[command(subcommand)]
    Badge(BadgeCommand),
    /// What badges are held to
    #[command(subcommand)]
    Reader(ReaderCommand),
    /// Attendees of a ticket shop
    #[command(subcommand)]
    Attendees(AttendeesCommand),
    /// Exhibitors' leads
    #[command(subcommand)]
    Leads(LeadsCommand),
    /// Write a backup to a file, also while the server runs; a bare name goes to DATA/backups, where rebuild looks
    Backup { file: PathBuf },
    /// Restore a backup; the server must not run
    Restore { file: PathBuf },
    /// Restore the newest backup and replay the kept log; the server must not run
    Rebuild {
        /// Go on although something that was acknowledged cannot be brought back
        #[arg(long)]
        accept_loss: bool,
    },
    /// Write all of a conference to a file, as JSON lines
    Export { conference: ConferenceId, file: PathBuf },
    /// Check the configuration, the files that it names, and the store; while the server runs, say what runs
    Check,
    /// Pushes that were given up
    #[command(subcommand)]
    Push(PushCommand),
}

/// Commands about accounts.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Make an account
    Add {
        /// Where and who
        #[arg(value_name = "CONFERENCE/UID")]
        user: UserPath,
        #[command(flatten)]
        password: PasswordSource,
        /// Display name [default: the uid]
        #[arg(long)]
        name: Option<String>,
        /// Role in the conference
        #[arg(long, default_value = "attendee", value_parser = ["attendee", "staff", "organiser", "device", "service"])]
        role: String,
    },
    /// List accounts: uid, role and name
    List { conference: ConferenceId },
    /// Erase an account and what it said
    Remove {
        /// Where and who
        #[arg(value_name = "CONFERENCE/UID")]
        user: UserPath,
    },
    /// Change a password; sessions and tokens end
    Password {
        /// Where and who
        #[arg(value_name = "CONFERENCE/UID")]
        user: UserPath,
        #[command(flatten)]
        password: PasswordSource,
    },
}

/// Where a password comes from; by default it is asked for.
#[derive(Debug, Clone, Default, Args)]
#[group(multiple = false)]
pub struct PasswordSource {
    /// The password, for scripts: others on this machine may see it
    #[arg(long, value_name = "PASSWORD")]
    pub password: Option<String>,
    /// Read the password from stdin
    #[arg(long)]
    pub password_stdin: bool,
}

/// Commands about invitations.
#[derive(Debug, Subcommand)]
pub enum InviteCommand {
    /// Make an invitation and print its code
    Add {
        /// Where to
        conference: ConferenceId,
        /// How many accounts may be made with it; 0 for any number
        #[arg(long, default_value_t = 1, value_name = "N")]
        uses: u32,
        /// For how many days
        #[arg(long, default_value_t = 7, value_name = "D")]
        days: u32,
        /// Role of these accounts
        #[arg(long, default_value = "attendee", value_parser = ["attendee", "staff"])]
        role: String,
    },
    /// List invitations: what each is taken back by, role, uses and when it expires
    List { conference: ConferenceId },
    /// Take an invitation back
    Remove {
        /// Where to
        conference: ConferenceId,
        /// Its code, or what it is listed by
        invite: String,
    },
}

/// Commands about conferences.
#[derive(Debug, Subcommand)]
pub enum ConferenceCommand {
    /// Make a conference
    Add {
        /// Its id
        id: ConferenceId,
        /// Its title [default: the id]
        #[arg(long)]
        title: Option<String>,
        /// How people get accounts [default: open in demo mode, else password]
        #[arg(long, value_parser = sign_in_parser())]
        sign_in: Option<SignIn>,
    },
    /// List conferences: id, sign-in, number of users, title
    List,
    /// Forget a conference and everything in it
    Remove {
        /// Its id
        id: ConferenceId,
    },
}

/// Commands about channels.
#[derive(Debug, Subcommand)]
pub enum ChannelCommand {
    /// Make a channel
    Add {
        /// Where and which
        #[arg(value_name = "CONFERENCE/CONVERSATION")]
        channel: ChannelPath,
        /// Its title [default: the id]
        #[arg(long)]
        title: Option<String>,
        /// Who posts: everybody, or staff
        #[arg(long, default_value = "channel", value_parser = ["channel", "announcements"])]
        kind: String,
    },
}

fn sign_in_parser() -> impl TypedValueParser<Value = SignIn> {
    PossibleValuesParser::new(["open", "invite", "password", "token"]).map(|word| match word.as_str() {
        "open" => SignIn::Open,
        "invite" => SignIn::Invite,
        "token" => SignIn::Token,
        _ => SignIn::Password,
    })
}

/// `<conference>/<uid>`.
#[derive(Debug, Clone)]
pub struct UserPath {
    /// Where.
    pub conference: ConferenceId,
    /// Who.
    pub uid: Uid,
}

impl std::str::FromStr for UserPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (conference, uid) = text.split_once('/').ok_or("not <conference>/<uid>, as demo/alice")?;
        Ok(Self { conference: conference.parse().map_err(as_text)?, uid: uid.parse().map_err(as_text)? })
    }
}

/// `<conference>/<conversation>`.
#[derive(Debug, Clone)]
pub struct ChannelPath {
    /// Where.
    pub conference: ConferenceId,
    /// Which.
    pub conversation: ConversationId,
}

impl std::str::FromStr for ChannelPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (conference, id) = text.split_once('/').ok_or("not <conference>/<conversation>, as demo/lobby")?;
        Ok(Self { conference: conference.parse().map_err(as_text)?, conversation: id.parse().map_err(as_text)? })
    }
}

fn as_text(error: impl ToString) -> String {
    error.to_string()
}

/// What is to be done.
#[derive(Debug)]
pub enum Task {
    /// Serve.
    Serve,
    /// Print the configuration.
    PrintConfig,
    /// Anything else.
    Command(OneShot),
}

/// A command that does one thing and ends.
#[derive(Debug)]
pub enum OneShot {
    /// Accounts.
    User(UserCommand),
    /// A token.
    Token(UserPath),
    /// Invitations.
    Invite(InviteCommand),
    /// Conferences.
    Conference(ConferenceCommand),
    /// Channels.
    Channel(ChannelCommand),
    /// Badges.
    Badge(BadgeCommand),
    /// Readers.
    Reader(ReaderCommand),
    /// Attendees.
    Attendees(AttendeesCommand),
    /// Leads.
    Leads(LeadsCommand),
    /// Back up.
    Backup(PathBuf),
    /// Restore.
    Restore(PathBuf),
    /// Rebuild.
    Rebuild {
        /// Although something is lost.
        accept_loss: bool,
    },
    /// Export.
    Export(ConferenceId, PathBuf),
    /// Check.
    Check,
    /// Pushes.
    Push(PushCommand),
}

impl Cli {
    /// What was asked for. Ends the process with a usage error when it does not go together.
    #[must_use]
    pub fn into_task(self) -> (Settings, Task) {
        let Self { mut settings, serve, command } = self;
        let top = serve.addresses();
        let one_shot = match command {
            None => return serving(settings, &serve, top),
            Some(Command::Serve(inner)) => {
                let addresses = top.into_iter().chain(inner.addresses()).collect();
                let print_config = serve.print_config || inner.print_config;
                return serving(settings, &ServeArgs { print_config, ..inner }, addresses);
            }
            Some(Command::User(command)) => OneShot::User(command),
            Some(Command::Token { user }) => OneShot::Token(user),
            Some(Command::Invite(command)) => OneShot::Invite(command),
            Some(Command::Conference(command)) => OneShot::Conference(command),
            Some(Command::Channel(command)) => OneShot::Channel(command),
            Some(Command::Badge(command)) => OneShot::Badge(command),
            Some(Command::Reader(command)) => OneShot::Reader(command),
            Some(Command::Attendees(command)) => OneShot::Attendees(command),
            Some(Command::Leads(command)) => OneShot::Leads(command),
            Some(Command::Backup { file }) => OneShot::Backup(file),
            Some(Command::Restore { file }) => OneShot::Restore(file),
            Some(Command::Rebuild { accept_loss }) => OneShot::Rebuild { accept_loss },
            Some(Command::Export { conference, file }) => OneShot::Export(conference, file),
            Some(Command::Check) => OneShot::Check,
            Some(Command::Push(command)) => OneShot::Push(command),
        };
        if !top.is_empty() || serve.print_config {
            Self::command().error(ErrorKind::ArgumentConflict, "addresses and --print-config are options of serve").exit();
        }
        settings.listen = Vec::new();
        (settings, Task::Command(one_shot))
    }
}

fn serving(mut settings: Settings, args: &ServeArgs, addresses: Vec<(&'static str, &'static str, String)>) -> (Settings, Task) {
    settings.listen = addresses;
    (settings, if args.print_config { Task::PrintConfig } else { Task::Serve })
}

impl ServeArgs {
    /// Key, flag and value of the addresses that were given.
    fn addresses(&self) -> Vec<(&'static str, &'static str, String)> {
        let flags = [
            ("listen.http", "--http", self.http),
            ("listen.mqtt", "--mqtt", self.mqtt),
            ("listen.mqtts", "--mqtts", self.mqtts),
            ("listen.xmpp", "--xmpp", self.xmpp),
            ("listen.xmpps", "--xmpps", self.xmpps),
        ];
        flags.into_iter().filter_map(|(key, flag, address)| Some((key, flag, address?.to_string()))).collect()
    }
}

impl Settings {
    /// Reads the configuration: file, environment, flags.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        let mut layers = Layers::default();
        match &self.config {
            Some(file) => layers.file(file)?,
            None if std::path::Path::new(DEFAULT_FILE).exists() => layers.file(DEFAULT_FILE.as_ref())?,
            None => {}
        }
        layers.environment(std::env::vars_os().filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?))));
        if let Some(data) = &self.data {
            layers.flag("store.path", "--data", data);
        }
        for (key, flag, text) in &self.listen {
            layers.flag(key, flag, text);
        }
        Loaded::from_layers(layers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serve_is_the_default_and_its_options_go_before_or_after() {
        for line in ["hallway --http none", "hallway serve --http none", "hallway --http none serve", "hallway --data x serve --http none"]
        {
            let (settings, task) = Cli::parse_from(line.split(' ')).into_task();
            assert!(matches!(task, Task::Serve), "{line}");
            assert_eq!(settings.listen, [("listen.http", "--http", "none".to_owned())], "{line}");
        }
        let (_, task) = Cli::parse_from(["hallway", "serve", "--print-config"]).into_task();
        assert!(matches!(task, Task::PrintConfig));
    }

    #[test]
    fn the_designs_commands() {
        for line in [
            "hallway",
            "hallway user add demo/alice --password p --name Alice --role organiser",
            "hallway user add demo/alice --password-stdin --data d --config c",
            "hallway --data d user list demo",
            "hallway user remove demo/alice",
            "hallway user password demo/alice --password p",
            "hallway token demo/alice --data d",
            "hallway invite add demo",
            "hallway invite add demo --uses 50 --days 3 --role staff",
            "hallway invite list demo",
            "hallway invite remove demo abcd-efgh-ijkl-mnop",
            "hallway conference add demo --title T --sign-in open",
            "hallway conference list",
            "hallway conference remove demo",
            "hallway channel add demo/lobby --title T --kind announcements",
            "hallway badge add demo/ada 04A1B2C3",
            "hallway badge list demo",
            "hallway badge list demo/ada",
            "hallway badge revoke demo 04A1B2C3 --undo",
            "hallway reader set demo/gate-1 --mode checkin",
            "hallway reader set demo/hall-1 --mode session --conversation hall-1 --capacity 80 --format tasmota",
            "hallway reader list demo",
            "hallway reader remove demo/gate-1",
            "hallway attendees import demo FILE --dry-run --map name=Wer --map badge=Chip",
            "hallway leads export demo/stand-1",
            "hallway backup FILE",
            "hallway restore FILE",
            "hallway rebuild --data d --accept-loss",
            "hallway export demo FILE",
            "hallway check",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
        for line in [
            "hallway user add alice",
            "hallway user add demo/Alice",
            "hallway user add demo/alice --role king",
            "hallway user add demo/alice --password p --password-stdin",
            "hallway invite add demo --role organiser",
            "hallway invite add demo --uses -1",
            "hallway conference add Demo",
            "hallway conference add demo --sign-in shut",
            "hallway channel add demo/lobby --kind group",
            "hallway badge add demo 04A1B2C3",
            "hallway reader set demo/gate-1",
            "hallway reader set demo/gate-1 --mode dance",
            "hallway attendees import demo FILE --map name",
            "hallway serve --http 8080",
            "hallway dance",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
