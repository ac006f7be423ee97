"""Forwards plain connections to a TLS port of localhost, which is the first argument.

The second argument is the file of the certificate to trust. Prints the port on which it listens,
and ends when its standard input does.
"""

import asyncio
import ssl
import sys


async def copy(reader, writer):
    try:
        while data := await reader.read(1 << 18):
            writer.write(data)
            await writer.drain()
    except (ConnectionError, ssl.SSLError):
        pass  # a reset ends the other side as well
    finally:
        writer.close()


async def main(port, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certificate)

    async def forward(reader, writer):
        tls = asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
        tls_reader, tls_writer = await tls
        await asyncio.gather(copy(reader, tls_writer), copy(tls_reader, writer))

    server = await asyncio.start_server(forward, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
