"""What belongs to an account: roster, presence, vCard, avatar, bookmarks, blocking; and what the server says of itself."""

import slixmpp
from people import SOON, ensure, xml
from slixmpp.exceptions import IqError
from slixmpp.plugins.xep_0402.stanza import NS as BOOKMARKS
from slixmpp.plugins.xep_0402.stanza import Conference
from slixmpp.plugins.xep_0048.stanza import Bookmarks

# A PNG of one pixel.
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
)
METADATA = "urn:xmpp:avatar:metadata"


async def describes_itself(where):
    """Identities and features of server and account, the caps hash of the stream's features (XEP-0115), the rooms' service."""
    async with where.online("anna") as anna:
        disco = anna["xep_0030"]
        server = (await disco.get_info(where.domain, timeout=SOON))["disco_info"]
        ensure(("server", "im") in {(one[0], one[1]) for one in server["identities"]}, xml(server))
        wanted = {"http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/disco#items", "urn:xmpp:ping", "urn:xmpp:carbons:2", "urn:xmpp:blocking"}
        account = (await disco.get_info(anna.boundjid.bare, timeout=SOON))["disco_info"]
        ensure(wanted <= set(server["features"]), f"the server misses {wanted - set(server['features'])}")
        ensure(("account", "registered") in {(one[0], one[1]) for one in account["identities"]}, xml(account))
        wanted = {"urn:xmpp:mam:2", "urn:xmpp:sid:0"}
        ensure(wanted <= set(account["features"]), f"the account misses {wanted - set(account['features'])}")
        items = (await disco.get_items(where.domain, timeout=SOON))["disco_items"]
        ensure(where.rooms in {one[0] for one in items["items"]}, xml(items))
        # slixmpp has asked for the caps of the stream's features and verified them by now; what it could not verify it did not keep.
        ensure(any("http://jabber.org/protocol/caps" in one and "features" in one for one in anna.wire), "no caps in the stream's features")
        caps = await anna["xep_0115"].get_caps(jid=where.domain)
        ensure(caps is not None and set(caps["features"]) == set(server["features"]), f"caps are {caps}")


async def roster(where):
    """A contact is added, and pushed to the other resource (RFC 6121, 2). Names, groups and removal may be the server's own: then that is said."""
    async with where.online("anna/phone", "anna/laptop") as (phone, laptop):
        for one in (phone, laptop):
            await one.get_roster(timeout=SOON)
        jid = where.jid("carl")

        def item(iq):
            return next((one for one in iq.xml.iter("{jabber:iq:roster}item") if one.get("jid") == jid), None)

        for one in (phone, laptop):
            one.inbox.clear()
        await phone.update_roster(slixmpp.JID(jid), name="Carl", groups=["Friends"], timeout=SOON)
        for one in (phone, laptop):
            await one.expect("roster_update", "the push of the new contact", lambda iq: iq["type"] == "set" and item(iq) is not None)
        async with where.online("anna/third") as third:
            kept = await third.get_roster(timeout=SOON)
            ensure(item(kept) is not None and item(kept).get("name"), xml(kept))
        await removed(phone, jid)


async def removed(client, jid):
    """Takes somebody out of the roster, or is told that the server does not do that."""
    try:
        await client.del_roster_item(slixmpp.JID(jid))
    except IqError as error:
        ensure(error.condition == "not-allowed", xml(error.iq))


async def subscription(where):
    """One asks for another's presence, gets it, and sees changes (RFC 6121, 3)."""
    async with where.online("anna", "bert") as (anna, bert):
        for one in (anna, bert):
            one.auto_authorize, one.auto_subscribe = True, False
            await one.get_roster(timeout=SOON)
        anna.send_presence_subscription(bert.boundjid.bare)
        try:
            await anna.expect("presence stanza", "the other's presence", lambda one: one["from"] == bert.boundjid.full and one["type"] == "available")
            bert.send_presence(pshow="away", pstatus="at lunch")
            await anna.expect("presence stanza", "that the other is away", lambda one: one["from"] == bert.boundjid.full and one["show"] == "away")
            await bert.end()
            await anna.expect_gone(bert.boundjid.full)
        finally:
            await removed(anna, bert.boundjid.bare)


async def vcard(where):
    async with where.online("anna", "bert") as (anna, bert):
        card = anna["xep_0054"].make_vcard()
        card["FN"], card["URL"] = where.unique("Anna"), "https://example.org/anna"
        await anna["xep_0054"].publish_vcard(card, timeout=SOON)
        for one, jid in ((anna, None), (bert, slixmpp.JID(anna.boundjid.bare))):
            got = (await one["xep_0054"].get_vcard(jid, cached=False, timeout=SOON))["vcard_temp"]
            # What somebody is called may be the server's own.
            ensure(got["FN"] in (card["FN"], anna.nick) and got["URL"] == card["URL"], xml(got))


def publish_options(client, **fields):
    form = client["xep_0004"].make_form(ftype="submit")
    form.add_field("FORM_TYPE", "hidden", value="http://jabber.org/protocol/pubsub#publish-options")
    for name, value in fields.items():
        form.add_field(f"pubsub#{name}", value=value)
    return form


async def avatar(where):
    """Published as XEP-0084 says; one's other client is told, and whoever may see it gets it, as vCard too (XEP-0398)."""
    async with where.online("anna/phone", "anna/laptop", "bert") as (phone, laptop, bert):
        for one in (phone, laptop):
            # Interest in metadata is said by caps (XEP-0163, 4.3).
            one["xep_0163"].add_interest(METADATA)
            await one["xep_0115"].update_caps()
            await one.settled()
        image = phone["xep_0084"].generate_id(PIXEL)
        await phone["xep_0084"].publish_avatar(PIXEL, options=publish_options(phone, access_model="open"), timeout=SOON)
        metadata = [{"id": image, "type": "image/png", "bytes": len(PIXEL)}]
        await phone["xep_0084"].publish_avatar_metadata(metadata, options=publish_options(phone, access_model="open"), timeout=SOON)
        told = await laptop.expect("avatar_metadata_publish", "the other client's new avatar", lambda one: image in xml(one))
        ensure(told["from"].bare == phone.boundjid.bare, xml(told))
        got = await laptop["xep_0084"].retrieve_avatar(slixmpp.JID(phone.boundjid.bare), image, timeout=SOON)
        ensure(got["pubsub"]["items"]["item"]["avatar_data"]["value"] == PIXEL, xml(got))
        card = (await bert["xep_0054"].get_vcard(slixmpp.JID(phone.boundjid.bare), cached=False, timeout=SOON))["vcard_temp"]
        ensure(card["PHOTO"]["BINVAL"] == PIXEL and card["PHOTO"]["TYPE"] == "image/png", xml(card))


async def bookmarks(where):
    """XEP-0402: an item per room, told to one's other client."""
    async with where.online("anna/phone", "anna/laptop") as (phone, laptop):
        laptop["xep_0163"].add_interest(BOOKMARKS)
        await laptop["xep_0115"].update_caps()
        await laptop.settled()
        conference = Conference()
        conference["name"], conference["autojoin"], conference["nick"] = "The lobby", True, phone.nick
        options = publish_options(phone, persist_items="1", max_items="max", send_last_published_item="never", access_model="whitelist")
        pubsub = phone["xep_0060"]
        await pubsub.publish(None, BOOKMARKS, id=where.lobby, payload=conference, options=options, timeout=SOON)
        await laptop.expect("pubsub_publish", "the bookmark", lambda one: BOOKMARKS in xml(one) and where.lobby in xml(one))
        kept = await laptop["xep_0060"].get_items(None, BOOKMARKS, timeout=SOON)
        mine = [one for one in kept["pubsub"]["items"]["substanzas"] if one["id"] == where.lobby]
        ensure(len(mine) == 1 and mine[0]["conference"]["autojoin"] and mine[0]["conference"]["nick"] == phone.nick, xml(kept))
        await pubsub.retract(None, BOOKMARKS, where.lobby, notify=True, timeout=SOON)
        await laptop.expect("pubsub_retract", "the removal")
        kept = await laptop["xep_0060"].get_items(None, BOOKMARKS, timeout=SOON)
        ensure(where.lobby not in xml(kept), xml(kept))


async def old_bookmarks(where):
    """XEP-0048 over private storage (XEP-0049), as older clients do."""
    async with where.online("carl/phone", "carl/laptop") as (phone, laptop):
        wanted = Bookmarks()
        wanted.add_conference(slixmpp.JID(where.lobby), phone.nick, name="The lobby", autojoin=True)
        await phone["xep_0048"].set_bookmarks(wanted, method="xep_0049", timeout=SOON)
        kept = await laptop["xep_0048"].get_bookmarks(method="xep_0049", timeout=SOON)
        found = list(kept.xml.iter("{storage:bookmarks}conference"))
        ensure([one.get("jid") for one in found] == [where.lobby], xml(kept))


async def others_bookmarks(where):
    """Nobody reads another one's bookmarks."""
    async with where.online("anna", "bert") as (anna, bert):
        try:
            got = await bert["xep_0060"].get_items(slixmpp.JID(anna.boundjid.bare), BOOKMARKS, timeout=SOON)
        except IqError as error:
            ensure(error.condition in ("forbidden", "item-not-found", "not-allowed", "service-unavailable"), xml(error.iq))
        else:
            ensure(where.lobby not in xml(got), xml(got))


async def blocking(where):
    """XEP-0191: the list, its pushes, and that nothing comes from who is blocked."""
    async with where.online("anna/phone", "anna/laptop", "carl") as (phone, laptop, carl):
        jid = carl.boundjid.bare
        for one in (phone, laptop):
            await one["xep_0191"].get_blocked(timeout=SOON)
        await phone["xep_0191"].block(jid, timeout=SOON)
        try:
            await laptop.expect("blocked", "the push")
            listed = await laptop["xep_0191"].get_blocked_jids(timeout=SOON)
            ensure(slixmpp.JID(jid) in listed, f"the list is {listed}")
            sent = carl.say(phone.boundjid.bare, where.unique("you do not hear me"))
            error = await carl.expect("message stanza", "the error", lambda one: one["type"] == "error" and one["id"] == sent["id"])
            ensure(error["error"]["condition"] == "service-unavailable", xml(error))
            await phone.expect_none("message", "a message of who is blocked", lambda one: one["body"] == sent["body"])
            mine = phone.say(jid, where.unique("I do not want to hear you"))
            error = await phone.expect("message stanza", "the error", lambda one: one["type"] == "error" and one["id"] == mine["id"])
            ensure(error["error"]["condition"] == "not-acceptable" and "urn:xmpp:blocking:errors" in xml(error), xml(error))
        finally:
            await phone["xep_0191"].unblock(jid, timeout=SOON)
        await laptop.expect("unblocked", "the push")
        text = where.unique("now you hear me")
        carl.say(phone.boundjid.bare, text)
        await phone.expect_text(text)


CHECKS = [
    ("the server describes itself", describes_itself),
    ("roster", roster),
    ("presence subscription", subscription),
    ("vCard", vcard),
    ("avatar", avatar),
    ("bookmarks", bookmarks),
    ("bookmarks of older clients", old_bookmarks),
    ("bookmarks of others", others_bookmarks),
    ("blocking", blocking),
]
