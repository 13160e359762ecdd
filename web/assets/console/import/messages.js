/**
 * The messages of an import. What the phone confirms is their encoding, so this must be exactly how the gateway encodes them: fields in the
 * order of their numbers, without default values. See `ImportUsersRequest` in proto/nodkey/binding/v1/imports.proto.
 */
import { sha256, utf8 } from '../../lib/jose.js';

/** @typedef {import('./rows.js').Row} Row */
/** @typedef {{ rows: Row[], dryRun?: true }} ImportUsersRequest as proto3 JSON */

/** The maximum size of a message as JSON, in bytes: the gateway accepts 64 KiB. */
const BYTES = 48 << 10;
/** The wire types of protobuf. */
const VARINT = 0;
const LENGTH = 2;

/**
 * Splits rows into messages that are small enough.
 * @param {Row[]} rows
 * @param {boolean} dryRun
 * @returns {ImportUsersRequest[]}
 */
export function messagesOf(rows, dryRun) {
  /** @type {ImportUsersRequest[]} */
  const messages = [];
  let bytes = Infinity;
  for (const row of rows) {
    const length = utf8(JSON.stringify(row)).length + 1;
    if (bytes + length > BYTES) {
      messages.push({ rows: [], ...(dryRun && { dryRun }) });
      bytes = 0;
    }
    messages[messages.length - 1].rows.push(row);
    bytes += length;
  }
  return messages;
}

/**
 * The digest of all messages in the framing of gRPC: a zero, the length in four bytes, the message.
 * @param {ImportUsersRequest[]} messages
 * @returns {Promise<string>} base64url
 */
export function digest(messages) {
  const framed = messages.map(encode).flatMap((message) => {
    const prefix = new Uint8Array(5);
    new DataView(prefix.buffer).setUint32(1, message.length);
    return [prefix, message];
  });
  return sha256(joined(framed));
}

/** @param {ImportUsersRequest} message */
function encode({ rows, dryRun }) {
  return joined([...rows.map((row) => bytesField(1, encodeRow(row))), numberField(2, Number(dryRun ?? 0))]);
}

/** @param {Row} row */
function encodeRow({ line, userIdentifier, deviceIdentifier = '', active, trusonaId = '' }) {
  return joined([
    numberField(1, line),
    textField(2, userIdentifier),
    textField(3, deviceIdentifier),
    numberField(4, Number(active ?? 0)),
    textField(5, trusonaId),
  ]);
}

/**
 * @param {number} number
 * @param {number} value
 */
function numberField(number, value) {
  return Uint8Array.from(value ? [...varint((number << 3) | VARINT), ...varint(value)] : []);
}

/**
 * @param {number} number
 * @param {string} text
 */
function textField(number, text) {
  return text ? bytesField(number, utf8(text)) : new Uint8Array();
}

/**
 * @param {number} number
 * @param {Uint8Array} bytes
 */
function bytesField(number, bytes) {
  return joined([Uint8Array.from([...varint((number << 3) | LENGTH), ...varint(bytes.length)]), bytes]);
}

/**
 * @param {number} value not negative, below 2^31
 * @returns {number[]}
 */
function varint(value) {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}

/** @param {Uint8Array[]} parts */
function joined(parts) {
  const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
