// The live counter: the server's number, its rate, and a button to reset it.
"use strict";

{
  const RATE_WINDOW = 20; // messages
  const value = document.getElementById("increment-value");
  const rate = document.getElementById("increment-rate");
  const reset = document.getElementById("increment-reset");
  let arrivals = [];

  const showRate = () => {
    const seconds = (arrivals.at(-1) - arrivals[0]) / 1000;
    rate.textContent = seconds > 0 ? `${((arrivals.length - 1) / seconds).toFixed(1)} / s` : "–";
  };

  const socket = new LiveSocket("/dumb-increment", {
    protocols: ["dumb-increment-protocol"],
    status: document.getElementById("increment-status"),
    onState: (state) => {
      reset.disabled = state !== "open";
      arrivals = [];
      showRate();
    },
    onMessage: (number) => {
      value.textContent = number;
      arrivals = [...arrivals, performance.now()].slice(-RATE_WINDOW - 1);
      showRate();
    },
  });

  reset.addEventListener("click", () => socket.send("reset\n"));
  socket.connect();
}
