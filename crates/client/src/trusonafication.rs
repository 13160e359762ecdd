//! Creating trusonafications.

use std::time::Duration;

use nodkey_kernel::time::{Clock, Timestamp};
use nodkey_proto::{
    convert,
    trusonafication::v1::{
        CreateTrusonaficationRequest, NumberMatch, RequestContext, Status, Trusonafication, create_trusonafication_request::Target,
    },
};

/// A new challenge and its target. Defaults: essential level, with prompt and presence, two minutes.
#[derive(Clone, Debug)]
pub struct NewTrusonafication {
    request: CreateTrusonaficationRequest,
}

/// A created trusonafication.
#[derive(Clone, Debug)]
pub struct Created {
    /// Its current state, `IN_PROGRESS`.
    pub trusonafication: Trusonafication,
    /// Two or six digits to show to the user, when a number must be matched. That may be the case without being requested, when another
    /// prompt waits for the same user.
    pub match_number: Option<String>,
}

impl NewTrusonafication {
    /// Targets every active device of a user; the first answer decides.
    #[must_use]
    pub fn user(user_identifier: &str, action: &str, resource: &str) -> Self {
        Self::new(Target::UserIdentifier(user_identifier.into()), action, resource)
    }

    /// Targets one device.
    #[must_use]
    pub fn device(device_identifier: &str, action: &str, resource: &str) -> Self {
        Self::new(Target::DeviceIdentifier(device_identifier.into()), action, resource)
    }

    /// Targets the device that pairs a secure QR code.
    #[must_use]
    pub fn trucode(trucode_id: &str, action: &str, resource: &str) -> Self {
        Self::new(Target::TrucodeId(trucode_id.into()), action, resource)
    }

    fn new(target: Target, action: &str, resource: &str) -> Self {
        let request = CreateTrusonaficationRequest {
            target: Some(target),
            action: action.into(),
            resource: resource.into(),
            shows_number: true,
            ..CreateTrusonaficationRequest::default()
        };
        Self { request }
    }

    /// Desired level: 1 possession, 2 essential, 3 executive.
    #[must_use]
    pub fn level(mut self, level: i32) -> Self {
        self.request.desired_level = level;
        self
    }

    /// Whether the person has to prove their presence.
    #[must_use]
    pub fn user_presence(mut self, on: bool) -> Self {
        self.request.user_presence = Some(on);
        self
    }

    /// Sets how long the phone has to answer.
    #[must_use]
    pub fn expires_in(self, lifetime: Duration) -> Self {
        let at = Clock::system().now() + lifetime;
        self.expires_at(at)
    }

    /// Sets when it expires.
    #[must_use]
    pub fn expires_at(mut self, at: Timestamp) -> Self {
        self.request.expires_at = Some(convert::timestamp(at));
        self
    }

    /// Sets the relying party's own fields, which the phone shows and signs: a JSON object of at most 1 MB, with at most 32 levels inside.
    /// Numbers that a double or 64 bits cannot hold are rounded before they get here: see [`custom_fields_json`](Self::custom_fields_json).
    #[must_use]
    pub fn custom_fields(mut self, fields: &serde_json::Map<String, serde_json::Value>) -> Self {
        self.request.custom_fields_json = serde_json::to_string(fields).unwrap_or_default();
        self
    }

    /// Sets custom fields as JSON text, which is shown and signed character by character, including member order and spelling of numbers.
    /// Refused if an object has a repeated member.
    #[must_use]
    pub fn custom_fields_json(mut self, json: &str) -> Self {
        json.clone_into(&mut self.request.custom_fields_json);
        self
    }

    /// Sets the URL to which the result is posted.
    #[must_use]
    pub fn callback_url(mut self, url: &str) -> Self {
        self.request.callback_url = url.into();
        self
    }

    /// Requires the person to match a number, which protects against challenges that they did not start. Use [`NumberMatch::Enter`]: a
    /// person who picks one of three is right too often.
    #[must_use]
    pub fn number_match(mut self, mode: NumberMatch) -> Self {
        self.request.number_match = mode.into();
        self
    }

    /// Sets the backend's context of the challenge, such as its login session. A newer prompt in the same context replaces an older one.
    #[must_use]
    pub fn context(mut self, context: &str) -> Self {
        self.request.context = context.into();
        self
    }

    /// Sets where the request to this backend comes from: IP address, browser and location, each as far as it is known. The phone shows it.
    #[must_use]
    pub fn request_context(mut self, request_context: RequestContext) -> Self {
        self.request.request_context = Some(request_context);
        self
    }

    /// States that this backend cannot show a number to the user: then none must be matched unless [`number_match`](Self::number_match)
    /// requires it.
    #[must_use]
    pub fn cannot_show_number(mut self) -> Self {
        self.request.shows_number = false;
        self
    }

    /// Sets the request id, so that a create can be repeated across restarts of the backend. By default a new one is generated.
    #[must_use]
    pub fn request_id(mut self, id: &str) -> Self {
        self.request.request_id = id.into();
        self
    }

    pub(crate) fn into_request(mut self, fresh_id: String) -> CreateTrusonaficationRequest {
        if self.request.request_id.is_empty() {
            self.request.request_id = fresh_id;
        }
        self.request
    }
}

/// Whether the person accepted at the desired level or higher.
#[must_use]
pub fn is_success(trusonafication: &Trusonafication) -> bool {
    matches!(trusonafication.status(), Status::Accepted | Status::AcceptedAtHigherLevel)
}

/// Whether a status is final.
#[must_use]
pub fn is_terminal(status: Status) -> bool {
    !matches!(status, Status::Unspecified | Status::InProgress)
}
