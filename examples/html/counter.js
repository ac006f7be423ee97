// The counter: the clicks of everybody in a room, and who plays there.
"use strict";

{
  const part = (name) => document.getElementById(`counter-${name}`);
  const room = location.hash.slice(1) || "hall";
  let name = `guest-${Math.floor(1000 + 9000 * Math.random())}`;

  addEventListener("hashchange", () => location.reload());
  part("room").textContent = room;
  part("name").value = name;

  const show = ({ players, type, position, data }) => {
    if (players) {
      part("players").textContent = players.join(", ");
    } else if (type === "message") {
      // Each click is a message of the room's topic, and its offset is how many there were.
      part("value").textContent = position.split("-")[1];
      part("last").textContent = data;
    }
  };

  const path = () => `/counter/${room}?name=${encodeURIComponent(name)}`;
  const socket = new LiveSocket(path(), {
    status: part("status"),
    onState: (state) => (part("click").disabled = state !== "open"),
    onMessage: (message) => show(JSON.parse(message)),
  });

  part("click").addEventListener("click", () => socket.send(JSON.stringify({ clicks: 1 })));
  part("form").addEventListener("submit", (event) => {
    event.preventDefault();
    name = part("name").value;
    socket.path = path();
    // The loss of the connection makes it connect again, with the new name.
    socket.socket?.close();
  });
  socket.connect();
}
