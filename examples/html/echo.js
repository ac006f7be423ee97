// The echo client. index.html uses it alone, echo.html with the controls of echo-page.js.
"use strict";

/** Sends messages, logs them and their echoes, and measures the round-trip time. */
class EchoClient {
  constructor(path) {
    this.log = new MessageLog(document.getElementById("echo-log"));
    this.rtt = document.getElementById("echo-rtt");
    this.sentAt = []; // times of messages without an echo yet; echoes arrive in order
    this.onState = () => {};
    this.onClose = () => {};
    this.socket = new LiveSocket(path, {
      status: document.getElementById("echo-status"),
      onState: (state) => this.stateChanged(state),
      onMessage: (data) => this.received(data),
      onClose: (event) => this.onClose(event),
    });

    const input = document.getElementById("echo-input");
    document.getElementById("echo-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.send(input.value);
      input.select();
    });
  }

  send(data) {
    this.socket.send(data);
    this.sentAt.push(performance.now());
    this.log.add("sent", data);
  }

  received(data) {
    this.log.add("received", data);
    if (this.sentAt.length > 0) {
      this.rtt.textContent = `${(performance.now() - this.sentAt.shift()).toFixed(1)} ms`;
    }
  }

  stateChanged(state) {
    const open = state === "open";
    document.getElementById("echo-send").disabled = !open;
    if (!open) {
      this.sentAt = [];
      this.rtt.textContent = "–";
    }
    this.onState(state);
  }
}

const echo = new EchoClient("/echo");
// echo-page.js must be set up first.
addEventListener("DOMContentLoaded", () => echo.socket.connect());
