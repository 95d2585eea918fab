"""The people of the slixmpp programs: who is where, a client whose stanzas and events can be waited for, accounts."""

import asyncio
import contextlib
import itertools
import json
import urllib.error
import urllib.request
from xml.etree import ElementTree

import slixmpp

PASSWORD = "correct horse battery"
# That something comes is believed for so long, that nothing comes after so long. Seconds.
SOON, SILENCE = 10, 0.5
PLUGINS = (
    "xep_0030 xep_0045 xep_0048 xep_0054 xep_0059 xep_0060 xep_0084 xep_0085 xep_0092 xep_0115 xep_0163 xep_0184 xep_0191 xep_0198 xep_0199 "
    "xep_0203 xep_0249 xep_0280 xep_0308 xep_0313 xep_0333 xep_0334 xep_0352 xep_0359 xep_0402 xep_0410 xep_0424 xep_0444"
).split()
# The last lines of a client's wire that a failure shows.
WIRE_SHOWN = 12

numbers = itertools.count(1)


class Failure(Exception):
    """A check that did not hold."""


def ensure(holds, why):
    if not holds:
        raise Failure(why)


def xml(stanza):
    return ElementTree.tostring(getattr(stanza, "xml", stanza), encoding="unicode")


class Where:
    """The server under test, and the names to use on it."""

    def __init__(self, http, plain, tls, ca, domain, prefix):
        self.http, self.plain, self.tls, self.ca, self.domain, self.prefix = http, plain, tls, ca, domain, prefix
        self.rooms = f"rooms.{domain}"
        self.lobby = f"lobby@{self.rooms}"
        self.help = f"help@{self.rooms}"
        # Every client that was made since the list was emptied, for what a failure shows.
        self.clients = []

    def jid(self, user):
        return f"{self.prefix}-{user}@{self.domain}"

    def nick(self, user):
        return f"{user.capitalize()} {self.prefix}"

    def unique(self, what):
        return f"{what} {self.prefix}.{next(numbers)}"

    def register(self, user):
        """Makes an account where that can be done; on other servers it must be there already."""
        uid = f"{self.prefix}-{user}"
        body = json.dumps({"conference": "demo", "uid": uid, "password": PASSWORD, "name": self.nick(user)}).encode()
        request = urllib.request.Request(f"http://{self.http}/api/register", body, {"Content-Type": "application/json"})
        try:
            urllib.request.urlopen(request, timeout=SOON).close()
        except urllib.error.HTTPError as error:
            ensure(error.code in (404, 405, 409), f"the account {uid} cannot be made: {error.code} {error.read()}")

    @contextlib.asynccontextmanager
    async def online(self, *users, **options):
        """Clients that have sent presence, e.g. online("anna/phone", "bert"); they are logged out afterwards, however it goes."""
        async with contextlib.AsyncExitStack() as stack:
            clients = []
            for user in users:
                client = Client(self, user, **options)
                stack.push_async_callback(client.end)
                clients.append(await client.log_in())
            yield clients[0] if len(clients) == 1 else clients


class Client(slixmpp.ClientXMPP):
    """A slixmpp client; what it hears and what slixmpp makes of it is kept until it is asked for."""

    def __init__(self, where, user, way="plain", mechanism=None, password=PASSWORD, address=None):
        self.inbox, self.came, self.wire = [], asyncio.Event(), []
        self.user, _, resource = user.partition("/")
        super().__init__(f"{where.jid(self.user)}/{resource or 'one'}", password, sasl_mech=mechanism)
        self.where, self.way = where, way
        self.nick = where.nick(self.user)
        self.enable_plaintext, self.enable_starttls, self.enable_direct_tls = (way == one for one in ("plain", "starttls", "direct"))
        self.ca_certs = where.ca
        self.address_ = address or (where.tls if way == "direct" else where.plain)
        security = {"unencrypted_plain": True, "unencrypted_scram": True} if way == "plain" else {}
        self["feature_mechanisms"].config.update(security)
        for plugin in PLUGINS:
            self.register_plugin(plugin)
        where.clients.append(self)

    # What comes.

    def event(self, name, data={}):
        self.inbox.append((name, data))
        self.came.set()
        super().event(name, data)

    def recv_stanza(self, stanza):
        self.wire.append(f"recv {xml(stanza)}")
        # Beside slixmpp's events, which leave some out: "message stanza", "presence stanza", "iq stanza".
        self.inbox.append((f"{stanza.name} stanza", stanza))
        self.came.set()
        super().recv_stanza(stanza)

    def send_raw(self, data):
        self.wire.append(f"sent {data if isinstance(data, str) else data.decode()}")
        super().send_raw(data)

    async def expect(self, name, what, wanted=lambda data: True, within=SOON):
        """The first event of this name that is wanted; those before it are left out."""
        end = asyncio.get_running_loop().time() + within
        while True:
            while self.inbox:
                kind, data = self.inbox.pop(0)
                if kind == name and wanted(data):
                    return data
            self.came.clear()
            try:
                await asyncio.wait_for(self.came.wait(), end - asyncio.get_running_loop().time())
            except asyncio.TimeoutError:
                raise Failure(f"{self.boundjid}: {what} did not come within {within} s") from None

    async def expect_none(self, name, what, wanted=lambda data: True):
        await self.settled()
        bad = [data for kind, data in self.inbox if kind == name and wanted(data)]
        ensure(not bad, f"{self.boundjid}: {what} came {len(bad)} times: {[xml(one) for one in bad[:3]]}")

    async def settled(self):
        """What was sent is handled by the server, and nothing more has come for a moment."""
        await self["xep_0199"].send_ping(self.where.domain, timeout=SOON)
        await asyncio.sleep(SILENCE)

    async def expect_come(self, occupant):
        """The presence that says that an occupant of a room is there: comings and goings of one moment may not be told at all."""
        return await self.expect("presence stanza", "the coming", lambda one: one["from"] == occupant and one["type"] != "unavailable")

    async def expect_gone(self, occupant, what="the leaving"):
        """The presence that says that an occupant of a room has left it."""
        return await self.expect("presence stanza", what, lambda one: one["from"] == occupant and one["type"] == "unavailable")

    async def expect_text(self, text, sender=None):
        """The message with this body."""
        return await self.expect("message", f"message {text!r}", lambda one: one["body"] == text and (not sender or one["from"] == sender))

    # What it does.

    async def connected(self):
        """Connects; the name of the event that says how the login went."""
        host, port = self.address_.rsplit(":", 1)
        self.connect(host, int(port))
        ends = {"session_start", "session_resumed", "failed_all_auth", "disconnected", "connection_failed"}
        end = asyncio.get_running_loop().time() + SOON
        while asyncio.get_running_loop().time() < end:
            while self.inbox:
                name, _ = self.inbox.pop(0)
                if name in ends:
                    return name
            self.came.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.came.wait(), end - asyncio.get_running_loop().time())
        return "nothing"

    async def log_in(self):
        how = await self.connected()
        ensure(how == "session_start", f"{self.boundjid}: login over {self.way} ended with {how}")
        self.send_presence()
        # Stanzas are handled in order: afterwards this resource is available.
        await self["xep_0199"].send_ping(self.where.domain, timeout=SOON)
        return self

    async def end(self):
        self.end_session_on_disconnect = True
        if self.transport:
            await self.disconnect(wait=1)

    async def join(self, room, nick=None, **options):
        """Joins; own presence, subject, occupants, history, as slixmpp orders them."""
        try:
            return await self["xep_0045"].join_muc_wait(slixmpp.JID(room), nick or self.nick, timeout=SOON, **(options or {"maxstanzas": 0}))
        except asyncio.TimeoutError:
            raise Failure(f"{self.boundjid}: joining {room} came to no end (presences, own presence, history, subject)") from None

    async def join_refused(self, room):
        """Tries to join; the error."""
        self["xep_0045"].make_join_stanza(slixmpp.JID(room), self.nick, maxstanzas=0).send()
        answer = await self.expect("presence stanza", "an answer", lambda one: one["from"].bare == room)
        ensure(answer["type"] == "error", f"instead of a refusal came {xml(answer)}")
        return answer["error"]

    def say(self, to, text, kind="chat", **more):
        message = self.make_message(to, text, mtype=kind)
        for name, values in more.items():
            for key, value in values.items():
                message[name][key] = value
        message.send()
        return message


def stanza_id(message, by):
    """The id that the archive of `by` gave."""
    found = [one.get("id") for one in message.xml.findall("{urn:xmpp:sid:0}stanza-id") if one.get("by") == str(by)]
    ensure(len(found) == 1, f"{len(found)} stanza-ids by {by} in {xml(message)}")
    return found[0]


def codes(presence):
    """The status codes of a presence of a room."""
    return {int(one.get("code")) for one in presence.xml.iter("{http://jabber.org/protocol/muc#user}status")}
