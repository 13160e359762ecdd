//! The client and its calls.

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
    retry::{LASTED, ended_early, is_passing, pause, reconnect_pause},
    waits::Waits,
    watch::watch_within,
};

/// Timeout of one attempt of a call.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long a wait lasts whose caller names no limit.
pub const WAIT: Duration = Duration::from_mins(5);
/// Maximum size of a response: at worst 500 items with custom fields of 1 MB.
pub const MAX_MESSAGE: usize = 512 * 1024 * 1024;

/// The addresses of a Nodkey deployment.
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
    /// PEM of the only authority to trust for `https`; `None` for the system's.
    pub ca_certificate: Option<String>,
}

impl Endpoints {
    /// One address for all services: the public URL of a deployment, or of `nodkey dev`. It serves everything that a backend may call.
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

/// A service that a backend may call.
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

/// The client. Cheap to clone. It connects on first use, and again when the connection is lost.
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
    /// Creates a client; `Err` for an invalid URL. Must be called within a Tokio runtime.
    #[expect(clippy::needless_pass_by_value, reason = "callers make it for this")]
    pub fn connect(endpoints: &Endpoints, credential: Credential) -> Result<Self, transport::Error> {
        let mut channels = HashMap::new();
        // Services at the same address share a connection.
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
        // A token may name the service that it is for.
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

    /// Activates a binding: from now on the user can be challenged.
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

    /// Freezes a user: open prompts are canceled, and until the user is released nobody may prompt them and none of their devices can
    /// answer. `note` explains why, for people, and may be empty.
    pub async fn freeze_user(&self, user_identifier: &str, note: &str) -> Result<User, Error> {
        self.call(FreezeUserRequest { user_identifier: user_identifier.into(), note: note.into() }, |r| {
            let mut client = UserServiceClient::new(self.binding.clone());
            async move { client.freeze_user(r).await }
        })
        .await
    }

    /// Releases a frozen user: everything is as before. First make sure that the user, and nobody else, has their phones.
    pub async fn release_user(&self, user_identifier: &str) -> Result<User, Error> {
        self.call(ReleaseUserRequest { user_identifier: user_identifier.into() }, |r| {
            let mut client = UserServiceClient::new(self.binding.clone());
            async move { client.release_user(r).await }
        })
        .await
    }

    /// Returns a user: the number of their devices, and whether they are frozen.
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

    /// Lists bindings, newest first, including those that have ended.
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

    /// Makes a document of the user that a device is bound to count: from then on, accepts that present its hash are level 3. First verify
    /// by other means that the document is the user's. Repeating the call with the same hash returns the same document.
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

    /// Creates a challenge for a user or a device.
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

    /// Returns a trusonafication in its current state.
    pub async fn trusonafication(&self, id: &str) -> Result<Trusonafication, Error> {
        self.call(GetTrusonaficationRequest { id: id.into(), wait_seconds: 0 }, |r| {
            let mut client = self.trusonafications();
            async move { client.get_trusonafication(r).await }
        })
        .await
    }

    /// Streams the current state immediately, then the terminal state, then ends.
    pub async fn watch(&self, id: &str) -> Result<impl Stream<Item = Result<Trusonafication, Error>> + Send + use<>, Error> {
        let stream = self.trusonafications().watch_trusonafication(WatchTrusonaficationRequest { id: id.into() }).await?;
        Ok(stream.into_inner().map_err(Error::from))
    }

    /// Streams the states as [`Nodkey::watch`] does, each once, and opens the stream again as [`Nodkey::wait_for`] does.
    pub fn watch_for(&self, id: &str, limit: Duration) -> impl Stream<Item = Result<Trusonafication, Error>> + Send + use<> {
        watch_within(self.trusonafications(), self.random.clone(), id, limit)
    }

    /// Waits for the terminal state, for [`WAIT`] at most.
    pub async fn wait(&self, id: &str) -> Result<Trusonafication, Error> {
        self.wait_for(id, WAIT).await
    }

    /// Waits for the terminal state. Concurrent waits share one stream per thousand. A refusal that concerns one trusonafication fails only
    /// that wait. A lost connection is reopened after a growing, randomized pause, and so is a stream that the server has no capacity for,
    /// however often: until `limit` is over, and the wait fails with `DEADLINE_EXCEEDED`.
    pub async fn wait_for(&self, id: &str, limit: Duration) -> Result<Trusonafication, Error> {
        let end = async {
            match self.waits.wait(|| self.trusonafications(), &self.random, id).await {
                Err(status) if status.code() == tonic::Code::Unimplemented => self.wait_alone(id).await,
                end => end,
            }
        };
        self.waits.within(limit, end).await
    }

    /// Waits on separate streams: servers of the previous release have no other.
    async fn wait_alone(&self, id: &str) -> Result<Trusonafication, Status> {
        let mut failures = 0_u32;
        loop {
            let began = Instant::now();
            let status = match self.end(id).await {
                Ok(end) => return Ok(end),
                Err(status) => status,
            };
            failures = if began.elapsed() < LASTED { failures.saturating_add(1) } else { 1 };
            if !is_passing(&status) {
                return Err(status);
            }
            self.waits.note(Some(&status));
            sleep(reconnect_pause(&self.random, &status, failures)).await;
        }
    }

    /// Returns the terminal state, using one stream.
    async fn end(&self, id: &str) -> Result<Trusonafication, Status> {
        let request = WatchTrusonaficationRequest { id: id.into() };
        let mut states = self.trusonafications().watch_trusonafication(request).await?.into_inner();
        self.waits.note(None);
        while let Some(state) = states.message().await? {
            if is_terminal(state.status()) {
                // Read to the end: abandoning a call counts as misbehavior of the server, and 1,024 of them end the connection.
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

    /// Cancels a trusonafication that is in progress.
    pub async fn cancel(&self, id: &str) -> Result<Trusonafication, Error> {
        self.call(CancelTrusonaficationRequest { id: id.into() }, |r| {
            let mut client = self.trusonafications();
            async move { client.cancel_trusonafication(r).await }
        })
        .await
    }

    /// Returns the evidence of an answered trusonafication. It proves nothing until it is verified.
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

    /// Returns the deployment's public keys, which is all that offline verification needs.
    pub async fn jwks(&self) -> Result<Jwks, Error> {
        let answer = self
            .call(GetJwksRequest {}, |r| {
                let mut client = SigningKeyServiceClient::new(self.registry.clone());
                async move { client.get_jwks(r).await }
            })
            .await?;
        serde_json::from_str(&answer.jwks).map_err(|_| Error::unexpected("the JWKS is not valid"))
    }

    /// Returns every key that ever signed evidence, for verifying evidence of any age. Revoked keys are omitted.
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

    /// Makes a call that this client has no method for, by a generated client of [`Nodkey::channel`]: with a deadline, and repeated as
    /// others are. Every call may be repeated: reads by nature, creates by their request id, and the others because they are idempotent.
    pub async fn call<M, T, F, Fut>(&self, message: M, send: F) -> Result<T, Error>
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
                Err(status) => match pause(&self.random, &status, attempt) {
                    Some(pause) => sleep(pause).await,
                    None => return Err(status.into()),
                },
            }
            attempt += 1;
        }
    }
}
