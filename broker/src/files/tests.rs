//! Names, URLs, and bytes on a disk.

use std::io::{Read, Write};

use proptest::prelude::*;

use super::*;
use crate::ids::Uid;
use crate::model::{self, MediaType};

fn capability() -> Capability {
    Capability::new(ConfNo(7), [9; 16])
}

#[test]
fn names_are_cleaned() {
    let long = "ä".repeat(200);
    for (given, clean) in [
        ("cat.jpg", "cat.jpg"),
        ("/etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("../..", "file"),
        ("", "file"),
        (".bashrc", "bashrc"),
        ("a\0b\nc.txt", "a_b_c.txt"),
        ("x\u{202e}gpj.exe", "x_gpj.exe"),
        ("\"><script>.svg", "___script_.svg"),
        ("Übersicht Saal 3 (neu).pdf", "Übersicht Saal 3 (neu).pdf"),
        ("日本.png", "日本.png"),
        ("a. . .", "a"),
        (&long, &long[..120]),
    ] {
        assert_eq!(clean_name(given), clean, "{given:?}");
    }
}

#[test]
fn a_url_says_what_the_file_is() {
    let file = model::File {
        owner: Uid::parse("alice").unwrap(),
        name: "a b.webp".into(),
        media: MediaType::Webp,
        bytes: 1234,
        crc: 0,
        size: Some((800, 600)),
        at_ms: 0,
        uses: 0,
        unused_ms: 0,
    };
    let url = attachment(&capability(), &file);
    assert_eq!(&*url, format!("/files/{}/a%20b.webp#type=image/webp&bytes=1234&width=800&height=600", capability()));
    for known in [url.to_string(), format!("https://chat.example:8443{url}"), path(&capability(), "other")] {
        assert_eq!(capability_in(&known), Some(capability()), "{known}");
    }
    let key = capability().to_string();
    for unknown in [
        String::new(),
        format!("/files/{key}"),
        format!("/files/{key}/"),
        format!("/files/{}/x", &key[1..]),
        format!("/files/{}/x", key.to_uppercase()),
        format!("/files/../files/{key}/x"),
        format!("javascript:/files/{key}/x"),
        format!("//evil.example/files/{key}/x"),
        "https://evil.example".into(),
    ] {
        assert_eq!(capability_in(&unknown), None, "{unknown}");
    }
}

#[test]
fn bytes_are_there_when_they_are_kept_and_gone_when_they_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let files = Files::new(dir.path());
    let id = capability().id();
    let dropped = files.begin().unwrap();
    (&*dropped.file).write_all(b"half").unwrap();
    drop(dropped);
    let incoming = files.begin().unwrap();
    (&*incoming.file).write_all(b"whole").unwrap();
    files.keep(incoming, ConfNo(7), id).unwrap();
    let mut bytes = String::new();
    files.open(ConfNo(7), id).unwrap().read_to_string(&mut bytes).unwrap();
    assert_eq!(bytes, "whole");
    assert_eq!(fs::read_dir(dir.path().join("files/incoming")).unwrap().count(), 0);
    assert_eq!(files.bucket_files(usize::from(id.0[0])).unwrap(), [(ConfNo(7), id)]);
    let now_ms = UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
    assert!(!files.is_settled(ConfNo(7), id, now_ms) && files.is_settled(ConfNo(7), id, now_ms + 3_700_000));
    files.remove(ConfNo(7), id);
    assert!(files.open(ConfNo(7), id).is_err());
    let _forgotten = files.begin().unwrap();
    files.forget_incoming().unwrap();
    files.forget_incoming().unwrap();
}

proptest! {
    #[test]
    fn any_name_comes_back_from_its_url(given in "\\PC{0,60}|[\\x00-\\x7f]{0,300}") {
        let name = clean_name(&given);
        prop_assert!(!name.is_empty() && name.len() <= MAX_FILE_NAME_BYTES && !name.starts_with('.'));
        prop_assert!(!name.contains(['/', '\\', '"', '\0', '#', '?', '%', '\r', '\n']));
        prop_assert_eq!(&clean_name(&name), &name);
        let url = path(&capability(), &name);
        prop_assert!(url.bytes().all(|byte| byte.is_ascii_graphic()));
        prop_assert_eq!(capability_in(&url), Some(capability()));
        prop_assert_eq!(percent_decoded(url.rsplit('/').next().unwrap()), Some(name));
    }

    #[test]
    fn any_text_may_be_a_url(text in "\\PC{0,120}|/files/[a-z2-7]{30,34}/?.{0,5}") {
        let _ = percent_decoded(&text);
        if let Some(found) = capability_in(&text) {
            prop_assert_eq!(capability_in(&path(&found, "x")), Some(found));
        }
    }
}
