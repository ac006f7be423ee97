// A client for any plugin. A link may choose path and subprotocols, and connects if it has a path:
// plugin.html?path=/chat/lobby&protocols=a,b
"use strict";

{
  const SHOWN_BYTES = 64;

  const part = (name) => document.getElementById(`plugin-${name}`);
  const log = new MessageLog(part("log"));

  const socket = new LiveSocket("/", {
    status: part("status"),
    onState: stateChanged,
    onMessage: (data) => log.add("received", readable(data)),
    onClose: (_, text) => log.add("info", text),
  });

  function connect() {
    socket.path = part("path").value;
    socket.protocols = part("protocols").value.split(/[\s,]+/).filter(Boolean);
    try {
      socket.connect();
    } catch (error) {
      // A subprotocol that is no token, or is there twice.
      log.add("info", error.message);
      socket.close();
    }
  }

  function stateChanged(state) {
    const { protocol, extensions, url } = state === "open" ? socket.socket : {};
    part("protocol").textContent = protocol || "none";
    part("extensions").textContent = extensions || "none";
    if (state === "open") {
      log.add("info", `connected to ${url}`);
    }
    // Between two attempts a user may try at once, or somewhere else.
    const isAtRest = state === "closed" || state === "waiting";
    for (const name of ["connect", "path", "protocols"]) {
      part(name).disabled = !isAtRest;
    }
    part("disconnect").disabled = state === "closed" || state === "closing";
    for (const name of ["send", "send-binary", "close"]) {
      part(name).disabled = state !== "open";
    }
  }

  /** Binary messages as hexadecimal digits, as far as there is room. */
  function readable(data) {
    if (typeof data === "string") {
      return data;
    }
    const shown = Array.from(new Uint8Array(data, 0, Math.min(data.byteLength, SHOWN_BYTES)));
    const digits = shown.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const more = data.byteLength > SHOWN_BYTES ? " …" : "";
    return `binary, ${data.byteLength} bytes: ${digits}${more}`;
  }

  function send(data) {
    socket.send(data);
    log.add("sent", readable(data));
  }

  function onSubmit(form, action) {
    part(form).addEventListener("submit", (event) => {
      event.preventDefault();
      action();
    });
  }

  onSubmit("connection", connect);
  onSubmit("form", () => send(part("input").value));
  onSubmit("binary-form", () => {
    const digits = part("binary").value.match(/[0-9a-f]{2}/gi) ?? [];
    send(Uint8Array.from(digits, (pair) => parseInt(pair, 16)).buffer);
  });
  onSubmit("close-form", () => {
    try {
      socket.close(part("code").valueAsNumber, part("reason").value);
    } catch (error) {
      log.add("info", error.message);
    }
  });
  part("disconnect").addEventListener("click", () => socket.close());
  part("reconnect").addEventListener("change", (event) => {
    socket.reconnect = event.target.checked;
  });
  part("clear").addEventListener("click", () => log.clear());

  const wanted = new URLSearchParams(location.search);
  if (wanted.has("path")) {
    part("path").value = wanted.get("path");
    part("protocols").value = wanted.get("protocols") ?? "";
    connect();
  }
}
