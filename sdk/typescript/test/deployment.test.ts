/** Against `nodkey dev`, with phones on the terminal. */

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { isSuccess, Nodkey, verifyEvidence } from '../src/index.js';
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
    for (const jwks of [nodkey.jwks, await nodkey.jwks.get(), await nodkey.jwks.archive()]) {
      const { receipt } = await verifyEvidence(evidence, {
        jwks,
        trusonafication: id,
        user: 'ada',
        level: 2,
        maxAge: 60_000,
      });
      assert.equal(receipt.rp, server.dev.relying_party_id);
    }
    await assert.rejects(verifyEvidence(evidence, { jwks: nodkey.jwks, user: 'bob' }), {
      reason: 'unexpected',
      detail: 'user',
    });
  });
});
