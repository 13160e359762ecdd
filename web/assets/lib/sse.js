/** Reads server-sent events with fetch, which can send headers and be aborted, unlike EventSource (HTML, section 9.2.6). */

/** @typedef {{event: string, data: string}} ServerEvent */

/** The longest event that is read, 2 MiB: more than any of ours has. */
const MAX_LENGTH = 2 << 20;

/**
 * Yields the events of a response as they arrive. Ends with the connection.
 * @param {Response} response
 * @param {() => void} [onAlive] called whenever something arrives, including keep-alives
 * @returns {AsyncGenerator<ServerEvent, void>}
 */
export async function* serverEvents(response, onAlive) {
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  const decoder = new TextDecoder();
  let text = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      onAlive?.();
      const blocks = (text + decoder.decode(value, { stream: true })).split(/\r\n\r\n|\n\n|\r\r/);
      text = blocks.pop() ?? '';
      if (text.length > MAX_LENGTH) throw new RangeError('the event is too long');
      for (const block of blocks) {
        const event = parse(block);
        if (event.data) yield event;
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/**
 * @param {string} block
 * @returns {ServerEvent}
 */
function parse(block) {
  let event = 'message';
  const data = [];
  for (const line of block.split(/\r\n|\n|\r/)) {
    const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line) ?? [];
    if (field === 'event') event = value;
    if (field === 'data') data.push(value);
  }
  return { event, data: data.join('\n') };
}
