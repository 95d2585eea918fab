#!/usr/bin/env python3
"""Hallway's MQTT edge as paho-mqtt 2.x sees it, in 3.1.1 and 5.

    paho_mqtt.py HTTP MQTT MQTTS CA PREFIX [STEP] [STATE]

HTTP, MQTT and MQTTS are HOST:PORT, CA is the server's certificate, PREFIX begins every user name and topic, so that runs on one
server do not disturb each other. STEP is one of

    all          everything that needs no restart (the default)
    before-kill  publishes until the server is killed; prints 'kill' when that is to be done, and what it saw goes into the file STATE
    after-kill   reads STATE, comes back to the restarted server and looks whether everything acknowledged is there

(It is not called paho.py: that would hide the library of this name.) One line per check, 'ok WHAT' or 'FAIL WHAT: WHY'; the exit status is 0 when none failed.
"""

import json
import os
import queue
import socket
import sys
import threading
import time

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from websocket_user import Failure, WebSocketUser, ensure

PASSWORD = "correct horse battery"
V4, V5 = mqtt.MQTTv311, mqtt.MQTTv5
# That something comes is believed for so long, that nothing comes after so long.
SOON, SILENCE = 10, 0.7
FIELDS = {"conversation", "seq", "id", "kind", "from", "name", "ts", "via", "client_id", "text", "n"}


def host_port(address):
    host, port = address.rsplit(":", 1)
    return host, int(port)


class Where:
    """The server under test, and the names to use on it."""

    def __init__(self, http, plain, tls, ca, prefix):
        self.http, self.plain, self.tls, self.ca, self.prefix = http, plain, tls, ca, prefix

    def topic(self, name):
        return f"conf/demo/topic/{self.prefix}/{name}"


def properties(packet, **values):
    made = Properties(packet)
    for name, value in values.items():
        setattr(made, name, value)
    return made


class Client:
    """A paho client whose callbacks end in queues, so that a check reads from top to bottom."""

    def __init__(self, where, version, user, client_id=None, clean=True, expiry=0, will=None, tls=False, password=PASSWORD):
        self.where, self.version = where, version
        self.uid = f"{where.prefix}-{user}"
        self.clean, self.expiry = clean, expiry
        self.messages, self.acks, self.subacks = queue.Queue(), queue.Queue(), queue.Queue()
        self.connacks, self.gone = queue.Queue(), queue.Queue()
        self.acked = {}
        self.acked_changed = threading.Condition()
        more = {} if version == V5 else {"clean_session": clean}
        self.paho = mqtt.Client(CallbackAPIVersion.VERSION2, client_id or f"{self.uid}-{version}-{time.monotonic_ns()}", protocol=version, **more)
        self.paho.username_pw_set(self.uid, password)
        # A lost connection is what some checks are about; nobody is to come back by itself.
        self.paho._reconnect_on_failure = False
        self.paho.max_inflight_messages_set(1000)
        self.paho.on_message = lambda client, data, message: self.messages.put(message)
        self.paho.on_connect = lambda client, data, flags, code, props: self.connacks.put((flags, code, props))
        self.paho.on_disconnect = lambda client, data, flags, code, props: self.gone.put((flags, code))
        self.paho.on_subscribe = lambda client, data, mid, codes, props: self.subacks.put(codes)
        self.paho.on_publish = self._on_publish
        if tls:
            self.paho.tls_set(ca_certs=where.ca)
        if will:
            topic, payload, qos, retain, delay = will
            props = properties(PacketTypes.WILLMESSAGE, WillDelayInterval=delay) if delay else None
            self.paho.will_set(topic, payload, qos, retain, props)
        self.address = host_port(where.tls if tls else where.plain)

    def _on_publish(self, client, data, mid, code, props):
        with self.acked_changed:
            self.acked[mid] = code
            self.acked_changed.notify_all()

    def try_connect(self, host=None):
        """Connects; flags, code and properties of CONNACK, whatever it says."""
        more = {}
        if self.version == V5:
            more = {"clean_start": self.clean, "properties": properties(PacketTypes.CONNECT, SessionExpiryInterval=self.expiry)}
        self.paho.connect(host or self.address[0], self.address[1], keepalive=30, **more)
        self.paho.loop_start()
        try:
            return self.connacks.get(timeout=SOON)
        except queue.Empty:
            raise Failure(f"{self.uid}: no CONNACK within {SOON} s") from None

    def connect(self, present=False, host=None):
        flags, code, _ = self.try_connect(host)
        ensure(not code.is_failure, f"{self.uid}: CONNACK says {code}")
        ensure(flags.session_present == present, f"{self.uid}: session present is {flags.session_present} instead of {present}")
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.disconnect()

    def subscribe(self, topic, qos, **options):
        if self.version == V5:
            self.paho.subscribe(topic, options=SubscribeOptions(qos=qos, **options))
        else:
            self.paho.subscribe(topic, qos)
        try:
            codes = self.subacks.get(timeout=SOON)
        except queue.Empty:
            raise Failure(f"no SUBACK for {topic}") from None
        ensure([code.value for code in codes] == [qos], f"SUBACK for {topic} with QoS {qos} says {codes}")
        return self

    def publish(self, topic, payload, qos, retain=False, props=None):
        """Publishes and waits for the acknowledgement, which must be a good one."""
        self.wait_acked([self.send(topic, payload, qos, retain, props)])

    def send(self, topic, payload, qos, retain=False, props=None):
        info = self.paho.publish(topic, payload, qos, retain, props)
        ensure(info.rc == mqtt.MQTT_ERR_SUCCESS, f"publish: {mqtt.error_string(info.rc)}")
        return info.mid

    def wait_acked(self, mids, within=SOON):
        with self.acked_changed:
            done = self.acked_changed.wait_for(lambda: all(mid in self.acked for mid in mids), within)
        ensure(done, f"{sum(mid not in self.acked for mid in mids)} of {len(mids)} publications not acknowledged within {within} s")
        bad = [str(self.acked[mid]) for mid in mids if self.acked[mid].is_failure]
        ensure(not bad, f"refused: {bad}")

    def expect(self, what, wanted, within=SOON):
        """The first message that is wanted; others are left out, as the retained last one of a conversation."""
        end = time.monotonic() + within
        seen = []
        while (left := end - time.monotonic()) > 0:
            try:
                message = self.messages.get(timeout=left)
            except queue.Empty:
                break
            if wanted(message):
                return message
            seen.append(show(message))
        raise Failure(f"{what} did not come within {within} s; came instead: {seen}")

    def expect_none(self, what, wanted=lambda message: True, within=SILENCE):
        end = time.monotonic() + within
        while (left := end - time.monotonic()) > 0:
            try:
                message = self.messages.get(timeout=left)
            except queue.Empty:
                return
            ensure(not wanted(message), f"{what} came: {show(message)}")

    def collect(self, count, wanted, within=20):
        """So many wanted messages, and whatever else comes shortly after them."""
        found, end = [], time.monotonic() + within
        while (left := end - time.monotonic()) > 0:
            try:
                message = self.messages.get(timeout=left if len(found) < count else SILENCE)
            except queue.Empty:
                break
            if wanted(message):
                found.append(message)
        return found

    def disconnect(self):
        self.paho.disconnect()
        self.paho.loop_stop()

    def drop(self):
        """Ends the connection without DISCONNECT, as a crash does."""
        sock = self.paho.socket()
        self.paho.loop_stop()
        sock.shutdown(socket.SHUT_RDWR)
        sock.close()


def show(message):
    return f"{message.topic} qos={message.qos} retain={message.retain} dup={message.dup} {message.payload[:200]!r}"


def is_text(topic, text):
    """A canonical message with this text."""

    def wanted(message):
        if message.topic != topic:
            return False
        try:
            return json.loads(message.payload).get("text") == text
        except ValueError:
            return False

    return wanted


def is_payload(topic, payload):
    return lambda message: message.topic == topic and message.payload == payload.encode()


# The checks. Each takes where and the version.

LOBBY, HELP = "conf/demo/chat/lobby", "conf/demo/chat/help"


def chat(where, version):
    """Two people talk, at every QoS, plain text and JSON with an id."""
    with Client(where, version, "anna").connect() as anna, Client(where, version, "bert").connect() as bert:
        for qos in (0, 1, 2):
            for one, other, form in ((anna, bert, "text"), (bert, anna, "json")):
                other.subscribe(LOBBY, qos)
                text = f"{form} {qos} {version} from {one.uid} {time.time_ns()}"
                mine = f"id-{time.time_ns()}"
                one.publish(LOBBY, text if form == "text" else json.dumps({"id": mine, "text": text}), qos)
                message = other.expect(f"{form} at QoS {qos}", is_text(LOBBY, text))
                event = json.loads(message.payload)
                ensure(message.qos == qos, f"QoS {message.qos} instead of {qos}")
                ensure(not message.retain and not message.dup, f"flags of a live message: {show(message)}")
                ensure(FIELDS <= event.keys(), f"without {FIELDS - event.keys()}: {event}")
                ensure(event["from"] == one.uid and event["conversation"] == "lobby" and event["kind"] == "message", f"{event}")
                ensure(form == "text" or event["client_id"] == mine, f"client_id is {event['client_id']} instead of {mine}")
                other.expect_none("a second copy", is_text(LOBBY, text), 0.2)


def same_id_twice(where, version):
    """The same id and text again is acknowledged, and nobody sees it twice."""
    with Client(where, version, "anna").connect() as anna, Client(where, version, "bert").connect() as bert:
        bert.subscribe(LOBBY, 1)
        text = f"once {time.time_ns()}"
        for _ in range(2):
            anna.publish(LOBBY, json.dumps({"id": text, "text": text}), 1)
        bert.expect("the message", is_text(LOBBY, text))
        bert.expect_none("the message again", is_text(LOBBY, text))


def last_message(where, version):
    """Who subscribes to a conversation gets its last message, retained."""
    with Client(where, version, "anna").connect() as anna, Client(where, version, "bert").connect() as bert:
        text = f"last words {time.time_ns()}"
        anna.publish(HELP, text, 1)
        bert.subscribe(HELP, 1)
        message = bert.expect("the last message", is_text(HELP, text))
        ensure(message.retain, f"it is not retained: {show(message)}")
        bert.expect_none("another one")


def with_websocket(where, version):
    """MQTT and WebSocket in one conversation: both see the same event."""
    with Client(where, version, "anna").connect() as anna:
        other = WebSocketUser(where.http, anna.uid, PASSWORD)
        other.call("conversation.subscribe", conversation="lobby")
        anna.subscribe(LOBBY, 1)
        text = f"over MQTT {time.time_ns()}"
        anna.publish(LOBBY, text, 1)
        there, here = other.expect_message(text), json.loads(anna.expect("one's own message", is_text(LOBBY, text)).payload)
        ensure(there == here, f"WebSocket has {there}, MQTT has {here}")
        text = f"over WebSocket {time.time_ns()}"
        sent = other.call("message.send", conversation="lobby", id=text, text=text)
        here = json.loads(anna.expect("the WebSocket client's message", is_text(LOBBY, text)).payload)
        ensure(here["seq"] == sent["seq"] and here["client_id"] == text, f"sent {sent}, came {here}")
        ensure(here == other.expect_message(text), "the two see different events")
        other.close()


def retained(where, version):
    """A retained publication on an application's topic: for later subscribers, until it is emptied."""
    topic = where.topic(f"board/{version}")
    with Client(where, version, "anna").connect() as anna:
        with Client(where, version, "bert").connect() as bert:
            bert.subscribe(topic, 1)
            for qos in (0, 1, 2):
                anna.publish(topic, f"notice {qos}", qos, retain=True)
                live = bert.expect("the live one", is_payload(topic, f"notice {qos}"))
                ensure(not live.retain, "retain is set on what comes live")
        with Client(where, version, "carl").connect() as carl:
            carl.subscribe(where.topic("board/#"), 2)
            kept = carl.expect("the kept one", is_payload(topic, "notice 2"))
            ensure(kept.retain and kept.qos == 2, f"not as it was kept: {show(kept)}")
        anna.publish(topic, "", 1, retain=True)
        with Client(where, version, "carl").connect() as carl:
            carl.subscribe(topic, 2)
            carl.expect_none("what was emptied")


def will(where, version):
    """A will comes when the connection is lost, after its delay, and not after DISCONNECT."""
    topic = f"conf/demo/topic/wills/{where.prefix}"
    with Client(where, version, "bert").connect() as bert:
        bert.subscribe(topic, 1)
        lost = Client(where, version, "anna", will=(topic, "lost", 1, False, 0)).connect()
        bert.expect_none("the will before the end")
        lost.drop()
        bert.expect("the will", is_payload(topic, "lost"))
        with Client(where, version, "anna", will=(topic, "left", 1, False, 0)).connect():
            pass
        bert.expect_none("the will of who left")
        if version == V5:
            delayed(where, bert, topic)
            back_in_time(where, bert, topic)


def delayed(where, bert, topic):
    lost = Client(where, V5, "anna", expiry=60, will=(topic, "late", 1, False, 1)).connect()
    lost.drop()
    start = time.monotonic()
    bert.expect_none("the delayed will at once", within=0.6)
    bert.expect("the delayed will", is_payload(topic, "late"))
    took = time.monotonic() - start
    ensure(0.9 <= took <= 3, f"a will with a delay of 1 s came after {took:.1f} s")


def back_in_time(where, bert, topic):
    """Who is back before the delay is over leaves no will (MQTT 5 §3.1.3.2.2)."""
    name = f"{where.prefix}-back"
    Client(where, V5, "anna", name, expiry=60, will=(topic, "not yet", 1, False, 2)).connect().drop()
    with Client(where, V5, "anna", name, clean=False, expiry=0).connect(present=True):
        bert.expect_none("the will of who is back", within=3)


def retained_will(where, version):
    topic = f"conf/demo/topic/wills/{where.prefix}/kept"
    Client(where, version, "anna", will=(topic, "gone", 1, True, 0)).connect().drop()
    time.sleep(SILENCE)
    with Client(where, version, "bert").connect() as bert:
        bert.subscribe(topic, 1)
        ensure(bert.expect("the kept will", is_payload(topic, "gone")).retain, "it is not retained")
        bert.publish(topic, "", 1, retain=True)


def persistent(where, version):
    """What is published while a client is away comes when it is back: all of it, once, in order."""
    name, count = f"{where.prefix}-away-{version}", 20
    topic = where.topic(f"away/{version}")

    def bert(clean):
        return Client(where, version, "bert", name, clean=clean, expiry=0 if clean else 3600)

    bert(True).connect().disconnect()
    with bert(False).connect() as first:
        first.subscribe(HELP, 1).subscribe(topic, 2)
    texts = [f"away {n} {time.time_ns()}" for n in range(count)]
    with Client(where, version, "anna").connect() as anna:
        mids = [anna.send(HELP, text, 1) for text in texts] + [anna.send(topic, text, 2) for text in texts]
        anna.wait_acked(mids, 30)
    with bert(False).connect(present=True) as back:
        messages = back.collect(2 * count, lambda message: message.topic in (HELP, topic))
        came = [json.loads(m.payload)["text"] for m in messages if m.topic == HELP]
        ensure(came == texts, f"at QoS 1 came {difference(texts, came)}")
        came = [m.payload.decode() for m in messages if m.topic == topic]
        ensure(came == texts, f"at QoS 2 came {difference(texts, came)}")
        odd = [show(m) for m in messages if m.dup or m.retain or m.qos != (1 if m.topic == HELP else 2)]
        ensure(not odd, f"flags: {odd}")
    with bert(False).connect(present=True) as again:
        again.expect_none("something that was delivered")
    bert(True).connect().disconnect()
    with bert(False).connect(present=False) as fresh:
        fresh.paho.publish(topic, "x", 1)
        fresh.expect_none("something for a session that was thrown away")
    bert(True).connect().disconnect()


def difference(wanted, came):
    missing = [text for text in wanted if text not in came]
    twice = sorted({text for text in came if came.count(text) > 1})
    others = [text for text in came if text not in wanted]
    return f"{len(came)} of {len(wanted)}; missing {missing[:3]}, more than once {twice[:3]}, others {others[:3]}, in order {came == sorted(came, key=lambda t: wanted.index(t) if t in wanted else -1)}"


def connected(where, version):
    """A persistent session that is connected gets everything, once and in order, while both QoS are published one behind the other."""
    name, count = f"{where.prefix}-busy-{version}", 500
    topics = [(where.topic(f"busy/{version}/{qos}"), qos) for qos in (1, 2)]

    def bert(clean):
        return Client(where, version, "bert", name, clean=clean, expiry=0 if clean else 3600)

    bert(True).connect().disconnect()
    with bert(False).connect() as reader, Client(where, version, "anna").connect() as anna:
        for topic, qos in topics:
            reader.subscribe(topic, qos)
        mids = []
        for n in range(count):
            mids += [anna.send(topic, str(n), qos) for topic, qos in topics]
            time.sleep(0.002)
        anna.wait_acked(mids, 60)
        messages = reader.collect(2 * count, lambda message: True)
        wanted = [str(n) for n in range(count)]
        for topic, qos in topics:
            came = [m.payload.decode() for m in messages if m.topic == topic]
            ensure(came == wanted, f"at QoS {qos} came {difference(wanted, came)}")
    bert(True).connect().disconnect()


def unacknowledged(where, version):
    """What was sent and not acknowledged when the connection is lost comes again, in its order and with DUP."""
    name, topic = f"{where.prefix}-silent-{version}", where.topic(f"silent/{version}")

    def bert(clean):
        return Client(where, version, "bert", name, clean=clean, expiry=0 if clean else 3600)

    bert(True).connect().disconnect()
    silent = bert(False)
    silent.paho.manual_ack_set(True)
    silent.connect().subscribe(topic, 1)
    with Client(where, version, "anna").connect() as anna:
        for text in ("one", "two", "three"):
            anna.publish(topic, text, 1)
    first = silent.collect(3, lambda message: message.topic == topic)
    ensure([m.payload for m in first] == [b"one", b"two", b"three"], f"came {[show(m) for m in first]}")
    silent.paho.ack(first[0].mid, 1)
    time.sleep(0.2)
    silent.drop()
    with bert(False).connect(present=True) as back:
        again = back.collect(2, lambda message: message.topic == topic)
        ensure([(m.payload, m.dup, m.mid) for m in again] == [(m.payload, True, m.mid) for m in first[1:]], f"came {[show(m) for m in again]}")
    with bert(False).connect(present=True) as once_more:
        once_more.expect_none("something that was acknowledged")
    bert(True).connect().disconnect()


def tls(where, version):
    """TLS with the server's own certificate, by both names."""
    for host in ("127.0.0.1", "localhost"):
        with Client(where, version, "anna", tls=True).connect(host=host) as anna:
            anna.subscribe(LOBBY, 1)
            text = f"over TLS {time.time_ns()}"
            anna.publish(LOBBY, text, 2)
            anna.expect("the message", is_text(LOBBY, text))


def json_rpc(where, version):
    """JSON-RPC: the answer comes to the response topic, or to one's own for want of one."""
    request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "conversation.list", "params": {}})
    with Client(where, version, "anna").connect() as anna:
        own = f"conf/demo/user/{anna.uid}/rpc"
        anna.subscribe(own, 1)
        props = None
        if version == V5:
            props = properties(PacketTypes.PUBLISH, ResponseTopic=own, CorrelationData=b"\x00which")
        anna.publish("conf/demo/rpc", request, 1, props=props)
        message = anna.expect("the answer", lambda message: message.topic == own)
        answer = json.loads(message.payload)
        ensure(answer.get("id") == 1 and "result" in answer, f"{answer}")
        names = {entry["conversation"] for entry in answer["result"]["conversations"]} if isinstance(answer["result"], dict) else {
            entry["conversation"] for entry in answer["result"]
        }
        ensure({"lobby", "help", "announcements"} <= names, f"conversations {names}")
        if version == V5:
            data = getattr(message.properties, "CorrelationData", None)
            ensure(data == b"\x00which", f"correlation data {data!r}")


def wrong_password(where, version):
    with Client(where, version, "anna").connect():
        pass
    stranger = Client(where, version, "anna", password="not the password")
    _, code, _ = stranger.try_connect()
    stranger.disconnect()
    # paho gives 3.1.1's return codes 4 and 5 by the words of 5.
    ensure(code.value in (0x86, 0x87), f"CONNACK says {code}")


def takeover(where, version):
    """The same client id again ends the older connection."""
    name = f"{where.prefix}-twin"
    older = Client(where, version, "anna", name).connect()
    with Client(where, version, "anna", name).connect():
        try:
            flags, code = older.gone.get(timeout=SOON)
        except queue.Empty:
            raise Failure("the older connection stays") from None
        if version == V5:
            ensure(flags.is_disconnect_packet_from_server and code.value == 0x8E, f"it ended with {code}")
    older.paho.loop_stop()


def v5_properties(where, _version):
    """Content type, user properties and the like go through an application's topic untouched."""
    topic = where.topic("properties")
    with Client(where, V5, "anna").connect() as anna, Client(where, V5, "bert").connect() as bert:
        bert.subscribe(topic, 1)
        props = properties(
            PacketTypes.PUBLISH, ContentType="application/json", PayloadFormatIndicator=1, UserProperty=[("a", "1"), ("a", "2")],
            MessageExpiryInterval=60,
        )
        anna.publish(topic, '{"x":1}', 1, props=props)
        got = bert.expect("the publication", is_payload(topic, '{"x":1}')).properties
        ensure(got.ContentType == "application/json" and got.PayloadFormatIndicator == 1, f"{got}")
        ensure(got.UserProperty == [("a", "1"), ("a", "2")], f"{got}")
        ensure(0 < got.MessageExpiryInterval <= 60, f"{got}")


def no_local(where, _version):
    with Client(where, V5, "anna").connect() as anna:
        anna.subscribe(LOBBY, 1, noLocal=True, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
        anna.publish(LOBBY, f"to the others {time.time_ns()}", 1)
        anna.expect_none("one's own message, or a retained one")


BOTH = [
    ("two clients talk at QoS 0, 1 and 2", chat),
    ("the same id twice is one message", same_id_twice),
    ("a conversation's last message is retained", last_message),
    ("together with a WebSocket client", with_websocket),
    ("retained publications", retained),
    ("wills", will),
    ("a retained will", retained_will),
    ("a persistent session gets all 20 of each QoS, once and in order", persistent),
    ("a persistent session that is connected gets everything", connected),
    ("what was not acknowledged comes again with DUP", unacknowledged),
    ("TLS with the server's certificate", tls),
    ("JSON-RPC over MQTT", json_rpc),
    ("a wrong password is refused", wrong_password),
    ("the same client id takes over", takeover),
]
ONLY_V5 = [("properties of publications", v5_properties), ("no local, retain handling", no_local)]


# Over a kill. One client of each version is away, another is connected when the server dies.

KILL_TEXTS = 4000


def receivers(where, version):
    """Those whose sessions outlive the server: name, and whether it is away at the kill."""
    return [(f"{where.prefix}-kill-{version}-away", True), (f"{where.prefix}-kill-{version}-there", False)]


def kill_client(where, version, name, clean=False):
    return Client(where, version, "bert", name, clean=clean, expiry=0 if clean else 3600)


def kill_topics(where, version):
    return [(where.topic(f"kill/{version}/1"), 1), (where.topic(f"kill/{version}/2"), 2)]


def before_kill(where, state_file):
    """Publishes until the server is gone, and keeps what was acknowledged and what had come."""
    state, there, senders = {}, {}, {}
    for version in (V4, V5):
        for name, away in receivers(where, version):
            kill_client(where, version, name, clean=True).connect().disconnect()
            client = kill_client(where, version, name).connect()
            for topic, qos in kill_topics(where, version):
                client.subscribe(topic, qos)
            if away:
                client.disconnect()
            else:
                there[version] = client
        senders[version] = Client(where, version, "anna").connect()
    print("ok persistent sessions made", flush=True)
    sent = {version: [] for version in senders}

    def publish(version):
        sender = senders[version]
        for n in range(KILL_TEXTS):
            for topic, qos in kill_topics(where, version):
                if not sender.gone.empty():
                    return
                sent[version].append((qos, str(n), sender.paho.publish(topic, str(n), qos).mid))
            time.sleep(0.002)

    threads = [threading.Thread(target=publish, args=(version,)) for version in senders]
    for thread in threads:
        thread.start()
    while any(sum(not code.is_failure for code in list(sender.acked.values())) < 40 for sender in senders.values()):
        ensure(all(thread.is_alive() for thread in threads), "the publishers ended before 40 publications were acknowledged")
        time.sleep(0.05)
    print("kill", flush=True)
    for client in [*senders.values(), *there.values()]:
        try:
            client.gone.get(timeout=60)
        except queue.Empty:
            raise Failure("nobody killed the server within 60 s") from None
    for thread in threads:
        thread.join()
    for version, sender in senders.items():
        acked = [(qos, text) for qos, text, mid in sent[version] if mid in sender.acked and not sender.acked[mid].is_failure]
        came = [(m.qos, m.payload.decode()) for m in there[version].collect(10**9, lambda m: True, within=SILENCE)]
        # What a client with storage would keep: messages of QoS 2 that came and were not released.
        held = [(mid, m.topic, m.payload.decode()) for mid, m in there[version].paho._in_messages.items()]
        state[str(int(version))] = {"acked": acked, "came": came, "held": held, "sent": len(sent[version])}
    with open(state_file, "w", encoding="utf-8") as file:
        json.dump(state, file)
    print(f"ok published until the kill: {', '.join(str(len(s['acked'])) + ' acknowledged' for s in state.values())}", flush=True)


def after_kill(where, state_file, checks):
    with open(state_file, encoding="utf-8") as file:
        state = json.load(file)
    for version in (V4, V5):
        saved = state[str(int(version))]
        for name, away in receivers(where, version):
            label = f"v{version}: after the kill, who was {'away' if away else 'connected'} has everything acknowledged"
            checks.check(label, lambda: survived(where, version, name, away, saved))


def survived(where, version, name, away, saved):
    client = kill_client(where, version, name)
    came = [] if away else [(qos, text) for qos, text in saved["came"]]
    if not away:
        for mid, topic, payload in saved["held"]:
            message = mqtt.MQTTMessage(mid, topic.encode())
            message.payload, message.qos = payload.encode(), 2
            client.paho._in_messages[mid] = message
    with client.connect(present=True):
        acked = [(qos, text) for qos, text in saved["acked"]]
        later = client.collect(10**9, lambda m: True, within=6)
    problems = []
    missing = sorted(set(acked) - set(came) - {(m.qos, m.payload.decode()) for m in later})
    if missing:
        problems.append(f"{len(missing)} of {len(acked)} acknowledged are missing, such as {missing[:5]}")
    seen, twice, unmarked = set(came), [], []
    for message in later:
        key = (message.qos, message.payload.decode())
        if key in seen:
            if message.qos == 2:
                twice.append(key)
            elif not message.dup:
                unmarked.append(key)
        seen.add(key)
    if twice:
        problems.append(f"{len(twice)} of QoS 2 came twice, such as {twice[:5]}")
    if unmarked:
        problems.append(f"{len(unmarked)} of QoS 1 came again without DUP, such as {unmarked[:5]}")
    for qos in (1, 2):
        first = list(dict.fromkeys(int(text) for q, text in came + [(m.qos, m.payload.decode()) for m in later] if q == qos))
        if first != sorted(first):
            problems.append(f"QoS {qos} is out of order: {first}")
    ensure(not problems, "; ".join(problems) + f" ({len(came)} had come before, {len(later)} came after)")


class Checks:
    """Runs checks, prints a line for each, and goes on after a failure."""

    def __init__(self):
        self.failed = 0

    def check(self, label, run):
        try:
            run()
            print(f"ok {label}", flush=True)
        except Exception as error:  # whatever a library throws is a failure of the check
            self.failed += 1
            print(f"FAIL {label}: {error if isinstance(error, Failure) else repr(error)}", flush=True)


def main(arguments):
    if len(arguments) < 5:
        sys.exit(__doc__)
    where, step = Where(*arguments[:5]), arguments[5] if len(arguments) > 5 else "all"
    checks = Checks()
    if step == "all":
        for version, name in ((V4, "v4"), (V5, "v5")):
            for label, run in BOTH + (ONLY_V5 if version == V5 else []):
                checks.check(f"paho {name}: {label}", lambda: run(where, version))
    elif step in ("before-kill", "after-kill") and len(arguments) > 6:
        if step == "before-kill":
            checks.check("paho: before the kill", lambda: before_kill(where, arguments[6]))
        else:
            after_kill(where, arguments[6], checks)
    else:
        sys.exit(__doc__)
    # Threads of a client whose check failed must not keep the program.
    sys.stdout.flush()
    os._exit(1 if checks.failed else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
