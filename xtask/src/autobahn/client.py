"""Runs kosoku's command line, with a fault of its compression cases put right.

A server may send messages uncompressed on a connection with compression. kosoku hands such a message
over as str, of characters or, if it is binary, of bytes; these cases only expect bytes.
"""

from kosoku import _caseindex, _cli

_caseindex.initialize_shims()

import case12_x_x as cases  # noqa: E402  (its folder is in the path only now)


def with_bytes(on_message):
    def wrapped(self, message, binary):
        if isinstance(message, str):
            message = message.encode("latin-1" if binary else "utf-8")
        return on_message(self, message, binary)

    return wrapped


for case in cases.Case12_X_X + cases.Case13_X_X:
    case.onMessage = with_bytes(case.onMessage)

_cli.main()
