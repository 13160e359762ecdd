//! The calls.

use std::{collections::HashMap, future::Future, time::Duration};

use futures_util::{Stream, TryStreamExt as _};
use nodkey_kernel::{id::EventId, jose::Jwks, random::Random, time::Clock};
use nodkey_proto::{
    binding::v1::{
        ActivateBindingRequest, Binding, CreateBindingRequest, DeactivateBindingRequest, DeactivateUserRequest, FreezeUserRequest,
        GetDeviceBindingRequest, GetUserRequest, ListBindingsRequest, ListBindingsResponse, ListUserDevicesRequest, ReleaseUserRequest,
        User, binding_service_client::BindingServiceClient, user_service_client::UserServiceClient,
    },
    registry::v1::{
        Device, DocumentType, GetDeviceRequest, GetJwksArchiveRequest, GetJwksRequest, IdentityDocument, RegisterIdentityDocumentRequest,
        device_service_client::DeviceServiceClient, identity_document_service_client::IdentityDocumentServiceClient,
        signing_key_service_client::SigningKeyServiceClient,
    },
    trusonafication::v1::{
        CancelTrusonaficationRequest, GetEvidenceRequest, GetTrusonaficationRequest, ListTrusonaficationsRequest,
        ListTrusonaficationsResponse, Trusonafication, WatchTrusonaficationRequest,
        trusonafication_service_client::TrusonaficationServiceClient,
    },
};
use tokio::time::{Instant, sleep};
use tonic::{Request, Response, Status, transport};

use crate::{
    AuthenticatedChannel, Created, Credential, Error, Evidence, NewTrusonafication,
    auth::Signer,
    is_terminal,
    retry::{LASTED, RECONNECTS, backoff, ended_early, is_broken},
    waits::Waits,
};

/// How long one attempt of a call may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// How often a call is tried when the service is unavailable.
const ATTEMPTS: u32 = 3;
/// Bounds an answer: custom fields of 1 MB, a hundred a page.
const MAX_MESSAGE: usize = 128 * 1024 * 1024;

/// Where Nodkey is called.
#[derive(Clone, Debug)]
pub struct Endpoints {
    /// gRPC URL of the registry.
    pub registry: String,
    /// gRPC URL of the binding service.
    pub binding: String,
    /// gRPC URL of the trusonafication service.
    pub trusonafication: String,
    /// gRPC URL of the notification service.
    pub notification: String,
    /// PEM of the one authority to trust behind `https`; `None`: those of the system.
    pub ca_certificate: Option<String>,
}

impl Endpoints {
    /// One address for all: the public URL of a deployment, or of `nodkey dev`. What a backend may call is served there.
    #[must_use]
    pub fn single(url: &str) -> Self {
        Self { registry: url.into(), binding: url.into(), trusonafication: url.into(), notification: url.into(), ca_certificate: None }
    }

    /// Trusts this authority and no other.
    #[must_use]
    pub fn trusting(self, ca_certificate: impl Into<String>) -> Self {
        Self { ca_certificate: Some(ca_certificate.into()), ..self }
    }
}

/// One of the services a backend may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceName {
    /// Relying parties, credentials, signing keys, devices, documents.
    Registry,
    /// Bindings and users.
    Binding,
    /// Trusonafications.
    Trusonafication,
    /// Webhook endpoints and deliveries.
    Notification,
}

/// The client. Cheap to clone; connects when first used and again when the connection is lost.
#[derive(Clone, Debug)]
pub struct Nodkey {
    registry: AuthenticatedChannel,
    binding: AuthenticatedChannel,
    trusonafication: AuthenticatedChannel,
    notification: AuthenticatedChannel,
    waits: Waits,
    random: Random,
    clock: Clock,
}

impl Nodkey {
    /// Makes a client; `Err` for a URL that is none. Must be called within a Tokio runtime.
    #[expect(clippy::needless_pass_by_value, reason = "callers make it for this")]
    pub fn connect(endpoints: &Endpoints, credential: Credential) -> Result<Self, transport::Error> {
        let mut channels = HashMap::new();
        // Whatever is at one address shares a connection.
        let mut connect = |url: &str| {
            if let Some(known) = channels.get(url) {
                return Ok(transport::Channel::clone(known));
            }
            let mut endpoint = transport::Endpoint::from_shared(url.to_owned())?;
            if url.starts_with("https:") {
                let tls = transport::ClientTlsConfig::new();
                endpoint = endpoint.tls_config(match &endpoints.ca_certificate {
                    Some(pem) => tls.ca_certificate(transport::Certificate::from_pem(pem)),
                    None => tls.with_native_roots(),
                })?;
            }
            let endpoint = endpoint
                .connect_timeout(Duration::from_secs(5))
                .http2_keep_alive_interval(Duration::from_secs(30))
                .keep_alive_while_idle(true)
                .tcp_nodelay(true);
            let channel = endpoint.connect_lazy();
            channels.insert(url.to_owned(), channel.clone());
            Ok::<_, transport::Error>(channel)
        };
        // A token may name the service it is for.
        let mut open = |url: &str, service| Ok(AuthenticatedChannel::new(url, connect(url)?, Signer::new(&credential, service)));
        Ok(Self {
            registry: open(&endpoints.registry, "registry")?,
            binding: open(&endpoints.binding, "binding")?,
            trusonafication: open(&endpoints.trusonafication, "trusonafication")?,
            notification: open(&endpoints.notification, "notification")?,
            waits: Waits::default(),
            random: Random::system(),
            clock: Clock::system(),
        })
    }

    /// Returns the authenticated channel to a service, for calls this client has no method for.
    #[must_use]
    pub fn channel(&self, service: ServiceName) -> AuthenticatedChannel {
        match service {
            ServiceName::Registry => self.registry.clone(),
            ServiceName::Binding => self.binding.clone(),
            ServiceName::Trusonafication => self.trusonafication.clone(),
            ServiceName::Notification => self.notification.clone(),
        }
    }

    /// Binds a device to a user, inactive. The id of the binding is the activation code.
    pub async fn create_binding(&self, user_identifier: &str, device_identifier: &str) -> Result<Binding, Error> {
        let request = CreateBindingRequest {
            request_id: self.request_id(),
            user_identifier: user_identifier.into(),
            device_identifier: device_identifier.into(),
        };
        self.call(request, |r| {
            let mut client = BindingServiceClient::new(self.binding.clone());
            async move { client.create_binding(r).await }
        })
        .await
    }

    /// Activates a binding: from now on the user can be asked.
    pub async fn activate_binding(&self, activation_code: &str) -> Result<Binding, Error> {
        self.call(ActivateBindingRequest { id: activation_code.into() }, |r| {
            let mut client = BindingServiceClient::new(self.binding.clone());
            async move { client.activate_binding(r).await }
        })
        .await
    }

    /// Ends one binding.
    pub async fn deactivate_binding(&self, id: &str) -> Result<Binding, Error> {
        self.call(DeactivateBindingRequest { id: id.into() }, |r| {
            let mut client = BindingServiceClient::new(self.binding.clone());
            async move { client.deactivate_binding(r).await }
        })
        .await
    }

    /// Returns the binding of a device.
    pub async fn device_binding(&self, device_identifier: &str) -> Result<Binding, Error> {
        self.call(GetDeviceBindingRequest { device_identifier: device_identifier.into(), with_user_devices: false }, |r| {
            let mut client = BindingServiceClient::new(self.binding.clone());
            async move { client.get_device_binding(r).await }
        })
        .await
    }

    /// Ends every binding of a user and retires the devices. Returns their identifiers.
    pub async fn deactivate_user(&self, user_identifier: &str) -> Result<Vec<String>, Error> {
        let answer = self
            .call(DeactivateUserRequest { user_identifier: user_identifier.into() }, |r| {
                let mut client = UserServiceClient::new(self.binding.clone());
                async move { client.deactivate_user(r).await }
            })
            .await?;
        Ok(answer.device_identifiers)
    }

    /// Freezes a user: open prompts end, and until the release nobody may prompt them and none of their devices answers. `note` says why, to
    /// people, and may be empty.
    pub async fn freeze_user(&self, user_identifier: &str, note: &str) -> Result<User, Error> {
        self.call(FreezeUserRequest { user_identifier: user_identifier.into(), note: note.into() }, |r| {
            let mut client = UserServiceClient::new(self.binding.clone());
            async move { client.freeze_user(r).await }
        })
        .await
    }

    /// Releases a frozen user: everything is as before. Make sure first that they, and nobody else, have their phones.
    pub async fn release_user(&self, user_identifier: &str) -> Result<User, Error> {
        self.call(ReleaseUserRequest { user_identifier: user_identifier.into() }, |r| {
            let mut client = UserServiceClient::new(self.binding.clone());
            async move { client.release_user(r).await }
        })
        .await
    }

    /// Returns a user: how many devices they have, and whether they are frozen.
    pub async fn user(&self, user_identifier: &str) -> Result<User, Error> {
        self.call(GetUserRequest { user_identifier: user_identifier.into() }, |r| {
            let mut client = UserServiceClient::new(self.binding.clone());
            async move { client.get_user(r).await }
        })
        .await
    }

    /// Lists the bound devices of a user.
    pub async fn user_devices(&self, user_identifier: &str) -> Result<Vec<Binding>, Error> {
        let answer = self
            .call(ListUserDevicesRequest { user_identifier: user_identifier.into() }, |r| {
                let mut client = UserServiceClient::new(self.binding.clone());
                async move { client.list_user_devices(r).await }
            })
            .await?;
        Ok(answer.bindings)
    }

    /// Lists bindings, newest first; those that have ended, too.
    pub async fn list_bindings(&self, request: ListBindingsRequest) -> Result<ListBindingsResponse, Error> {
        self.call(request, |r| {
            let mut client = BindingServiceClient::new(self.binding.clone());
            async move { client.list_bindings(r).await }
        })
        .await
    }

    /// Returns a device with its public keys.
    pub async fn device(&self, device_identifier: &str) -> Result<Device, Error> {
        self.call(GetDeviceRequest { device_id: device_identifier.into() }, |r| {
            let mut client = DeviceServiceClient::new(self.registry.clone());
            async move { client.get_device(r).await }
        })
        .await
    }

    /// Has a document of the user a device is bound to count: accepts that present its hash are level 3 from then on. Make sure by other means
    /// that it is the user's. The same hash again answers the same document.
    pub async fn register_identity_document(&self, device_identifier: &str, hash: &str) -> Result<IdentityDocument, Error> {
        let request = RegisterIdentityDocumentRequest {
            device_id: device_identifier.into(),
            hash: hash.into(),
            r#type: DocumentType::AamvaDriversLicense.into(),
            ..RegisterIdentityDocumentRequest::default()
        };
        self.call(request, |r| {
            let mut client = IdentityDocumentServiceClient::new(self.registry.clone());
            async move { client.register_identity_document(r).await }
        })
        .await
    }

    /// Asks a user or a device.
    pub async fn create_trusonafication(&self, new: NewTrusonafication) -> Result<Created, Error> {
        let request = new.into_request(self.request_id());
        let answer = self
            .call(request, |r| {
                let mut client = self.trusonafications();
                async move { client.create_trusonafication(r).await }
            })
            .await?;
        Ok(Created {
            trusonafication: answer.trusonafication.ok_or_else(|| Error::unexpected("the answer holds no trusonafication"))?,
            match_number: (!answer.match_number.is_empty()).then_some(answer.match_number),
        })
    }

    /// Returns a trusonafication as it stands.
    pub async fn trusonafication(&self, id: &str) -> Result<Trusonafication, Error> {
        self.call(GetTrusonaficationRequest { id: id.into(), wait_seconds: 0 }, |r| {
            let mut client = self.trusonafications();
            async move { client.get_trusonafication(r).await }
        })
        .await
    }

    /// Streams the current state at once, then the terminal one, then ends.
    pub async fn watch(&self, id: &str) -> Result<impl Stream<Item = Result<Trusonafication, Error>> + Send + use<>, Error> {
        let stream = self.trusonafications().watch_trusonafication(WatchTrusonaficationRequest { id: id.into() }).await?;
        Ok(stream.into_inner().map_err(Error::from))
    }

    /// Waits for the terminal state. However many wait at once, they share a stream for each thousand. What is refused of one fails that wait
    /// alone. A lost connection is picked up again, after a growing pause that is not the same for all, as is a stream that the server has no
    /// room for; a server that does not come back within a minute or so is an error.
    pub async fn wait(&self, id: &str) -> Result<Trusonafication, Error> {
        match self.waits.wait(|| self.trusonafications(), &self.random, id).await {
            Err(status) if status.code() == tonic::Code::Unimplemented => self.wait_alone(id).await,
            end => Ok(end?),
        }
    }

    /// Waits on streams of its own: servers of the release before have no other.
    async fn wait_alone(&self, id: &str) -> Result<Trusonafication, Error> {
        let mut failures = 0;
        loop {
            let began = Instant::now();
            let status = match self.end(id).await {
                Ok(end) => return Ok(end),
                Err(status) => status,
            };
            failures = if began.elapsed() < LASTED { failures + 1 } else { 1 };
            if !is_broken(&status) || failures > RECONNECTS {
                return Err(status.into());
            }
            sleep(backoff(&self.random, failures)).await;
        }
    }

    /// Returns the terminal state, from one stream.
    async fn end(&self, id: &str) -> Result<Trusonafication, Status> {
        let request = WatchTrusonaficationRequest { id: id.into() };
        let mut states = self.trusonafications().watch_trusonafication(request).await?.into_inner();
        while let Some(state) = states.message().await? {
            if is_terminal(state.status()) {
                // To its end: a call that is given up before counts as misbehavior of the server, and 1,024 of them end the connection.
                while let Ok(Some(_)) = states.message().await {}
                return Ok(state);
            }
        }
        Err(ended_early())
    }

    /// Lists trusonafications, newest first.
    pub async fn list_trusonafications(&self, request: ListTrusonaficationsRequest) -> Result<ListTrusonaficationsResponse, Error> {
        self.call(request, |r| {
            let mut client = self.trusonafications();
            async move { client.list_trusonafications(r).await }
        })
        .await
    }

    /// Withdraws a trusonafication that is in progress.
    pub async fn cancel(&self, id: &str) -> Result<Trusonafication, Error> {
        self.call(CancelTrusonaficationRequest { id: id.into() }, |r| {
            let mut client = self.trusonafications();
            async move { client.cancel_trusonafication(r).await }
        })
        .await
    }

    /// Returns the evidence of an answered trusonafication, which proves nothing before it is verified.
    pub async fn evidence(&self, id: &str) -> Result<Evidence, Error> {
        let answer = self
            .call(GetEvidenceRequest { id: id.into() }, |r| {
                let mut client = self.trusonafications();
                async move { client.get_evidence(r).await }
            })
            .await?;
        let keys = answer
            .keys
            .iter()
            .map(|jwk| serde_json::from_str(jwk))
            .collect::<Result<_, _>>()
            .map_err(|_| Error::unexpected("a key of the evidence is no JWK"))?;
        let present = |jws: String| (!jws.is_empty()).then_some(jws);
        Ok(Evidence {
            challenge: answer.challenge,
            response: answer.response,
            receipt: present(answer.receipt),
            keys,
            key_statement: present(answer.key_statement),
            key_signatures: answer.key_signatures,
        })
    }

    /// Returns the deployment's public keys: all that offline verification needs.
    pub async fn jwks(&self) -> Result<Jwks, Error> {
        let answer = self
            .call(GetJwksRequest {}, |r| {
                let mut client = SigningKeyServiceClient::new(self.registry.clone());
                async move { client.get_jwks(r).await }
            })
            .await?;
        serde_json::from_str(&answer.jwks).map_err(|_| Error::unexpected("the JWKS is none"))
    }

    /// Returns every key that ever signed evidence: for evidence of any age. Revoked keys are left out.
    pub async fn jwks_archive(&self) -> Result<Jwks, Error> {
        let answer = self
            .call(GetJwksArchiveRequest {}, |r| {
                let mut client = SigningKeyServiceClient::new(self.registry.clone());
                async move { client.get_jwks_archive(r).await }
            })
            .await?;
        serde_json::from_str(&answer.jwks).map_err(|_| Error::unexpected("the archive is no JWKS"))
    }

    fn trusonafications(&self) -> TrusonaficationServiceClient<AuthenticatedChannel> {
        TrusonaficationServiceClient::new(self.trusonafication.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    fn request_id(&self) -> String {
        EventId::generate(self.clock.now(), &self.random).to_string()
    }

    /// Every call may be repeated: reads by nature, creates by their request id, the rest because it is idempotent.
    async fn call<M, T, F, Fut>(&self, message: M, send: F) -> Result<T, Error>
    where
        M: Clone,
        F: Fn(Request<M>) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        let mut attempt = 1;
        loop {
            let mut request = Request::new(message.clone());
            request.set_timeout(DEADLINE);
            match send(request).await {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) if status.code() == tonic::Code::Unavailable && attempt < ATTEMPTS => {
                    sleep(backoff(&self.random, attempt)).await;
                    attempt += 1;
                }
                Err(status) => return Err(status.into()),
            }
        }
    }
}
