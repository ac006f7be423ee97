// The clock that the server sends to all clients.
"use strict";

{
  const value = document.getElementById("ticker-value");
  const interval = document.getElementById("ticker-interval");
  let last;

  const socket = new LiveSocket("/ticker", {
    status: document.getElementById("ticker-status"),
    onState: () => {
      last = undefined;
      interval.textContent = "–";
    },
    onMessage: (seconds) => {
      value.textContent = MessageLog.clock(new Date(1000 * seconds));
      const now = performance.now();
      if (last !== undefined) {
        interval.textContent = `${Math.round(now - last)} ms`;
      }
      last = now;
    },
  });
  socket.connect();
}
