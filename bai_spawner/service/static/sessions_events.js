// Reads server-sent events from an answer that goes on. Not an EventSource: that sends no token.

const read = (event) => {
  const found = { event: "", data: [] };
  for (const line of event.split("\n")) {
    const [, name, value] = /^(event|data): ?(.*)$/.exec(line) || [];
    if (name === "data") found.data.push(value);
    else if (name) found.event = value;
  }
  return { event: found.event, data: found.data.join("\n") };
};

/** Calls `heard()` for whatever comes and `told(event, data)` for each event, until it ends. */
export const readEvents = async (body, { heard, told }) => {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    heard();
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events.map(read)) {
      if (event.data) told(event.event, JSON.parse(event.data));
    }
  }
};
