// A client for browsers of mod_websocket's plugin `topics`, whose protocol is described in
// docs/topics-protocol.md.
//
//     import { Topics } from "./topics.js";
//
//     const topics = new Topics("/topics");
//     await topics.subscribe("chat/lobby", {
//       message: ({ data }) => show(data),
//       gap: () => location.reload(),
//     });
//     await topics.publish("chat/lobby", { text: "hello" });
//
// If the connection is lost, the client opens another one 0.25 to 0.75 seconds later, and after up
// to 45 seconds if that fails again and again. Then it subscribes again, to each topic after the
// last message that has come. So nothing is missed or doubled if the topic has a history that is
// long enough (`WebSocketTopicHistory`). If something may have been missed, there is a `gap`.

/** The place of a message in the history of its topic, such as `5eadbeef12345678-42`. */
export type Position = string;

/** What JSON can say. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** A message of a topic. A binary one, which another plugin has published, has no `data`. */
export interface Message {
  type: "message";
  topic: string;
  position?: Position;
  data?: Json;
  base64?: string;
}

/** Somebody who has subscribed to a topic. */
export interface Member {
  id: string;
  user?: string;
  info?: string;
}

/** Who has come to a topic, or left it (by their ids). */
export interface PresenceEvent {
  type: "presence";
  topic: string;
  joined?: Member[];
  left?: string[];
}

/** What the server says of a subscription. */
export interface Subscribed {
  topic: string;
  position?: Position;
  recovery: "none" | "complete" | "gap";
}

/** Why a request has failed: `code` is for programs, `message` for people. */
export interface TopicError extends Error {
  /**
   * The codes of the protocol, and three of the client. With `lost` the connection has ended before
   * the answer came: nobody knows whether the request was done. With `timeout` it took too long; if
   * it had been sent, nobody knows either. With `closed` the client or the subscription was ended.
   */
  code:
    | "bad-request"
    | "bad-topic"
    | "forbidden"
    | "limit"
    | "too-large"
    | "unavailable"
    | "lost"
    | "timeout"
    | "closed";
}

/** What to call for a subscription. */
export interface Handlers {
  /** The position of the last message that is known: later ones come first. Not for patterns. */
  since?: Position;
  /** A message has come. */
  message?(message: Message): void;
  /** Somebody has come or gone (`WebSocketTopicPresence`). */
  presence?(event: PresenceEvent): void;
  /**
   * Messages may have been missed: while there was no connection, or after `since`. This is always
   * so for patterns and for topics without history. Messages that are new may come before it.
   */
  gap?(answer: Subscribed): void;
  /** The server refuses to go on with the subscription, after the connection was lost. */
  error?(error: TopicError): void;
}

/**
 * A connection to the plugin, which opens at once and stays until `close()`. The event `state`
 * tells that `state` has changed.
 */
export class Topics extends EventTarget {
  /**
   * @param url The address of the plugin, absolute (`wss:`) or relative to the page.
   * @param options `timeout`: how long a request may take, in milliseconds; the default is 10,000.
   *   If a request that was sent takes longer, the connection is given up for another one.
   */
  constructor(url: string | URL, options?: { timeout?: number });

  /** `waiting` is for the next attempt to connect. */
  readonly state: "connecting" | "open" | "waiting" | "closed";

  /**
   * Subscribes to a topic, or to a pattern of topics, until `unsubscribe` or `close`. This replaces
   * an earlier subscription to the same. The promise waits for the server's answer, also for the
   * next connection if there is none. It fails if the server refuses.
   *
   * A message goes to all subscriptions that describe its topic.
   */
  subscribe(topic: string, handlers?: Handlers): Promise<Subscribed>;

  /** Ends the subscription to exactly this topic or pattern. */
  unsubscribe(topic: string): Promise<void>;

  /** Publishes `data`. Without a connection this waits for the next, as long as `timeout` says. */
  publish(topic: string, data: Json): Promise<{ topic: string; position?: Position }>;

  /** Who has subscribed to a topic: their number, and a list of at most 1,000, if it is wanted. */
  presence(
    topic: string,
    list?: boolean,
  ): Promise<{ topic: string; count: number; members?: Member[] }>;

  /** Ends the connection and all that waits. */
  close(): void;
}
