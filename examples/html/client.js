// Shared code of all demo pages: a WebSocket that reconnects, and a log that shows messages.
"use strict";

const FIRST_RETRY_MS = 1000;
const LAST_RETRY_MS = 30000;
// After a connection that lasted this long, the next retry delay is short again.
const STABLE_MS = 5000;

// The labels of the status element. Its attribute data-state has the state itself.
const STATE_LABELS = {
  connecting: "Connecting…",
  open: "Connected",
  closing: "Closing…",
  closed: "Disconnected",
};

/**
 * A WebSocket to this server that reconnects when it is lost, and reports its state.
 *
 * `status` is the element that shows the state. The handlers are optional: `onState(state)` with
 * "connecting", "open", "closing", "waiting" (for the next attempt) or "closed";
 * `onMessage(data)`; `onClose(event, text)`, where the text is for users.
 */
class LiveSocket {
  constructor(path, { protocols = [], reconnect = true, status, ...handlers } = {}) {
    this.path = path;
    this.protocols = protocols;
    this.reconnect = reconnect;
    this.status = status;
    this.handlers = handlers;
    this.retryMs = FIRST_RETRY_MS;
    this.state = "closed";
    // Browsers cache pages that the user leaves, with their connections, for the Back button.
    addEventListener("pagehide", () => this.hidePage());
    addEventListener("pageshow", ({ persisted }) => persisted && this.resume && this.connect());
  }

  get isOpen() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  connect() {
    clearTimeout(this.timer);
    this.leaving = false;
    this.show("connecting");
    const url = new URL(this.path, location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url, this.protocols);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.openedAt = performance.now();
      this.show("open");
    };
    socket.onmessage = (event) => this.handlers.onMessage?.(event.data);
    socket.onclose = (event) => this.closed(event);
    this.socket = socket;
  }

  send(data) {
    this.socket.send(data);
  }

  /** Closes and does not reconnect. Throws if code or reason are not allowed. */
  close(code, reason) {
    if (this.socket?.readyState <= WebSocket.OPEN) {
      code === undefined ? this.socket.close() : this.socket.close(code, reason);
      this.leaving = true;
      this.show("closing");
      return;
    }
    // Between two attempts only the timer of the next one must be cancelled.
    clearTimeout(this.timer);
    this.show("closed");
  }

  hidePage() {
    this.resume = this.reconnect && this.state !== "closed" && this.state !== "closing";
    this.close();
  }

  closed(event) {
    const wasOpen = this.openedAt !== undefined;
    const stable = wasOpen && performance.now() - this.openedAt > STABLE_MS;
    this.openedAt = undefined;
    this.handlers.onClose?.(event, LiveSocket.describe(event, wasOpen));
    const failed = !wasOpen && !this.leaving;
    if (this.leaving || !this.reconnect) {
      this.show("closed", failed ? "Could not connect" : undefined);
      return;
    }
    if (stable) {
      this.retryMs = FIRST_RETRY_MS;
    }
    // A random part, so that not all clients reconnect at the same time after a restart.
    const delay = this.retryMs * (0.8 + 0.4 * Math.random());
    this.retryMs = Math.min(2 * this.retryMs, LAST_RETRY_MS);
    const seconds = Math.round(delay / 1000);
    this.show("waiting", `${failed ? "Could not connect; again" : "Reconnecting"} in ${seconds} s`);
    this.timer = setTimeout(() => this.retry(), delay);
  }

  /** How a connection ended. Browsers do not tell scripts the HTTP status of a refusal. */
  static describe({ code, reason, wasClean }, wasOpen) {
    if (!wasOpen) {
      return "could not connect; httpd's error log may say why";
    }
    return `closed${wasClean ? "" : " uncleanly"}: code ${code}${reason && `, reason “${reason}”`}`;
  }

  /** Reconnects now, or as soon as the page becomes visible. */
  retry() {
    if (!document.hidden) {
      this.connect();
      return;
    }
    const again = () => this.state === "waiting" && this.retry();
    document.addEventListener("visibilitychange", again, { once: true });
  }

  show(state, label = STATE_LABELS[state]) {
    this.state = state;
    if (this.status) {
      this.status.dataset.state = state;
      this.status.textContent = label;
    }
    this.handlers.onState?.(state);
  }
}

/** A list element as a log of messages, the newest at the bottom. */
class MessageLog {
  static LIMIT = 500;

  constructor(list) {
    this.list = list;
  }

  /** `kind` is "sent", "received" or "info"; `data` a string or an ArrayBuffer. */
  add(kind, data) {
    const binary = data instanceof ArrayBuffer;
    const entry = document.createElement("li");
    entry.dataset.kind = kind;
    entry.dataset.type = binary ? "binary" : "text";

    const time = document.createElement("time");
    time.textContent = MessageLog.clock(new Date());
    const payload = document.createElement("span");
    payload.className = "payload";
    payload.textContent = binary ? `binary, ${data.byteLength} bytes` : data;

    entry.append(time, payload);
    this.list.append(entry);
    if (this.list.childElementCount > MessageLog.LIMIT) {
      this.list.firstElementChild.remove();
    }
    this.list.scrollTop = this.list.scrollHeight;
  }

  clear() {
    this.list.replaceChildren();
  }

  /** The local time of day, to the millisecond. */
  static clock(date) {
    const pad = (number, width) => String(number).padStart(width, "0");
    const time = [date.getHours(), date.getMinutes(), date.getSeconds()];
    return `${time.map((part) => pad(part, 2)).join(":")}.${pad(date.getMilliseconds(), 3)}`;
  }
}
