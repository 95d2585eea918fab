//! Requests and answers, through the socket and without it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::socket::{self, ControlClient, ControlServer};
use super::*;
use crate::clock::SystemClock;
use crate::command::Outcome;
use crate::edges::{BadgeFormats, Reading};
use crate::hub::HubOptions;
use crate::limits::Limits;

fn open(data_dir: &Path) -> Arc<Hub> {
    let limits = Limits { disk_reserve_bytes: 0, ..Limits::default() };
    let options = HubOptions { limits, shards: 1, ..HubOptions::new(data_dir) };
    Hub::open(options, Arc::new(SystemClock::start())).unwrap()
}

fn request(json: &str) -> ControlRequest {
    serde_json::from_str(json).unwrap()
}

/// What is asked, and the reply's tag or the refusal's reason.
const STORY: &[(&str, &str)] = &[
    (r#"{"request":"conference_list"}"#, "conferences"),
    (r#"{"request":"user_add","conference":"demo","uid":"alice","password":"p","name":null,"role":"attendee"}"#, "unknown_conference"),
    (r#"{"request":"conference_add","conference":"De mo","title":null,"sign_in":"open"}"#, "invalid_params"),
    (r#"{"request":"conference_add","conference":"demo","title":"","sign_in":"open"}"#, "invalid_params"),
    (r#"{"request":"conference_add","conference":"demo","title":"Demo","sign_in":"open"}"#, "done"),
    (r#"{"request":"conference_add","conference":"demo","title":"Demo","sign_in":"open"}"#, "taken"),
    (r#"{"request":"channel_add","conference":"demo","conversation":"lobby","title":"Lobby","kind":"channel"}"#, "done"),
    (r#"{"request":"channel_add","conference":"demo","conversation":"lobby","title":null,"kind":"channel"}"#, "taken"),
    (r#"{"request":"channel_add","conference":"demo","conversation":"x","title":null,"kind":"group"}"#, "invalid_params"),
    (r#"{"request":"channel_add","conference":"demo","conversation":"X","title":null,"kind":"channel"}"#, "invalid_params"),
    (r#"{"request":"user_add","conference":"demo","uid":"alice","password":"p","name":"Alice","role":"organiser"}"#, "done"),
    (r#"{"request":"user_add","conference":"demo","uid":"alice","password":"p","name":null,"role":"attendee"}"#, "taken"),
    (r#"{"request":"user_add","conference":"demo","uid":"system","password":"p","name":null,"role":"attendee"}"#, "reserved"),
    (r#"{"request":"user_add","conference":"demo","uid":"bob","password":"","name":null,"role":"attendee"}"#, "invalid_params"),
    (r#"{"request":"user_add","conference":"demo","uid":"bob","password":"p","name":null,"role":"king"}"#, "invalid_params"),
    (r#"{"request":"user_list","conference":"demo","after":null}"#, "users"),
    (r#"{"request":"user_password","conference":"demo","uid":"alice","password":"q"}"#, "done"),
    (r#"{"request":"user_password","conference":"demo","uid":"bob","password":"q"}"#, "unknown_user"),
    (r#"{"request":"token","conference":"demo","uid":"alice"}"#, "token"),
    (r#"{"request":"token","conference":"demo","uid":"bob"}"#, "unknown_user"),
    (r#"{"request":"invite_add","conference":"demo","uses":3,"days":7,"role":"attendee"}"#, "invite"),
    (r#"{"request":"invite_add","conference":"demo","uses":3,"days":0,"role":"attendee"}"#, "invalid_params"),
    (r#"{"request":"invite_add","conference":"demo","uses":3,"days":9999,"role":"attendee"}"#, "invalid_params"),
    (r#"{"request":"invite_add","conference":"demo","uses":3,"days":7,"role":"organiser"}"#, "invalid_params"),
    (r#"{"request":"invite_add","conference":"other","uses":3,"days":7,"role":"staff"}"#, "unknown_conference"),
    (r#"{"request":"invite_list","conference":"demo"}"#, "invites"),
    (r#"{"request":"invite_remove","conference":"demo","invite":"abcd-efgh-ijkl-mnop"}"#, "bad_invite"),
    (r#"{"request":"push_replay","conference":"demo","letters":[]}"#, "written"),
    (r#"{"request":"push_replay","conference":"demo","letters":[17]}"#, "invalid_params"),
    (r#"{"request":"status"}"#, "status"),
    (r#"{"request":"user_remove","conference":"demo","uid":"alice"}"#, "done"),
    (r#"{"request":"user_remove","conference":"demo","uid":"alice"}"#, "unknown_user"),
    (r#"{"request":"conference_remove","conference":"demo"}"#, "done"),
    (r#"{"request":"conference_remove","conference":"demo"}"#, "unknown_conference"),
];

fn word(answer: &Result<ControlReply, ControlError>) -> String {
    match answer {
        Ok(reply) => serde_json::to_value(reply).unwrap()["reply"].as_str().unwrap().to_owned(),
        Err(error) => error.reason.clone(),
    }
}

#[tokio::test]
async fn an_organisers_day_without_a_server() {
    let dir = TempDir::new().unwrap();
    let hub = open(dir.path());
    for (asked, expected) in STORY {
        assert_eq!(word(&handle(&hub, request(asked)).await), *expected, "{asked}");
    }
    hub.close();
}

#[tokio::test]
async fn the_same_day_over_the_socket_wherever_the_data_is() {
    let dir = TempDir::new().unwrap();
    for data_dir in [dir.path().join("data"), dir.path().join("x".repeat(120)).join("data")] {
        assert!(ControlClient::connect(&data_dir).await.unwrap().is_none(), "no server runs");
        let hub = open(&data_dir);
        let server = ControlServer::start(Arc::clone(&hub), &data_dir).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(socket::path(&data_dir).parent().unwrap()), 0o700);
        let mut client = ControlClient::connect(&data_dir).await.unwrap().unwrap();
        for (asked, expected) in STORY {
            assert_eq!(word(&client.ask(&request(asked)).await), *expected, "{asked}");
        }
        server.stop();
        assert!(ControlClient::connect(&data_dir).await.unwrap().is_none());
        hub.close();
    }
}

#[tokio::test]
async fn a_dead_servers_socket_is_replaced() {
    let dir = TempDir::new().unwrap();
    let hub = open(dir.path());
    std::fs::create_dir_all(dir.path().join("control")).unwrap();
    drop(std::os::unix::net::UnixListener::bind(socket::path(dir.path())).unwrap());
    assert!(ControlClient::connect(dir.path()).await.unwrap().is_none());
    let server = ControlServer::start(Arc::clone(&hub), dir.path()).unwrap();
    let mut client = ControlClient::connect(dir.path()).await.unwrap().unwrap();
    assert_eq!(word(&client.ask(&ControlRequest::Status).await), "status");
    server.stop();
    hub.close();
}

async fn say(data_dir: &Path, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(socket::path(data_dir)).await.unwrap();
    // The server hangs up in the middle of what is too long.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

#[tokio::test]
async fn nonsense_is_answered_or_hung_up_on() {
    let dir = TempDir::new().unwrap();
    let hub = open(dir.path());
    let server = ControlServer::start(Arc::clone(&hub), dir.path()).unwrap();
    for nonsense in [
        &b"\n"[..],
        b"{}\n",
        b"[1]\n",
        b"\xff\n",
        br#"{"request":"unknown"}
"#,
    ] {
        assert!(say(dir.path(), nonsense).await.contains("bad_request"), "{nonsense:?}");
    }
    for cut in [vec![b'x'; 100], vec![b'x'; 200_000]] {
        assert_eq!(say(dir.path(), &cut).await, "");
    }
    let two = b"{\"request\":\"status\"}\n{\"request\":\"status\"}\n";
    assert_eq!(say(dir.path(), two).await.lines().count(), 2);
    server.stop();
    hub.close();
}

#[tokio::test]
async fn many_users_come_in_pages() {
    let dir = TempDir::new().unwrap();
    let hub = open(dir.path());
    let add = Action::AddConference { id: ConferenceId::parse("demo").unwrap(), title: "".into(), sign_in: SignIn::Open, epoch: 1 };
    let Outcome::Conference(conf) = hub.call(ConfNo(0), Actor::system(), add).await.unwrap() else { panic!() };
    for n in 0..PAGE + 1 {
        let uid = Uid::parse(&format!("u{n:04}")).unwrap();
        hub.call(conf, Actor::system(), Action::AddUser { uid, name: None, role: UserRole::Attendee, credentials: None }).await.unwrap();
    }
    let list = |after: Option<&str>| ControlRequest::UserList { conference: "demo".into(), after: after.map(str::to_owned) };
    let Ok(ControlReply::Users { users, complete: false }) = handle(&hub, list(None)).await else { panic!() };
    assert_eq!(users.len(), PAGE);
    let Ok(ControlReply::Users { users, complete: true }) = handle(&hub, list(Some(&users[PAGE - 1].uid))).await else { panic!() };
    assert_eq!(users.len(), 1);
    hub.close();
}

#[tokio::test]
async fn files_are_written_once() {
    let dir = TempDir::new().unwrap();
    let hub = open(&dir.path().join("data"));
    for (asked, _) in &STORY[4..=10] {
        let _ = handle(&hub, request(asked)).await;
    }
    let export = |conference: &str, file: &str| ControlRequest::Export { conference: conference.into(), file: dir.path().join(file) };
    let backup = |file: &str| ControlRequest::Backup { file: dir.path().join(file) };
    for (asked, expected) in [
        (export("demo", "demo.jsonl"), "written"),
        (export("demo", "demo.jsonl"), "taken"),
        (export("nowhere", "nowhere.jsonl"), "unknown_conference"),
        (export("demo", "no/such/place"), "backup_failed"),
        (backup("b"), "written"),
        (backup("b"), "taken"),
    ] {
        assert_eq!(word(&handle(&hub, asked.clone()).await), expected, "{asked:?}");
    }
    let exported = std::fs::read_to_string(dir.path().join("demo.jsonl")).unwrap();
    assert!(exported.contains("alice") && !exported.contains("stored_key"));
    hub.close();
}

#[test]
fn secrets_are_not_in_logs() {
    let request = request(r#"{"request":"user_password","conference":"demo","uid":"alice","password":"pencil"}"#);
    assert!(!format!("{request:?}").contains("pencil"));
    let reply = ControlReply::Token { token: Secret("hw_x".into()), expires_at_ms: 0 };
    assert!(!format!("{reply:?}").contains("hw_x"));
}

/// A world in which readers say nothing that is understood.
struct NoFormats;

impl BadgeFormats for NoFormats {
    fn read(&self, _: &str, _: &[u8]) -> Result<Reading, Reject> {
        Ok(Reading::Nothing)
    }

    fn check(&self, format: &str) -> Result<(), Reject> {
        if format == "auto" { Ok(()) } else { Err(Reason::InvalidParams.into()) }
    }

    fn names(&self) -> Vec<&'static str> {
        vec!["auto", "tasmota"]
    }
}

#[tokio::test]
async fn who_takes_what_there_is_not_is_told_what_there_is() {
    let dir = TempDir::new().unwrap();
    let hub = open(&dir.path().join("data"));
    hub.set_badge_formats(Arc::new(NoFormats));
    for (asked, _) in &STORY[4..=10] {
        let _ = handle(&hub, request(asked)).await;
    }
    let file = dir.path().join("wide.csv");
    std::fs::write(&file, "Wer,Woher\n").unwrap();
    let import = |file: &Path| {
        format!(r#"{{"request":"attendees_import","conference":"demo","file":{file:?},"format":"auto","map":[],"dry_run":true}}"#)
    };
    let set_to = |format: &str, capacity: u32| {
        let reader = serde_json::json!({
            "uid": "alice", "mode": "checkin", "conversation": null, "format": format, "capacity": capacity, "owner": null, "text": "",
            "health": ""
        });
        serde_json::json!({ "request": "reader_set", "conference": "demo", "reader": reader }).to_string()
    };
    let set = |format: &str| set_to(format, 0);
    for (asked, told) in [
        (set_to("auto", 120), "--capacity is of a session, with --mode session: --mode checkin lets in whoever comes"),
        (set("tasmot"), "there is no format 'tasmot': take one of auto, tasmota, or a template"),
        (set(r#"{"badge":"/uid"}"#), "is no template: it is JSON"),
        (import(&file), "--map name=COLUMN; the columns are: Wer, Woher"),
        (import(&dir.path().join("none.csv")), "none.csv: No such file or directory"),
        (r#"{"request":"push_replay","conference":"demo","letters":[17,17,18]}"#.to_owned(), "0 of 2 are tried once more"),
    ] {
        let refused = handle(&hub, request(&asked)).await.unwrap_err().to_string();
        assert!(refused.contains(told), "{told:?} in {refused:?}");
    }
    hub.close();
}
