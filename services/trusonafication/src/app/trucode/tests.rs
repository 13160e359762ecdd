//! Attackers who guess the number of a code.

use nodkey_kernel::{
    challenge::{Decision, RejectReason},
    error::{Classify as _, Kind},
};
use nodkey_proto::registry::v1::PromptSettings;
use nodkey_testkit::TestDatabase;

use super::*;
use crate::{
    app::world::{Phone, World, asking},
    domain::{State, Target},
};

/// A world whose relying party has budgets and codes with a number.
async fn world(database: &TestDatabase) -> World {
    let world = World::new(database).await;
    *world.owners.0.prompts.lock().unwrap() = Some(PromptSettings::default());
    *world.owners.0.numbered.lock().unwrap() = true;
    world.settings_changed();
    world
}

impl World {
    async fn numbered(&self) -> (TruCode, String) {
        let code = self.app.create_trucode(self.party, String::new(), String::new()).await.unwrap();
        let number = code.match_number.clone().unwrap();
        (code, number)
    }

    async fn pair(&self, code: &TruCode, phone: &Phone, number: &str) -> Result<TruCode, Error> {
        self.app.pair_trucode(Some(self.party), &code.payload, phone.device.as_str(), number).await
    }

    /// The strikes of a user, and how many of them are wrong numbers.
    async fn struck(&self, user: &str) -> (u32, u32) {
        let patience = self.app.patience(self.party, user).await.unwrap();
        (patience.strikes, patience.wrong_numbers)
    }
}

fn wrong(number: &str) -> &'static str {
    if number == "10" { "11" } else { "10" }
}

nodkey_testkit::on_both_engines! {
    world =>
    the_third_wrong_number_ends_a_code_whosever_it_is,
    two_wrong_numbers_and_the_right_one_pair_a_code,
    of_all_numbers_at_once_three_are_heard,
    wrong_numbers_lengthen_the_pause_on_the_users_own_way_too,
    where_it_is_tolerated_a_code_ends_and_nobody_pauses,
}

async fn the_third_wrong_number_ends_a_code_whosever_it_is(world: World) {
    let (ada, grace) = (world.phone("ada"), world.phone("grace"));
    let (code, number) = world.numbered().await;
    for (n, phone) in [&ada, &grace, &ada].into_iter().enumerate() {
        assert_eq!(world.pair(&code, phone, "").await.unwrap_err().reason(), "NUMBER_MISMATCH", "no number is no guess");
        let refused = world.pair(&code, phone, wrong(&number)).await.unwrap_err();
        assert_eq!(refused.reason(), if n < 2 { "NUMBER_MISMATCH" } else { "TOO_MANY_WRONG_NUMBERS" });
    }
    let refused = world.pair(&code, &ada, &number).await.unwrap_err();
    assert_eq!((refused.reason(), refused.kind()), ("TOO_MANY_WRONG_NUMBERS", Kind::Gone), "the right one comes too late");
    assert_eq!(world.app.trucode_context(&code.reference).await.unwrap_err().reason(), "TOO_MANY_WRONG_NUMBERS");
    let seen = world.app.trucode_status(code.id, "").await.unwrap();
    assert!(seen.is_over(world.clock.now()) && seen.identifier.is_none(), "its page makes another");
    assert_eq!((world.struck("ada").await, world.struck("grace").await), ((2, 2), (1, 1)));
    // Another code is not affected.
    let (code, number) = world.numbered().await;
    world.pair(&code, &ada, &number).await.unwrap();
}

async fn two_wrong_numbers_and_the_right_one_pair_a_code(world: World) {
    let ada = world.phone("ada");
    let (code, number) = world.numbered().await;
    for _ in 0..2 {
        world.pair(&code, &ada, wrong(&number)).await.unwrap_err();
    }
    let paired = world.pair(&code, &ada, &number).await.unwrap();
    assert_eq!(paired.identifier.as_deref(), Some(ada.device.as_str()));
    // Pairing again succeeds with any number, since the code is paired.
    world.pair(&code, &ada, wrong(&number)).await.unwrap();
    assert_eq!(world.struck("ada").await, (2, 2));
}

async fn of_all_numbers_at_once_three_are_heard(world: World) {
    let phone = world.phone("ada");
    let (code, _) = world.numbered().await;
    let guesses = (10..100).map(|n| {
        let (app, party, payload, device) = (world.app.clone(), world.party, code.payload.clone(), phone.device.to_string());
        tokio::spawn(async move { app.pair_trucode(Some(party), &payload, &device, &n.to_string()).await.map(drop) })
    });
    let mut heard = 0;
    for guess in guesses.collect::<Vec<_>>() {
        match guess.await.unwrap() {
            // A paired code stays with the device, whatever number it sends.
            Ok(()) => {}
            Err(e) if e.reason() == "NUMBER_MISMATCH" => heard += 1,
            Err(e) => assert!(["TOO_MANY_WRONG_NUMBERS", "RACED"].contains(&e.reason()), "{e}"),
        }
    }
    let counted = store::trucode_by_id(&world.db, code.id).await.unwrap().unwrap();
    assert!(heard <= 2 && counted.wrong_numbers <= MAX_WRONG_NUMBERS, "{heard} {}", counted.wrong_numbers);
    assert_eq!(counted.identifier.is_some(), counted.wrong_numbers < MAX_WRONG_NUMBERS);
    let counted = u32::try_from(counted.wrong_numbers).unwrap();
    assert_eq!(world.struck("ada").await, (counted, counted));
}

async fn wrong_numbers_lengthen_the_pause_on_the_users_own_way_too(world: World) {
    let phone = world.phone("ada");
    let (code, number) = world.numbered().await;
    world.pair(&code, &phone, &number).await.unwrap();
    let asked = asking(Target::TruCode(code.id));
    let matching = super::super::Matching { mode: Some(crate::domain::MatchMode::Enter), shown: true };
    let created = world.create(asked, matching).await.unwrap();
    let id = created.trusonafication.unwrap().id.parse().unwrap();
    let response = world.signed_with(&phone, id, Decision::Accept, None, Some("00")).await;
    world.respond(&phone, &response).await.unwrap();
    assert!(matches!(world.state(id).await, State::Rejected { .. }));
    assert_eq!(world.struck("ada").await, (1, 1));
    let refused = world.try_ask(asking(Target::User("ada".into()))).await.unwrap_err();
    assert_eq!((refused.reason(), refused.retry_after()), ("PROMPT_BUDGET_EXHAUSTED", Some(Duration::from_secs(10))));
    // Rejecting a sign-in that the user started is not a strike.
    let (code, number) = world.numbered().await;
    world.pair(&code, &phone, &number).await.unwrap();
    let id = world.try_ask(asking(Target::TruCode(code.id))).await.unwrap();
    let response = world.signed(&phone, id, Decision::Reject, Some(RejectReason::ChangedMind)).await;
    world.respond(&phone, &response).await.unwrap();
    assert_eq!(world.struck("ada").await, (1, 1));
}

async fn where_it_is_tolerated_a_code_ends_and_nobody_pauses(world: World) {
    *world.owners.0.prompts.lock().unwrap() = Some(PromptSettings { tolerant: true, ..PromptSettings::default() });
    world.settings_changed();
    let phone = world.phone("ada");
    let (code, number) = world.numbered().await;
    for _ in 0..3 {
        world.pair(&code, &phone, wrong(&number)).await.unwrap_err();
    }
    assert_eq!(world.pair(&code, &phone, &number).await.unwrap_err().reason(), "TOO_MANY_WRONG_NUMBERS");
    assert_eq!(world.struck("ada").await, (0, 0));
}
