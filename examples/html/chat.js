// The chat: the events of a room, and the user's name.
"use strict";

{
  const part = (name) => document.getElementById(`chat-${name}`);
  const log = new MessageLog(part("log"));
  const room = location.hash.slice(1) || "lobby";
  let name; // the user's choice, to be sent again after a reconnect

  addEventListener("hashchange", () => location.reload());
  part("room").textContent = room;

  const rename = () => socket.send(JSON.stringify({ type: "rename", name }));

  const show = (event) => {
    switch (event.type) {
      case "you":
        part("you").textContent = event.name;
        return;
      case "said":
        return log.add("said", `${event.name}: ${event.text}`);
      case "joined":
        return log.add("info", `${event.name} has come in`);
      case "renamed":
        return log.add("info", `${event.from} is now ${event.name}`);
      case "left":
        return log.add("info", `${event.name} has left`);
    }
  };

  const socket = new LiveSocket(`/chat/${room}`, {
    status: part("status"),
    onState: (state) => {
      const open = state === "open";
      part("send").disabled = !open;
      part("rename").disabled = !open;
      if (open) {
        // The server sends the last messages again.
        log.clear();
        name && rename();
      }
    },
    onMessage: (data) => show(JSON.parse(data)),
    onClose: ({ reason }) => reason && log.add("info", `disconnected: ${reason}`),
  });

  part("form").addEventListener("submit", (event) => {
    event.preventDefault();
    socket.send(JSON.stringify({ type: "say", text: part("input").value }));
    part("input").value = "";
  });
  part("name-form").addEventListener("submit", (event) => {
    event.preventDefault();
    name = part("name").value;
    rename();
  });
  socket.connect();
}
