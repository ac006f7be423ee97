"use strict";
// Keeps the tables up to date over a WebSocket, or, where there is none, with requests; draws charts.

const PERIOD = 1000; // ms between two answers
const RETRY = 10000; // ms until a WebSocket is tried again
const POINTS = 120;
const [WIDTH, HEIGHT] = [240, 48];

// What is drawn: a figure of the tables, as it is or its increase per second.
const CHARTS = [
  { figure: "open", title: "Open", rate: false },
  { figure: "accepted", title: "Accepted per second", rate: true },
  { figure: "received", title: "Messages received per second", rate: true },
  { figure: "sent", title: "Messages sent per second", rate: true },
  { figure: "bytes-received", title: "Bytes received per second", rate: true },
  { figure: "bytes-sent", title: "Bytes sent per second", rate: true },
  { figure: "queued", title: "Bytes queued", rate: false },
  { figure: "refused", title: "Handshakes refused per second", rate: true },
];

const tables = document.getElementById("tables");
const state = document.getElementById("state");
const numbers = new Intl.NumberFormat("en", { maximumSignificantDigits: 3, notation: "compact" });

function svg(name, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) {
    element.setAttribute(key, value);
  }
  return element;
}

class Chart {
  constructor({ figure, title, rate }) {
    Object.assign(this, { figure, rate, values: [], last: null });
    const frame = document.createElement("figure");
    frame.dataset.figure = figure;
    const caption = document.createElement("figcaption");
    this.value = document.createElement("output");
    caption.append(title, this.value);
    const picture = svg("svg", {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: "none",
      "aria-hidden": "true",
    });
    this.area = svg("polygon", {});
    this.line = svg("polyline", { "vector-effect": "non-scaling-stroke" });
    picture.append(this.area, this.line);
    frame.append(caption, picture);
    document.getElementById("charts").append(frame);
  }

  add(now) {
    const shown = tables.querySelector(`#sums [data-figure="${this.figure}"]`);
    const value = Number(shown.dataset.value);
    const last = this.last;
    this.last = { value, now };
    if (this.rate && last === null) {
      return;
    }
    const seconds = this.rate ? Math.max(now - last.now, 1) / 1000 : 1;
    const drawn = this.rate ? Math.max(value - last.value, 0) / seconds : value;
    this.values = [...this.values, drawn].slice(-POINTS);
    this.value.textContent = numbers.format(drawn);
    this.draw();
  }

  draw() {
    const most = Math.max(...this.values, 1);
    const step = WIDTH / (POINTS - 1);
    const first = WIDTH - (this.values.length - 1) * step;
    const points = this.values.map((value, place) => {
      const y = HEIGHT - 2 - (value / most) * (HEIGHT - 4);
      return `${(first + place * step).toFixed(1)},${y.toFixed(1)}`;
    });
    this.line.setAttribute("points", points.join(" "));
    this.area.setAttribute("points", [`${first},${HEIGHT}`, ...points, `${WIDTH},${HEIGHT}`].join(" "));
  }
}

const charts = CHARTS.map((chart) => new Chart(chart));
document.getElementById("charts").hidden = false;

function tell(name, text) {
  state.dataset.state = name;
  state.textContent = text;
}

function show(html) {
  // The server has escaped all names in it.
  tables.innerHTML = html;
  const now = performance.now();
  charts.forEach((chart) => chart.add(now));
}

// Runs `action` after a while, and not before somebody looks at the page.
function later(action, wait) {
  setTimeout(() => {
    if (document.visibilityState === "visible") {
      action();
    } else {
      document.addEventListener("visibilitychange", () => later(action, 0), { once: true });
    }
  }, wait);
}

function connect() {
  const url = new URL(location.pathname, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  const socket = new WebSocket(url);
  const ask = () => socket.readyState === WebSocket.OPEN && socket.send("tables");
  socket.addEventListener("open", () => {
    tell("live", "live");
    ask();
  });
  socket.addEventListener("message", ({ data }) => {
    show(data);
    later(ask, PERIOD);
  });
  socket.addEventListener("close", () => poll(performance.now() + RETRY));
}

// Without a WebSocket, until it is time to try again to open one.
async function poll(until) {
  try {
    const answer = await fetch("?part=tables", { cache: "no-store" });
    if (!answer.ok) {
      throw new Error(answer.statusText);
    }
    show(await answer.text());
    tell("polling", "updated by requests: no WebSocket for this page");
  } catch {
    tell("lost", "the server does not answer");
  }
  later(() => (performance.now() < until ? poll(until) : connect()), PERIOD);
}

connect();
