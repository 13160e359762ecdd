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
    time::Clock,
};
use secrecy::{ExposeSecret as _, SecretString};
use tonic::body::Body;
use tower::{BoxError, Service};

use crate::{auth, channel::Channel, deadline, service::Deployment, trace};

/// How long another service may take to begin its answer, unless the call says otherwise.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long an internal token lives, in seconds.
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
    channel: Channel,
    signer: Arc<Signer>,
}

#[derive(Debug)]
struct Signer {
    name: &'static str,
    deployment: Arc<Deployment>,
    clock: Clock,
}

impl Peers {
    /// Makes ways for the service called `name`; `channel` is asked once for each of the others.
    pub fn new(
        name: &'static str,
        deployment: &Arc<Deployment>,
        clock: &Clock,
        channel: impl Fn(&str) -> anyhow::Result<Channel>,
    ) -> anyhow::Result<Self> {
        let signer = Arc::new(Signer { name, deployment: Arc::clone(deployment), clock: clock.clone() });
        let peer = |name| anyhow::Ok(Peer { channel: channel(name)?, signer: Arc::clone(&signer) });
        Ok(Self {
            registry: peer("registry")?,
            binding: peer("binding")?,
            trusonafication: peer("trusonafication")?,
            notification: peer("notification")?,
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
        PeerChannel { channel: self.channel.clone(), signer: Arc::clone(&self.signer), session, relying_party }
    }
}

/// A channel that proves who calls and carries trace and deadline along.
#[derive(Clone, Debug)]
pub struct PeerChannel {
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
        let deployment = &self.signer.deployment;
        let (aud, exp) = (deployment.audience.clone(), self.signer.clock.now().as_seconds() + TOKEN_LIFETIME);
        let token = match &self.session {
            None => {
                let claims = auth::Claims { aud, exp, iss: Some(self.signer.name.to_owned()), rp: self.relying_party };
                hs256::sign(Some(auth::INTERNAL), &claims, deployment.internal_key.expose_secret().as_bytes())
            }
            Some(OperatorSession { id, secret }) => {
                let claims = auth::Claims { aud, exp, iss: None, rp: None };
                hs256::sign(Some(&format!("{}{id}", auth::OPERATOR_SESSION)), &claims, secret.expose_secret().as_bytes())
            }
        };
        HeaderValue::try_from(format!("Bearer {token}")).ok()
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
        if let Some(mut value) = self.authorization() {
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        if let (Some(_), Some(party)) = (&self.session, self.relying_party)
            && let Ok(party) = HeaderValue::try_from(party.to_string())
        {
            request.headers_mut().insert(auth::RELYING_PARTY_HEADER, party);
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
