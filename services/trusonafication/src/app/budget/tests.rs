//! Other parties that prompt as fast as they are allowed to.

use std::{sync::Arc, time::Duration};

use nodkey_db::Db;
use nodkey_kernel::{
    challenge::{Decision, RejectReason},
    error::Classify as _,
    id::{TruCodeId, TrusonaficationId},
    random::Random,
    time::Timestamp,
};
use nodkey_proto::registry::v1::PromptSettings;
use nodkey_testkit::TestDatabase;
use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};

use super::*;
use crate::{
    app::world::{NOW, Phone, World, asking},
    domain::{Target, TruCode, Unchecked},
};

/// A world whose relying party has budgets.
async fn world(database: &TestDatabase) -> World {
    let world = World::new(database).await;
    *world.owners.0.prompts.lock().unwrap() = Some(PromptSettings::default());
    world.settings_changed();
    world
}

fn ada() -> Target {
    Target::User("ada".into())
}

impl World {
    /// Creates a trusonafication that expires in this many seconds.
    async fn asks(&self, target: Target, seconds: i64) -> Result<TrusonaficationId, Error> {
        let expires_at = Timestamp::from_micros(self.clock.now().as_micros() + seconds * 1_000_000);
        self.try_ask(Unchecked { expires_at: Some(expires_at), ..asking(target) }).await
    }

    async fn asks_in(&self, target: Target, context: &str) -> Result<TrusonaficationId, Error> {
        self.try_ask(Unchecked { context: context.into(), ..asking(target) }).await
    }

    /// The retry delay of a refused prompt.
    async fn refused(&self, target: Target) -> Duration {
        let refused = self.asks(target, 60).await.unwrap_err();
        assert_eq!(refused.reason(), "PROMPT_BUDGET_EXHAUSTED");
        refused.retry_after().unwrap()
    }

    async fn sweep(&self) {
        while self.app.sweep(None).await.unwrap().more {}
    }

    /// The browser shows a code and this phone scans it.
    async fn scan(&self, phone: &Phone) -> TruCodeId {
        let code = self.code().await;
        self.app.pair_trucode(Some(self.party), &code.payload, phone.device.as_str(), "").await.unwrap();
        code.id
    }

    async fn code(&self) -> TruCode {
        self.app.create_trucode(self.party, String::new(), String::new()).await.unwrap()
    }

    /// The trusonafication that the phone shows first.
    async fn first(&self, phone: &Phone) -> Option<TrusonaficationId> {
        self.app.pending(self.party, &phone.device, false).await.unwrap().first().map(|pending| pending.id)
    }

    async fn decide(&self, phone: &Phone, id: TrusonaficationId, decision: Decision, why: Option<RejectReason>) {
        let response = self.signed(phone, id, decision, why).await;
        self.respond(phone, &response).await.unwrap();
    }
}

nodkey_testkit::on_both_engines! {
    world =>
    what_nobody_accepts_makes_others_pause_and_an_accept_ends_it,
    three_wait_and_the_moment_that_is_told_is_true,
    whoever_withdraws_what_they_ask_or_asks_in_the_past_pauses_like_everybody_else,
    of_a_hundred_at_once_three_are_let_through,
    in_an_hour_of_trying_a_phone_rings_at_most_12_times_and_its_user_signs_in_by_code_all_the_while,
    a_pairing_is_good_for_one_prompt_by_name_until_there_is_one_by_the_code,
    a_prompt_in_its_last_second_is_in_nobody_elses_way,
    others_who_fill_what_a_relying_party_may_have_open_are_not_in_the_way_of_a_code,
    where_there_are_budgets_nobody_pairs_without_a_proof,
    where_it_is_tolerated_nobody_pauses_and_codes_come_first_all_the_same,
    nobody_is_answered_for_unless_an_operator_allows_it,
    a_newer_prompt_replaces_an_older_one_of_the_same_context_and_no_other,
    not_me_holds_a_context_for_hours_and_what_has_none_for_minutes,
    a_hold_is_released_and_the_pause_stays_until_an_operator_ends_it,
    whoever_answers_first_or_replaces_first_the_other_has_no_effect,
}

async fn what_nobody_accepts_makes_others_pause_and_an_accept_ends_it(world: World) {
    let phone = world.phone("ada");
    for (n, pause) in [10, 30, 120, 600, 1_800].into_iter().enumerate() {
        let id = world.asks(if n % 2 == 0 { ada() } else { Target::Device(phone.device.clone()) }, 3_600).await.unwrap();
        let why = [None, Some(RejectReason::ChangedMind)][n % 2];
        world.decide(&phone, id, Decision::Reject, why).await;
        assert_eq!(world.refused(ada()).await, Duration::from_secs(pause));
        assert_eq!(world.refused(Target::Device(phone.device.clone())).await, Duration::from_secs(pause), "it is the same user");
        world.clock.advance(Duration::from_secs(pause));
    }
    assert!(world.asks(Target::Device(world.phone("grace").device), 60).await.is_ok(), "and nobody else's");
    let id = world.asks(ada(), 60).await.unwrap();
    world.decide(&phone, id, Decision::Accept, None).await;
    for _ in 0..3 {
        world.asks(ada(), 60).await.unwrap();
    }
}

async fn three_wait_and_the_moment_that_is_told_is_true(world: World) {
    world.phone("ada");
    for seconds in [60, 70, 80] {
        world.asks(ada(), seconds).await.unwrap();
    }
    // The third strike, and its pause.
    let after = world.refused(ada()).await;
    assert_eq!(after, Duration::from_secs(80 + 120));
    // No matter when their expiry is written.
    world.clock.advance(Duration::from_secs(95));
    world.sweep().await;
    assert_eq!(world.refused(ada()).await, Duration::from_secs(80 + 120 - 95));
    world.clock.advance(Duration::from_secs(80 + 120 - 95).saturating_sub(Duration::from_micros(1)));
    assert_eq!(world.refused(ada()).await, Duration::from_micros(1));
    world.clock.advance(Duration::from_micros(1));
    world.asks(ada(), 60).await.unwrap();
}

async fn whoever_withdraws_what_they_ask_or_asks_in_the_past_pauses_like_everybody_else(world: World) {
    world.phone("ada");
    let id = world.asks(ada(), 60).await.unwrap();
    world.app.cancel(world.party, id).await.unwrap();
    assert_eq!(world.refused(ada()).await, Duration::from_secs(10));
    world.clock.advance(Duration::from_secs(10));
    // Whether its expiry is written or not.
    world.asks(ada(), -86_400).await.unwrap();
    assert_eq!(world.refused(ada()).await, Duration::from_secs(30));
    world.sweep().await;
    assert_eq!(world.refused(ada()).await, Duration::from_secs(30));
}

async fn of_a_hundred_at_once_three_are_let_through(world: World) {
    world.phone("ada");
    let world = Arc::new(world);
    let mut all = tokio::task::JoinSet::new();
    for n in 0..100 {
        let world = Arc::clone(&world);
        all.spawn(async move { world.asks(ada(), if n % 2 == 0 { 60 } else { 600 }).await.is_ok() });
    }
    let asked = all.join_all().await;
    assert_eq!(asked.iter().filter(|asked| **asked).count(), 3);
}

async fn in_an_hour_of_trying_a_phone_rings_at_most_12_times_and_its_user_signs_in_by_code_all_the_while(world: World) {
    let phone = world.phone("ada");
    let (mut rings, mut signed_in, mut tries) = (0, 0, 0_u32);
    while NOW.until(world.clock.now()) < Duration::from_hours(1) {
        tries += 1;
        // By user and by device, short and long, some canceled immediately, some rejected.
        let target = if tries.is_multiple_of(2) { ada() } else { Target::Device(phone.device.clone()) };
        if let Ok(id) = world.asks(target, i64::from(tries % 3) * 5).await {
            rings += 1;
            match tries % 4 {
                0 => drop(world.app.cancel(world.party, id).await),
                1 if tries % 3 > 0 => world.decide(&phone, id, Decision::Reject, Some(RejectReason::ChangedMind)).await,
                _ => {}
            }
        }
        if tries.is_multiple_of(200) {
            let code = world.scan(&phone).await;
            let id = world.asks(Target::TruCode(code), 60).await.unwrap();
            assert_eq!(world.first(&phone).await, Some(id), "one prompt, the first");
            world.decide(&phone, id, Decision::Accept, None).await;
            signed_in += 1;
        }
        if tries.is_multiple_of(5) {
            world.sweep().await;
        }
        world.clock.advance(Duration::from_secs(1));
    }
    assert!(rings <= 12, "{rings}");
    assert!(signed_in > 10 && rings > 3, "{signed_in} {rings}");
}

async fn a_pairing_is_good_for_one_prompt_by_name_until_there_is_one_by_the_code(world: World) {
    let phone = world.phone("ada");
    let device = || Target::Device(phone.device.clone());
    for _ in 0..3 {
        world.asks(ada(), 600).await.unwrap();
    }
    world.refused(device()).await;
    let code = world.scan(&phone).await;
    world.refused(ada()).await;
    let by_name = world.asks(device(), 60).await.unwrap();
    assert_eq!(world.first(&phone).await, Some(by_name));
    world.refused(device()).await;
    let by_code = world.asks(Target::TruCode(code), 60).await.unwrap();
    assert!(world.app.pending(world.party, &phone.device, false).await.unwrap()[..2].iter().any(|first| first.id == by_code));
    assert_eq!(world.asks(Target::TruCode(code), 60).await.unwrap_err().reason(), "TRUCODE_USED", "whoever read its id from a list");
    world.decide(&phone, by_code, Decision::Reject, Some(RejectReason::ChangedMind)).await;
    // A code that was prompted by its id does not allow a prompt by name, nor does an old one.
    let code = world.scan(&phone).await;
    world.asks(Target::TruCode(code), 60).await.unwrap();
    world.refused(device()).await;
    world.scan(&phone).await;
    world.clock.advance(Duration::from_mins(1));
    world.refused(device()).await;
}

async fn a_prompt_in_its_last_second_is_in_nobody_elses_way(world: World) {
    let phone = world.phone("ada");
    world.clock.advance(Duration::from_millis(500));
    world.asks(ada(), 10).await.unwrap();
    let other = world.asks(ada(), 60).await.unwrap();
    let shown =
        async || world.app.pending(world.party, &phone.device, false).await.unwrap().iter().map(|shown| shown.id).collect::<Vec<_>>();
    world.clock.advance(Duration::from_millis(9_400));
    assert_eq!(shown().await.len(), 2);
    // The challenge says that it ended with second 10.
    world.clock.advance(Duration::from_millis(300));
    assert_eq!(shown().await, [other]);
}

async fn others_who_fill_what_a_relying_party_may_have_open_are_not_in_the_way_of_a_code(world: World) {
    let phone = world.phone("ada");
    *world.owners.0.open.lock().unwrap() = 3;
    world.settings_changed();
    while world.asks(Target::TruCode(TruCodeId::generate(NOW, &Random::system())), 600).await.is_ok() {}
    assert_eq!(world.asks(ada(), 60).await.unwrap_err().reason(), "TOO_MANY_OPEN");
    let code = world.scan(&phone).await;
    world.asks(Target::Device(phone.device.clone()), 60).await.unwrap();
    world.asks(Target::TruCode(code), 60).await.unwrap();
    // Nor does a code that is not paired yet.
    let code = world.code().await;
    world.asks(Target::TruCode(code.id), 60).await.unwrap();
    // As many again and no more, even if other prompts keep coming.
    for _ in 0..3 {
        world.clock.advance(Duration::from_secs(2));
        assert_eq!(world.asks(ada(), 60).await.unwrap_err().reason(), "TOO_MANY_OPEN");
        let code = world.code().await;
        assert_eq!(world.asks(Target::TruCode(code.id), 60).await.unwrap_err().reason(), "TOO_MANY_OPEN");
    }
}

async fn where_there_are_budgets_nobody_pairs_without_a_proof(world: World) {
    let phone = world.phone("ada");
    let code = world.code().await;
    let pair = async || world.app.pair_trucode(None, &code.payload, phone.device.as_str(), "").await;
    *world.owners.0.unproven.lock().unwrap() = true;
    world.settings_changed();
    assert_eq!(pair().await.unwrap_err().reason(), "PROOF_REQUIRED");
    *world.owners.0.prompts.lock().unwrap() = Some(PromptSettings { tolerant: true, ..PromptSettings::default() });
    world.settings_changed();
    pair().await.unwrap();
}

async fn where_it_is_tolerated_nobody_pauses_and_codes_come_first_all_the_same(world: World) {
    let phone = world.phone("ada");
    for said in [None, Some(PromptSettings { tolerant: true, ..PromptSettings::default() })] {
        *world.owners.0.prompts.lock().unwrap() = said;
        world.settings_changed();
        for _ in 0..5 {
            let id = world.asks(ada(), 60).await.unwrap();
            world.decide(&phone, id, Decision::Reject, Some(RejectReason::NotMe)).await;
        }
    }
    for _ in 0..20 {
        world.asks(ada(), 60).await.unwrap();
    }
    assert_eq!(world.asks(ada(), 60).await.unwrap_err().reason(), "TOO_MANY_PENDING");
    let code = world.scan(&phone).await;
    let id = world.asks(Target::TruCode(code), 60).await.unwrap();
    assert_eq!(world.first(&phone).await, Some(id), "the phone shows 20, and this one first");
}

async fn nobody_is_answered_for_unless_an_operator_allows_it(world: World) {
    world.phone("ada");
    for (said, prompt) in [
        (PromptSettings::default(), true),
        (PromptSettings { allow_unprompted: true, ..PromptSettings::default() }, false),
        (PromptSettings { tolerant: true, ..PromptSettings::default() }, false),
    ] {
        *world.owners.0.prompts.lock().unwrap() = Some(said);
        world.settings_changed();
        let id = world.try_ask(Unchecked { prompt: Some(false), ..asking(ada()) }).await.unwrap();
        assert_eq!(world.app.get(world.party, id).await.unwrap().ask.prompt, prompt);
    }
}

async fn a_newer_prompt_replaces_an_older_one_of_the_same_context_and_no_other(world: World) {
    world.phone("ada");
    world.phone("grace");
    let (other, unnamed) = (world.asks_in(ada(), "two").await.unwrap(), world.asks(ada(), 60).await.unwrap());
    let grace = world.asks_in(Target::User("grace".into()), "one").await.unwrap();
    let older = world.asks_in(ada(), "one").await.unwrap();
    let newer = world.asks_in(ada(), "one").await.unwrap();
    for (id, state) in [
        (older, State::Canceled),
        (newer, State::InProgress),
        (other, State::InProgress),
        (unnamed, State::InProgress),
        (grace, State::InProgress),
    ] {
        assert_eq!(world.state(id).await, state);
    }
    // The phone rang even so.
    world.app.cancel(world.party, other).await.unwrap();
    world.app.cancel(world.party, unnamed).await.unwrap();
    let refused = world.asks_in(ada(), "one").await.unwrap_err();
    assert_eq!(refused.retry_after(), Some(Duration::from_mins(2)), "the third strike");
}

async fn not_me_holds_a_context_for_hours_and_what_has_none_for_minutes(world: World) {
    let phone = world.phone("ada");
    let held = async |context: &str| match world.asks_in(ada(), context).await {
        Err(Error::PromptsHeld { after }) => Some(after),
        Err(Error::PromptBudget { .. }) | Ok(_) => None,
        Err(e) => panic!("{e}"),
    };
    for (context, hold) in [("one", Duration::from_hours(4)), ("", Duration::from_mins(10))] {
        let id = world.asks_in(ada(), context).await.unwrap();
        world.decide(&phone, id, Decision::Reject, Some(RejectReason::NotMe)).await;
        assert_eq!(held(context).await, Some(hold));
        assert_eq!(held("another").await, None);
        // Sign-ins that the user starts are still possible, there too.
        let code = world.scan(&phone).await;
        let own = world.try_ask(Unchecked { context: context.into(), ..asking(Target::TruCode(code)) }).await.unwrap();
        world.decide(&phone, own, Decision::Accept, None).await;
        world.clock.advance(hold.saturating_sub(Duration::from_micros(1)));
        assert_eq!(held(context).await, Some(Duration::from_micros(1)));
        world.clock.advance(Duration::from_micros(1));
        assert_eq!(held(context).await, None);
        world.sweep().await;
        world.app.reset_budget(world.party, "ada").await.unwrap();
        for waiting in world.app.pending(world.party, &phone.device, false).await.unwrap() {
            world.decide(&phone, waiting.id, Decision::Accept, None).await;
        }
    }
    // Another reason holds nothing. A rejected sign-in of the user's own holds its context for others.
    let id = world.asks_in(ada(), "two").await.unwrap();
    world.decide(&phone, id, Decision::Reject, Some(RejectReason::ChangedMind)).await;
    assert_eq!(held("two").await, None);
    let code = world.scan(&phone).await;
    let own = world.try_ask(Unchecked { context: "three".into(), ..asking(Target::TruCode(code)) }).await.unwrap();
    world.decide(&phone, own, Decision::Reject, Some(RejectReason::NotMe)).await;
    assert_eq!(held("three").await, Some(Duration::from_hours(4)));
    let all = world.db.query("SELECT COUNT(*) AS n FROM prompt_hold");
    assert_eq!(all.fetch_one().await.unwrap().get::<i64>("n").unwrap(), 3);
    store::delete_holds(&world.db, world.clock.now()).await.unwrap();
    assert_eq!(world.app.patience(world.party, "ada").await.unwrap().holds.len(), 1, "what is over is deleted");
}

async fn a_hold_is_released_and_the_pause_stays_until_an_operator_ends_it(world: World) {
    let phone = world.phone("ada");
    let id = world.asks_in(ada(), "one").await.unwrap();
    world.decide(&phone, id, Decision::Reject, Some(RejectReason::NotMe)).await;
    let found = world.app.patience(world.party, "ada").await.unwrap();
    assert_eq!((found.strikes, found.waiting, found.free_at), (1, 0, Some(world.clock.now() + Duration::from_secs(10))));
    assert_eq!(found.holds.iter().map(|hold| (hold.context.as_str(), hold.trusonafication)).collect::<Vec<_>>(), [("one", id)]);
    let other = nodkey_kernel::id::RelyingPartyId::generate(NOW, &Random::system());
    for (party, user, context) in [(world.party, "ada", ""), (world.party, "grace", "one"), (other, "ada", "one")] {
        world.app.release_hold(party, user, context).await.unwrap();
    }
    assert_eq!(world.asks_in(ada(), "one").await.unwrap_err().reason(), "PROMPTS_HELD", "another hold, or another's");
    let found = world.app.release_hold(world.party, "ada", "one").await.unwrap();
    assert!(found.holds.is_empty() && found.strikes == 1);
    assert_eq!(world.asks_in(ada(), "one").await.unwrap_err().reason(), "PROMPT_BUDGET_EXHAUSTED");
    let found = world.app.reset_budget(world.party, "ada").await.unwrap();
    assert_eq!((found.strikes, found.free_at), (0, None));
    world.asks_in(ada(), "one").await.unwrap();
}

async fn whoever_answers_first_or_replaces_first_the_other_has_no_effect(world: World) {
    let world = Arc::new(world);
    for n in 0..20 {
        let user = format!("user {n}");
        let phone = world.phone(&user);
        let older = world.asks_in(Target::User(user.clone()), "one").await.unwrap();
        let response = world.accept(&phone, older).await;
        let replacing = tokio::spawn({
            let (world, user) = (Arc::clone(&world), user.clone());
            async move { world.asks_in(Target::User(user), "one").await }
        });
        let answered = world.respond(&phone, &response).await;
        replacing.await.unwrap().unwrap();
        let state = world.state(older).await;
        assert_eq!(answered.is_ok(), matches!(state, State::Accepted { .. }), "{state:?}");
        assert!(answered.is_ok() || state == State::Canceled);
        let left = world.app.patience(world.party, &user).await.unwrap();
        assert_eq!((left.strikes, left.waiting), (u32::from(state == State::Canceled), 1));
    }
}

/// What other parties do.
#[derive(Clone, Debug)]
enum Move {
    ByUser(i64),
    ByDevice(i64),
    ByNoCode,
    Cancel(usize),
    Wait(u64),
    Reject(usize),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let seconds = || -100..4_000_i64;
    let one = prop_oneof![
        4 => seconds().prop_map(Move::ByUser),
        4 => seconds().prop_map(Move::ByDevice),
        1 => Just(Move::ByNoCode),
        1 => (0..9_usize).prop_map(Move::Cancel),
        1 => (0..900_u64).prop_map(Move::Wait),
        1 => (0..9_usize).prop_map(Move::Reject),
    ];
    prop::collection::vec(one, 0..40)
}

/// Whatever other parties do before and in between, a sign-in that the user starts works and is shown first.
async fn no_sequence(database: &TestDatabase, runs: usize) {
    let (mut runner, world) = (TestRunner::deterministic(), world(database).await);
    for run in 0..runs {
        let moves = moves().new_tree(&mut runner).unwrap().current();
        let (user, mut open) = (format!("user {run}"), Vec::new());
        let phone = world.phone(&user);
        for one in &moves {
            match one {
                Move::ByUser(seconds) => open.extend(world.asks(Target::User(user.clone()), *seconds).await),
                Move::ByDevice(seconds) => open.extend(world.asks(Target::Device(phone.device.clone()), *seconds).await),
                Move::ByNoCode => {
                    let code = TruCodeId::generate(world.clock.now(), &Random::system());
                    open.extend(world.asks(Target::TruCode(code), 60).await);
                }
                Move::Cancel(n) | Move::Reject(n) if open.is_empty() || *n >= open.len() => {}
                Move::Cancel(n) => drop(world.app.cancel(world.party, open.remove(*n)).await),
                Move::Reject(n) => {
                    let response = world.signed(&phone, open.remove(*n), Decision::Reject, Some(RejectReason::NotMe)).await;
                    drop(world.respond(&phone, &response).await);
                }
                Move::Wait(seconds) => world.clock.advance(Duration::from_secs(*seconds)),
            }
        }
        let code = world.scan(&phone).await;
        let target = if run % 2 == 0 { Target::TruCode(code) } else { Target::Device(phone.device.clone()) };
        let id = world.asks(target, 60).await.unwrap_or_else(|e| panic!("{e} after {moves:?}"));
        assert_eq!(world.first(&phone).await, Some(id), "after {moves:?}");
        world.decide(&phone, id, Decision::Accept, None).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_sequence_of_others_prompts_makes_the_users_own_way_fail_or_come_second() {
    Box::pin(no_sequence(&TestDatabase::sqlite(), 60)).await;
    Box::pin(no_sequence(&TestDatabase::postgres().await, 20)).await;
}

async fn of_old(db: &Db) -> i64 {
    db.query("SELECT COUNT(*) AS n FROM prompt_budget").fetch_one().await.unwrap().get("n").unwrap()
}

#[tokio::test]
async fn budgets_that_nobody_uses_are_deleted() {
    let world = world(&TestDatabase::sqlite()).await;
    world.phone("ada");
    world.asks(ada(), 60).await.unwrap();
    let late = |days: u64| NOW + Duration::from_hours(24 * days);
    store::delete_budgets(&world.db, late(29), UNUSED).await.unwrap();
    assert_eq!(of_old(&world.db).await, 1);
    store::delete_budgets(&world.db, late(31), UNUSED).await.unwrap();
    assert_eq!(of_old(&world.db).await, 0);
}
