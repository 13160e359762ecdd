//! How many digits a number has, which devices get it, and when one is added without a request.

use nodkey_kernel::{
    challenge::{Decision, MatchClaim, RequestContext},
    jose::jws::Compact,
};
use nodkey_proto::registry::v1::PromptSettings;
use nodkey_testkit::TestDatabase;

use super::*;
use crate::app::world::{Phone, World, asking};

/// A world whose relying party has budgets.
async fn world(database: &TestDatabase) -> World {
    let world = World::new(database).await;
    *world.owners.0.prompts.lock().unwrap() = Some(PromptSettings::default());
    world.settings_changed();
    world
}

const ENTER: Matching = Matching { mode: Some(MatchMode::Enter), shown: true };
const UNASKED: Matching = Matching { mode: None, shown: true };

fn ada() -> Target {
    Target::User("ada".into())
}

impl World {
    fn able(&self, phone: Phone) -> Phone {
        self.owners.known().get_mut(&phone.device).unwrap().match6 = true;
        phone
    }

    fn require_six(&self) {
        *self.owners.0.prompts.lock().unwrap() = Some(PromptSettings { require_six_digits: true, ..PromptSettings::default() });
        self.settings_changed();
    }

    /// The number to show, and what phones learn of it.
    async fn number(&self, target: Target) -> Result<(TrusonaficationId, String, Option<MatchClaim>), Error> {
        let created = self.create(asking(target), ENTER).await?;
        let id = created.trusonafication.unwrap().id.parse().unwrap();
        Ok((id, created.match_number, self.claims(id).await.number_match))
    }

    async fn claims(&self, id: TrusonaficationId) -> ChallengeClaims {
        let challenge = store::get_answerable(&self.db, self.party, id).await.unwrap().unwrap().challenge;
        Compact::parse(&challenge).unwrap().unverified_claims().unwrap()
    }

    async fn is_shown(&self, phone: &Phone) -> bool {
        !self.app.pending(self.party, &phone.device, false).await.unwrap().is_empty()
    }
}

nodkey_testkit::on_both_engines! {
    world =>
    a_number_has_six_digits_where_all_who_are_asked_can_take_them,
    where_two_are_too_few_those_are_asked_who_can_take_six,
    with_another_open_a_number_comes_unasked_to_callers_that_can_show_it,
    who_asks_the_backend_is_signed_and_kept,
}

async fn a_number_has_six_digits_where_all_who_are_asked_can_take_them(world: World) {
    let new = world.able(world.phone("ada"));
    let (id, number, claim) = world.number(ada()).await.unwrap();
    assert_eq!((number.len(), claim), (6, Some(MatchClaim::Enter { digits: 6 })));
    let response = world.signed_with(&new, id, Decision::Accept, None, Some(&number)).await;
    assert!(matches!(world.respond(&new, &response).await.unwrap().state, State::Accepted { .. }));
    let old = world.phone("ada");
    for (target, digits) in [(ada(), 2), (Target::Device(old.device.clone()), 2), (Target::Device(new.device.clone()), 6)] {
        let (_, number, claim) = world.number(target).await.unwrap();
        assert_eq!((number.len(), claim), (usize::from(digits), Some(MatchClaim::Enter { digits })));
    }
    assert!(world.is_shown(&old).await);
}

async fn where_two_are_too_few_those_are_asked_who_can_take_six(world: World) {
    world.require_six();
    let old = world.phone("ada");
    for target in [ada(), Target::Device(old.device.clone())] {
        let refused = world.number(target).await.unwrap_err();
        assert_eq!((refused.reason(), refused.kind()), ("NO_SIX_DIGITS", Kind::Precondition));
    }
    let new = world.able(world.phone("ada"));
    let (id, number, _) = world.number(ada()).await.unwrap();
    assert_eq!(number.len(), 6);
    assert!(world.is_shown(&new).await && !world.is_shown(&old).await);
    let asked = store::get(&world.db, world.party, id).await.unwrap().unwrap();
    assert_eq!(asked.told, [new.device], "the other does not ring");
    // Choosing is comparing.
    let choose = Matching { mode: Some(MatchMode::Choose), shown: true };
    let refused = world.create(asking(ada()), choose).await.unwrap_err();
    assert_eq!(refused.field_violations()[0].field, "number_match");
    // A trusonafication without a number goes to both phones.
    world.app.cancel(world.party, id).await.unwrap();
    world.clock.advance(Duration::from_secs(10));
    world.try_ask(asking(ada())).await.unwrap();
    assert!(world.is_shown(&old).await);
}

async fn with_another_open_a_number_comes_unasked_to_callers_that_can_show_it(world: World) {
    let phone = world.able(world.phone("ada"));
    let ask = async |matching: Matching| {
        let created = world.create(asking(ada()), matching).await.unwrap();
        (created.trusonafication.unwrap(), created.match_number)
    };
    assert_eq!(ask(UNASKED).await.1, "", "it is the only one");
    assert_eq!(ask(Matching::default()).await.1, "");
    let (third, number) = ask(UNASKED).await;
    assert_eq!((number.len(), third.number_match()), (6, nodkey_proto::trusonafication::v1::NumberMatch::Enter));
    let id = third.id.parse().unwrap();
    assert_eq!(world.claims(id).await.number_match, Some(MatchClaim::Enter { digits: 6 }));
    let response = world.signed_with(&phone, id, Decision::Accept, None, Some(&number)).await;
    assert!(matches!(world.respond(&phone, &response).await.unwrap().state, State::Accepted { .. }));
    // A sign-in that the user starts needs no number to stand out, and a replacement leaves only one pending.
    let code = world.app.create_trucode(world.party, String::new(), String::new()).await.unwrap();
    world.app.pair_trucode(Some(world.party), &code.payload, phone.device.as_str(), "").await.unwrap();
    assert_eq!(world.create(asking(Target::TruCode(code.id)), UNASKED).await.unwrap().match_number, "");
    world.phone("grace");
    for _ in 0..2 {
        let asked = Unchecked { context: "session".into(), ..asking(Target::User("grace".into())) };
        assert_eq!(world.create(asked, UNASKED).await.unwrap().match_number, "");
        world.clock.advance(Duration::from_secs(10));
    }
    // Nor with tolerant settings.
    *world.owners.0.prompts.lock().unwrap() = Some(PromptSettings { tolerant: true, ..PromptSettings::default() });
    world.settings_changed();
    world.phone("eve");
    for _ in 0..3 {
        assert_eq!(world.create(asking(Target::User("eve".into())), UNASKED).await.unwrap().match_number, "");
    }
}

async fn who_asks_the_backend_is_signed_and_kept(world: World) {
    world.phone("ada");
    let from = RequestContext { address: "2001:db8::7".into(), browser: "Firefox on Linux".into(), place: "Berlin".into() };
    let asked = Unchecked { request_context: from.clone(), ..asking(ada()) };
    let created = world.create(asked, UNASKED).await.unwrap().trusonafication.unwrap();
    let id = created.id.parse().unwrap();
    assert_eq!(world.claims(id).await.request_context.as_ref(), Some(&from));
    assert_eq!(store::get(&world.db, world.party, id).await.unwrap().unwrap().ask.request_context, from);
    let said = created.request_context.unwrap();
    assert_eq!((said.address, said.browser, said.place), (from.address, from.browser, from.place));
    let id = world.try_ask(asking(ada())).await.unwrap();
    assert_eq!(world.claims(id).await.request_context, None);
}
