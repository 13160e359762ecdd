//! Use cases of operators, the people who run the deployment.

use nodkey_kernel::{
    device::verify_device_identifier,
    error::{Classify as _, Kind},
    id::{DeviceId, OperatorId, RelyingPartyId},
    jose::{b64u, sha256},
    time::Timestamp,
};
use nodkey_proto::binding::v1::{
    ActivateBindingRequest, CreateBindingRequest, DeactivateUserRequest, binding_service_client::BindingServiceClient,
    user_service_client::UserServiceClient,
};
use nodkey_runtime::{
    idempotent::{Request, once},
    page::Page,
    status::PeerError,
};
use prost::Message;

use super::{ATTEMPTS, App, NewCredential, start};
use crate::{
    domain::{
        Change, Refusal,
        audit::Action,
        credential::CredentialKind,
        operator::{NewOperator, Operator, OperatorPatch, OperatorState},
    },
    error::Error,
    store::{audit, credential as credentials, operator as store},
};

/// Method name of audit entries for accepted invitations.
const ACCEPT: &str = "nodkey.registry.v1.OperatorService/AcceptInvitation";

/// An operator with the link that enrolls their phone.
#[derive(Debug)]
pub struct Invited {
    /// The operator.
    pub operator: Operator,
    /// Contains the token; it is not stored.
    pub link: String,
}

/// What a phone needs to accept an invitation.
#[derive(Debug)]
pub struct Opened {
    /// The invited operator.
    pub operator: Operator,
    /// The console's mobile credential.
    pub mobile: NewCredential,
}

impl App {
    /// Invites an operator.
    pub async fn invite_operator<A: Message + Default>(
        &self,
        request: Option<Request>,
        new: NewOperator,
        answer: impl Fn(&Invited) -> A + Send + Sync,
    ) -> Result<A, Error> {
        let attempt = async || {
            let (token, now) = (self.invitation_token(), self.now());
            let operator = Operator::invite(OperatorId::generate(now, &self.0.random), new.clone(), sha256(token.as_bytes()), now);
            let invited = Invited { operator, link: self.invitation_link(&token) };
            let mut tx = self.0.db.begin().await?;
            store::insert(&mut tx, &invited.operator).await?;
            Ok::<_, Error>(Some((tx, answer(&invited))))
        };
        once(request.as_ref(), &self.answers(), attempt).await
    }

    /// Makes a new link. The change itself ends the operator's sessions; the previous phone is unbound right after, before the link is
    /// returned.
    pub async fn renew_invitation(&self, id: OperatorId) -> Result<Invited, Error> {
        let token = self.invitation_token();
        let hash = sha256(token.as_bytes());
        let operator = self.change_operator(id, |it, now| it.renew(hash, now).map(Change::Changed)).await?;
        self.forget_phones(id).await?;
        Ok(Invited { operator, link: self.invitation_link(&token) })
    }

    /// Changes the name or the role.
    pub async fn update_operator(&self, id: OperatorId, patch: OperatorPatch, by: Option<OperatorId>) -> Result<Operator, Error> {
        self.change_operator(id, |it, _| it.update(patch.clone(), by)).await
    }

    /// Disables an operator: first their access ends, then their phone is unbound.
    pub async fn disable_operator(&self, id: OperatorId, by: Option<OperatorId>) -> Result<Operator, Error> {
        let operator = self.change_operator(id, |it, _| it.disable(by)).await?;
        self.forget_phones(id).await?;
        Ok(operator)
    }

    /// Lists all operators, newest first, with the token of the next page.
    pub async fn operators(&self, page: &Page) -> Result<(Vec<Operator>, String), Error> {
        let start = start(page, |id| id.parse().ok())?;
        Ok(store::list(&self.0.db, &start, page.size).await?.into_parts())
    }

    /// Returns what a phone needs to accept an unused invitation.
    pub async fn open_invitation(&self, token: &str) -> Result<Opened, Error> {
        let operator = self.invited(token).await?;
        operator.ensure_unused(self.now())?;
        Ok(Opened { operator, mobile: self.console_credential().await? })
    }

    /// Binds a phone to the operator. It takes the invitation first, so that only one of two racing phones is bound.
    pub async fn accept_invitation(&self, token: &str, device_jwt: &str) -> Result<Operator, Error> {
        let operator = self.invited(token).await?;
        let (jwks, issuer) = (self.jwks().await?, &self.0.deployment.public_url);
        let claims = verify_device_identifier(device_jwt, &jwks, issuer, &RelyingPartyId::CONSOLE.to_string(), self.now());
        // Any other phone gets the same answer as for an invitation that never existed.
        let fault = || match operator.ensure_unused(self.now()) {
            Ok(()) => Refusal::invalid("device_identifier_jwt", "must be of a phone that was registered with this invitation"),
            Err(refusal) => refusal,
        };
        let device = DeviceId::parse(&claims.map_err(|_| fault())?.sub).map_err(|_| fault())?;
        let operator = self.change_operator(operator.id, |it, now| it.take(&device, now)).await?;
        if operator.state == OperatorState::Active {
            return Ok(operator);
        }
        self.bind_phone(operator.id, &device).await?;
        let request = serde_json::json!({"deviceIdentifier": device}).to_string();
        let note = |operator: &Operator| Some(Action::of(operator, ACCEPT, request.clone()));
        self.change_noted(operator.id, |it, _| it.activate(&device), note).await
    }

    /// Finds the operator of a valid invitation.
    async fn invited(&self, token: &str) -> Result<Operator, Error> {
        let found = store::invited(&self.0.db, &sha256(token.as_bytes())).await?.ok_or(Refusal::NotFound("invitation"))?;
        found.ensure_invited(self.now())?;
        Ok(found)
    }

    /// Writes a change that the API records in the audit log.
    async fn change_operator(
        &self,
        id: OperatorId,
        change: impl Fn(Operator, Timestamp) -> Result<Change<Operator>, Refusal>,
    ) -> Result<Operator, Error> {
        self.change_noted(id, change, |_| None).await
    }

    /// Writes a change together with its audit entry. The sessions of an operator who is no longer active end with it.
    async fn change_noted(
        &self,
        id: OperatorId,
        change: impl Fn(Operator, Timestamp) -> Result<Change<Operator>, Refusal>,
        note: impl Fn(&Operator) -> Option<Action>,
    ) -> Result<Operator, Error> {
        for _ in 0..ATTEMPTS {
            let (found, now) = (store::get(&self.0.db, id).await?.ok_or(Refusal::NotFound("operator"))?, self.now());
            let operator = match change(found, now)? {
                Change::Same(operator) => return Ok(operator),
                Change::Changed(operator) => operator,
            };
            let mut tx = self.0.db.begin().await?;
            if store::update(&mut tx, &operator).await? {
                if operator.state != OperatorState::Active {
                    store::end_sessions(&mut tx, id, now).await?;
                }
                if let Some(action) = note(&operator) {
                    audit::append(&mut tx, self.entry(action, "OK").into()).await?;
                }
                tx.commit().await?;
                return Ok(operator);
            }
            tx.rollback().await?;
        }
        Err(Error::Raced)
    }

    async fn bind_phone(&self, operator: OperatorId, device: &DeviceId) -> Result<(), Error> {
        let mut bindings = BindingServiceClient::new(self.0.peers.binding().acting_for(RelyingPartyId::CONSOLE));
        let request = CreateBindingRequest {
            request_id: String::new(),
            user_identifier: operator.to_string(),
            device_identifier: device.to_string(),
        };
        let binding = bindings.create_binding(request).await?.into_inner();
        bindings.activate_binding(ActivateBindingRequest { id: binding.id }).await?;
        Ok(())
    }

    async fn forget_phones(&self, operator: OperatorId) -> Result<(), Error> {
        let mut users = UserServiceClient::new(self.0.peers.binding().acting_for(RelyingPartyId::CONSOLE));
        let request = DeactivateUserRequest { user_identifier: operator.to_string() };
        match users.deactivate_user(request).await.map_err(PeerError::from) {
            Err(e) if e.kind() != Kind::NotFound => Err(e.into()),
            _ => Ok(()),
        }
    }

    /// The mobile credential that registers operators' phones; created on first use.
    async fn console_credential(&self) -> Result<NewCredential, Error> {
        let page = Page { size: 10, after: None };
        let (known, _) = self.credentials(RelyingPartyId::CONSOLE, &page).await?;
        if let Some(credential) = known.into_iter().find(|it| it.kind == CredentialKind::Mobile && it.disabled_at.is_none()) {
            let secret = self.opened(credential.id).await?.secret;
            return Ok(NewCredential { credential, secret });
        }
        let new = self.issue(RelyingPartyId::CONSOLE, CredentialKind::Mobile).await?;
        let mut tx = self.0.db.begin().await?;
        credentials::insert(&mut tx, &new.credential, &self.seal_credential(&new)).await?;
        tx.commit().await?;
        Ok(new)
    }

    fn invitation_token(&self) -> String {
        b64u(&self.0.random.bytes::<32>())
    }

    /// The token is in the fragment, which browsers never send to a server.
    fn invitation_link(&self, token: &str) -> String {
        format!("{}/console/phone#enrol=/console/api/enrolments/{token}", self.0.deployment.public_url)
    }
}
