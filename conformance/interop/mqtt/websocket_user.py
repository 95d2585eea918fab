#!/usr/bin/env python3
"""Somebody at Hallway's WebSocket, for programs that look whether MQTT and WebSocket see the same.

    websocket_user.py HTTP UID PASSWORD CONVERSATION expect TEXT   prints 'ready', waits for the message, prints its event
    websocket_user.py HTTP UID PASSWORD CONVERSATION send TEXT     sends it, prints the answer
"""

import json
import sys
import time
import urllib.request

from websockets.sync.client import connect as websocket

SOON = 10


class Failure(Exception):
    """A check that did not hold."""


def ensure(holds, why):
    if not holds:
        raise Failure(why)


class WebSocketUser:
    """A JSON-RPC client at /ws."""

    def __init__(self, http, uid, password):
        body = json.dumps({"conference": "demo", "uid": uid, "password": password}).encode()
        request = urllib.request.Request(f"http://{http}/api/login", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=SOON) as answer:
            token = json.load(answer)["token"]
        self.connection = websocket(f"ws://{http}/ws", subprotocols=["hallway.v1"])
        self.socket = self.connection.__enter__()
        self.calls, self.notifications = 0, []
        self.call("session.hello", token=token)

    def call(self, method, **params):
        self.calls += 1
        self.socket.send(json.dumps({"jsonrpc": "2.0", "id": self.calls, "method": method, "params": params}))
        while True:
            answer = json.loads(self.socket.recv(timeout=SOON))
            if answer.get("id") == self.calls:
                ensure("result" in answer, f"{method} was answered {answer}")
                return answer["result"]
            self.notifications.append(answer)

    def expect_message(self, text):
        end = time.monotonic() + SOON
        while True:
            for notification in self.notifications:
                if notification.get("method") == "message" and notification["params"].get("text") == text:
                    return notification["params"]
            self.notifications = []
            try:
                self.notifications.append(json.loads(self.socket.recv(timeout=max(0, end - time.monotonic()))))
            except TimeoutError:
                raise Failure(f"message {text!r} did not come to the WebSocket client") from None

    def close(self):
        self.connection.__exit__(None, None, None)


def main(arguments):
    if len(arguments) != 6 or arguments[4] not in ("expect", "send"):
        sys.exit(__doc__)
    http, uid, password, conversation, verb, text = arguments
    user = WebSocketUser(http, uid, password)
    if verb == "send":
        print(json.dumps(user.call("message.send", conversation=conversation, id=text, text=text)))
    else:
        user.call("conversation.subscribe", conversation=conversation)
        print("ready", flush=True)
        print(json.dumps(user.expect_message(text)))
    user.close()


if __name__ == "__main__":
    main(sys.argv[1:])
