"""Sends messages that resemble each other, compressed, and expects the same back."""

import sys

import tornado.ioloop
import tornado.websocket


async def main():
    socket = await tornado.websocket.websocket_connect(sys.argv[1], compression_options={})
    for number in range(100):
        message = f"message {number}: " + "this text resembles the one before; " * (1 + number * 3)
        await socket.write_message(message)
        answer = await socket.read_message()
        if answer != message:
            sys.exit(f"message {number}: closed with {socket.close_code}: {answer!r}")
    if socket.protocol._compressor is None:
        sys.exit("not compressed")
    socket.close()


tornado.ioloop.IOLoop.current().run_sync(main)
