//! Evidence: what anybody can check who has the deployment's public keys.

use std::time::{Duration, SystemTime};

use nodkey_kernel::{
    challenge::{self, ChallengeClaims, MatchClaim, ResponseClaims},
    evidence as kernel,
};

use crate::{
    Decision, DeviceIdentifier, Error, Jwks, Level, Receipt, RejectReason, RelyingPartyId, TrusonaficationId, UserIdentifier,
    VerificationError, time, verification,
};

/// The evidence of an answered trusonafication: a JSON document to keep as it is. It proves nothing until it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence(kernel::Evidence);

impl Evidence {
    /// Reads what [`to_json`](Self::to_json) wrote. `INVALID_PARAMETER`: it is not the document that `docs/guides/evidence.md` describes, or
    /// one of its keys is none.
    pub fn parse(json: &str) -> Result<Self, Error> {
        serde_json::from_str(json)
            .map(Self)
            .map_err(|_| Error::parameter("this is not the JSON document of evidence, or a key in it is none"))
    }

    /// The document, in the form in which evidence is kept and handed over: `docs/guides/evidence.md`.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.0).unwrap_or_default()
    }
}

impl Evidence {
    pub(crate) fn of(evidence: kernel::Evidence) -> Self {
        Self(evidence)
    }
}

/// What you expect of evidence. Evidence of what somebody else accepted, or of last year, is genuine as well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Expected {
    expected: kernel::Expected,
    max_age: Option<Duration>,
}

impl Expected {
    /// An accept: at the desired level or above, or at [`level`](Self::level) if you give one.
    pub fn accept() -> Self {
        Self::of(kernel::Expected::accept())
    }

    /// A rejection.
    pub fn rejection() -> Self {
        Self::of(kernel::Expected::rejection())
    }

    /// Any outcome: look at `status` of the receipt.
    pub fn any_outcome() -> Self {
        Self::of(kernel::Expected::any_outcome())
    }

    /// The trusonafication: the one that you created.
    pub fn trusonafication(self, id: impl Into<TrusonaficationId>) -> Self {
        self.with(|expected| expected.trusonafication(id.into()))
    }

    /// The relying party.
    pub fn relying_party(self, id: impl Into<RelyingPartyId>) -> Self {
        self.with(|expected| expected.party(id.into()))
    }

    /// The user who responded.
    pub fn user(self, user: impl Into<UserIdentifier>) -> Self {
        self.with(|expected| expected.user(user.into()))
    }

    /// The device that responded.
    pub fn device(self, device: impl Into<DeviceIdentifier>) -> Self {
        self.with(|expected| expected.device(device.into()))
    }

    /// The least level that has to be proven, whatever was desired. A rejection proves none.
    pub fn level(self, least: Level) -> Self {
        self.with(|expected| expected.level(least.to_kernel()))
    }

    /// How long ago it may have ended. Clocks may be a minute apart.
    pub fn max_age(self, age: Duration) -> Self {
        Self { max_age: Some(age), ..self }
    }

    /// Also accepts a presence key that only the deployment attributes to the device: for phones whose apps make no key statements. Then look
    /// at [`VerifiedEvidence::certification`].
    pub fn allow_uncertified(self) -> Self {
        self.with(kernel::Expected::allow_uncertified)
    }

    const fn of(expected: kernel::Expected) -> Self {
        Self { expected, max_age: None }
    }

    fn with(self, change: impl FnOnce(kernel::Expected) -> kernel::Expected) -> Self {
        Self { expected: change(self.expected), ..self }
    }

    fn at(&self, now: SystemTime) -> kernel::Expected {
        let expected = self.expected.clone();
        match self.max_age {
            Some(age) => expected.max_age(age, time::to_timestamp(now)),
            None => expected,
        }
    }
}

/// Genuine evidence. The decision that counts is the receipt's: `response` is an accept even where the number was wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifiedEvidence {
    /// How it ended, signed by the deployment.
    pub receipt: Receipt,
    /// What the phone showed, signed by the deployment.
    pub challenge: Challenge,
    /// What the person decided, signed by the phone.
    pub response: Response,
    /// Who certifies the key that signed the response.
    pub certification: Certification,
}

/// Who says that the key that signed is the device's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Certification {
    /// It is the device key itself, whose thumbprint is the device identifier.
    DeviceKey,
    /// The device key says so, in its statement. The deployment cannot have replaced the key.
    #[non_exhaustive]
    KeyStatement {
        /// The number of the statement: each device counts its own.
        sequence: u64,
        /// When it was made by the phone's clock, to the second.
        made_at: SystemTime,
        /// Whether the key that signed also signed the statement.
        is_co_signed: bool,
    },
    /// Only the deployment.
    Deployment,
}

/// The challenge: what the phone showed, and nothing else, signed by the deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Challenge {
    /// The deployment: its public URL. The claim `iss`.
    pub issuer: String,
    /// What it is for. The claim `jti`.
    pub trusonafication: TrusonaficationId,
    /// When it was issued, to the second. The claim `iat`.
    pub issued_at: SystemTime,
    /// When it expires, to the second. The claim `exp`.
    pub expires_at: SystemTime,
    /// Who asks. The claim `rp.id`.
    pub relying_party: RelyingPartyId,
    /// Their name, as it was shown. The claim `rp.name`.
    pub relying_party_name: String,
    /// The action, as it was shown. The claim `act`.
    pub action: String,
    /// The resource, as it was shown. The claim `res`.
    pub resource: String,
    /// The desired level: 1, 2 or 3. The claim `lvl`.
    pub desired_level: i32,
    /// Whether the phone had to show it. The claim `prompt`.
    pub prompt: bool,
    /// Whether presence had to be proven. The claim `presence`.
    pub user_presence: bool,
    /// Whether the identity document had to be presented. The claim `document`.
    pub show_identity_document: bool,
    /// Your own fields: JSON with the characters that were signed. The claim `fields`.
    pub custom_fields_json: Option<String>,
    /// How a number was matched. The claim `match`.
    pub number_match: Option<ChallengeMatch>,
    /// Where the request came from, as you stated it. The claim `from`.
    pub request_context: Option<RequestContext>,
}

/// How a number was matched. The right number is in no challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChallengeMatch {
    /// The person chose one of these, of two digits each.
    Choose(Vec<String>),
    /// The person typed so many digits.
    Enter(u8),
}

/// Where a request to you comes from, as far as you know. The phone shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestContext {
    /// An IP address.
    pub address: Option<String>,
    /// The browser's name or user agent: at most 255 characters.
    pub browser: Option<String>,
    /// The approximate place of the address: at most 100 characters.
    pub place: Option<String>,
}

impl RequestContext {
    /// Nothing is known yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An IP address.
    #[must_use]
    pub fn address(self, address: impl Into<String>) -> Self {
        Self { address: Some(address.into()), ..self }
    }

    /// The browser's name or user agent: at most 255 characters.
    #[must_use]
    pub fn browser(self, browser: impl Into<String>) -> Self {
        Self { browser: Some(browser.into()), ..self }
    }

    /// The approximate place of the address: at most 100 characters.
    #[must_use]
    pub fn place(self, place: impl Into<String>) -> Self {
        Self { place: Some(place.into()), ..self }
    }
}

/// The response, signed by the phone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Response {
    /// The device. The claim `iss`.
    pub device: DeviceIdentifier,
    /// What it is about. The claim `sub`.
    pub trusonafication: TrusonaficationId,
    /// base64url of the SHA-256 of the challenge. The claim `chal`.
    pub challenge_hash: String,
    /// What the person decided. The decision that counts is the receipt's. The claim `dec`.
    pub decision: Decision,
    /// Why it was rejected, if the person said. The claim `why`.
    pub reject_reason: Option<RejectReason>,
    /// The number that was chosen or typed. The claim `num`.
    pub number: Option<String>,
    /// The hash of the identity document. The claim `doc`.
    pub document_hash: Option<String>,
    /// When it was signed by the phone's clock, to the second. The claim `iat`.
    pub signed_at: SystemTime,
}

impl VerifiedEvidence {
    pub(crate) fn of(verified: kernel::VerifiedEvidence) -> Self {
        let kernel::VerifiedEvidence { receipt, challenge, response, certification } = verified;
        Self {
            receipt: Receipt::of(receipt),
            challenge: Challenge::of(challenge),
            response: Response::of(response),
            certification: Certification::of(certification),
        }
    }
}

impl Certification {
    pub(crate) fn of(certification: kernel::Certification) -> Self {
        match certification {
            kernel::Certification::DeviceKey => Self::DeviceKey,
            kernel::Certification::KeyStatement { seq, iat, co_signed } => {
                Self::KeyStatement { sequence: seq, made_at: time::from_seconds(iat), is_co_signed: co_signed }
            }
            kernel::Certification::Deployment => Self::Deployment,
        }
    }
}

impl Challenge {
    pub(crate) fn of(claims: ChallengeClaims) -> Self {
        let filled = |text: String| (!text.is_empty()).then_some(text);
        Self {
            issuer: claims.iss,
            trusonafication: claims.jti.into(),
            issued_at: time::from_seconds(claims.iat),
            expires_at: time::from_seconds(claims.exp),
            relying_party: claims.rp.id.into(),
            relying_party_name: claims.rp.name,
            action: claims.act,
            resource: claims.res,
            desired_level: claims.lvl,
            prompt: claims.prompt,
            user_presence: claims.presence,
            show_identity_document: claims.document,
            custom_fields_json: claims.fields.map(|fields| fields.as_str().to_owned()),
            number_match: claims.number_match.map(|mode| match mode {
                MatchClaim::Choose { choices } => ChallengeMatch::Choose(choices),
                MatchClaim::Enter { digits } => ChallengeMatch::Enter(digits),
            }),
            request_context: claims.request_context.map(|challenge::RequestContext { address, browser, place }| RequestContext {
                address: filled(address),
                browser: filled(browser),
                place: filled(place),
            }),
        }
    }
}

impl Response {
    pub(crate) fn of(claims: ResponseClaims) -> Self {
        Self {
            device: claims.iss.into(),
            trusonafication: claims.sub.into(),
            challenge_hash: claims.chal,
            decision: Decision::of(claims.dec),
            reject_reason: claims.why.map(|why| match why {
                challenge::RejectReason::NotMe => RejectReason::NotMe,
                challenge::RejectReason::ChangedMind => RejectReason::ChangedMind,
            }),
            number: claims.num,
            document_hash: claims.doc,
            signed_at: time::from_seconds(claims.iat),
        }
    }
}

/// Verifies evidence, without a connection.
///
/// `jwks` are the deployment's keys as you know them, never keys that came with the evidence; for evidence of any age those of
/// `jwks().archive()`. Where this returns, the evidence is genuine, has a receipt, was answered with a key that the device itself certifies,
/// and is what you expect: by default an accept at the desired level or above.
///
/// Errors: [`NotGenuine`](crate::VerificationReason::NotGenuine), [`NotProven`](crate::VerificationReason::NotProven),
/// [`Unexpected`](crate::VerificationReason::Unexpected).
pub fn verify_evidence(
    evidence: &Evidence,
    jwks: &Jwks,
    expected: &Expected,
    now: SystemTime,
) -> Result<VerifiedEvidence, VerificationError> {
    let verified = kernel::verify_evidence(&evidence.0, jwks.keys(), &expected.at(now));
    verified.map(VerifiedEvidence::of).map_err(verification::of_evidence)
}
