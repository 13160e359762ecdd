//! Domain to proto and back.

use nodkey_kernel::{key_statement::PresenceKind, transfer::TransferAct};
use nodkey_proto::{
    convert::{timestamp, to_presence_kind, to_role},
    registry::v1 as pb,
};
use secrecy::ExposeSecret as _;

use crate::{
    app::{AliveSession, Invited, NewCredential, Opened, Registered, ResolvedCredential},
    domain::{
        Unknown,
        audit::AuditEntry,
        credential::{Credential, CredentialKind},
        device::{Device, Platform, PresenceKeys},
        device_challenge::DeviceChallenge,
        document::{Document, DocumentType, VerificationStatus},
        operator::{Operator, OperatorSession, OperatorState},
        phone_call::SentCall,
        relying_party::{BindingSettings, Limits, PhoneSettings, PromptSettings, RelyingParty, SignatureSettings, TruCodeSettings},
        standing::Standing,
        transfer::Transfer,
    },
};

impl From<&RelyingParty> for pb::RelyingParty {
    fn from(party: &RelyingParty) -> Self {
        Self {
            id: party.id.to_string(),
            name: party.name.clone(),
            disabled: party.disabled_at.is_some(),
            created_at: Some(timestamp(party.created_at)),
            trucodes: Some(pb::TruCodeSettings {
                allowed_origins: party.trucodes.allowed_origins.clone(),
                allow_unproven_pairing: party.trucodes.allow_unproven_pairing,
                match_number: party.trucodes.match_number,
            }),
            signatures: Some(party.signatures.into()),
            limits: Some(party.limits.into()),
            prompts: Some(party.prompts.into()),
            bindings: Some(party.bindings.into()),
            phones: Some(party.phones.into()),
        }
    }
}

impl From<BindingSettings> for pb::BindingSettings {
    fn from(settings: BindingSettings) -> Self {
        let BindingSettings { inactive_hours } = settings;
        Self { inactive_hours }
    }
}

impl From<pb::BindingSettings> for BindingSettings {
    fn from(settings: pb::BindingSettings) -> Self {
        let pb::BindingSettings { inactive_hours } = settings;
        Self { inactive_hours }
    }
}

impl From<PromptSettings> for pb::PromptSettings {
    fn from(settings: PromptSettings) -> Self {
        let PromptSettings { tolerant, allow_unprompted, require_six_digits } = settings;
        Self { tolerant, allow_unprompted, require_six_digits }
    }
}

impl From<pb::PromptSettings> for PromptSettings {
    fn from(settings: pb::PromptSettings) -> Self {
        let pb::PromptSettings { tolerant, allow_unprompted, require_six_digits } = settings;
        Self { tolerant, allow_unprompted, require_six_digits }
    }
}

impl From<PhoneSettings> for pb::PhoneSettings {
    fn from(settings: PhoneSettings) -> Self {
        let PhoneSettings { refuse_transfers, phones_add_phones } = settings;
        Self { refuse_transfers, phones_add_phones }
    }
}

impl From<pb::PhoneSettings> for PhoneSettings {
    fn from(settings: pb::PhoneSettings) -> Self {
        let pb::PhoneSettings { refuse_transfers, phones_add_phones } = settings;
        Self { refuse_transfers, phones_add_phones }
    }
}

impl From<Transfer> for pb::VerifiedTransfer {
    fn from(transfer: Transfer) -> Self {
        let act = match transfer.act {
            TransferAct::Replace => pb::TransferAct::Replace,
            TransferAct::Add => pb::TransferAct::Add,
        };
        Self { new_device_id: transfer.new.to_string(), act: act.into(), challenged_at: Some(timestamp(transfer.challenged_at)) }
    }
}

impl From<Limits> for pb::RelyingPartyLimits {
    fn from(limits: Limits) -> Self {
        let Limits { registrations_per_address, unbound_devices, webhook_endpoints, open_trusonafications } = limits;
        Self { registrations_per_address, unbound_devices, webhook_endpoints, open_trusonafications }
    }
}

impl From<pb::RelyingPartyLimits> for Limits {
    fn from(limits: pb::RelyingPartyLimits) -> Self {
        let pb::RelyingPartyLimits { registrations_per_address, unbound_devices, webhook_endpoints, open_trusonafications } = limits;
        Self { registrations_per_address, unbound_devices, webhook_endpoints, open_trusonafications }
    }
}

impl From<SignatureSettings> for pb::SignatureSettings {
    fn from(settings: SignatureSettings) -> Self {
        let SignatureSettings { refuse_unescaped_path, refuse_truncated_body, max_date_skew_seconds, refuse_repeated } = settings;
        Self { refuse_unescaped_path, refuse_truncated_body, max_date_skew_seconds, refuse_repeated }
    }
}

impl From<pb::SignatureSettings> for SignatureSettings {
    fn from(settings: pb::SignatureSettings) -> Self {
        let pb::SignatureSettings { refuse_unescaped_path, refuse_truncated_body, max_date_skew_seconds, refuse_repeated } = settings;
        Self { refuse_unescaped_path, refuse_truncated_body, max_date_skew_seconds, refuse_repeated }
    }
}

impl From<pb::TruCodeSettings> for TruCodeSettings {
    fn from(settings: pb::TruCodeSettings) -> Self {
        Self {
            allowed_origins: settings.allowed_origins,
            allow_unproven_pairing: settings.allow_unproven_pairing,
            match_number: settings.match_number,
        }
    }
}

pub(super) fn credential_kind(kind: i32) -> Result<CredentialKind, Unknown> {
    match pb::CredentialKind::try_from(kind) {
        Ok(pb::CredentialKind::Server) => Ok(CredentialKind::Server),
        Ok(pb::CredentialKind::Mobile) => Ok(CredentialKind::Mobile),
        Ok(pb::CredentialKind::Unspecified) | Err(_) => Err(Unknown),
    }
}

impl From<CredentialKind> for pb::CredentialKind {
    fn from(kind: CredentialKind) -> Self {
        match kind {
            CredentialKind::Server => Self::Server,
            CredentialKind::Mobile => Self::Mobile,
        }
    }
}

impl From<&Credential> for pb::Credential {
    fn from(credential: &Credential) -> Self {
        Self {
            id: credential.id.to_string(),
            relying_party_id: credential.relying_party.to_string(),
            kind: pb::CredentialKind::from(credential.kind).into(),
            token: credential.token.clone(),
            disabled: credential.disabled_at.is_some(),
            created_at: Some(timestamp(credential.created_at)),
        }
    }
}

impl From<&NewCredential> for pb::CreateCredentialResponse {
    fn from(new: &NewCredential) -> Self {
        Self { credential: Some((&new.credential).into()), secret: new.secret.expose_secret().to_owned() }
    }
}

impl From<ResolvedCredential> for pb::ResolveCredentialResponse {
    fn from(resolved: ResolvedCredential) -> Self {
        Self {
            relying_party_id: resolved.credential.relying_party.to_string(),
            kind: pb::CredentialKind::from(resolved.credential.kind).into(),
            secret: resolved.secret.expose_secret().to_owned(),
            disabled: resolved.disabled,
            token_sha256: resolved.token_sha256.to_vec().into(),
            signatures: Some(resolved.signatures.into()),
            limits: Some(resolved.limits.into()),
        }
    }
}

/// Parses the kinds and JWKs of presence keys.
pub(super) fn presence_keys(keys: &[pb::PresenceKey]) -> Result<PresenceKeys, String> {
    PresenceKeys::parse(keys.iter().map(|key| (presence_kind(key.kind), key.jwk.as_str())))
}

pub(super) fn phone_call(call: Option<&pb::PhoneCall>) -> Option<SentCall<'_>> {
    call.map(|call| SentCall { proof: &call.proof, body: &call.body })
}

fn presence_kind(kind: i32) -> Result<PresenceKind, Unknown> {
    match pb::PresenceKind::try_from(kind) {
        Ok(pb::PresenceKind::Biometric) => Ok(PresenceKind::Biometric),
        Ok(pb::PresenceKind::Credential) => Ok(PresenceKind::Credential),
        Ok(pb::PresenceKind::Unspecified) | Err(_) => Err(Unknown),
    }
}

/// A phone that does not report its platform has platform `Other`.
pub(super) fn platform(platform: i32) -> Result<Platform, Unknown> {
    match pb::Platform::try_from(platform) {
        Ok(pb::Platform::Ios) => Ok(Platform::Ios),
        Ok(pb::Platform::Android) => Ok(Platform::Android),
        Ok(pb::Platform::Web) => Ok(Platform::Web),
        Ok(pb::Platform::Cli) => Ok(Platform::Cli),
        Ok(pb::Platform::Other | pb::Platform::Unspecified) => Ok(Platform::Other),
        Err(_) => Err(Unknown),
    }
}

impl From<Platform> for pb::Platform {
    fn from(platform: Platform) -> Self {
        match platform {
            Platform::Ios => Self::Ios,
            Platform::Android => Self::Android,
            Platform::Web => Self::Web,
            Platform::Cli => Self::Cli,
            Platform::Other => Self::Other,
        }
    }
}

impl From<&Device> for pb::Device {
    fn from(device: &Device) -> Self {
        let presence_key = |(kind, key): (PresenceKind, nodkey_kernel::jose::PublicJwk)| {
            let Standing { counts, since } = device.standings.of(kind);
            pb::PresenceKey {
                kind: to_presence_kind(kind).into(),
                jwk: key.to_value().to_string(),
                thumbprint: key.thumbprint(),
                counts: Some(counts),
                since: since.map(timestamp),
            }
        };
        let statement = device.vouching.statement.as_ref();
        Self {
            id: device.id.to_string(),
            relying_party_id: device.relying_party.to_string(),
            device_key: device.key.to_value().to_string(),
            presence_keys: device.profile.presence.iter().map(presence_key).collect(),
            name: device.profile.name.clone(),
            platform: pb::Platform::from(device.profile.platform).into(),
            app_version: device.profile.app_version.clone(),
            retired: device.retired_at.is_some(),
            created_at: Some(timestamp(device.created_at)),
            updated_at: Some(timestamp(device.updated_at)),
            last_seen_at: device.last_seen_at.map(timestamp),
            key_statement: statement.map(|statement| statement.jws.clone()).unwrap_or_default(),
            key_signatures: statement.map(|statement| statement.signatures.clone()).unwrap_or_default(),
            capabilities: device.profile.capabilities.names().map(ToOwned::to_owned).collect(),
        }
    }
}

impl From<DeviceChallenge> for pb::DeviceChallenge {
    fn from(DeviceChallenge { nonce, seq, expires_at }: DeviceChallenge) -> Self {
        Self { nonce, seq, expires_at: Some(timestamp(expires_at)) }
    }
}

impl From<Registered> for pb::RegisterDeviceResponse {
    fn from(registered: Registered) -> Self {
        Self { device: Some((&registered.device).into()), created: registered.created, device_identifier_jwt: registered.jwt }
    }
}

pub(super) fn document_type(document_type: i32) -> Result<DocumentType, Unknown> {
    match pb::DocumentType::try_from(document_type) {
        Ok(pb::DocumentType::AamvaDriversLicense) => Ok(DocumentType::AamvaDriversLicense),
        Ok(pb::DocumentType::Unspecified) | Err(_) => Err(Unknown),
    }
}

pub(super) fn verification_status(status: i32) -> Result<VerificationStatus, Unknown> {
    match pb::VerificationStatus::try_from(status) {
        Ok(pb::VerificationStatus::Unverified) => Ok(VerificationStatus::Unverified),
        Ok(pb::VerificationStatus::Unverifiable) => Ok(VerificationStatus::Unverifiable),
        Ok(pb::VerificationStatus::Verified) => Ok(VerificationStatus::Verified),
        Ok(pb::VerificationStatus::Failed) => Ok(VerificationStatus::Failed),
        Ok(pb::VerificationStatus::Unspecified) | Err(_) => Err(Unknown),
    }
}

impl From<VerificationStatus> for pb::VerificationStatus {
    fn from(status: VerificationStatus) -> Self {
        match status {
            VerificationStatus::Unverified => Self::Unverified,
            VerificationStatus::Unverifiable => Self::Unverifiable,
            VerificationStatus::Verified => Self::Verified,
            VerificationStatus::Failed => Self::Failed,
        }
    }
}

impl From<DocumentType> for pb::DocumentType {
    fn from(document_type: DocumentType) -> Self {
        match document_type {
            DocumentType::AamvaDriversLicense => Self::AamvaDriversLicense,
        }
    }
}

impl From<&Document> for pb::IdentityDocument {
    fn from(document: &Document) -> Self {
        Self {
            id: document.id.to_string(),
            relying_party_id: document.relying_party.to_string(),
            user_identifier: document.user.clone(),
            hash: document.hash.clone(),
            r#type: pb::DocumentType::from(document.document_type).into(),
            verification_status: pb::VerificationStatus::from(document.status).into(),
            verified_at: document.verified_at.map(timestamp),
            created_at: Some(timestamp(document.created_at)),
            counts: Some(document.counts),
        }
    }
}

impl From<&Operator> for pb::Operator {
    fn from(operator: &Operator) -> Self {
        let (state, invited) = match operator.state {
            OperatorState::Invited => (pb::OperatorState::Invited, true),
            OperatorState::Active => (pb::OperatorState::Active, false),
            OperatorState::Disabled => (pb::OperatorState::Disabled, false),
        };
        Self {
            id: operator.id.to_string(),
            name: operator.name.clone(),
            role: to_role(operator.role).into(),
            state: state.into(),
            created_at: Some(timestamp(operator.created_at)),
            signed_in_at: operator.signed_in_at.map(timestamp),
            invitation_expires_at: invited.then(|| timestamp(operator.invitation.expires_at)),
        }
    }
}

impl From<&Invited> for pb::Invitation {
    fn from(Invited { operator, link }: &Invited) -> Self {
        Self { operator: Some(operator.into()), link: link.clone(), expires_at: Some(timestamp(operator.invitation.expires_at)) }
    }
}

impl From<&Opened> for pb::ResolveInvitationResponse {
    fn from(Opened { operator, mobile }: &Opened) -> Self {
        Self {
            operator: Some(operator.into()),
            mobile_token: mobile.credential.token.clone(),
            mobile_secret: mobile.secret.expose_secret().to_owned(),
        }
    }
}

impl From<&AliveSession> for pb::OperatorSession {
    fn from(AliveSession { session, operator, secret }: &AliveSession) -> Self {
        Self {
            id: session.id.to_string(),
            operator: Some(operator.into()),
            secret: secret.expose_secret().to_owned(),
            expires_at: Some(timestamp(session.expires_at)),
            proven: false,
        }
    }
}

impl From<&OperatorSession> for pb::OperatorSessionInfo {
    fn from(session: &OperatorSession) -> Self {
        Self {
            id: session.id.to_string(),
            operator_id: session.operator.to_string(),
            created_at: Some(timestamp(session.created_at)),
            seen_at: Some(timestamp(session.seen_at)),
            expires_at: Some(timestamp(session.expires_at)),
            client_address: session.client.address.clone(),
            user_agent: session.client.agent.clone(),
            current: false,
        }
    }
}

impl From<&AuditEntry> for pb::AuditEntry {
    fn from(AuditEntry { id, at, action, outcome }: &AuditEntry) -> Self {
        Self {
            id: id.to_string(),
            at: Some(timestamp(*at)),
            operator_id: action.operator.map(|id| id.to_string()).unwrap_or_default(),
            actor: action.actor.clone(),
            role: action.role.clone(),
            relying_party_id: action.relying_party.map(|id| id.to_string()).unwrap_or_default(),
            method: action.method.clone(),
            request: action.request.clone(),
            outcome: outcome.clone(),
            trace_id: action.trace_id.clone(),
        }
    }
}
