// The cookie that the browser sends when it opens a WebSocket.
"use strict";

{
  const talk = new Talk("auth", () => {
    const secret = talk.part("secret").value;
    document.cookie = `session=${secret}; path=/auth; SameSite=Strict`;
  });
  talk.onState = (state) => {
    talk.part("secret").disabled = state !== "closed";
  };
}
