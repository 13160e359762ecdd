//! Asking.

use std::time::Duration;

use nodkey_kernel::time::{Clock, Timestamp};
use nodkey_proto::{
    convert,
    trusonafication::v1::{
        CreateTrusonaficationRequest, NumberMatch, RequestContext, Status, Trusonafication, create_trusonafication_request::Target,
    },
};

/// What to ask, of whom. Defaults: essential level, prompt and presence asked, two minutes.
#[derive(Clone, Debug)]
pub struct NewTrusonafication {
    request: CreateTrusonaficationRequest,
}

/// What was asked.
#[derive(Clone, Debug)]
pub struct Created {
    /// As it stands, `IN_PROGRESS`.
    pub trusonafication: Trusonafication,
    /// Two or six digits to show to the user, when a number is to be matched: also where it was not asked for, and another prompt waits for
    /// the same user.
    pub match_number: Option<String>,
}

impl NewTrusonafication {
    /// Asks every active device of a user; the first answer decides.
    #[must_use]
    pub fn user(user_identifier: &str, action: &str, resource: &str) -> Self {
        Self::new(Target::UserIdentifier(user_identifier.into()), action, resource)
    }

    /// Asks one device.
    #[must_use]
    pub fn device(device_identifier: &str, action: &str, resource: &str) -> Self {
        Self::new(Target::DeviceIdentifier(device_identifier.into()), action, resource)
    }

    /// Asks whichever device pairs a secure QR code.
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

    /// How long the phone has to answer.
    #[must_use]
    pub fn expires_in(self, lifetime: Duration) -> Self {
        let at = Clock::system().now() + lifetime;
        self.expires_at(at)
    }

    /// When it expires.
    #[must_use]
    pub fn expires_at(mut self, at: Timestamp) -> Self {
        self.request.expires_at = Some(convert::timestamp(at));
        self
    }

    /// Fields of the relying party's own, shown and signed by the phone. A JSON object of at most 1 MB, with at most 32 levels inside. Numbers beyond what a
    /// double or 64 bits hold are rounded before they come here: see [`custom_fields_json`](Self::custom_fields_json).
    #[must_use]
    pub fn custom_fields(mut self, fields: &serde_json::Map<String, serde_json::Value>) -> Self {
        self.request.custom_fields_json = serde_json::to_string(fields).unwrap_or_default();
        self
    }

    /// The same as JSON text, which is shown and signed to the letter: member order and spelling of numbers included. Refused where a member
    /// is there twice in one object.
    #[must_use]
    pub fn custom_fields_json(mut self, json: &str) -> Self {
        json.clone_into(&mut self.request.custom_fields_json);
        self
    }

    /// Where the result is posted.
    #[must_use]
    pub fn callback_url(mut self, url: &str) -> Self {
        self.request.callback_url = url.into();
        self
    }

    /// Asks the person to match a number, against challenges they did not start. Use [`NumberMatch::Enter`]: who picks one of three is right
    /// too often.
    #[must_use]
    pub fn number_match(mut self, mode: NumberMatch) -> Self {
        self.request.number_match = mode.into();
        self
    }

    /// What of the backend it is about: its login session. A newer prompt of the same replaces an older one.
    #[must_use]
    pub fn context(mut self, context: &str) -> Self {
        self.request.context = context.into();
        self
    }

    /// Who asks this backend for it: IP address, browser and place, each as far as it is known. The phone shows it.
    #[must_use]
    pub fn request_context(mut self, request_context: RequestContext) -> Self {
        self.request.request_context = Some(request_context);
        self
    }

    /// Says that this backend cannot show a number to the user: none is to be matched that [`number_match`](Self::number_match) did not ask for.
    #[must_use]
    pub fn cannot_show_number(mut self) -> Self {
        self.request.shows_number = false;
        self
    }

    /// The request id, to repeat a create over restarts of the backend; otherwise made afresh.
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

/// Tells whether the person accepted at the desired level or above.
#[must_use]
pub fn is_success(trusonafication: &Trusonafication) -> bool {
    matches!(trusonafication.status(), Status::Accepted | Status::AcceptedAtHigherLevel)
}

/// Tells whether a status is final.
#[must_use]
pub fn is_terminal(status: Status) -> bool {
    !matches!(status, Status::Unspecified | Status::InProgress)
}
