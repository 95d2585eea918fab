//! Files that go out, and what of files and event streams is refused before anybody looks at it.

use super::*;

#[test]
fn a_file_that_somebody_brought_can_do_nothing() {
    with_server(&[], |server, app| async move {
        let key = Capability::new(ConfNo(1), [5; 16]);
        let path = format!("/files/{key}/K%C3%A4tzchen%20%221%22.png");
        let whole = ask(server, &format!("GET {path}"), "", "").await;
        assert_eq!((whole.status, whole.body.as_str()), (200, "0123456789"));
        for (name, value) in [
            ("content-type", "image/png"),
            ("content-length", "10"),
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "sandbox; default-src 'none'; frame-ancestors 'none'"),
            ("cross-origin-resource-policy", "cross-origin"),
            ("cache-control", "private, max-age=31536000, immutable"),
            ("accept-ranges", "bytes"),
            ("content-disposition", "inline; filename=\"K_tzchen _1_.png\"; filename*=UTF-8''K%C3%A4tzchen%20%221%22.png"),
        ] {
            assert_eq!(whole.header(name), Some(value), "{name}");
        }
        let tag = whole.header("etag").unwrap().to_owned();
        let part = ask(server, &format!("GET {path}"), "Range: bytes=2-4\r\n", "").await;
        assert_eq!((part.status, part.body.as_str(), part.header("content-range")), (206, "234", Some("bytes 2-4/10")));
        let beyond = ask(server, &format!("GET {path}"), "Range: bytes=10-\r\n", "").await;
        assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */10")));
        let known = ask(server, &format!("GET {path}"), &format!("If-None-Match: {tag}\r\n"), "").await;
        assert_eq!((known.status, known.body.as_str(), known.header("etag")), (304, "", Some(tag.as_str())));
        let head = ask(server, &format!("HEAD {path}"), "", "").await;
        assert_eq!((head.status, head.body.as_str(), head.header("content-length")), (200, "", Some("10")));
        app.full.set(true);
        let download = ask(server, &format!("GET {path}"), "", "").await;
        assert_eq!(download.header("content-type"), Some("application/octet-stream"));
        assert!(download.header("content-disposition").unwrap().starts_with("attachment;"));
        for other in [format!("/files/{key}/other.png"), format!("/files/{key}"), "/files/x/y".into(), format!("/files/{key}/%ff")] {
            let reply = ask(server, &format!("GET {other}"), "", "").await;
            assert_eq!((reply.status, reply.reason().as_str()), (404, "unknown_file"), "{other}");
        }
        let foreign = ask(server, &format!("GET {path}"), "Host: evil.example\r\n", "").await;
        assert_eq!(foreign.status, 403);
    });
}

#[test]
fn what_cannot_be_brought_or_streamed_is_refused() {
    with_server(&[], |server, _| async move {
        let signed_in = "Authorization: Bearer right\r\n";
        let rows = [
            (ask(server, "POST /files?name=x", "", "bytes").await, 401, "no_session"),
            (ask(server, "POST /files?name=x", signed_in, &"x".repeat(100_000)).await, 413, "files_full"),
            (ask(server, "GET /files", signed_in, "").await, 405, "not_allowed"),
            (ask(server, "POST /files", &format!("{signed_in}Origin: https://evil.example\r\n"), "x").await, 403, "not_allowed"),
            (ask(server, "GET /events", "", "").await, 401, "no_session"),
            (ask(server, "GET /events?accessToken=wrong", "", "").await, 401, "bad_token"),
            (ask(server, "GET /events?accessToken=right", "", "").await, 503, "draining"),
            (ask(server, "GET /events?ticket=right", "", "").await, 503, "draining"),
            (ask(server, "GET /events", signed_in, "").await, 503, "draining"),
            (ask(server, "HEAD /events", signed_in, "").await, 405, ""),
            (ask(server, "GET /events", "Origin: https://evil.example\r\n", "").await, 403, "not_allowed"),
            (ask(server, "POST /rpc", &format!("{TYPED}{signed_in}Hallway-Session: 8\r\n"), "[1]").await, 404, "unknown_session"),
            (ask(server, "POST /rpc", &format!("{TYPED}{signed_in}Hallway-Session: 7\r\n"), "[1]").await, 200, ""),
        ];
        for (reply, status, reason) in rows {
            assert_eq!(reply.status, status, "{}", reply.head);
            assert!(reason.is_empty() || reply.reason() == reason, "{}", reply.body);
        }
    });
}
