/** A page of a list. */
export interface Page<T> {
  readonly items: readonly T[];
  /** Where the next page begins; empty: there is none. */
  readonly next: string;
}

/**
 * A list on the server, read page by page as it is iterated: `for await (const binding of nodkey.bindings.list())`. Each iteration reads it
 * anew.
 */
export class List<T> implements AsyncIterable<T> {
  readonly #fetch: (token: string) => Promise<Page<T>>;

  /** @internal */
  constructor(fetch: (token: string) => Promise<Page<T>>) {
    this.#fetch = fetch;
  }

  /** Iterates over the items. The next page is fetched when it is needed. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    for await (const page of this.pages()) yield* page;
  }

  /** Iterates over the pages, each as the server sent it. */
  async *pages(): AsyncGenerator<readonly T[], void, undefined> {
    let token = '';
    do {
      const { items, next } = await this.#fetch(token);
      yield items;
      token = next;
    } while (token !== '');
  }
}
