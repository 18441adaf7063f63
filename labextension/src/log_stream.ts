/** Reading server-sent events as they come. */

/** The server says something every 15 seconds, if only that it is there. */
const SILENCE_MS = 45_000;

export interface LogEvent {
  /** `gap`: the text says that something is missing before what comes next. */
  kind: 'text' | 'gap';
  text: string;
  /** Where to go on from; empty: where it was. */
  mark: string;
}

/**
 * The events of an answer, until it ends.
 *
 * Throws when the connection breaks, or has fallen silent.
 */
export async function* events(response: Response): AsyncGenerator<LogEvent> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await soon(reader.read());
      if (done) {
        return;
      }
      const blocks = (rest + value).split('\n\n');
      rest = blocks.pop()!;
      yield* blocks.flatMap(event);
    }
  } finally {
    void reader.cancel().catch(() => undefined);
  }
}

/** One event; none for a comment. */
function event(block: string): LogEvent[] {
  const fields = new Map(
    block.split('\n').map(line => {
      const [, name = '', value = ''] = /^([a-z]*): ?(.*)$/.exec(line) ?? [];
      return [name, value];
    })
  );
  const data = fields.get('data');
  if (!data) {
    return [];
  }
  const kind = fields.get('event') === 'gap' ? 'gap' : 'text';
  return [{ kind, text: JSON.parse(data) as string, mark: fields.get('id') ?? '' }];
}

/** What comes in time. */
async function soon<T>(coming: Promise<T>): Promise<T> {
  let timer = 0;
  const late = new Promise<never>((_, reject) => {
    const silent = () => reject(new Error('The session has fallen silent.'));
    timer = window.setTimeout(silent, SILENCE_MS);
  });
  try {
    return await Promise.race([coming, late]);
  } finally {
    window.clearTimeout(timer);
  }
}
