//! The other services, and how a service names itself to them.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;
use http::{HeaderValue, Request, Response, header::AUTHORIZATION};
use nodkey_kernel::{
    id::{OperatorSessionId, RelyingPartyId},
    jose::hs256,
    service_key::ServiceName,
    time::Clock,
};
use secrecy::{ExposeSecret as _, SecretString};
use tonic::body::Body;
use tower::{BoxError, Service};

use super::{deployment::Deployment, service_token::Signer, token};
use crate::call::{channel::Channel, deadline, trace};

/// How long another service may take to begin its answer, unless the call says otherwise.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long what is signed with an operator's session lives, in seconds.
const TOKEN_LIFETIME: i64 = 30;

/// Ways to the other services.
#[derive(Clone, Debug)]
pub struct Peers {
    registry: Peer,
    binding: Peer,
    trusonafication: Peer,
    notification: Peer,
}

/// One of the other services.
#[derive(Clone, Debug)]
pub struct Peer {
    name: ServiceName,
    channel: Channel,
    signer: Arc<Signer>,
}

impl Peers {
    /// Makes ways for the service called `name`, by the key it has in `deployment`; `channel` is asked once for each of the others.
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

impl Peer {
    /// A channel on which every call acts for a relying party.
    #[must_use]
    pub fn acting_for(&self, relying_party: RelyingPartyId) -> PeerChannel {
        self.channel(None, Some(relying_party))
    }

    /// A channel on which calls act for nobody: to find out who somebody is.
    #[must_use]
    pub fn unscoped(&self) -> PeerChannel {
        self.channel(None, None)
    }

    /// A channel on which every call is an operator's, for a tenant or for nobody.
    #[must_use]
    pub fn on_behalf_of(&self, session: OperatorSession, relying_party: Option<RelyingPartyId>) -> PeerChannel {
        self.channel(Some(session), relying_party)
    }

    fn channel(&self, session: Option<OperatorSession>, relying_party: Option<RelyingPartyId>) -> PeerChannel {
        PeerChannel { to: self.name, channel: self.channel.clone(), signer: Arc::clone(&self.signer), session, relying_party }
    }
}

/// A channel that proves who calls and carries trace and deadline along.
#[derive(Clone, Debug)]
pub struct PeerChannel {
    to: ServiceName,
    channel: Channel,
    signer: Arc<Signer>,
    /// `None`: the service itself.
    session: Option<OperatorSession>,
    relying_party: Option<RelyingPartyId>,
}

/// What an operator's browser holds: calls made with it are the operator's, not the service's.
#[derive(Clone, Debug)]
pub struct OperatorSession {
    /// Names it.
    pub id: OperatorSessionId,
    /// Signs.
    pub secret: SecretString,
}

impl PeerChannel {
    fn authorization(&self) -> Option<HeaderValue> {
        let Some(OperatorSession { id, secret }) = &self.session else {
            return self.signer.authorization(self.to, self.relying_party);
        };
        let (aud, exp) = (self.signer.deployment().audience.clone(), self.signer.now() + TOKEN_LIFETIME);
        let claims = token::Claims { aud, exp, iss: None, rp: None };
        let token = hs256::sign(Some(&format!("{}{id}", token::OPERATOR_SESSION)), &claims, secret.expose_secret().as_bytes());
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
        if let (Some(_), Some(party)) = (&self.session, self.relying_party)
            && let Ok(party) = HeaderValue::try_from(party.to_string())
        {
            request.headers_mut().insert(token::RELYING_PARTY_HEADER, party);
        }
        trace::inject(request.headers_mut());
        // A deadline of the call's own is the other service's to keep; a little longer here, should it be gone.
        let limit = deadline::requested(request.headers()).map_or(PATIENCE, |own| own + Duration::from_secs(1));
        let answer = self.channel.call(request);
        Box::pin(async move {
            match tokio::time::timeout(limit, answer).await {
                Ok(answer) => answer,
                Err(_) => Err(tonic::Status::unavailable("another service took too long").into()),
            }
        })
    }
}
