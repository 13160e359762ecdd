import assert from 'node:assert/strict';
import { test } from 'node:test';

import { CodeError } from '../src/problem.js';
import { read, servedBy } from '../src/settings.js';

const PARTY = '01a21c2b-0000-7000-8000-000000000000';
const PAGE = 'https://shop.example.com/sign-in';

/** @param {string | null} gateway @param {string} [server] */
const gateway = (gateway, server) => read({ gateway, relyingParty: PARTY }, server, PAGE).gateway;

test('the gateway is that which served the script, and no other script names one', () => {
  assert.equal(servedBy('https://auth.example.com/sdk/nodkey-code/0.1.0.js'), 'https://auth.example.com');
  assert.equal(servedBy('https://example.com/auth/sdk/nodkey-code/0.1.0.js?v=1#x'), 'https://example.com/auth');
  for (const script of [
    'https://shop.example.com/assets/bundle.js',
    'file:///work/sdk/nodkey-code/0.1.0.js',
    'https://shop.example.com/x?/sdk/nodkey-code/0.1.0.js',
  ]) {
    assert.equal(servedBy(script), undefined, script);
  }
});

test('a gateway that is named comes before that which served the script', () => {
  assert.equal(gateway('https://id.example.com', 'https://auth.example.com'), 'https://id.example.com');
  assert.equal(gateway(null, 'https://auth.example.com'), 'https://auth.example.com');
});

test('a gateway is the URL without what calls would not have', () => {
  assert.equal(gateway('https://id.example.com/'), 'https://id.example.com');
  assert.equal(gateway('https://example.com/auth//?a=b#c'), 'https://example.com/auth');
  assert.equal(gateway('/'), 'https://shop.example.com');
});

test('what is no gateway or no relying party is refused with the attribute that is wrong', () => {
  /** @type {[string | null, string | null, RegExp][]} */
  const cases = [
    [null, PARTY, /^gateway is missing/],
    ['', PARTY, /^gateway is missing/],
    ['javascript:alert(1)', PARTY, /^gateway is not the URL/],
    ['https://', PARTY, /^gateway is not the URL/],
    ['https://id.example.com', null, /^relying-party is not .* missing$/],
    ['https://id.example.com', 'Acme', /^relying-party is not .* Acme$/],
    ['https://id.example.com', `${PARTY}0`, /^relying-party is not/],
  ];
  for (const [named, relyingParty, message] of cases) {
    assert.throws(
      () => read({ gateway: named, relyingParty }, undefined, PAGE),
      (error) => {
        assert.ok(error instanceof CodeError);
        assert.equal(error.code, 'INVALID_CONFIGURATION');
        assert.match(error.message, message);
        return true;
      },
    );
  }
});
