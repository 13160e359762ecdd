//! The other services, and how a service authenticates to them.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;
use http::{HeaderValue, Request, Response, header::AUTHORIZATION};
use nodkey_kernel::{
    id::RelyingPartyId,
    service_key::ServiceName,
    time::{Clock, Timestamp},
};
use secrecy::ExposeSecret as _;
use tonic::body::Body;
use tower::{BoxError, Service};

use super::{actor::Actor, deployment::Deployment, service_token::Signer, token};
use crate::call::{channel::Channel, deadline, trace::Calling};

/// How long another service may take to begin its response, unless the call sets a deadline.
const PATIENCE: Duration = Duration::from_secs(5);

/// Channels to the other services.
#[derive(Clone, Debug)]
pub struct Peers {
    registry: Peer,
    binding: Peer,
    trusonafication: Peer,
    notification: Peer,
}

/// Another service.
#[derive(Clone, Debug)]
pub struct Peer {
    name: ServiceName,
    channel: Channel,
    signer: Arc<Signer>,
}

impl Peers {
    /// Creates channels for the service called `name`, with its key in `deployment`. `channel` is called once for each of the others.
    pub fn new(
        name: ServiceName,
        deployment: &Arc<Deployment>,
        clock: &Clock,
        channel: impl Fn(ServiceName) -> anyhow::Result<Channel>,
    ) -> anyhow::Result<Self> {
        let signer = Arc::new(Signer::new(name, deployment, clock)?);
        let peer = |name| anyhow::Ok(Peer { name, channel: channel(name)?, signer: Arc::clone(&signer) });
        Ok(Self {
            registry: peer(ServiceName::Registry)?,
            binding: peer(ServiceName::Binding)?,
            trusonafication: peer(ServiceName::Trusonafication)?,
            notification: peer(ServiceName::Notification)?,
        })
    }

    /// The registry.
    #[must_use]
    pub const fn registry(&self) -> &Peer {
        &self.registry
    }

    /// The binding service.
    #[must_use]
    pub const fn binding(&self) -> &Peer {
        &self.binding
    }

    /// The trusonafication service.
    #[must_use]
    pub const fn trusonafication(&self) -> &Peer {
        &self.trusonafication
    }

    /// The notification service.
    #[must_use]
    pub const fn notification(&self) -> &Peer {
        &self.notification
    }
}

impl Peers {
    /// The service with that name; `None` for the gateway, which nobody calls.
    #[must_use]
    pub const fn named(&self, name: ServiceName) -> Option<&Peer> {
        match name {
            ServiceName::Registry => Some(&self.registry),
            ServiceName::Binding => Some(&self.binding),
            ServiceName::Trusonafication => Some(&self.trusonafication),
            ServiceName::Notification => Some(&self.notification),
            ServiceName::Gateway => None,
        }
    }
}

impl Peer {
    /// The plain channel: calls on it do not identify this service, and have whatever permissions their own tokens give.
    #[must_use]
    pub fn bare(&self) -> Channel {
        self.channel.clone()
    }

    /// A channel on which every call acts for a relying party.
    #[must_use]
    pub fn acting_for(&self, relying_party: RelyingPartyId) -> PeerChannel {
        self.on_behalf_of(relying_party)
    }

    /// A channel on which calls act for no relying party, for example to find out who somebody is.
    #[must_use]
    pub fn unscoped(&self) -> PeerChannel {
        self.on_behalf_of(Actor::Service(None))
    }

    /// A channel on which every call is made for this actor.
    #[must_use]
    pub fn on_behalf_of(&self, actor: impl Into<Actor>) -> PeerChannel {
        PeerChannel { to: self.name, channel: self.channel.clone(), signer: Arc::clone(&self.signer), actor: actor.into() }
    }

    pub(super) fn deployment(&self) -> &Deployment {
        self.signer.deployment()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.signer.now()
    }
}

/// A channel that authenticates its calls, and passes on trace and deadline.
#[derive(Clone, Debug)]
pub struct PeerChannel {
    to: ServiceName,
    channel: Channel,
    signer: Arc<Signer>,
    actor: Actor,
}

impl PeerChannel {
    fn authorization(&self) -> Option<HeaderValue> {
        let (audience, now) = (&self.signer.deployment().audience, self.signer.now());
        let token = match &self.actor {
            Actor::Service(relying_party) => return self.signer.authorization(self.to, *relying_party),
            Actor::Backend(credential) => token::sign(&credential.id.to_string(), credential.secret.expose_secret(), audience, now),
            Actor::Operator(session, _) => session.token(audience, now),
        };
        let mut value = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl Service<Request<Body>> for PeerChannel {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.channel.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if let Some(value) = self.authorization() {
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        if let Actor::Operator(_, Some(party)) = &self.actor
            && let Ok(party) = HeaderValue::try_from(party.to_string())
        {
            request.headers_mut().insert(token::RELYING_PARTY_HEADER, party);
        }
        let calling = Calling::begin(&mut request);
        // If the call has its own deadline, the other service enforces it. Wait slightly longer here, in case that service is gone.
        let limit = deadline::requested(request.headers()).map_or(PATIENCE, |own| own + Duration::from_secs(1));
        let answer = self.channel.call(request);
        Box::pin(async move {
            let answer = match tokio::time::timeout(limit, answer).await {
                Ok(answer) => answer,
                Err(_) => Err(tonic::Status::unavailable("another service took too long").into()),
            };
            calling.end(answer.as_ref().ok().map(Response::headers));
            answer
        })
    }
}
