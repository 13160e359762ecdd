//! Use cases of credentials.

use nodkey_kernel::{
    error::chain,
    id::{CredentialId, RelyingPartyId},
    jose::sha256,
};
use nodkey_proto::registry::v1::{CredentialCreated, CredentialDisabled};
use nodkey_runtime::{
    Proof,
    fault::Fault,
    idempotent::{Request, once},
    page::Page,
    rows, signature, token,
};
use prost::Message;
use secrecy::{ExposeSecret as _, SecretString};
use tracing::debug;

use super::{ATTEMPTS, App, start};
use crate::{
    domain::{
        Change, Refusal,
        credential::{Credential, CredentialKind, TokenClaims, USE_NOTED},
        relying_party::{Limits, SignatureSettings},
        signing_key::TOKEN_TYP,
        text,
    },
    error::Error,
    store::credential as store,
};

/// A new credential with its secret, which is shown only once.
#[derive(Debug)]
pub struct NewCredential {
    /// The credential.
    pub credential: Credential,
    /// 128 lower-case hex digits.
    pub secret: SecretString,
}

/// A credential with what a service needs to verify a signature.
#[derive(Debug)]
pub struct ResolvedCredential {
    /// The credential.
    pub credential: Credential,
    /// The key of the signatures.
    pub secret: SecretString,
    /// Whether it or its relying party is disabled.
    pub disabled: bool,
    /// SHA-256 of the token.
    pub token_sha256: [u8; 32],
    /// Signature settings of its relying party.
    pub signatures: SignatureSettings,
    /// Limits of its relying party.
    pub limits: Limits,
}

impl App {
    /// Creates a credential.
    pub async fn create_credential<A: Message + Default>(
        &self,
        request: Option<Request>,
        party: RelyingPartyId,
        kind: CredentialKind,
        name: &str,
        answer: impl Fn(&NewCredential) -> A + Send + Sync,
    ) -> Result<A, Error> {
        let name = credential_name(name)?;
        let attempt = async || {
            self.relying_party(party).await?.ensure_enabled()?;
            let new = self.issue(party, kind, name.clone()).await?;
            let credential = &new.credential;
            let mut tx = self.0.db.begin().await?;
            store::insert(&mut tx, credential, &self.seal_credential(&new)).await?;
            self.emit(&mut tx, &CredentialCreated { credential_id: credential.id.to_string() }, party, credential.version).await?;
            Ok::<_, Error>(Some((tx, answer(&new))))
        };
        once(request.as_ref(), &self.answers(), attempt).await
    }

    /// Generates a token and a secret; nothing is stored yet.
    pub(super) async fn issue(&self, relying_party: RelyingPartyId, kind: CredentialKind, name: String) -> Result<NewCredential, Error> {
        let (now, deployment) = (self.now(), &self.0.deployment);
        let id = CredentialId::generate(now, &self.0.random);
        let claims = TokenClaims::new(&deployment.public_url, &deployment.audience, relying_party, id, kind, now);
        let token = self.sign_claims(TOKEN_TYP, &claims).await?;
        let secret = hex::encode(self.0.random.bytes::<64>()).into();
        let credential =
            Credential { id, relying_party, kind, token, name, last_used_at: None, created_at: now, disabled_at: None, version: 1 };
        Ok(NewCredential { credential, secret })
    }

    pub(super) fn seal_credential(&self, new: &NewCredential) -> Vec<u8> {
        self.0.vault.seal(&self.0.random, &context(new.credential.id), new.secret.expose_secret().as_bytes())
    }

    /// Lists the credentials of a relying party, newest first, with the token of the next page.
    pub async fn credentials(&self, party: RelyingPartyId, page: &Page) -> Result<(Vec<Credential>, String), Error> {
        let start = start(page, |id| id.parse().ok())?;
        let found = store::list(&self.0.db, party, &start, page.size).await?.into_parts();
        self.unless_empty(party, found).await
    }

    /// Names one anew. No version counts it: a release before knows versions of credentials that end, and no others.
    pub async fn rename_credential(&self, party: RelyingPartyId, id: CredentialId, name: &str) -> Result<Credential, Error> {
        let name = credential_name(name)?;
        store::rename(&self.0.db, party, id, &name).await?;
        Ok(store::get(&self.0.db, party, id).await?.ok_or(Refusal::NotFound("credential"))?)
    }

    /// Disables a credential.
    pub async fn disable_credential(&self, party: RelyingPartyId, id: CredentialId) -> Result<Credential, Error> {
        for _ in 0..ATTEMPTS {
            let credential = store::get(&self.0.db, party, id).await?.ok_or(Refusal::NotFound("credential"))?;
            let credential = match credential.disable(self.now()) {
                Change::Same(credential) => return Ok(credential),
                Change::Changed(credential) => credential,
            };
            let mut tx = self.0.db.begin().await?;
            if store::update(&mut tx, &credential).await? {
                self.emit(&mut tx, &CredentialDisabled { credential_id: id.to_string() }, party, credential.version).await?;
                tx.commit().await?;
                return Ok(credential);
            }
            tx.rollback().await?;
        }
        Err(Error::Raced)
    }

    /// Returns what verifies signatures of a credential of any relying party, to a service that proves that the holder is calling it right
    /// now. Knowing the id is not enough to get a secret. If the proof fails, the calling service gets the reason for its log.
    pub async fn resolve_credential(&self, id: CredentialId, proof: Option<&Proof>) -> Result<ResolvedCredential, Error> {
        let credential = self.opened(id).await?;
        let (secret, now) = (credential.secret.expose_secret(), self.now());
        let proven = match proof {
            Some(Proof::BearerToken(token)) => token::check(token, secret, &self.0.deployment.audience, now),
            Some(Proof::SignedRequest(request)) => signature::check(request, secret, credential.signatures.into(), now).map(|_| ()),
            None if self.takes_unproven() => Ok(()),
            None => Err(Fault::Missing),
        };
        proven.map_err(|fault| {
            self.note_failure("credential", &id.to_string(), fault.as_str());
            Error::NotProven(fault)
        })?;
        if proof.is_some() && !credential.disabled && credential.credential.notes_use(now) {
            // For people to read: that it cannot be noted is no reason to refuse.
            if let Err(e) = store::note_use(&self.0.db, id, now, now - USE_NOTED).await {
                debug!(error = chain(&e), "the use of a credential could not be noted");
            }
        }
        Ok(credential)
    }

    /// Services of the previous release send no proof. They are served while the shared key that lets every process act as any other is
    /// configured.
    pub(super) fn takes_unproven(&self) -> bool {
        self.0.deployment.internal_key.is_some()
    }

    /// Returns a credential with its decrypted secret.
    pub(super) async fn opened(&self, id: CredentialId) -> Result<ResolvedCredential, Error> {
        let found = store::resolve(&self.0.db, id).await?.ok_or(Refusal::NotFound("credential"))?;
        let secret = self.0.vault.open(&context(id), &found.sealed_secret).map_err(Error::Sealed)?;
        let secret = std::str::from_utf8(&secret).map_err(|_| rows::inconsistent("credential", "sealed_secret", id, "is no text"))?;
        Ok(ResolvedCredential {
            secret: secret.into(),
            disabled: found.party_disabled || found.credential.disabled_at.is_some(),
            token_sha256: sha256(found.credential.token.as_bytes()),
            signatures: found.signatures,
            limits: found.limits,
            credential: found.credential,
        })
    }
}

/// The most a name has, in characters.
const MAX_NAME: usize = 100;

/// Reads what people call a credential.
fn credential_name(name: &str) -> Result<String, Refusal> {
    text::optional_name(name, MAX_NAME).map_err(|e| Refusal::invalid("name", e.to_string()))
}

/// The context a secret is sealed with.
fn context(id: CredentialId) -> String {
    format!("credential/{id}")
}
