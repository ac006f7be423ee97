// The parts of echo.html that the demo page does not have: all controls, and the details.
"use strict";

const part = (name) => document.getElementById(`echo-${name}`);

function showNegotiated(state) {
  const { protocol, extensions } = state === "open" ? echo.socket.socket : {};
  part("protocol").textContent = protocol || "none";
  part("extensions").textContent = extensions || "none";
}

function showClose({ code, reason, wasClean }, text) {
  part("last-code").textContent = code;
  part("last-reason").textContent = reason || "none";
  part("last-clean").textContent = wasClean ? "yes" : "no";
  echo.log.add("info", text);
}

function enableControls(state) {
  // Between two attempts a user may try at once, or somewhere else.
  const isAtRest = state === "closed" || state === "waiting";
  part("connect").disabled = !isAtRest;
  part("endpoint").disabled = !isAtRest;
  part("disconnect").disabled = state === "closed" || state === "closing";
  part("send-binary").disabled = state !== "open";
  part("close").disabled = state !== "open";
}

/** The bytes 0, 1, 2, ... 255, 0, 1, ... */
function sample(size) {
  return Uint8Array.from({ length: size }, (_, i) => i).buffer;
}

echo.onState = (state) => {
  if (state === "open") {
    echo.log.add("info", `connected to ${echo.socket.socket.url}`);
  }
  enableControls(state);
  showNegotiated(state);
};
echo.onClose = showClose;

// A link may choose the endpoint: echo.html?endpoint=/c/echo
const wanted = new URLSearchParams(location.search).get("endpoint");
if ([...part("endpoint").options].some((option) => option.value === wanted)) {
  part("endpoint").value = wanted;
}
echo.socket.path = part("endpoint").value;

part("connection").addEventListener("submit", (event) => {
  event.preventDefault();
  echo.socket.path = part("endpoint").value;
  echo.socket.connect();
});
part("disconnect").addEventListener("click", () => echo.socket.close());
part("reconnect").addEventListener("change", (event) => {
  echo.socket.reconnect = event.target.checked;
});
part("binary-form").addEventListener("submit", (event) => {
  event.preventDefault();
  echo.send(sample(part("binary-size").valueAsNumber));
});
part("close-form").addEventListener("submit", (event) => {
  event.preventDefault();
  try {
    echo.socket.close(part("code").valueAsNumber, part("reason").value);
  } catch (error) {
    // Browsers let a page send only 1000 and 3000 to 4999, and a reason of at most 123 bytes.
    echo.log.add("info", error.message);
  }
});
part("clear").addEventListener("click", () => echo.log.clear());
