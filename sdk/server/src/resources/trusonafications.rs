//! Requests to people, and how they end.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use futures_util::{Stream, StreamExt as _, stream::BoxStream};
use nodkey_proto::trusonafication::v1::{self as message, trusonafication_service_client::TrusonaficationServiceClient};

use super::{
    NewTrusonafication,
    wire::{level, list, required, send, text, time, to_time, to_wire, wire_enum},
};
use crate::{
    CodeId, DeviceIdentifier, Error, Evidence, Level, List, RelyingPartyId, RequestContext, ResultId, TrusonaficationId, UserIdentifier,
    client::Inner,
};

/// A request to a person, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trusonafication {
    /// Its id.
    pub id: TrusonaficationId,
    /// Your relying party.
    pub relying_party: RelyingPartyId,
    /// The name of your relying party when it was created, as the phone shows it.
    pub relying_party_name: String,
    /// Its status. After it has expired it is never [`Status::InProgress`].
    pub status: Status,
    /// What an accept has to prove.
    pub desired_level: Level,
    /// What the person is to confirm; shown and signed.
    pub action: String,
    /// What the action is about; shown and signed.
    pub resource: String,
    /// The user that it was created for; for a device or a code, once the user is known.
    pub user: Option<UserIdentifier>,
    /// The device that it was created for, that scanned its code, or that responded.
    pub device: Option<DeviceIdentifier>,
    /// The secure QR code that it was created for.
    pub code: Option<CodeId>,
    /// Whether the phone shows it and waits for the person.
    pub prompt: bool,
    /// Whether an accept has to prove presence to reach the desired level.
    pub user_presence: bool,
    /// Whether an accept has to present a registered document to reach the desired level.
    pub show_identity_document: bool,
    /// Your own fields as JSON, with the characters in which you sent them.
    pub custom_fields_json: Option<String>,
    /// Where the signed result is sent.
    pub callback_url: Option<String>,
    /// How a number is matched; `None`: none is.
    pub number_match: Option<NumberMatch>,
    /// Your login session that it is part of.
    pub context: Option<String>,
    /// Where the request came from, as you stated it.
    pub request_context: Option<RequestContext>,
    /// When it was created.
    pub created_at: SystemTime,
    /// When its status last changed, or a device scanned its code.
    pub updated_at: SystemTime,
    /// When it expires, and can no longer be responded to.
    pub expires_at: SystemTime,
    /// Once it was accepted or rejected.
    pub result: Option<TrusonaficationResult>,
    /// 1 at first, and one more with every change of status.
    pub version: i64,
}

impl Trusonafication {
    /// Whether the person accepted at the desired level or above: what a backend acts on.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        self.status.is_success()
    }
}

/// A trusonafication as it was created.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Created {
    /// The trusonafication, in progress.
    pub trusonafication: Trusonafication,
    /// Two or six digits to show to the user, only in the browser that started this; `None`: there is nothing to show.
    pub match_number: Option<String>,
}

/// A response, and what it proved.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrusonaficationResult {
    /// Its id.
    pub id: ResultId,
    /// Whether the person accepted. `false`: they rejected, or the number was wrong.
    pub accepted: bool,
    /// What was proven; `None` when rejected.
    pub accepted_level: Option<Level>,
    /// The user that the device was bound to at that moment: who it is.
    pub bound_user: UserIdentifier,
    /// The device that responded.
    pub device: DeviceIdentifier,
    /// Why it was rejected; `None` if accepted, or if the person gave no reason.
    pub reject_reason: Option<RejectReason>,
}

wire_enum! {
    /// The status of a trusonafication. All but [`InProgress`](Self::InProgress) are final.
    Status of message::Status {
        /// Nobody has responded yet.
        InProgress = "IN_PROGRESS",
        /// Accepted at the desired level.
        Accepted = "ACCEPTED",
        /// Accepted, with more proven than was desired.
        AcceptedAtHigherLevel = "ACCEPTED_AT_HIGHER_LEVEL",
        /// Accepted, with less proven than was desired.
        AcceptedAtLowerLevel = "ACCEPTED_AT_LOWER_LEVEL",
        /// Rejected.
        Rejected = "REJECTED",
        /// Nobody responded in time.
        Expired = "EXPIRED",
        /// You canceled it, or a newer one replaced it.
        Canceled = "CANCELED",
    }
}

to_wire!(Status of message::Status { InProgress, Accepted, AcceptedAtHigherLevel, AcceptedAtLowerLevel, Rejected, Expired, Canceled, });

impl Status {
    /// Whether the person accepted at the desired level or above.
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Accepted | Self::AcceptedAtHigherLevel)
    }

    /// Whether it is final.
    #[must_use]
    pub const fn is_ended(self) -> bool {
        !matches!(self, Self::InProgress)
    }
}

wire_enum! {
    /// How a person shows that they see the page that prompts them.
    NumberMatch of message::NumberMatch {
        /// They choose the number among three.
        Choose = "CHOOSE",
        /// They type it.
        Enter = "ENTER",
    }
}

to_wire!(NumberMatch of message::NumberMatch { Choose, Enter, });

wire_enum! {
    /// Why something was rejected.
    RejectReason of message::RejectReason {
        /// The person did not start it.
        NotMe = "NOT_ME",
        /// The person no longer wants it.
        ChangedMind = "CHANGED_MIND",
        /// The number was another than your page showed.
        NumberMismatch = "NUMBER_MISMATCH",
    }
}

/// Which trusonafications to list: all, newest first, unless it says otherwise. Filters are combined.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct TrusonaficationFilter(message::ListTrusonaficationsRequest);

impl TrusonaficationFilter {
    /// All of them.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only those in this status.
    pub const fn status(mut self, status: Status) -> Self {
        self.0.status = status.to_wire();
        self
    }

    /// Only those of this user.
    pub fn user(mut self, user: impl Into<UserIdentifier>) -> Self {
        self.0.user_identifier = user.into().into();
        self
    }

    /// Only those of this device.
    pub fn device(mut self, device: impl Into<DeviceIdentifier>) -> Self {
        self.0.device_identifier = device.into().into();
        self
    }

    /// Only those created then or later.
    pub fn created_after(mut self, time: SystemTime) -> Self {
        self.0.created_after = Some(to_time(time));
        self
    }

    /// Only those created before.
    pub fn created_before(mut self, time: SystemTime) -> Self {
        self.0.created_before = Some(to_time(time));
        self
    }

    /// The oldest first instead of the newest.
    pub const fn oldest_first(mut self) -> Self {
        self.0.oldest_first = true;
        self
    }
}

/// Requests to people, and how they end.
#[derive(Clone, Debug)]
pub struct Trusonafications(Arc<Inner>);

impl Trusonafications {
    pub(crate) const fn new(inner: Arc<Inner>) -> Self {
        Self(inner)
    }

    /// Sends a request to the phones of a user, to one device, or to the device that scanned a secure QR code.
    ///
    /// Errors, among others: `USER_HAS_NO_ACTIVE_DEVICE`, `DEVICE_HAS_NO_ACTIVE_BINDING`, `USER_FROZEN`, `TRUCODE_USED`, and
    /// `PROMPT_BUDGET_EXHAUSTED` or `PROMPTS_HELD`: then show a secure QR code.
    pub async fn create(&self, new: NewTrusonafication) -> Result<Created, Error> {
        let message = new.into_message(|given| self.0.request_id(given));
        let answer = send!(self.0, Trusonafication, TrusonaficationServiceClient::create_trusonafication, message)?;
        let trusonafication = Trusonafication::read(required(answer.trusonafication)?)?;
        Ok(Created { trusonafication, match_number: text(answer.match_number) })
    }

    /// Returns a trusonafication as it is now.
    ///
    /// Errors: `NOT_FOUND`.
    pub async fn get(&self, id: impl Into<TrusonaficationId>) -> Result<Trusonafication, Error> {
        let message = message::GetTrusonaficationRequest { id: id.into().into(), wait_seconds: 0 };
        Trusonafication::read(send!(self.0, Trusonafication, TrusonaficationServiceClient::get_trusonafication, message)?)
    }

    /// Returns a trusonafication once it has ended, however it ended: ask [`Trusonafication::is_success`]. Survives restarts of the server and
    /// lost connections, for five minutes. All that wait share a few streams.
    ///
    /// Errors: `DEADLINE_EXCEEDED` after five minutes, `NOT_FOUND`.
    pub async fn wait(&self, id: impl Into<TrusonaficationId>) -> Result<Trusonafication, Error> {
        self.wait_for(id, nodkey_client::WAIT).await
    }

    /// The same, for as long as `limit`.
    pub async fn wait_for(&self, id: impl Into<TrusonaficationId>, limit: Duration) -> Result<Trusonafication, Error> {
        let id = id.into();
        Trusonafication::read(self.0.client.wait_for(id.as_str(), limit).await.map_err(Error::of_call)?)
    }

    /// Streams the states of a trusonafication: the current one, then the end. Survives restarts of the server and lost connections, for five
    /// minutes.
    ///
    /// Errors as those of [`wait`](Self::wait).
    pub fn watch(&self, id: impl Into<TrusonaficationId>) -> Watch {
        self.watch_for(id, nodkey_client::WAIT)
    }

    /// The same, for as long as `limit`.
    pub fn watch_for(&self, id: impl Into<TrusonaficationId>, limit: Duration) -> Watch {
        let id = id.into();
        let states = self.0.client.watch_for(id.as_str(), limit);
        Watch(states.map(|state| Trusonafication::read(state.map_err(Error::of_call)?)).boxed())
    }

    /// Cancels a trusonafication that is in progress.
    ///
    /// Errors: `NOT_IN_PROGRESS` if it has ended otherwise, `NOT_FOUND`.
    pub async fn cancel(&self, id: impl Into<TrusonaficationId>) -> Result<Trusonafication, Error> {
        let message = message::CancelTrusonaficationRequest { id: id.into().into() };
        Trusonafication::read(send!(self.0, Trusonafication, TrusonaficationServiceClient::cancel_trusonafication, message)?)
    }

    /// Lists trusonafications.
    pub fn list(&self, filter: TrusonaficationFilter) -> List<Trusonafication> {
        list!(
            self.0, Trusonafication, TrusonaficationServiceClient::list_trusonafications, filter.0,
            trusonafications => Trusonafication::read
        )
    }

    /// Returns the evidence of an answered trusonafication: keep it as it is. It proves nothing until
    /// [`verify_evidence`](crate::verify_evidence).
    ///
    /// Errors: `NOT_FOUND` before there is a response, and for what nobody responded to.
    pub async fn evidence(&self, id: impl Into<TrusonaficationId>) -> Result<Evidence, Error> {
        let id = id.into();
        self.0.client.evidence(id.as_str()).await.map(Evidence::of).map_err(Error::of_call)
    }
}

/// The states of a trusonafication: a [`Stream`] that ends after the last.
#[must_use = "nothing is watched until it is read"]
pub struct Watch(BoxStream<'static, Result<Trusonafication, Error>>);

impl Watch {
    /// The next state; `None` after the end.
    pub async fn next(&mut self) -> Option<Result<Trusonafication, Error>> {
        poll_fn(|cx| self.0.as_mut().poll_next(cx)).await
    }
}

impl Stream for Watch {
    type Item = Result<Trusonafication, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().0.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

impl Trusonafication {
    fn read(message: message::Trusonafication) -> Result<Self, Error> {
        Ok(Self {
            id: message.id.into(),
            relying_party: message.relying_party_id.into(),
            relying_party_name: message.relying_party_name,
            status: required(Status::from_wire(message.status))?,
            desired_level: required(level(message.desired_level)?)?,
            action: message.action,
            resource: message.resource,
            user: text(message.user_identifier),
            device: text(message.device_identifier),
            code: text(message.trucode_id),
            prompt: message.prompt,
            user_presence: message.user_presence,
            show_identity_document: message.show_identity_document,
            custom_fields_json: text(message.custom_fields_json),
            callback_url: text(message.callback_url),
            number_match: NumberMatch::from_wire(message.number_match),
            context: text(message.context),
            request_context: message.request_context.map(|context| RequestContext {
                address: text(context.address),
                browser: text(context.browser),
                place: text(context.place),
            }),
            created_at: required(time(message.created_at))?,
            updated_at: required(time(message.updated_at))?,
            expires_at: required(time(message.expires_at))?,
            result: message.result.map(TrusonaficationResult::read).transpose()?,
            version: message.version,
        })
    }
}

impl TrusonaficationResult {
    fn read(result: message::Result) -> Result<Self, Error> {
        Ok(Self {
            id: result.id.into(),
            accepted: result.accepted,
            accepted_level: level(result.accepted_level)?,
            bound_user: result.bound_user_identifier.into(),
            device: result.device_identifier.into(),
            reject_reason: RejectReason::from_wire(result.reject_reason),
        })
    }
}
