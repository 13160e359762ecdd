/** Against `nodkey dev`, with phones on the terminal. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';

import { isSuccess, Nodkey, NodkeyError, verifyEvidence } from '../src/index.js';
import { start, type Phone, type Server } from './support/server.js';

describe('a deployment', () => {
  let server: Server;
  let nodkey: Nodkey;
  let phone: Phone;

  before(async () => {
    server = await start();
    nodkey = new Nodkey({ url: server.url, ...server.dev.server });
    phone = await server.phone();
    const { id } = await nodkey.bindings.create({ user: 'ada', device: phone.device });
    await nodkey.bindings.activate(id);
  });
  after(async () => {
    nodkey.close();
    await server.stop();
  });

  const ask = () => nodkey.trusonafications.create({ user: 'ada', action: 'log in', resource: 'Acme Bank' });

  it('lets_a_user_sign_in_and_proves_it_offline', async () => {
    const stop = await phone.answer('accept');
    const { id } = await ask();
    const ended = await nodkey.trusonafications.wait(id);
    await stop();
    assert.equal(ended.status, 'ACCEPTED');
    assert.ok(isSuccess(ended));
    assert.deepEqual([ended.result?.boundUserIdentifier, ended.result?.deviceIdentifier], ['ada', phone.device]);
    const evidence = await nodkey.trusonafications.evidence(id);
    const expected = {
      trusonafication: id,
      party: server.dev.relying_party_id,
      user: 'ada',
      level: 2,
      maxAge: 60_000,
    } as const;
    for (const jwks of [nodkey.jwks, await nodkey.jwks.get(), await nodkey.jwks.archive()]) {
      const { challenge } = await verifyEvidence(evidence, { ...expected, jwks });
      assert.deepEqual([challenge.act, challenge.res], ['log in', 'Acme Bank']);
    }
    const other = verifyEvidence(evidence, { ...expected, jwks: nodkey.jwks, user: 'bob' });
    await assert.rejects(other, { reason: 'unexpected', detail: 'user' });
  });

  it('shows_custom_fields_with_the_characters_in_which_they_were_sent', async () => {
    const customFieldsJson = '{ "iban": 89370400440532013000, "to": "ACME" }';
    const stop = await phone.answer('reject');
    const request = { user: 'ada', action: 'pay', resource: '90 EUR', customFieldsJson };
    const asked = await nodkey.trusonafications.create(request);
    assert.equal(asked.customFieldsJson, customFieldsJson);
    const { status } = await nodkey.trusonafications.wait(asked.id);
    await stop();
    const evidence = await nodkey.trusonafications.evidence(asked.id);
    const { challenge } = await verifyEvidence(evidence, { jwks: nodkey.jwks, outcome: 'rejection' });
    assert.deepEqual([status, challenge.fieldsJson], ['REJECTED', customFieldsJson]);
  });

  it('keeps_those_who_wait_over_a_restart', async () => {
    const { id } = await ask();
    const waits = [nodkey.trusonafications.wait(id), nodkey.trusonafications.wait(id)];
    const watched: string[] = [];
    const watching = (async () => {
      for await (const { status } of nodkey.trusonafications.watch(id)) watched.push(status);
    })();
    await server.restart();
    const stop = await phone.answer('accept');
    const ended = await Promise.all(waits);
    await watching;
    await stop();
    assert.deepEqual(
      ended.map(({ status }) => status),
      ['ACCEPTED', 'ACCEPTED'],
    );
    assert.deepEqual(watched.at(-1), 'ACCEPTED');
  });

  it('lets_any_number_wait_and_watch_and_holds_up_no_call', async () => {
    const { device } = await server.phone();
    await nodkey.bindings.activate((await nodkey.bindings.create({ user: 'grace', device })).id);
    const { id } = await nodkey.trusonafications.create({ user: 'grace', action: 'log in', resource: 'Acme Bank' });
    // More than a server takes on one connection.
    const many = Array.from({ length: 250 }, () => nodkey.trusonafications.watch(id));
    const begun = await Promise.all(many.map((watching) => watching.next()));
    assert.deepEqual(new Set(begun.map(({ value }) => value?.status)), new Set(['IN_PROGRESS']));
    const ends = [...many.map(async (watching) => (await watching.next()).value), nodkey.trusonafications.wait(id)];
    await nodkey.trusonafications.cancel(id);
    assert.deepEqual(new Set((await Promise.all(ends)).map((end) => end?.status)), new Set(['CANCELED']));
  });

  it('says_which_fields_are_invalid', async () => {
    const refused = nodkey.trusonafications.create({ user: ' ', action: '', resource: 'Acme Bank' });
    await assert.rejects(refused, (error) => {
      assert.ok(error instanceof NodkeyError);
      assert.deepEqual([error.reason, error.kind, error.retryable], ['VALIDATION_FAILED', 'INVALID', false]);
      assert.deepEqual(error.fields.map(({ field }) => field).sort(), ['action', 'user_identifier']);
      return true;
    });
  });
});

describe('a deployment over TLS', () => {
  let server: Server;

  before(async () => {
    server = await start('--tls');
  });
  after(async () => {
    await server.stop();
  });

  it('is_trusted_by_its_authority_and_by_no_other', async () => {
    const caCertificate = readFileSync(server.dev.ca_certificate ?? '', 'utf8');
    const of = (options: object) => new Nodkey({ url: server.url, ...server.dev.server, ...options });
    using trusting = of({ caCertificate });
    assert.ok((await trusting.jwks.get()).keys.length > 0);
    using other = of({});
    await assert.rejects(other.jwks.get(), (error) => {
      assert.ok(error instanceof NodkeyError);
      assert.equal(error.reason, 'UNAVAILABLE');
      assert.match(error.message, /^cannot reach https:.*certificate/);
      return true;
    });
  });
});
