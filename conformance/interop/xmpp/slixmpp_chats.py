"""Chats between two: carbons, receipts, markers, states, what is done to messages, the user's archive."""

import slixmpp
from people import SOON, ensure, stanza_id, xml

async def with_carbons(*clients):
    for one in clients:
        await one["xep_0280"].enable(timeout=SOON)


async def talk(where):
    async with where.online("anna", "bert") as (anna, bert):
        for text in (where.unique("plain"), where.unique("<i>&amp; \"quoted\" 'so'</i> é€😀\n second line")):
            for one, other in ((anna, bert), (bert, anna)):
                sent = one.say(other.boundjid.bare, text)
                got = await other.expect_text(text)
                ensure(got["id"] == sent["id"] and got["from"] == one.boundjid.full and got["type"] == "chat", xml(got))
                stanza_id(got, other.boundjid.bare)
        for one in (anna, bert):
            await one.expect_none("message", "another copy")


async def carbons(where):
    """Each of the two sees the whole conversation once on both of their clients, live."""
    async with where.online("anna/phone", "anna/laptop", "bert/phone", "bert/laptop") as everybody:
        phone, laptop, there, other = everybody
        await with_carbons(*everybody)
        for one in everybody:
            await one.settled()
            one.inbox.clear()
        sent = phone.say(there.boundjid.bare, where.unique("to the bare address"))
        copy = (await laptop.expect("carbon_sent", "the carbon of what the phone sent"))["carbon_sent"]
        ensure(copy["id"] == sent["id"] and copy["body"] == sent["body"] and copy["from"] == phone.boundjid.full, xml(copy))
        for one in (there, other):
            await one.settled()
            copies = [got if kind == "message" else got["carbon_received"] for kind, got in one.inbox if kind in ("message", "carbon_received")]
            bodies = [got["body"] for got in copies if got["body"]]
            ensure(bodies == [sent["body"]], f"{one.boundjid} got {bodies}")
            one.inbox.clear()
        answer = there.say(phone.boundjid.full, where.unique("to the full address"))
        await phone.expect_text(answer["body"])
        copy = (await laptop.expect("carbon_received", "the carbon of what the phone got"))["carbon_received"]
        ensure(copy["id"] == answer["id"] and copy["body"] == answer["body"], xml(copy))
        copy = (await other.expect("carbon_sent", "the carbon of what the other one sent"))["carbon_sent"]
        ensure(copy["id"] == answer["id"], xml(copy))
        await phone.expect_none("carbon_received", "a carbon to who has the message")
        await there.expect_none("carbon_sent", "a carbon to who sent the message")


async def no_carbons(where):
    """Only who enabled them gets carbons, private messages make none, and disabling ends them."""
    async with where.online("anna/phone", "anna/laptop", "bert") as (phone, laptop, bert):
        phone.say(bert.boundjid.bare, where.unique("nobody else knows"))
        await laptop.expect_none("carbon_sent", "a carbon that was not asked for")
        await with_carbons(laptop)
        message = phone.make_message(bert.boundjid.bare, where.unique("private"))
        message.enable("carbon_private")
        message.send()
        await bert.expect_text(message["body"])
        await laptop.expect_none("carbon_sent", "a carbon of a private message")
        await laptop["xep_0280"].disable(timeout=SOON)
        phone.say(bert.boundjid.bare, where.unique("nobody else knows again"))
        await laptop.expect_none("carbon_sent", "a carbon that is not asked for any more")


async def receipts(where):
    """slixmpp answers a request for a receipt by itself (XEP-0184)."""
    async with where.online("anna", "bert") as (anna, bert):
        message = anna.make_message(bert.boundjid.bare, where.unique("did you get it"))
        message["request_receipt"] = True
        message.send()
        got = await bert.expect_text(message["body"])
        ensure(got["request_receipt"], xml(got))
        receipt = await anna.expect("receipt_received", "the receipt")
        ensure(receipt["receipt"] == message["id"] and receipt["from"].bare == bert.boundjid.bare, xml(receipt))


async def markers(where):
    async with where.online("anna", "bert") as (anna, bert):
        message = anna.make_message(bert.boundjid.bare, where.unique("have you read it"))
        message.enable("markable")
        message.send()
        got = await bert.expect_text(message["body"])
        ensure(got.get_plugin("markable", check=True) is not None, xml(got))
        bert["xep_0333"].send_marker(slixmpp.JID(anna.boundjid.bare), got["id"], "displayed")
        marker = await anna.expect("marker_displayed", "the marker")
        ensure(marker["displayed"]["id"] == message["id"] and marker["from"].bare == bert.boundjid.bare, xml(marker))


async def states(where):
    async with where.online("anna", "bert") as (anna, bert):
        for state in ("composing", "paused", "active"):
            message = anna.make_message(bert.boundjid.bare)
            message["chat_state"] = state
            message.send()
            await bert.expect(f"chatstate_{state}", state)


async def correction(where):
    async with where.online("anna", "bert") as (anna, bert):
        first = anna.say(bert.boundjid.bare, where.unique("tpyo"))
        await bert.expect_text(first["body"])
        text = where.unique("typo")
        anna["xep_0308"].build_correction(first["id"], slixmpp.JID(bert.boundjid.bare), mbody=text).send()
        got = await bert.expect("message_correction", "the correction")
        ensure(got["body"] == text and got["replace"]["id"] == first["id"], xml(got))


async def reactions(where):
    """Reactions to a chat's message go by the sender's id (XEP-0444, 4.2)."""
    async with where.online("anna", "bert") as (anna, bert):
        first = anna.say(bert.boundjid.bare, where.unique("do you like it"))
        await bert.expect_text(first["body"])
        for emoji in (["👍"], ["👍", "🎉"], []):
            message = bert.make_message(anna.boundjid.bare, mtype="chat")
            bert["xep_0444"].set_reactions(message, first["id"], emoji)
            message.enable("store")
            message.send()
            got = await anna.expect("reactions", f"the reactions {emoji}")
            ensure(got["reactions"].get_values() == set(emoji) and got["reactions"]["id"] == first["id"], xml(got))


async def retraction(where):
    async with where.online("anna", "bert") as (anna, bert):
        first = anna.say(bert.boundjid.bare, where.unique("I did not say that"))
        await bert.expect_text(first["body"])
        anna["xep_0424"].send_retraction(slixmpp.JID(bert.boundjid.bare), first["id"], include_fallback=True)
        got = await bert.expect("message_retract", "the retraction")
        ensure(got["retract"]["id"] == first["id"] and got["from"].bare == anna.boundjid.bare, xml(got))


async def archive(where):
    """The user's archive, page by page and only with one of them, for both sides."""
    async with where.online("anna", "bert", "carl") as (anna, bert, carl):
        texts = [where.unique(f"kept {at}") for at in range(7)]
        ids = {anna: [], bert: []}
        for at, text in enumerate(texts):
            one, other = (anna, bert) if at % 3 else (bert, anna)
            one.say(other.boundjid.bare, text)
            got = await other.expect_text(text)
            ids[other].append(stanza_id(got, other.boundjid.bare))
            if at == 3:
                another = where.unique("from another one")
                carl.say(anna.boundjid.bare, another)
                await anna.expect_text(another)
        everything = [got async for got in anna["xep_0313"].iterate(reverse=True, rsm={"max": 5}, total=8)][::-1]
        bodies = [got["mam_result"]["forwarded"]["stanza"]["body"] for got in everything]
        ensure(bodies == [*texts[:4], another, *texts[4:]], f"of all chats came {bodies}")
        for one, other in ((anna, bert), (bert, anna)):
            mam, peer = one["xep_0313"], slixmpp.JID(other.boundjid.bare)
            back = [got async for got in mam.iterate(with_jid=peer, reverse=True, rsm={"max": 3}, total=7)][::-1]
            bodies = [got["mam_result"]["forwarded"]["stanza"]["body"] for got in back]
            ensure(bodies == texts, f"{one.boundjid}: from the end came {bodies}")
            archived = [got["mam_result"]["id"] for got in back]
            ensure(set(ids[one]) <= set(archived), f"{one.boundjid}: live stanza-ids {ids[one]} are not among {archived}")
            for got, text in zip(back, texts):
                kept = got["mam_result"]["forwarded"]
                ensure(kept["delay"]["stamp"] is not None and kept["stanza"]["type"] == "chat", xml(got))
            forth = await mam.retrieve(with_jid=peer, rsm={"max": 2, "after": archived[2]}, timeout=SOON)
            found = [got["mam_result"]["id"] for got in forth["mam"]["results"]]
            ensure(found == archived[3:5] and forth["mam_fin"].xml.get("complete") != "true", f"{found} of {archived}: {xml(forth)}")
            rest = await mam.retrieve(with_jid=peer, rsm={"max": 2, "after": archived[4]}, timeout=SOON)
            found = [got["mam_result"]["id"] for got in rest["mam"]["results"]]
            ensure(found == archived[5:] and rest["mam_fin"].xml.get("complete") == "true", f"{found} of {archived}: {xml(rest)}")
        fields = await anna["xep_0313"].get_fields(timeout=SOON)
        ensure({"with", "start", "end"} <= {one["var"] for one in fields["fields"]}, xml(fields))


async def while_away(where):
    """What was said while nobody was there is heard at the next login, or is in the archive since."""
    async with where.online("anna", "bert") as (anna, bert):
        last = where.unique("before you left")
        bert.say(anna.boundjid.bare, last)
        since = stanza_id(await anna.expect_text(last), anna.boundjid.bare)
    async with where.online("bert") as bert:
        texts = [where.unique(f"while you were away {at}") for at in range(3)]
        for text in texts:
            bert.say(where.jid("anna"), text)
        await bert.settled()
    async with where.online("anna") as anna:
        page = await anna["xep_0313"].retrieve(rsm={"max": 20, "after": since}, timeout=SOON)
        kept = [one["mam_result"]["forwarded"]["stanza"]["body"] for one in page["mam"]["results"]]
        ensure(kept == texts, f"in the archive are {kept}")


async def nobody(where):
    """A message to who does not exist comes back (RFC 6121, 8.5.1)."""
    async with where.online("anna") as anna:
        sent = anna.say(where.jid("nobody-of-this-name"), where.unique("is there anybody"))
        error = await anna.expect("message stanza", "the error", lambda one: one["type"] == "error" and one["id"] == sent["id"])
        ensure(error["error"]["condition"] in ("service-unavailable", "item-not-found"), xml(error))


CHECKS = [
    ("talking", talk),
    ("carbons, sent and received", carbons),
    ("no carbons for who did not ask", no_carbons),
    ("receipts", receipts),
    ("markers", markers),
    ("chat states", states),
    ("correction", correction),
    ("reactions", reactions),
    ("retraction", retraction),
    ("the archive, paged", archive),
    ("what was missed", while_away),
    ("a message to nobody", nobody),
]
