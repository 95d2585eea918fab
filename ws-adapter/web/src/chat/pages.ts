// Lists that the server gives out page by page.

/** Rows of one page. */
export const PAGE = 200;

/** All of them; `read` is given what the last page ended with. */
export async function allPages<T>(read: (after: T | undefined) => Promise<readonly T[]>): Promise<T[]> {
  const all: T[] = [];
  for (;;) {
    const page = await read(all.at(-1));
    all.push(...page);
    if (page.length < PAGE) return all;
  }
}
