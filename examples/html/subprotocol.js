// The subprotocols that the client offers, and the one that the plugin has chosen.
"use strict";

{
  const talk = new Talk("subprotocol", () => {
    talk.socket.protocols = talk.part("offer").value.split(" ");
  });
  talk.onState = (state) => {
    talk.part("offer").disabled = state !== "closed";
    talk.part("chosen").textContent = state === "open" ? talk.socket.socket.protocol : "–";
  };
}
