//! What a person is to confirm.

use std::time::SystemTime;

use nodkey_proto::trusonafication::v1::{self as message, create_trusonafication_request::Target};

use super::{NumberMatch, wire::to_time};
use crate::{CodeId, DeviceIdentifier, RequestContext, UserIdentifier};

/// What a person has to confirm, and who. By default at level 2, on a phone that shows it and waits for the person, for two minutes.
#[derive(Clone, Debug)]
#[must_use]
pub struct NewTrusonafication {
    message: message::CreateTrusonaficationRequest,
    request_id: Option<String>,
}

impl NewTrusonafication {
    /// For a user: all of their active devices are prompted, and the first response decides.
    ///
    /// The phone shows `action`, such as `log in`, and `resource`, such as `Acme Bank`: 1 to 255 visible characters each. They are signed.
    pub fn user(user: impl Into<UserIdentifier>, action: impl Into<String>, resource: impl Into<String>) -> Self {
        Self::new(Target::UserIdentifier(user.into().into()), action.into(), resource.into())
    }

    /// For one device. `action` and `resource` as for [`user`](Self::user).
    pub fn device(device: impl Into<DeviceIdentifier>, action: impl Into<String>, resource: impl Into<String>) -> Self {
        Self::new(Target::DeviceIdentifier(device.into().into()), action.into(), resource.into())
    }

    /// For the device that scanned, or will scan, the secure QR code of this id; it is good for one request. `action` and `resource` as for
    /// [`user`](Self::user).
    pub fn code(code: impl Into<CodeId>, action: impl Into<String>, resource: impl Into<String>) -> Self {
        Self::new(Target::TrucodeId(code.into().into()), action.into(), resource.into())
    }

    fn new(target: Target, action: String, resource: String) -> Self {
        let target = Some(target);
        let message = message::CreateTrusonaficationRequest { target, action, resource, shows_number: true, ..Default::default() };
        Self { message, request_id: None }
    }

    /// What an accept has to prove: a [`Level`](crate::Level), or the number of one that only the deployment knows. [`Essential`](crate::Level::Essential) unless set.
    pub fn level(mut self, level: impl Into<i32>) -> Self {
        self.message.desired_level = level.into();
        self
    }

    /// Whether the phone shows it and waits for the person: true unless set. `false` has no effect unless an operator allowed it
    /// (`docs/guides/prompts.md`).
    pub const fn prompt(mut self, prompt: bool) -> Self {
        self.message.prompt = Some(prompt);
        self
    }

    /// Whether the person has to prove their presence: true unless set, except at level 1.
    pub const fn user_presence(mut self, user_presence: bool) -> Self {
        self.message.user_presence = Some(user_presence);
        self
    }

    /// Whether the person has to present their registered document: at level 3 only unless set.
    pub const fn show_identity_document(mut self, show: bool) -> Self {
        self.message.show_identity_document = Some(show);
        self
    }

    /// When it expires, at most 24 hours ahead. Unless set in 120 seconds, or as the deployment says.
    pub fn expires_at(mut self, time: SystemTime) -> Self {
        self.message.expires_at = Some(to_time(time));
        self
    }

    /// Your own fields, which the phone shows and signs: a JSON object of at most 1 MB, with 32 levels inside at most. It is shown, signed and
    /// returned with exactly these characters.
    pub fn custom_fields_json(mut self, json: impl Into<String>) -> Self {
        self.message.custom_fields_json = json.into();
        self
    }

    /// An https URL of a public host, at most 2000 bytes, to which the signed result is sent; verify it with
    /// [`verify_result`](crate::verify_result).
    pub fn callback_url(mut self, url: impl Into<String>) -> Self {
        self.message.callback_url = url.into();
        self
    }

    /// The person has to match a number that your page shows: [`Created::match_number`](super::Created::match_number). That protects against
    /// requests that they did not start. Prefer [`NumberMatch::Enter`]: whoever chooses one of three is right too often.
    pub const fn number_match(mut self, number_match: NumberMatch) -> Self {
        self.message.number_match = number_match.to_wire();
        self
    }

    /// Your login session, at most 255 characters. A newer prompt to the same user in the same context replaces an older one.
    pub fn context(mut self, context: impl Into<String>) -> Self {
        self.message.context = context.into();
        self
    }

    /// Where the request to you comes from. The phone shows it.
    pub fn request_context(mut self, context: RequestContext) -> Self {
        let RequestContext { address, browser, place } = context;
        self.message.request_context = Some(message::RequestContext {
            address: address.unwrap_or_default(),
            browser: browser.unwrap_or_default(),
            place: place.unwrap_or_default(),
        });
        self
    }

    /// Whether your page shows [`Created::match_number`](super::Created::match_number) whenever there is one, so that one may come unrequested:
    /// true unless set.
    pub const fn shows_number(mut self, shows: bool) -> Self {
        self.message.shows_number = shows;
        self
    }

    /// Your own id of the call, at most 128 characters, so that it can be repeated across restarts of your backend: the same id and content
    /// within 24 hours has no second effect. Otherwise each call has a new one.
    pub fn request_id(self, id: impl Into<String>) -> Self {
        Self { request_id: Some(id.into()), ..self }
    }

    pub(super) fn into_message(self, request_id: impl FnOnce(Option<String>) -> String) -> message::CreateTrusonaficationRequest {
        message::CreateTrusonaficationRequest { request_id: request_id(self.request_id), ..self.message }
    }
}
