// A client of mod_websocket's plugin `topics`, which topics.d.ts describes.

const SOON_MS = 500;
const LATE_MS = 30000;
const STABLE_MS = 5000; // After so long, a retry is soon again.

const failure = (code, message = code) => Object.assign(new Error(message), { code });

export class Topics extends EventTarget {
  state = "waiting";
  #id = 0;
  #asked = new Map();
  #topics = new Map();
  #retry = SOON_MS;
  #socket;
  #timeout;
  #timer;
  #url;

  constructor(url, { timeout = 10000 } = {}) {
    super();
    this.#url = new URL(url, location.href.replace("http", "ws"));
    this.#timeout = timeout;
    addEventListener("online", () => this.#connect());
    // The Back button brings back the timer, too.
    addEventListener("pagehide", () => this.#drop());
    this.#connect();
  }

  subscribe(topic, handlers = {}) {
    return new Promise((resolve, reject) => {
      this.#forget(topic);
      const it = { ...handlers, topic, resolve, reject };
      this.#topics.set(topic, it);
      if (this.state === "open") this.#resume(it);
      if (this.state === "closed") this.#forget(topic);
    });
  }

  async unsubscribe(topic) {
    this.#forget(topic);
    if (this.state === "open") await this.#request("unsubscribe", topic);
  }

  publish(topic, data) {
    return this.#request("publish", topic, { data });
  }

  presence(topic, list = true) {
    return this.#request("presence", topic, { list });
  }

  close() {
    this.#show("closed");
    this.#drop();
    for (const { settle } of this.#asked.values()) settle("closed");
    for (const topic of this.#topics.keys()) this.#forget(topic);
  }

  #show(state) {
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }

  #forget(topic) {
    this.#topics.get(topic)?.reject(failure("closed"));
    this.#topics.delete(topic);
  }

  #connect() {
    if (this.state !== "waiting") return;
    clearTimeout(this.#timer);
    const socket = (this.#socket = new WebSocket(this.#url));
    socket.onopen = () => {
      this.#timer = setTimeout(() => (this.#retry = SOON_MS), STABLE_MS);
      this.state = "open";
      for (const it of this.#topics.values()) this.#resume(it);
      for (const { send } of this.#asked.values()) send();
      this.#show("open");
    };
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    socket.onclose = () => this.#drop();
    this.#show("connecting");
  }

  #drop() {
    const socket = this.#socket;
    if (!socket) return;
    clearTimeout(this.#timer);
    this.#socket = socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
    for (const { sent, settle } of this.#asked.values()) if (sent) settle("lost");
    if (this.state === "closed") return;
    // Not all clients at once.
    this.#timer = setTimeout(() => this.#connect(), this.#retry * (0.5 + Math.random()));
    this.#retry = Math.min(2 * this.#retry, LATE_MS);
    this.#show("waiting");
  }

  #request(type, topic, more) {
    return new Promise((resolve, reject) => {
      const id = ++this.#id;
      const settle = (code, answer) => {
        clearTimeout(timer);
        this.#asked.delete(id);
        code ? reject(failure(code, answer?.message)) : resolve(answer);
      };
      const send = () => {
        if (this.state !== "open" || request.sent) return;
        this.#socket.send(JSON.stringify({ type, id, topic, ...more }));
        request.sent = true;
      };
      const timer = setTimeout(() => {
        settle("timeout");
        if (request.sent) this.#drop();
      }, this.#timeout);
      const request = { send, settle };
      this.#asked.set(id, request);
      this.state === "closed" ? settle("closed") : send();
    });
  }

  async #resume(it) {
    const { since } = it;
    it.behind = true;
    try {
      const answer = await this.#request("subscribe", it.topic, { since });
      // A newer message may have come first.
      if (it.behind) it.since = answer.position;
      if (answer.recovery !== "complete" && (it.on || since)) it.gap?.(answer);
      it.on = true;
      it.resolve(answer);
    } catch (error) {
      const { code } = error;
      if (code === "unavailable") this.#drop();
      // The next connection resumes.
      if (["unavailable", "lost", "timeout"].includes(code)) return;
      if (this.#topics.get(it.topic) === it) this.#topics.delete(it.topic);
      it.on ? it.error?.(error) : it.reject(error);
    }
  }

  #receive(message) {
    const { id, type, topic, position, code } = message;
    if (id) return this.#asked.get(id)?.settle(code, message);
    if (!topic) return;
    for (const it of this.#topics.values()) {
      if (!describes(it.topic, topic)) continue;
      if (position && it.topic === topic) Object.assign(it, { since: position, behind: false });
      it[type]?.(message);
    }
  }
}

// Whether a topic or pattern describes the topic.
function describes(filter, topic) {
  const [, parent, star] = /^(.*?)(\*\*?)?$/.exec(filter);
  if (!star) return filter === topic;
  return topic.startsWith(parent) && (star === "**" || !topic.includes("/", parent.length));
}
