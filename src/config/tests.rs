//! Configurations as people write them, and what they are told.

use std::path::Path;

use proptest::prelude::*;

use super::*;

fn load(file: Option<&str>, environment: &[(&str, &str)], flags: &[(&str, &'static str, &str)]) -> Result<Loaded, ConfigError> {
    let mut layers = Layers::default();
    if let Some(text) = file {
        layers.file_text(Path::new("hallway.toml"), text)?;
    }
    layers.environment(environment.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())));
    for (key, flag, text) in flags {
        layers.flag(key, flag, text);
    }
    Loaded::from_layers(layers)
}

fn refusal(file: Option<&str>, environment: &[(&str, &str)]) -> String {
    load(file, environment, &[]).map(|_| ()).unwrap_err().to_string()
}

const DEMO: &str = "[server]\nmode = \"demo\"\n";

fn demo(rest: &str) -> String {
    format!("{DEMO}{rest}")
}

#[test]
fn links_to_one_broker_stay_out_of_each_others_way() {
    let told = |rest: &str| {
        let first = "[[conference.demo.venue]]\nurl = \"mqtt://venue.example\"\nreaders = [{ topic = \"tele/{reader}/SENSOR\", result = \"hallway/{reader}\" }]\n";
        load(Some(&demo(&format!("{first}{rest}"))), &[], &[]).map(|_| ()).map_err(|error| error.to_string())
    };
    let venue = |conference: &str, url: &str, id: &str, readers: &str| {
        format!("[[conference.{conference}.venue]]\nurl = {url:?}\nclient_id = {id:?}\nreaders = [{readers}]\n")
    };
    let hub = "{ topic = \"RFID/#\", reader = \"hub\" }";
    let gates = "{ topic = \"tele/+/SENSOR\", reader = \"gates\" }";
    let echo = "{ topic = \"hallway/#\", reader = \"echo\" }";
    let same = "mqtt://Venue.example:1883/";
    assert_eq!(told(&venue("demo", same, "other", hub)), Ok(()));
    assert_eq!(told(&venue("other", same, "other", gates)), Ok(()), "another conference has other devices");
    assert_eq!(told(&venue("demo", "mqtt://elsewhere.example", "hallway-demo", gates)), Ok(()));
    for (rest, why) in [
        (venue("demo", same, "hallway-demo", hub), "throw each other out"),
        (venue("other", same, "hallway-demo", hub), "throw each other out"),
        (venue("demo", same, "other", gates), "would count twice"),
        (venue("other", same, "other", echo), "would come back as scans"),
    ] {
        let error = told(&rest).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn nothing_is_a_demo() {
    let loaded = load(None, &[], &[]).unwrap();
    assert_eq!(loaded.config, Config::default());
    assert_eq!(loaded.config.server.mode, Mode::Demo);
    assert!(loaded.config.server.takes_plaintext_logins());
    assert!(loaded.changed().is_empty());
    assert_eq!(loaded.config.listen.http.to_string(), "127.0.0.1:8080");
}

#[test]
fn later_layers_win_and_are_named() {
    let file = demo("[limits]\ntext_bytes = 1\nframe_bytes = 1000\n[listen]\nhttp = \"127.0.0.1:1\"\n");
    let environment = [("HALLWAY_LIMITS__TEXT_BYTES", "2"), ("HALLWAY_LISTEN__HTTP", "127.0.0.1:2"), ("OTHER__X", "3")];
    let loaded = load(Some(&file), &environment, &[("listen.http", "--http", "127.0.0.1:3")]).unwrap();
    assert_eq!((loaded.config.limits.text_bytes, loaded.config.limits.frame_bytes), (2, 1000));
    assert_eq!(loaded.config.listen.http.to_string(), "127.0.0.1:3");
    assert_eq!(
        loaded.changed(),
        [
            "limits.frame_bytes = 1000  # hallway.toml:5",
            "limits.text_bytes = 2  # environment HALLWAY_LIMITS__TEXT_BYTES",
            "listen.http = \"127.0.0.1:3\"  # flag --http",
        ]
    );
}

#[test]
fn everything_of_the_design_is_known() {
    let file = r#"
        [listen]
        http = "0.0.0.0:8080"
        mqtt = "none"
        mqtts = "[::]:8883"
        mqtt_unix = "/run/hallway/mqtt.sock"
        xmpp = "none"
        xmpps = "none"
        xmpp_component = "none"
        [store]
        path = "/var/lib/hallway"
        cache_bytes = 16777216
        log_keep_days = 7
        [http]
        origins = ["https://App.example.org", "http://localhost:3000"]
        [mqtt]
        anonymous = false
        plain_topics = false
        keepalive_max_s = 100
        receive_maximum = 10
        [server]
        mode = "server"
        public_url = "https://chat.example.org/"
        trusted_proxies = ["10.0.0.0/8", "::1"]
        plaintext_login = false
        log = "json"
        [tls]
        certificate = "/etc/hallway/cert.pem"
        key = "/etc/hallway/key.pem"
        [xmpp]
        room_presence_max = 300
        stanza_bytes = 262144
        depth_max = 64
        remote_users_max = 10
        services = [{ type = "stun", host = "stun.example.org" }]
        [limits]
        sessions_per_user = 8
        session_policy = "close_oldest"
        unauthenticated_per_address = 500
        failed_logins_per_minute_per_address = 60
        messages_per_second = 0
        message_burst = 1000
        text_bytes = 65536
        frame_bytes = 1000000
        subscriptions_per_session = 1000
        outbox_events = 1024
        outbox_bytes = 262144
        outboxes_bytes = 268435456
        disk_reserve_bytes = 104857600
        [push]
        grace_ms = 3000
        allow_private_urls = true
        [conference.demo]
        title = "Demo"
        sign_in = "token"
        xmpp_domain = "chat.example.org"
        channels = ["lobby", { id = "news", title = "News", kind = "announcements" }]
        [conference.demo.jwt]
        hs256_secret = "do not tell: a secret has 32 bytes or more"
        issuer = "me"
        audience = "you"
        user_claim = "sub"
        name_claim = "name"
        roles_claim = "roles"
        role_max = "organiser"
        [conference.empty]
        [[xmpp.components]]
        server = "xmpp.example.org:5347"
        secret = "do not tell"
        domain = "hallway.example.org"
        conference = "empty"
    "#;
    let loaded = load(Some(file), &[], &[]).unwrap();
    assert_eq!(loaded.config.http.origins[0].as_str(), "https://app.example.org");
    assert_eq!(loaded.config.server.public_url.as_ref().unwrap().as_str(), "https://chat.example.org");
    assert_eq!(loaded.config.conference.len(), 2);
    assert!(!loaded.config.server.takes_plaintext_logins());
    let printed = loaded.all().join("\n");
    assert!(!printed.contains("do not tell"), "secrets are not printed");
    for line in ["limits.text_bytes = 65536  # hallway.toml:43", "limits.token_hours = 720  # default", "# store.url is not set  # default"]
    {
        assert!(printed.contains(line), "{line} in {printed}");
    }
    let again: toml::Table = printed.parse().unwrap();
    assert_eq!(again["conference"]["demo"]["channels"][1]["kind"].as_str(), Some("announcements"));
}

/// File, environment, and what the refusal must name.
type Refused = (Option<&'static str>, &'static [(&'static str, &'static str)], &'static [&'static str]);

const REFUSED: &[Refused] = &[
    (Some("x"), &[], &["hallway.toml", "line 1"]),
    (Some("[server]\nmode = \"demo\"\n[limits]\ntext_byte = 3"), &[], &["limits.text_byte", "hallway.toml:4", "limits.text_bytes?"]),
    (Some("[limit]\ntext_bytes = 3"), &[], &["limit.text_bytes", "hallway.toml:2", "limits.text_bytes?"]),
    (Some("[listen]\ncache_bytes = 3"), &[], &["listen.cache_bytes", "store.cache_bytes?"]),
    (Some("[conference.demo]\ntitel = \"x\""), &[], &["conference.demo.titel", "conference.demo.title?"]),
    (Some("[nonsense]"), &[], &["nonsense", "hallway.toml:1"]),
    (Some("limits = 3"), &[], &["limits", "hallway.toml:1"]),
    (None, &[("HALLWAY_LIMITS__TEXT_BITES", "3")], &["limits.text_bites", "HALLWAY_LIMITS__TEXT_BITES", "limits.text_bytes?"]),
    (None, &[("HALLWAY_LIMITS__TEXT_BYTES", "many")], &["limits.text_bytes", "HALLWAY_LIMITS__TEXT_BYTES", "many"]),
    (Some("[limits]\ntext_bytes = -1"), &[], &["limits.text_bytes", "hallway.toml:2", "-1"]),
    (Some("[limits]\ntext_bytes = \"1\""), &[], &["limits.text_bytes", "hallway.toml:2"]),
    (None, &[("HALLWAY_LIMITS__TEXT_BYTES", "0")], &["limits.text_bytes", "1 to 67108864 bytes"]),
    (None, &[("HALLWAY_LIMITS__TEXT_BYTES", "2000000")], &["limits.text_bytes", "limits.frame_bytes"]),
    (None, &[("HALLWAY_LISTEN__HTTP", "0.0.0.0:8080")], &["listen.http", "0.0.0.0:8080", "server.mode", "HALLWAY_LISTEN__HTTP"]),
    (None, &[("HALLWAY_LISTEN__XMPP", "[::]:5222")], &["listen.xmpp"]),
    (None, &[("HALLWAY_LISTEN__HTTP", "8080")], &["listen.http", "ADDR:PORT"]),
    (None, &[("HALLWAY_SERVER__MODE", "server")], &["server.mode", "server.public_url"]),
    (Some("[limits]\ntext_bytes = 3"), &[], &["server.mode", "server.public_url", "configuration file"]),
    (None, &[("HALLWAY_SERVER__PUBLIC_URL", "chat.example.org")], &["server.public_url", "https://"]),
    (None, &[("HALLWAY_SERVER__PUBLIC_URL", "https://x/path")], &["server.public_url"]),
    (None, &[("HALLWAY_SERVER__TRUSTED_PROXIES", "10.0.0.0/33")], &["server.trusted_proxies", "10.0.0.0/33"]),
    (None, &[("HALLWAY_HTTP__ORIGINS", "ftp://x")], &["http.origins", "ftp://x"]),
    (None, &[("HALLWAY_STORE__URL", "nats://x")], &["store.url"]),
    (None, &[("HALLWAY_CONFERENCE__A.B__TITLE", "x")], &["conference"]),
    (None, &[("HALLWAY_CONFERENCE__-A__TITLE", "x")], &["conference.-a", "[a-z0-9]"]),
    (None, &[("HALLWAY_CONFERENCE__DEMO__CHANNELS", "lobby,Big Room")], &["conference.demo.channels", "Big Room"]),
    (None, &[("HALLWAY_LISTEN__XMPP_COMPONENT", "127.0.0.1:5347")], &["listen.xmpp_component", "[[xmpp.components]]"]),
    (
        Some(concat!("[server]\nmode = \"demo\"\n[[xmpp.components]]\n", "server = \"x\"\nsecret = \"s\"\ndomain = \"x.org\"")),
        &[],
        &["HOST:PORT"],
    ),
    (
        Some("[server]\nmode = \"demo\"\n[[xmpp.components]]\nserver = \"x:1\"\ndomain = \"x.org\""),
        &[],
        &["xmpp.components", "secret_file"],
    ),
    (
        Some(
            "[server]\nmode = \"demo\"\n[[xmpp.components]]\nserver = \"x:1\"\nsecret = \"s\"\ndomain = \"x.org\"\nconference = \"b\"\n[conference.a]",
        ),
        &[],
        &["xmpp.components", "conference.b"],
    ),
    (
        Some(
            "[server]\nmode = \"demo\"\n[[xmpp.components]]\nserver = \"x:1\"\nsecret = \"s\"\ndomain = \"x.org\"\n[conference.a]\nxmpp_domain = \"x.org\"",
        ),
        &[],
        &["xmpp.components", "x.org", "in use"],
    ),
    (None, &[("HALLWAY_TLS__KEY", "key.pem")], &["tls.certificate", "tls.key"]),
    (None, &[("HALLWAY_TLS__CERTIFICATE", "cert.pem")], &["tls.key", "tls.certificate"]),
    (None, &[("HALLWAY_LISTEN__MQTT_UNIX", "")], &["listen.mqtt_unix", "none"]),
    (None, &[("HALLWAY_CONFERENCE__DEMO__SIGN_IN", "closed")], &["conference.demo.sign_in", "closed"]),
    (
        Some("[server]\nmode = \"demo\"\n[conference.demo.pretix]\npublic_keys = [\"x\"]"),
        &[],
        &["conference.demo.pretix", "hallway.toml:4", "number 1 is no Ed25519 key"],
    ),
    (
        Some("[server]\nmode = \"demo\"\n[conference.demo.pretix]\nrevoked_file = \"x\""),
        &[],
        &["conference.demo.pretix", "public_keys is empty"],
    ),
    (Some("[[venue]]\nurl = \"mqtt://x\""), &[], &["venue", "conference.<id>.venue?"]),
    (Some("[conference.demo.venue]\nurl = \"mqtt://x\""), &[], &["conference.demo.venue.url", "did you mean [[conference.demo.venue]]?"]),
    (
        Some("[server]\nmode = \"demo\"\n[[conference.demo.venue]]\nurl = \"mqtt://x:0\"\nreaders = [{ topic = \"a/{reader}\" }]"),
        &[],
        &["conference.demo.venue", "hallway.toml:3", "url", "port"],
    ),
    (
        Some(
            "[server]\nmode = \"demo\"\n[[conference.demo.venue]]\nurl = \"mqtt://x\"\nca_file = \"x\"\nreaders = [{ topic = \"a/{reader}\" }]",
        ),
        &[],
        &["conference.demo.venue", "ca_file", "mqtts://"],
    ),
    (None, &[("HALLWAY_BADGES__DEBOUNCE_MS", "31536000000")], &["badges.debounce_ms", "31536000000", "0 to 3600000 milliseconds"]),
    (None, &[("HALLWAY_BADGES__DEBOUNCE_MS", "-1")], &["badges.debounce_ms", "-1"]),
    (None, &[("HALLWAY_PUSH__GRACE_MS", "3600001")], &["push.grace_ms", "3600000 milliseconds"]),
    (None, &[("HALLWAY_PUSH__ACTIVE_MS", "9223372036854775807")], &["push.active_ms", "86400000"]),
    (None, &[("HALLWAY_PUSH__PER_GATEWAY", "0")], &["push.per_gateway", "1 to 1000 requests"]),
    (None, &[("HALLWAY_PUSH__PER_GATEWAY", "9223372036854775807")], &["push.per_gateway", "1 to 1000 requests"]),
    (None, &[("HALLWAY_PUSH__TIME_TO_LIVE_S", "0")], &["push.time_to_live_s", "1 to 2419200 seconds"]),
    (None, &[("HALLWAY_STORE__SEGMENT_BYTES", "9223372036854775807")], &["store.segment_bytes", "4096 to 1073741824 bytes"]),
    (None, &[("HALLWAY_LIMITS__REQUESTS_PER_SESSION", "0")], &["limits.requests_per_session", "at least 1"]),
    (None, &[("HALLWAY_LIMITS__FRAME_BYTES", "9223372036854775807")], &["limits.frame_bytes", "1 to 67108864 bytes"]),
    (None, &[("HALLWAY_XMPP__STANZA_BYTES", "0")], &["xmpp.stanza_bytes", "10000 to"]),
    (None, &[("HALLWAY_SOCKETIO__PING_INTERVAL_MS", "1")], &["socketio.ping_interval_ms", "100 to 600000 milliseconds"]),
    (None, &[("HALLWAY_CONFERENCE__DEMO__JWT__ISSUER", "x")], &["conference.demo.jwt", "hs256_secret"]),
    (
        None,
        &[("HALLWAY_CONFERENCE__A__XMPP_DOMAIN", "x.org"), ("HALLWAY_CONFERENCE__B__XMPP_DOMAIN", "x.org")],
        &["conference.b.xmpp_domain", "'a'"],
    ),
    (
        Some(
            "[server]\nmode = \"server\"\npublic_url = \"https://x.org\"\n[listen]\nmqtt = \"0.0.0.0:1883\"\n[mqtt]\nanonymous = true\nplain_topics = true",
        ),
        &[],
        &["listen.mqtt", "mqtt.plain_broker_for_all"],
    ),
];

#[test]
fn refusals_name_the_key_and_where_it_was_set() {
    for (file, environment, named) in REFUSED {
        let refusal = refusal(*file, environment);
        for name in *named {
            assert!(refusal.contains(name), "{name:?} in {refusal:?}");
        }
    }
}

#[test]
fn the_environment_takes_the_type_of_its_key() {
    let loaded = load(
        None,
        &[
            ("HALLWAY_SERVER__PLAINTEXT_LOGIN", "false"),
            ("HALLWAY_SERVER__TRUSTED_PROXIES", "10.0.0.1, 10.1.0.0/16"),
            ("HALLWAY_HTTP__ORIGINS", "[\"https://a.org\"]"),
            ("HALLWAY_CONFERENCE__DEMO__TITLE", "42"),
            ("HALLWAY_CONFERENCE__DEMO__CHANNELS", "lobby"),
            ("HALLWAY_LIMITS__SESSION_POLICY", "close_oldest"),
            ("HALLWAY_LOG", "debug"),
        ],
        &[],
    )
    .unwrap();
    assert_eq!(loaded.config.server.plaintext_login, Some(false));
    assert_eq!(loaded.config.server.trusted_proxies.len(), 2);
    assert_eq!(loaded.config.http.origins.len(), 1);
    assert_eq!(loaded.config.conference["demo"].title.as_deref(), Some("42"));
    assert_eq!(loaded.config.conference["demo"].channels.as_ref().unwrap()[0].full().id, "lobby");
    assert!(loaded.warnings.is_empty());
}

#[test]
fn one_underscore_too_few_is_said() {
    let loaded = load(None, &[("HALLWAY_LIMITS_TEXT_BYTES", "3")], &[]).unwrap();
    assert!(loaded.warnings[0].contains("HALLWAY_LIMITS__"));
}

proptest! {
    #[test]
    fn no_file_or_variable_panics(file in "\\PC{0,200}", name in "HALLWAY_[A-Z_]{0,30}", text in "\\PC{0,40}") {
        let _ = load(Some(&file), &[(&name, &text)], &[]);
        let _ = load(None, &[("HALLWAY_LIMITS__TEXT_BYTES", &text)], &[]);
        let _ = load(None, &[("HALLWAY_CONFERENCE__DEMO__CHANNELS", &text)], &[]);
    }
}

#[test]
fn a_path_for_mqtt_can_be_taken_back() {
    let file = demo("[listen]\nmqtt_unix = \"/run/mqtt.sock\"\n");
    assert_eq!(load(Some(&file), &[], &[]).unwrap().config.listen.mqtt_unix.as_deref(), Some(Path::new("/run/mqtt.sock")));
    assert_eq!(load(Some(&file), &[("HALLWAY_LISTEN__MQTT_UNIX", "none")], &[]).unwrap().config.listen.mqtt_unix, None);
}

#[test]
fn a_public_urls_host_is_a_name_for_the_certificate() {
    for (url, host) in [
        ("https://a.org", "a.org"),
        ("https://a.org:8443/", "a.org"),
        ("https://[::1]:80", "::1"),
        ("https://[2001:db8::1]", "2001:db8::1"),
    ] {
        assert_eq!(WebOrigin::try_from(url.to_owned()).unwrap().host(), host);
    }
}
