// A connection that the user opens, for the pages of plugins that may refuse a client.
"use strict";

/** The endpoint is `/NAME`, and the ids of the page's elements begin with `NAME-`. */
class Talk {
  constructor(name, onConnect) {
    this.part = (part) => document.getElementById(`${name}-${part}`);
    this.log = new MessageLog(this.part("log"));
    this.wasOpen = false;
    this.onState = () => {};
    this.socket = new LiveSocket(`/${name}`, {
      reconnect: false,
      status: this.part("status"),
      onState: (state) => this.stateChanged(state),
      onMessage: (data) => this.log.add("received", data),
      onClose: (event) => this.closed(event),
    });

    this.part("connection").addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.socket.isOpen) {
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
    this.wasOpen ||= open;
    this.part("send").disabled = !open;
    this.part("connect").disabled = state === "connecting" || state === "closing";
    this.part("connect").textContent = open ? "Disconnect" : "Connect";
    this.onState(state);
  }

  closed({ code }) {
    // Browsers do not tell scripts the HTTP status of the response.
    this.log.add("info", this.wasOpen ? `closed: code ${code}` : "refused");
    this.wasOpen = false;
  }
}
