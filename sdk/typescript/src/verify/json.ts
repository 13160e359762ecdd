/** JSON as it was written: the text of members, and objects that name a member twice. `JSON.parse` keeps neither. */

/** A string, a mark, or a literal. */
const TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

/** An object of JSON. */
export type JsonObject = Record<string, unknown>;

/** An object and the text of its members. */
export interface Written {
  readonly value: JsonObject;
  /** The characters of each member's value, without white space around them. */
  readonly text: ReadonlyMap<string, string>;
}

/** Whether a value is an object, and no array. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Reads an object. `undefined`: it is not UTF-8, no object, or an object in it names a member twice, which readers understand differently.
 * In members that `opaque` names, nothing is looked at.
 */
export function readObject(bytes: Uint8Array, opaque: readonly string[] = []): Written | undefined {
  try {
    const json = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    const value: unknown = JSON.parse(json);
    const text = isObject(value) ? membersOf(json, opaque) : undefined;
    return isObject(value) && text !== undefined ? { value, text } : undefined;
  } catch {
    return undefined;
  }
}

/** The members of the object that valid JSON is. `undefined`: a name is repeated. */
function membersOf(json: string, opaque: readonly string[]): Map<string, string> | undefined {
  const members = new Map<string, string>();
  // For each object or array that is open: the names in it so far, `undefined` in an array.
  const open: (Set<string> | undefined)[] = [];
  let [name, start, expectsName] = ['', 0, false];
  for (const { 0: token, index } of json.matchAll(TOKENS)) {
    const names = open.at(-1);
    if (open.length === 1 && (token === ',' || token === '}') && names?.size)
      members.set(name, json.slice(start, index).trim());
    if (token === '{' || token === '[') {
      open.push(token === '{' ? new Set() : undefined);
      expectsName = token === '{';
    } else if (token === '}' || token === ']') {
      open.pop();
      expectsName = false;
    } else if (token === ',') {
      expectsName = names !== undefined;
    } else if (token === ':') {
      if (open.length === 1) start = index + 1;
    } else if (expectsName && names !== undefined) {
      const read = JSON.parse(token) as string;
      if (names.has(read) && !(open.length > 1 && opaque.includes(name))) return undefined;
      names.add(read);
      expectsName = false;
      if (open.length === 1) name = read;
    }
  }
  return members;
}
