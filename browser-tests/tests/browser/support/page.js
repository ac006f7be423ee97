// Functions for the scripts that the tests run in a page.

const element = (id) => document.getElementById(id);

/** The entry with these properties in the log of page part `name`, if there is one. */
const entry = (name, kind, type, payload) =>
  [...element(`${name}-log`).children].find(
    (entry) =>
      entry.dataset.kind === kind &&
      entry.dataset.type === type &&
      entry.querySelector(".payload").textContent === payload,
  );

/** The address of an endpoint, on this page's server by default. */
const endpoint = (path, origin = location.origin) =>
  Object.assign(new URL(path, origin), {
    protocol: new URL(origin).protocol === "https:" ? "wss:" : "ws:",
  });

const next = (socket, type) =>
  new Promise((resolve) => socket.addEventListener(type, resolve, { once: true }));

const closed = async (socket) => {
  const { code, reason, wasClean } = await next(socket, "close");
  return { code, reason, wasClean };
};

/** Opens a WebSocket. */
const open = async (path, protocols = []) => {
  const socket = new WebSocket(endpoint(path), protocols);
  socket.binaryType = "arraybuffer";
  await Promise.race([
    next(socket, "open"),
    next(socket, "close").then(({ code }) => Promise.reject(new Error(`refused: ${code}`))),
  ]);
  return socket;
};

/** Sends `data` and returns the next message. */
const exchange = async (socket, data) => {
  const answer = next(socket, "message");
  socket.send(data);
  return (await answer).data;
};
