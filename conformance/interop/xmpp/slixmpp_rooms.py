"""Rooms: joining, talking, what is done to messages, archives, moderation, invitations."""

import asyncio

import slixmpp
from people import SOON, Failure, codes, ensure, stanza_id, xml
from slixmpp.exceptions import IqError
from slixmpp.plugins.xep_0410 import PingStatus

DELAY = "{urn:xmpp:delay}delay"
MUC_USER = "{http://jabber.org/protocol/muc#user}"


async def both(where, anna, bert, room=None):
    for one in (anna, bert):
        await one.join(room or where.lobby)


async def said(one, room, text, **more):
    """Says something in a room; what came back."""
    message = one.say(room, text, "groupchat", **more)
    return await one.expect("groupchat_message", f"the own {text!r}", lambda back: back["id"] == message["id"])


async def join(where):
    """Occupants, own presence, history, subject; in this order (XEP-0045, 7.1)."""
    async with where.online("anna", "bert") as (anna, bert):
        await anna.join(where.lobby)
        spoken = [await said(anna, where.lobby, where.unique("before")) for _ in range(4)]
        bert.inbox.clear()
        own, subject, occupants, history = await bert.join(where.lobby, maxstanzas=3)
        ensure(110 in codes(own) and own["from"] == f"{where.lobby}/{bert.nick}", xml(own))
        nicks = {one["from"].resource for one in occupants}
        ensure(anna.nick in nicks, f"{anna.nick} is not among {nicks}")
        texts = [one["body"] for one in history]
        ensure(texts == [one["body"] for one in spoken[-3:]], f"the history is {texts}")
        ensure(subject.xml.find("{jabber:client}subject") is not None and subject["from"].bare == where.lobby, xml(subject))
        for old, live in zip(history, spoken[-3:]):
            ensure(old.xml.find(DELAY) is not None and old["from"] == live["from"], f"{xml(old)} for {xml(live)}")
            ensure(stanza_id(old, where.lobby) == stanza_id(live, where.lobby), f"{xml(old)} for {xml(live)}")
        order = [kind + ("" if one.xml.find(DELAY) is None else " old") for kind, one in bert.inbox if kind in ("presence stanza", "message stanza")]
        presences = order.count("presence stanza")
        ensure(order == ["presence stanza"] * presences + ["message stanza old"] * 3 + ["message stanza"], f"they came as {order}")
        seen = await anna.expect("presence stanza", "the other's presence", lambda one: one["from"] == f"{where.lobby}/{bert.nick}")
        ensure(seen.xml.find(f"{MUC_USER}x/{MUC_USER}item").get("role") in ("participant", "moderator"), xml(seen))


async def no_history(where):
    async with where.online("anna", "bert") as (anna, bert):
        await anna.join(where.lobby)
        await said(anna, where.lobby, where.unique("before"))
        history = (await bert.join(where.lobby, maxchars=0))[3]
        ensure(not history, f"with maxchars='0' came {[xml(one) for one in history]}")


async def talk(where):
    """A message is reflected with its own id to its sender, and to all the others; the same stanza-id for all."""
    async with where.online("anna", "bert") as (anna, bert):
        await both(where, anna, bert)
        for text in (where.unique("plain"), where.unique("<b>&amp; \"quoted\" 'so'</b> é€😀\n second line")):
            sent = anna.say(where.lobby, text, "groupchat")
            copies = [await one.expect("groupchat_message", f"message {text!r}", lambda back: back["body"] == text) for one in (anna, bert)]
            for copy in copies:
                ensure(copy["id"] == sent["id"] and copy["from"] == f"{where.lobby}/{anna.nick}", xml(copy))
                ensure(copy.xml.find(DELAY) is None, f"a live message with a delay: {xml(copy)}")
            ensure(stanza_id(copies[0], where.lobby) == stanza_id(copies[1], where.lobby), f"{xml(copies[0])} and {xml(copies[1])}")
        await anna.expect_none("groupchat_message", "another copy")
        await bert.expect_none("groupchat_message", "another copy")


async def forged(where):
    """A stanza-id by the room that somebody else made is not passed on (XEP-0359)."""
    async with where.online("anna", "bert") as (anna, bert):
        await both(where, anna, bert)
        message = anna.make_message(where.lobby, where.unique("forged"), mtype="groupchat")
        message["stanza_id"]["id"], message["stanza_id"]["by"] = "forged", where.lobby
        message.send()
        copy = await bert.expect_text(message["body"])
        ensure(stanza_id(copy, where.lobby) != "forged", xml(copy))


async def leave(where):
    async with where.online("anna", "bert") as (anna, bert):
        await both(where, anna, bert)
        await anna.expect_come(f"{where.lobby}/{bert.nick}")
        bert["xep_0045"].leave_muc(where.lobby, bert.nick)
        own = await bert.expect_gone(f"{where.lobby}/{bert.nick}")
        ensure(110 in codes(own), xml(own))
        await anna.expect_gone(f"{where.lobby}/{bert.nick}")
        await said(anna, where.lobby, where.unique("without you"))
        await bert.expect_none("groupchat_message", "something said in a room that was left")


async def not_inside(where):
    """Who is not in the room cannot speak in it (XEP-0045, 7.4)."""
    async with where.online("carl") as carl:
        message = carl.say(where.lobby, where.unique("from outside"), "groupchat")
        error = await carl.expect("message stanza", "the error", lambda one: one["type"] == "error" and one["id"] == message["id"])
        ensure(error["error"]["condition"] in ("not-acceptable", "not-allowed", "forbidden"), xml(error))


async def no_room(where):
    """What is not there and may not be made by anybody is refused; or it is made (XEP-0045, 10.1)."""
    async with where.online("anna") as anna:
        room = f"{where.prefix}-nowhere@{where.rooms}"
        anna["xep_0045"].make_join_stanza(slixmpp.JID(room), anna.nick, maxstanzas=0).send()
        answer = await anna.expect("presence stanza", "an answer", lambda one: one["from"].bare == room)
        if answer["type"] == "error":
            ensure(answer["error"]["condition"] in ("not-allowed", "item-not-found", "forbidden"), xml(answer))
        else:
            ensure({110, 201} <= codes(answer), xml(answer))


async def correction(where):
    async with where.online("anna", "bert") as (anna, bert):
        await both(where, anna, bert)
        first = await said(anna, where.lobby, where.unique("tpyo"))
        text = where.unique("typo")
        anna["xep_0308"].build_correction(first["id"], slixmpp.JID(where.lobby), mtype="groupchat", mbody=text).send()
        for one in (anna, bert):
            corrected = await one.expect("message_correction", "the correction", lambda got: got["body"] == text)
            ensure(corrected["replace"]["id"] == first["id"] and corrected["from"].resource == anna.nick, xml(corrected))


async def reactions(where):
    async with where.online("anna", "bert") as (anna, bert):
        await both(where, anna, bert)
        first = await said(anna, where.lobby, where.unique("do you like it"))
        for emoji in (["👍"], ["👍", "🎉"], []):
            message = bert.make_message(where.lobby, mtype="groupchat")
            bert["xep_0444"].set_reactions(message, stanza_id(first, where.lobby), emoji)
            message.enable("store")
            message.send()
            got = await anna.expect("reactions", f"the reactions {emoji}", lambda one: one["type"] == "groupchat")
            values = got["reactions"].get_values()
            ensure(values == set(emoji) and got["reactions"]["id"] == stanza_id(first, where.lobby), xml(got))
            ensure(got["from"].resource == bert.nick, xml(got))


async def retraction(where):
    async with where.online("anna", "bert") as (anna, bert):
        await both(where, anna, bert)
        first = await said(anna, where.lobby, where.unique("I did not say that"))
        anna["xep_0424"].send_retraction(slixmpp.JID(where.lobby), stanza_id(first, where.lobby), "groupchat", include_fallback=True)
        for one in (anna, bert):
            got = await one.expect("message_retract", "the retraction")
            ensure(got["retract"]["id"] == stanza_id(first, where.lobby) and got["from"].resource == anna.nick, xml(got))


async def states(where):
    """Chat states pass through rooms and are not kept."""
    async with where.online("anna", "bert") as (anna, bert):
        await both(where, anna, bert)
        for state in ("composing", "paused", "active"):
            message = anna.make_message(where.lobby, mtype="groupchat")
            message["chat_state"] = state
            message.send()
            if state != "active":
                tag = f"{{http://jabber.org/protocol/chatstates}}{state}"
                got = await bert.expect("message stanza", state, lambda one: one.xml.find(tag) is not None)
                ensure(got["from"] == f"{where.lobby}/{anna.nick}", xml(got))


async def archive(where):
    """The room's archive page by page (XEP-0313, XEP-0059), with the ids that were seen live."""
    async with where.online("anna", "bert") as (anna, bert):
        await both(where, anna, bert)
        live = [await said(anna if at % 2 else bert, where.lobby, where.unique(f"kept {at}")) for at in range(7)]
        ids = [stanza_id(one, where.lobby) for one in live]
        before = await anna["xep_0313"].retrieve(slixmpp.JID(where.lobby), rsm={"max": 3, "before": ids[3]}, timeout=SOON)
        expect_page(before, ids[:3])
        after = await anna["xep_0313"].retrieve(slixmpp.JID(where.lobby), rsm={"max": 2, "after": ids[3]}, timeout=SOON)
        expect_page(after, ids[4:6])
        ensure(not complete(after), "a page that is not the last says it is complete")
        last = await anna["xep_0313"].retrieve(slixmpp.JID(where.lobby), rsm={"max": 2, "after": ids[5]}, timeout=SOON)
        expect_page(last, ids[6:])
        ensure(complete(last), "the last page does not say it is complete")
        results = [one async for one in anna["xep_0313"].iterate(slixmpp.JID(where.lobby), reverse=True, rsm={"max": 2}, total=5)]
        ensure([one["mam_result"]["id"] for one in results] == ids[:1:-1], f"{[xml(one) for one in results]} from the end for {ids}")
        for result, one in zip(results, live[::-1]):
            kept = result["mam_result"]["forwarded"]["stanza"]
            ensure(kept["body"] == one["body"] and kept["from"] == one["from"] and kept["id"] == one["id"], f"{xml(kept)} for {xml(one)}")


def expect_page(iq, ids):
    results = [one["mam_result"]["id"] for one in iq["mam"]["results"]]
    ensure(results == ids, f"the page has {results} instead of {ids}: {xml(iq)}")
    rsm = iq["mam_fin"]["rsm"]
    ensure(rsm["first"] == ids[0] and rsm["last"] == ids[-1], f"first and last are not those of {ids}: {xml(iq)}")


def complete(iq):
    return iq["mam_fin"].xml.get("complete") == "true"


async def archive_of_nothing(where):
    """After an id that nobody has: item-not-found (XEP-0313, 4.3.2, XEP-0059, 2.1)."""
    async with where.online("anna") as anna:
        try:
            answer = await anna["xep_0313"].retrieve(slixmpp.JID(where.lobby), rsm={"max": 3, "after": "nobody-has-this-id"}, timeout=SOON)
        except IqError as error:
            ensure(error.condition == "item-not-found", xml(error.iq))
        else:
            raise Failure(f"the answer was {xml(answer)}")


async def describes_itself(where):
    async with where.online("anna") as anna:
        items = await anna["xep_0030"].get_items(where.rooms, timeout=SOON)
        jids = {one[0] for one in items["disco_items"]["items"]}
        ensure({where.lobby, where.help} <= jids, f"the rooms are {jids}")
        info = (await anna["xep_0030"].get_info(where.lobby, timeout=SOON))["disco_info"]
        kinds = {(one[0], one[1]) for one in info["identities"]}
        ensure(("conference", "text") in kinds, f"its identities are {kinds}")
        wanted = {"http://jabber.org/protocol/muc", "urn:xmpp:mam:2", "urn:xmpp:sid:0", "muc_persistent", "muc_public"}
        ensure(wanted <= set(info["features"]), f"missing {wanted - set(info['features'])}")
        stable = "http://jabber.org/protocol/muc#stable_id"
        ensure(stable in info["features"], f"missing {stable}")
        service = (await anna["xep_0030"].get_info(where.rooms, timeout=SOON))["disco_info"]
        ensure(("conference", "text") in {(one[0], one[1]) for one in service["identities"]}, xml(service))


async def nick_lock(where):
    """Another nick than the display name is set right with 210 on joining, and refused afterwards."""
    async with where.online("anna") as anna:
        own = (await anna.join(where.lobby, nick="Somebody Else"))[0]
        ensure(210 in codes(own) and own["from"].resource == anna.nick, xml(own))
        anna.send_presence(pto=f"{where.lobby}/Yet Another")
        answer = await anna.expect("presence stanza", "an answer", lambda one: one["from"].bare == where.lobby)
        if answer["type"] == "error":
            ensure(answer["error"]["condition"] in ("not-acceptable", "not-allowed", "conflict"), xml(answer))
        else:
            ensure(answer["from"].resource == anna.nick and answer["type"] != "unavailable", xml(answer))
        await said(anna, where.lobby, where.unique("still me"))


async def two_resources(where):
    """One person twice in a room under one nick: both hear, and one's leaving is not the person's (XEP-0045, 7.2.9 and its multi-session nicks)."""
    async with where.online("anna/phone", "anna/laptop", "bert") as (phone, laptop, bert):
        for one in (phone, laptop, bert):
            await one.join(where.lobby)
        text = where.unique("to both")
        bert.say(where.lobby, text, "groupchat")
        for one in (phone, laptop):
            await one.expect_text(text)
        text = where.unique("from the phone")
        phone.say(where.lobby, text, "groupchat")
        for one in (phone, laptop, bert):
            await one.expect_text(text)
        bert.inbox.clear()
        phone["xep_0045"].leave_muc(where.lobby, phone.nick)
        await phone.expect_gone(f"{where.lobby}/{phone.nick}")
        await bert.expect_none("presence stanza", "the leaving of who is still there", lambda one: one["type"] == "unavailable")
        text = where.unique("to the laptop")
        bert.say(where.lobby, text, "groupchat")
        await laptop.expect_text(text)
        await phone.expect_none("groupchat_message", "something said in a room that was left")


async def subject(where):
    async with where.online("staff", "bert") as (staff, bert):
        await both(where, staff, bert, where.help)
        text = where.unique("subject")
        staff["xep_0045"].set_subject(where.help, text)
        for one in (staff, bert):
            await one.expect("groupchat_subject", "the subject", lambda got: got["subject"] == text)
        late = (await bert.join(where.help))[1]
        ensure(late["subject"] == text, xml(late))
        bert["xep_0045"].set_subject(where.help, where.unique("not yours"))
        error = await bert.expect("message stanza", "the refusal", lambda one: one["type"] == "error" and one["from"].bare == where.help)
        ensure(error["error"]["condition"] == "forbidden", xml(error))


async def kick(where):
    """Staff removes somebody (307), who may come back; others may not do that."""
    async with where.online("staff", "anna", "bert") as (staff, anna, bert):
        for one in (staff, anna, bert):
            await one.join(where.help)
        await anna.expect_come(f"{where.help}/{bert.nick}")
        try:
            await anna["xep_0045"].set_role(where.help, bert.nick, "none", timeout=SOON)
        except IqError as error:
            ensure(error.condition in ("not-allowed", "forbidden"), xml(error.iq))
        else:
            raise Failure("an attendee removed another one")
        await staff["xep_0045"].set_role(where.help, bert.nick, "none", reason="enough", timeout=SOON)
        for one in (bert, anna, staff):
            gone = await one.expect_gone(f"{where.help}/{bert.nick}", "the removal")
            ensure(307 in codes(gone) and (110 in codes(gone)) == (one is bert), xml(gone))
        text = where.unique("he is gone")
        await said(anna, where.help, text)
        await bert.expect_none("groupchat_message", "something said after the removal")
        await bert.join(where.help)
        await said(bert, where.help, where.unique("I am back"))


async def ban(where):
    """Staff bans somebody (301), who cannot come back until that is taken back."""
    async with where.online("staff", "carl") as (staff, carl):
        await both(where, staff, carl, where.help)
        muc = staff["xep_0045"]
        await muc.set_affiliation(where.help, "outcast", jid=carl.boundjid.bare, timeout=SOON)
        try:
            gone = await carl.expect_gone(f"{where.help}/{carl.nick}", "the ban")
            ensure({110, 301} <= codes(gone), xml(gone))
            banned = await muc.get_affiliation_list(where.help, "outcast", timeout=SOON)
            ensure(carl.boundjid.bare in [str(one) for one in banned], f"the banned are {banned}")
            error = await carl.join_refused(where.help)
            ensure(error["condition"] == "forbidden", xml(error))
        finally:
            await muc.set_affiliation(where.help, "none", jid=carl.boundjid.bare, timeout=SOON)
        await carl.join(where.help)


async def invitation(where):
    async with where.online("anna", "bert") as (anna, bert):
        await anna.join(where.lobby)
        anna["xep_0045"].invite(where.lobby, bert.boundjid.bare, "come in")
        got = await bert.expect("groupchat_invite", "the invitation")
        invite = got.xml.find(f"{MUC_USER}x/{MUC_USER}invite")
        by = invite.get("from")
        ensure(got["from"].bare == where.lobby and by in (anna.boundjid.bare, anna.boundjid.full, f"{where.lobby}/{anna.nick}"), xml(got))
        ensure(invite.findtext(f"{MUC_USER}reason") == "come in", xml(got))
        anna["xep_0249"].send_invitation(slixmpp.JID(bert.boundjid.bare), slixmpp.JID(where.lobby), reason="directly")
        # A mediated one may have this form as well (XEP-0045, 7.8.2).
        got = await bert.expect("groupchat_direct_invite", "the direct invitation", lambda one: one["from"].bare == anna.boundjid.bare)
        ensure(got["groupchat_invite"]["jid"] == where.lobby and got["groupchat_invite"]["reason"] == "directly", xml(got))


async def self_ping(where):
    """XEP-0410: whether one is still inside."""
    async with where.online("anna", "bert") as (anna, bert):
        me = slixmpp.JID(f"{where.lobby}/{anna.nick}")
        await both(where, anna, bert)
        status = await anna["xep_0410"].send_self_ping(me, timeout=SOON)
        ensure(status == PingStatus.JOINED, f"inside it is {status}")
        anna["xep_0045"].leave_muc(where.lobby, anna.nick)
        await anna.expect_gone(me)
        status = await anna["xep_0410"].send_self_ping(me, timeout=SOON)
        ensure(status == PingStatus.DISCONNECTED, f"outside it is {status}")


async def order(where):
    """Two who talk at once are heard in one order by all."""
    async with where.online("anna", "bert", "carl") as people:
        for one in people:
            await one.join(where.lobby)
        texts = {where.unique("at once") for _ in range(30)}
        for at, text in enumerate(sorted(texts)):
            people[at % 2].say(where.lobby, text, "groupchat")
        heard = []
        for one in people:
            mine = []
            while len(mine) < len(texts):
                message = await one.expect("groupchat_message", "what was said", lambda got: got["body"] in texts)
                mine.append(message["body"])
            heard.append(mine)
        ensure(heard[0] == heard[1] == heard[2], f"they heard {heard}")
        await asyncio.gather(*(one.expect_none("groupchat_message", "another copy") for one in people))


CHECKS = [
    ("joining", join),
    ("joining without history", no_history),
    ("talking", talk),
    ("a forged stanza-id", forged),
    ("leaving", leave),
    ("speaking from outside", not_inside),
    ("a room that is not there", no_room),
    ("correction", correction),
    ("reactions", reactions),
    ("retraction", retraction),
    ("chat states", states),
    ("the archive, paged", archive),
    ("the archive after an unknown id", archive_of_nothing),
    ("rooms describe themselves", describes_itself),
    ("nicks are locked", nick_lock),
    ("two resources under one nick", two_resources),
    ("subject by staff only", subject),
    ("kick by staff", kick),
    ("ban by staff", ban),
    ("invitations", invitation),
    ("self-ping", self_ping),
    ("one order for all", order),
]
