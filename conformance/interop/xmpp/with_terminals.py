#!/usr/bin/env python3
"""An XMPP server as profanity and mcabber see it, each driven in a terminal of its own (tmux).

    with_terminals.py [--client profanity|mcabber] HTTP XMPP XMPPS CA DOMAIN PREFIX

The arguments are those of with_slixmpp.py; the other one whom they talk to is at slixmpp. One line per check, 'ok WHAT' or 'FAIL WHAT: WHY';
the exit status is 0 when none failed. What the terminal showed in a check that failed is on stderr.
"""

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
import time

from people import PASSWORD, Failure, Where, ensure

# What is waited for is looked for this often, and for so long. Seconds.
LOOK_EVERY, SHOWN_WITHIN = 0.1, 15
COLUMNS, ROWS = 180, 50


class Terminal:
    """A program in a tmux of its own: what is typed, what is shown."""

    def __init__(self, home):
        self.home = home
        self.socket = os.path.join(home, "tmux")

    async def tmux(self, *arguments):
        environment = {**os.environ, "HOME": self.home, "LC_ALL": "C.UTF-8", "TERM": "screen"}
        for name in ("TMUX", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
            environment.pop(name, None)
        process = await asyncio.create_subprocess_exec(
            "tmux", "-S", self.socket, "-f", "/dev/null", *arguments, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, error = await process.communicate()
        ensure(process.returncode == 0, f"tmux {arguments[0]}: {error.decode().strip()}")
        return out.decode()

    async def start(self, *command):
        await self.tmux("new-session", "-d", "-x", str(COLUMNS), "-y", str(ROWS), "-c", self.home, *command)

    async def type(self, line):
        await self.tmux("send-keys", "-l", line)
        await self.tmux("send-keys", "Enter")

    async def screen(self):
        return await self.tmux("capture-pane", "-p")

    async def last_screen(self):
        try:
            return await self.screen()
        except Failure:
            return "the terminal has ended"

    async def shows(self, *texts, within=SHOWN_WITHIN):
        """Waits until all of them are on the screen, in this order."""
        end = time.monotonic() + within
        while True:
            screen = await self.screen()
            at = 0
            for text in texts:
                at = screen.find(text, at) if at >= 0 else at
            if at >= 0:
                return screen
            ensure(time.monotonic() < end, f"within {within} s the screen did not show {texts}")
            await asyncio.sleep(LOOK_EVERY)

    async def end(self):
        try:
            await self.tmux("kill-server")
        except Failure:
            pass  # the program has ended, and tmux with it


def write(home, path, text):
    path = os.path.join(home, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, 0o600)


class Profanity:
    """STARTTLS; the certificate is trusted as it is. SCRAM by libstrophe."""

    name = "profanity"

    def __init__(self, where, terminal):
        self.where, self.terminal = where, terminal

    async def start(self):
        host, port = self.where.plain.rsplit(":", 1)
        account = {"enabled": "true", "jid": self.where.jid("anna"), "server": host, "port": port, "tls.policy": "trust", "password": PASSWORD}
        lines = "".join(f"{key}={value}\n" for key, value in {**account, "resource": "profanity", "muc.nick": self.where.nick("anna")}.items())
        write(self.terminal.home, ".local/share/profanity/accounts", f"[anna]\n{lines}")
        await self.terminal.start("profanity", "-a", "anna")
        await self.terminal.shows("logged in successfully")

    async def join(self, room):
        await self.terminal.type(f"/join {room}")
        await self.terminal.shows(f"You have joined the room as {self.where.nick('anna')}")

    async def say(self, text):
        await self.terminal.type(text)

    async def write_to(self, jid, text):
        # In a room's window the name would be an occupant's.
        await self.terminal.type("/win 1")
        await self.terminal.type(f"/msg {jid} {text}")

    async def look_at(self, jid):
        await self.terminal.type(f"/msg {jid}")

    async def occupants(self):
        await self.terminal.type("/who")

    async def quit(self):
        await self.terminal.type("/quit")


class Mcabber:
    """STARTTLS; the certificate is not looked at."""

    name = "mcabber"

    def __init__(self, where, terminal):
        self.where, self.terminal = where, terminal

    async def start(self):
        host, port = self.where.plain.rsplit(":", 1)
        settings = {"jid": self.where.jid("anna"), "password": PASSWORD, "server": host, "port": port, "tls": 1, "ssl_ignore_checks": 1}
        more = {"resource": "mcabber", "log_win_height": 8, "beep_on_message": 0, "muc_print_status": 2, "logging": 0, "nickname": self.where.nick("anna")}
        lines = "".join(f"set {key} = {value}\n" for key, value in {**settings, **more}.items())
        write(self.terminal.home, "mcabberrc", lines)
        await self.terminal.start("mcabber", "-f", os.path.join(self.terminal.home, "mcabberrc"))
        # The fingerprint tells that TLS is there, the status that its presence came back.
        await self.terminal.shows("Remote fingerprint:", "Your status has been set")

    async def join(self, room):
        await self.terminal.type(f'/room join {room} "{self.where.nick("anna")}"')
        await self.terminal.shows(f'You have joined {room} as "{self.where.nick("anna")}"')
        await self.look_at(room)

    async def say(self, text):
        await self.terminal.type(text)

    async def write_to(self, jid, text):
        await self.terminal.type(f"/say_to {jid} {text}")

    async def look_at(self, jid):
        await self.terminal.type(f"/roster search {jid}")
        # In chat mode the buffer is shown.
        await self.terminal.type("")

    async def occupants(self):
        await self.terminal.type("/room names")

    async def quit(self):
        await self.terminal.type("/quit")


class Story:
    """One client, from login to the end; the checks go on where the one before left off."""

    def __init__(self, client, where, bert):
        self.client, self.where, self.bert = client, where, bert

    async def login(self):
        await self.client.start()

    async def room(self):
        self.before = [self.where.unique("before you came") for _ in range(3)]
        await self.bert.join(self.where.lobby)
        for text in self.before:
            self.bert.say(self.where.lobby, text, "groupchat")
            await self.bert.expect_text(text)
        await self.client.join(self.where.lobby)
        occupant = f"{self.where.lobby}/{self.where.nick('anna')}"
        await self.bert.expect("presence stanza", "the presence in the room", lambda one: one["from"] == occupant)

    async def history(self):
        await self.client.terminal.shows(*self.before)

    async def occupants(self):
        await self.client.occupants()
        await self.client.terminal.shows(self.where.nick("bert"))

    async def talk(self):
        mine, other = self.where.unique("from the terminal é€"), self.where.unique("to the terminal é€")
        await self.client.say(mine)
        got = await self.bert.expect_text(mine)
        ensure(got["from"] == f"{self.where.lobby}/{self.where.nick('anna')}", f"{got}")
        self.bert.say(self.where.lobby, other, "groupchat")
        screen = await self.client.terminal.shows(mine, other)
        ensure(screen.count(mine) == 1 and screen.count(other) == 1, "a message is shown more than once")

    async def chat(self):
        mine, other = self.where.unique("between us"), self.where.unique("an answer")
        jid = self.bert.boundjid.bare
        await self.client.write_to(jid, mine)
        got = await self.bert.expect_text(mine)
        ensure(got["from"].bare == self.where.jid("anna") and got["type"] == "chat", f"{got}")
        self.bert.say(got["from"], other)
        await self.client.look_at(jid)
        screen = await self.client.terminal.shows(mine, other)
        ensure(screen.count(mine) == 1 and screen.count(other) == 1, "a message is shown more than once")

    async def leaves(self):
        await self.client.quit()
        await self.bert.expect_gone(f"{self.where.lobby}/{self.where.nick('anna')}")


async def run(where, kind):
    failed = 0
    home = tempfile.mkdtemp(prefix=f"interop-{kind.name}-")
    terminal = Terminal(home)
    client = kind(where, terminal)
    try:
        async with where.online("bert") as bert:
            story = Story(client, where, bert)
            checks = [
                ("login", story.login),
                ("a room", story.room),
                ("the room's history", story.history),
                ("the room's occupants", story.occupants),
                ("a message sent and one received", story.talk),
                ("a chat", story.chat),
                ("leaving", story.leaves),
            ]
            for at, (label, check) in enumerate(checks):
                try:
                    await check()
                    print(f"ok {client.name}: {label}", flush=True)
                except Exception as error:
                    screen = await terminal.last_screen()
                    print(f"FAIL {client.name}: {label}: {' '.join(str(error or repr(error)).split())}", flush=True)
                    print(f"-- {client.name}: {label}\n{screen.strip()}", file=sys.stderr)
                    failed += 1
                    # Each needs what was before.
                    for left, _ in checks[at + 1 :] if at < 2 else []:
                        print(f"FAIL {client.name}: {left}: not tried", flush=True)
                        failed += 1
                    if at < 2:
                        break
    finally:
        await terminal.end()
        shutil.rmtree(home, ignore_errors=True)
    return failed


async def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--client", choices=["profanity", "mcabber"])
    parser.add_argument("names", nargs=6)
    options = parser.parse_args()
    where = Where(*options.names)
    for user in ("anna", "bert"):
        where.register(user)
    kinds = [kind for kind in (Profanity, Mcabber) if options.client in (None, kind.name)]
    return sum([await run(where, kind) for kind in kinds])


if __name__ == "__main__":
    sys.exit(1 if asyncio.run(main()) else 0)
