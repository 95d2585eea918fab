#!/usr/bin/env python3
"""An XMPP server as slixmpp 1.x sees it.

    with_slixmpp.py [--only WORDS] [--without CHECK,…] HTTP XMPP XMPPS CA DOMAIN PREFIX

HTTP, XMPP and XMPPS are HOST:PORT, CA is the server's certificate, rooms are at rooms.DOMAIN: lobby and help are there. PREFIX begins every
user name, so that runs on one server do not disturb each other. Accounts are made by POST /api/register; where there is no such thing,
PREFIX-anna, PREFIX-bert and PREFIX-carl must exist. PREFIX-staff, who may administer rooms, must exist everywhere. The password of all is
'correct horse battery'. --without leaves out checks of what the server does not promise, and says so.

One line per check, 'ok WHAT' or 'FAIL WHAT: WHY'; the exit status is 0 when none failed. The last lines of what the clients sent and heard
in a check that failed are on stderr.
"""

import argparse
import asyncio
import sys
import traceback

import slixmpp_account
import slixmpp_chats
import slixmpp_login
import slixmpp_rooms
from people import WIRE_SHOWN, Failure, Where
from slixmpp.exceptions import IqError, IqTimeout, PresenceError

# A check that takes longer hangs. Seconds.
CHECK_WITHIN = 40
AREAS = {"login": slixmpp_login, "rooms": slixmpp_rooms, "chats": slixmpp_chats, "account": slixmpp_account}


def reason(error):
    match error:
        case Failure():
            return str(error)
        case IqError() | IqTimeout():
            return f"{error.iq} was the answer"
        case PresenceError():
            return f"{error.presence} was the answer"
        case asyncio.TimeoutError():
            return f"not done within {CHECK_WITHIN} s"
    return "".join(traceback.format_exception(error))


def show_wire(where):
    for client in where.clients:
        print(f"-- {client.boundjid}", file=sys.stderr)
        for line in client.wire[-WIRE_SHOWN:]:
            print(f"   {line[:2000]}", file=sys.stderr)


async def run(where, only, without):
    for user in ("anna", "bert", "carl"):
        where.register(user)
    failed = 0
    for area, module in AREAS.items():
        for label, check in module.CHECKS:
            name = f"slixmpp {area}: {label}"
            if only not in name:
                continue
            if label in without:
                print(f"ok left out, as told: {name}", flush=True)
                continue
            where.clients.clear()
            try:
                await asyncio.wait_for(check(where), CHECK_WITHIN)
                print(f"ok {name}", flush=True)
            except Exception as error:  # whatever it was, the next check is tried
                failed += 1
                print(f"FAIL {name}: {' '.join(reason(error).split())}", flush=True)
                print(f"FAIL {name}", file=sys.stderr)
                show_wire(where)
    return failed


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--only", default="")
    parser.add_argument("--without", default="")
    parser.add_argument("names", nargs=6)
    options = parser.parse_args()
    sys.exit(1 if asyncio.run(run(Where(*options.names), options.only, options.without.split(","))) else 0)


if __name__ == "__main__":
    main()
