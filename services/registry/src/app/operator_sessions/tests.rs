use std::time::Duration;

use nodkey_kernel::{
    jose::{Algorithm, PrivateKey, hs256, sha256},
    random::Random,
    role::Role,
};
use nodkey_runtime::token::Claims;

use super::*;
use crate::{app::audit_chain::tests::World, domain::operator::NewOperator};

/// Signs an operator in.
async fn signed_in(world: &World) -> OperatorSessionId {
    let (now, random) = (world.clock.now(), Random::seeded(7));
    let new = NewOperator::parse("Ada", Some(Role::Owner)).unwrap();
    let operator = Operator::invite(OperatorId::generate(now, &random), new, sha256(b"token"), now);
    let (id, lifetime) = (OperatorSessionId::generate(now, &random), world.app.0.session_lifetime);
    let trusonafication = TrusonaficationId::generate(now, &random);
    let session = OperatorSession {
        id,
        operator: operator.id,
        trusonafication,
        created_at: now,
        expires_at: now + lifetime,
        seen_at: now,
        client: Client::default(),
    };
    let sealed = world.app.0.vault.seal(&random, &context(id), b"secret");
    let mut tx = world.db.begin().await.unwrap();
    store::insert(&mut tx, &operator).await.unwrap();
    assert!(store::insert_session(&mut tx, &session, &sealed).await.unwrap());
    tx.commit().await.unwrap();
    let device = PrivateKey::generate(Algorithm::EdDsa, &random).public().thumbprint();
    world.db.execute("UPDATE operator SET state = 'active', device_id = $1").bind(device).execute().await.unwrap();
    id
}

async fn is_alive(world: &World, id: OperatorSessionId, secret: &str) -> bool {
    let claims =
        Claims { aud: world.app.0.deployment.audience.as_str().into(), exp: world.clock.now().as_seconds() + 30, iss: None, rp: None };
    let token = hs256::sign(None, &claims, secret.as_bytes());
    world.app.resolve_operator_session(id, &token).await.is_ok()
}

nodkey_testkit::on_both_engines! {
    World::new =>
    a_session_that_is_used_goes_on_and_one_that_is_not_is_over,
    who_shows_no_genuine_token_keeps_no_session_alive,
}

async fn a_session_that_is_used_goes_on_and_one_that_is_not_is_over(world: World) {
    let id = signed_in(&world).await;
    world.clock.advance(Duration::from_hours(7));
    assert!(is_alive(&world, id, "secret").await);
    world.clock.advance(Duration::from_mins(4 * 60 + 59));
    assert!(is_alive(&world, id, "secret").await, "it was used in between");
    world.clock.advance(Duration::from_mins(2));
    assert!(!is_alive(&world, id, "secret").await, "12 hours are over");
}

async fn who_shows_no_genuine_token_keeps_no_session_alive(world: World) {
    let id = signed_in(&world).await;
    world.clock.advance(Duration::from_hours(7));
    assert!(!is_alive(&world, id, "another").await);
    world.clock.advance(Duration::from_mins(61));
    assert!(!is_alive(&world, id, "secret").await, "nobody used it for 8 hours");
}
