// The page for topics: one subscription, which the user may leave and come back to.
import { Topics } from "./topics.js";

const LABELS = {
  connecting: "Connecting…",
  open: "Connected",
  waiting: "Reconnecting…",
  closed: "Offline",
};

const part = (name) => document.getElementById(`topics-${name}`);
const log = new MessageLog(part("log"));
const positions = new Map(); // of the last message of each topic, to come back to
let topics;
let topic = part("topic").value;

function goOnline() {
  topics = new Topics("/topics");
  topics.addEventListener("state", showState);
  showState();
  subscribe();
}

function showState() {
  const { state } = topics;
  part("status").dataset.state = state;
  part("status").textContent = LABELS[state];
  part("offline").textContent = state === "closed" ? "Go online" : "Go offline";
}

async function subscribe() {
  const wanted = topic;
  let hasNewer = false;
  try {
    const { position, recovery } = await topics.subscribe(wanted, {
      since: positions.get(wanted),
      message: (message) => {
        hasNewer = true;
        show(message);
      },
      gap: () => log.add("info", "messages may be missing here"),
      presence: () => showMembers().catch(complain),
      error: complain,
    });
    if (position && !hasNewer) positions.set(wanted, position);
    const missed = recovery === "complete" ? ", and nothing is missing" : "";
    log.add("info", `subscribed to ${wanted}${missed}`);
    await showMembers();
  } catch (error) {
    complain(error);
  }
}

function show({ topic: from, position, data }) {
  if (position) positions.set(from, position);
  log.add("received", `${from}: ${typeof data === "string" ? data : JSON.stringify(data)}`);
}

async function showMembers() {
  const isPattern = topic.endsWith("*");
  const { count, members } = isPattern ? { members: [] } : await topics.presence(topic);
  part("count").textContent = count ?? "–";
  const names = members.map(({ id, user }) => user ?? `guest ${id}`);
  part("members").textContent = names.join(", ") || "–";
}

function complain({ code, message }) {
  // The user has gone offline or chosen another topic.
  if (code !== "closed") log.add("info", `${code}: ${message}`);
}

part("subscription").addEventListener("submit", (event) => {
  event.preventDefault();
  topics.unsubscribe(topic).catch(complain);
  topic = part("topic").value;
  subscribe();
});
part("form").addEventListener("submit", (event) => {
  event.preventDefault();
  topics.publish(topic, part("input").value).catch(complain);
});
part("offline").addEventListener("click", () => {
  topics.state === "closed" ? goOnline() : topics.close();
});
goOnline();
