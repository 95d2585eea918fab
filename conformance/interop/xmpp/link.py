#!/usr/bin/env python3
"""A TCP link that can be cut as networks are cut: the client is thrown off, the server hears nothing, no FIN and no RST.

    link.py HOST:PORT   prints its own HOST:PORT; then takes lines on stdin and answers each with 'VERB N', N connections
                        silence   from now on what either side sends is lost, and neither can know
                        cut       the same, and the clients are thrown off

New connections go through. It ends with its stdin. An HTTP request on it names the server's own address as the Host, as a proxy's does.
"""

import asyncio
import sys

CHUNK_BYTES = 65536


class Link:
    """Forwards to a server until it is cut."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.target = host, int(port)
        # Per connection: the client's and the server's writer, and the two tasks that forward.
        self.connections = []
        # Clients' and servers' ends that nothing is forwarded between.
        self.silent = []
        # Servers' ends that were cut; they stay open until close().
        self.dead = []

    async def open(self):
        self.server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.address = "%s:%d" % self.server.sockets[0].getsockname()
        return self

    async def _accept(self, reader, writer):
        try:
            there_reader, there_writer = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        connection = [writer, there_writer]
        self.connections.append(connection)
        connection.append(asyncio.ensure_future(self._forward(reader, there_writer, connection)))
        connection.append(asyncio.ensure_future(self._forward(there_reader, writer, connection)))

    async def _forward(self, reader, writer, connection):
        own, target = self.address.encode(), b"%s:%d" % (self.target[0].encode(), self.target[1])
        try:
            while data := await reader.read(CHUNK_BYTES):
                if data.startswith(b"GET /"):
                    data = data.replace(b"Host: " + own, b"Host: " + target)
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        if connection in self.connections:
            writer.close()

    def silence(self):
        """Ends the forwarding, unnoticed; how many connections that were."""
        silenced, self.connections = self.connections, []
        for client, server, *tasks in silenced:
            for task in tasks:
                task.cancel()
            self.silent.append((client, server))
        return sum(not client.is_closing() for client, _, *_ in silenced)

    def cut(self):
        """Throws the clients off, those of silent connections too; how many."""
        self.silence()
        cut, self.silent = self.silent, []
        count = sum(not client.is_closing() for client, _ in cut)
        for client, server in cut:
            client.transport.abort()
            self.dead.append(server)
        return count

    def close(self):
        self.cut()
        for server in self.dead:
            server.transport.abort()
        self.server.close()


async def main(address):
    link = await Link(address).open()
    print(link.address, flush=True)
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        verb = line.strip().decode()
        if verb in ("cut", "silence"):
            print(verb, getattr(link, verb)(), flush=True)
    link.close()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    asyncio.run(main(sys.argv[1]))
