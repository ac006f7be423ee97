"""Runs kosoku's command line, with a bug in its compression cases fixed.

A server may send uncompressed messages on a connection with compression. kosoku passes such a
message as a str of characters, or of bytes if it is binary, but these cases only expect bytes.
"""

from kosoku import _caseindex, _cli

_caseindex.initialize_shims()

import case12_x_x as cases  # noqa: E402  (the call above adds its folder to the path)


def with_bytes(on_message):
    def wrapped(self, message, binary):
        if isinstance(message, str):
            message = message.encode("latin-1" if binary else "utf-8")
        return on_message(self, message, binary)

    return wrapped


for case in cases.Case12_X_X + cases.Case13_X_X:
    case.onMessage = with_bytes(case.onMessage)

_cli.main()
