// A connection that the user opens, for the pages of plugins that may refuse a client.
"use strict";

/** The endpoint is `/NAME`, and the ids of the page's elements begin with `NAME-`. */
class Talk {
  constructor(name, onConnect) {
    this.part = (part) => document.getElementById(`${name}-${part}`);
    this.log = new MessageLog(this.part("log"));
    this.onState = () => {};
    this.socket = new LiveSocket(`/${name}`, {
      reconnect: false,
      status: this.part("status"),
      onState: (state) => this.stateChanged(state),
      onMessage: (data) => this.log.add("received", data),
      onClose: (_, text) => this.log.add("info", text),
    });

    this.part("connection").addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.socket.state !== "closed") {
        this.socket.close();
        return;
      }
      onConnect();
      this.socket.connect();
    });
    this.part("form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.socket.send(this.part("input").value);
      this.log.add("sent", this.part("input").value);
    });
  }

  stateChanged(state) {
    const open = state === "open";
    this.part("send").disabled = !open;
    this.part("connect").disabled = state === "closing";
    const labels = { open: "Disconnect", connecting: "Cancel", closing: "Disconnect" };
    this.part("connect").textContent = labels[state] ?? "Connect";
    this.onState(state);
  }
}
