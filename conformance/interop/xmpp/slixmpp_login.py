"""Logins and streams: TLS, SASL, resumption after the link was cut, pings."""

import asyncio
import contextlib

from link import Link
from people import SILENCE, SOON, Client, Failure, ensure, xml


def logs_in(way, mechanism):
    async def check(where):
        async with where.online("anna", way=way, mechanism=mechanism) as anna:
            ensure(("starttls" in anna.features) == (way == "starttls"), f"{anna.features}")
            ensure(anna.boundjid.bare == where.jid("anna") and anna.boundjid.resource == "one", f"bound to {anna.boundjid}")
            used = anna["feature_mechanisms"].mech.name
            ensure(used == mechanism, f"{used} instead of {mechanism}")
            await anna["xep_0199"].send_ping(where.domain, timeout=SOON)

    return check


def wrong_password(mechanism):
    async def check(where):
        client = Client(where, "anna", way="starttls", mechanism=mechanism, password="not the password")
        try:
            how = await client.connected()
            ensure(how == "failed_all_auth", f"the login ended with {how}")
            ensure(any("<not-authorized" in one or ":not-authorized" in one for one in client.wire), "without not-authorized")
        finally:
            await client.end()

    return check


async def same_resource(where):
    """Who binds a resource a second time: the first is thrown off with <conflict/>, or the second gets another name."""
    async with where.online("anna/same") as first, where.online("anna/same") as second:
        if second.boundjid.full == first.boundjid.full:
            await first.expect("stream_error", "the conflict", lambda error: error["condition"] == "conflict")
        else:
            await first["xep_0199"].send_ping(where.domain, timeout=SOON)


async def own_presence(where):
    """Presence is sent to all of one's own resources, the one that it is of too (RFC 6121, 4.2.2)."""
    async with where.online("anna/phone") as phone:
        await phone.expect("presence stanza", "the own presence", lambda one: one["from"] == phone.boundjid)
        async with where.online("anna/laptop") as laptop:
            await phone.expect("presence stanza", "the other's presence", lambda got: got["from"] == laptop.boundjid)
            seen = {str((await laptop.expect("presence stanza", "one of the two presences"))["from"]) for _ in range(2)}
            ensure(seen == {phone.boundjid.full, laptop.boundjid.full}, f"it saw {seen}")
        await phone.expect_gone(laptop.boundjid.full)


async def pings(where):
    async with where.online("anna") as anna:
        for to in (where.domain, anna.boundjid.bare):
            await anna["xep_0199"].send_ping(to, timeout=SOON)
        version = await anna["xep_0092"].get_version(where.domain, timeout=SOON)
        ensure(version["software_version"]["name"], f"no name in {xml(version)}")


async def unknown_requests(where):
    """What the server does not know is an error, and the stream goes on (RFC 6120, 8.3.3.19)."""
    async with where.online("anna") as anna:
        iq = anna.make_iq_get(queryxmlns="urn:example:nobody-knows-this", ito=where.domain)
        with contextlib.suppress(Exception):
            answer = await iq.send(timeout=SOON)
            raise Failure(f"it was answered {xml(answer)}")
        error = await anna.expect("iq stanza", "the error", lambda one: one["type"] == "error")
        ensure(error["error"]["condition"] in ("service-unavailable", "feature-not-implemented"), xml(error))
        await anna["xep_0199"].send_ping(where.domain, timeout=SOON)


async def inactive(where):
    """A client that says it is inactive (XEP-0352) still gets its messages."""
    async with where.online("anna", "bert") as (anna, bert):
        anna["xep_0352"].send_inactive()
        text = where.unique("while you are inactive")
        bert.say(anna.boundjid.bare, text)
        await anna.expect_text(text)
        anna["xep_0352"].send_active()
        await anna["xep_0199"].send_ping(where.domain, timeout=SOON)


async def acknowledged(where):
    """Every message is acknowledged (XEP-0198), counted from <enable/>."""
    async with where.online("anna", "bert") as (anna, bert):
        ensure(anna["xep_0198"].enabled_in, "stream management is not enabled")
        sent = [anna.say(bert.boundjid.bare, where.unique("counted")) for _ in range(7)]
        # slixmpp sends stanzas from a queue and <r/> at once.
        await anna["xep_0199"].send_ping(where.domain, timeout=SOON)
        anna["xep_0198"].request_ack()
        for message in sent:
            await anna.expect("stanza_acked", f"the acknowledgement of {message['id']}", lambda one: one["id"] == message["id"])


def resumes(way):
    async def check(where):
        link = await Link(where.tls if way == "direct" else where.plain).open()
        anna = Client(where, "anna", way=way, address=link.address)
        try:
            await anna.log_in()
            async with where.online("bert") as bert:
                await anna.join(where.help)
                await bert.join(where.help)
                ensure(anna["xep_0198"].sm_id, "the server gave no id to resume with")
                ensure(link.cut() == 1, "there was no link to cut")
                await anna.expect("disconnected", "the end of the connection")
                # The server still believes in the old connection.
                there = [where.unique("to who is cut off") for _ in range(5)]
                for text in there:
                    bert.say(anna.boundjid.bare, text)
                room = where.unique("in the room, cut off")
                bert.say(where.help, room, "groupchat")
                await bert.expect_text(room)
                how = await anna.connected()
                ensure(how == "session_resumed", f"instead of a resumption came {how}")
                back = where.unique("resumed")
                bert.say(anna.boundjid.bare, back)
                came = []
                while back not in came:
                    message = await anna.expect("message", "what was missed", lambda one: one["body"])
                    came.append(message["body"])
                chats = [text for text in came if text != room]
                ensure(chats == [*there, back] and came.count(room) == 1, f"came {came} instead of {there}, {room}, {back}")
                # It is the same session: still in the room, and what it sends arrives.
                text = where.unique("I am back")
                anna.say(where.help, text, "groupchat")
                await bert.expect_text(text)
                await anna.expect_text(text)
        finally:
            await anna.end()
            link.close()

    return check


async def resends(where):
    """What was lost on its way to the server is sent again on resumption and arrives once."""
    link = await Link(where.plain).open()
    anna = Client(where, "anna", address=link.address)
    try:
        await anna.log_in()
        async with where.online("bert") as bert:
            ensure(link.silence() == 1, "there was no link to cut")
            sent = [where.unique("sent into the cut") for _ in range(5)]
            for text in sent:
                anna.say(bert.boundjid.bare, text)
            # slixmpp sends from a queue: before the cut, not into a closed socket.
            await asyncio.sleep(SILENCE)
            link.cut()
            await anna.expect("disconnected", "the end of the connection")
            how = await anna.connected()
            ensure(how == "session_resumed", f"instead of a resumption came {how}")
            last = where.unique("the last")
            anna.say(bert.boundjid.bare, last)
            came = []
            while last not in came:
                message = await bert.expect("message", "what was sent again", lambda one: one["body"])
                came.append(message["body"])
            ensure(came == [*sent, last], f"came {came}")
            await anna["xep_0199"].send_ping(where.domain, timeout=SOON)
            anna["xep_0198"].request_ack()
            for text in (*sent, last):
                await anna.expect("stanza_acked", f"the acknowledgement of {text!r}", lambda one: one["body"] == text)
    finally:
        await anna.end()
        link.close()


async def too_late(where):
    """Who resumes with an id that is nobody's gets <failed/> and may bind anew."""
    anna = Client(where, "anna")
    anna["xep_0198"].sm_id = "nobody-has-this-id"
    try:
        how = await anna.connected()
        ensure(how == "session_start", f"the login ended with {how}")
        ensure(any("item-not-found" in one for one in anna.wire), "it was not refused with item-not-found")
    finally:
        await anna.end()


CHECKS = [
    ("login by STARTTLS with SCRAM-SHA-256", logs_in("starttls", "SCRAM-SHA-256")),
    ("login by STARTTLS with SCRAM-SHA-1", logs_in("starttls", "SCRAM-SHA-1")),
    ("login by STARTTLS with PLAIN", logs_in("starttls", "PLAIN")),
    ("login by direct TLS", logs_in("direct", "SCRAM-SHA-256")),
    ("login without TLS, SCRAM", logs_in("plain", "SCRAM-SHA-256")),
    ("login without TLS, PLAIN", logs_in("plain", "PLAIN")),
    ("a wrong password with SCRAM", wrong_password("SCRAM-SHA-256")),
    ("a wrong password with PLAIN", wrong_password("PLAIN")),
    ("a resource that is taken", same_resource),
    ("one's own presence", own_presence),
    ("ping and version", pings),
    ("unknown requests are errors", unknown_requests),
    ("a client that is inactive", inactive),
    ("every message is acknowledged", acknowledged),
    ("resumption after a cut", resumes("plain")),
    ("resumption after a cut, TLS", resumes("direct")),
    ("what was lost is sent again once", resends),
    ("resumption of an unknown session", too_late),
]
