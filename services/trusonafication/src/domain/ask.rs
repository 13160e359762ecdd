//! What a backend may ask.

use std::{net::IpAddr, time::Duration};

use nodkey_kernel::{
    challenge::RequestContext, custom_fields::CustomFields, egress::Egress, error::FieldViolation, level::Level, time::Timestamp, visible,
};

use super::{Grade, NumberMatch, Target};

/// What is shown to the person, in characters.
const MAX_TEXT: usize = 255;
/// The most custom fields have as JSON, in bytes.
pub const MAX_CUSTOM_FIELDS: usize = 1 << 20;
/// The most a browser says of itself, and a place has, in characters.
const MAX_BROWSER: usize = 255;
const MAX_PLACE: usize = 100;
/// The furthest an expiry may be ahead.
const MAX_LIFETIME: Duration = Duration::from_hours(24);

/// What is asked, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Who is asked.
    pub target: Target,
    /// How much an acceptance should prove.
    pub desired_level: Level,
    /// Shown to the person.
    pub action: String,
    /// Shown to the person.
    pub resource: String,
    /// Whether the phone shows and asks.
    pub prompt: bool,
    /// Whether the person has to prove their presence.
    pub user_presence: bool,
    /// Whether the person has to present their registered document.
    pub show_identity_document: bool,
    /// JSON, to the letter.
    pub custom_fields: Option<String>,
    /// Where the result is posted.
    pub callback_url: Option<String>,
    /// The number to match, if asked for.
    pub number_match: Option<NumberMatch>,
    /// What of the backend it is about; empty: it did not say.
    pub context: String,
    /// Who asks the backend for it, as far as it says.
    pub request_context: RequestContext,
    /// When it is too late.
    pub expires_at: Timestamp,
}

/// What a request says, unchecked.
#[derive(Clone, Debug)]
pub struct Unchecked {
    /// Who is asked, if anybody.
    pub target: Option<Target>,
    /// 0 means 2.
    pub desired_level: i32,
    /// Shown to the person.
    pub action: String,
    /// Shown to the person.
    pub resource: String,
    /// Default true.
    pub prompt: Option<bool>,
    /// Default true, except at level 1.
    pub user_presence: Option<bool>,
    /// Default true at level 3 only.
    pub show_identity_document: Option<bool>,
    /// JSON; empty: none.
    pub custom_fields: String,
    /// Empty: none.
    pub callback_url: String,
    /// Empty: none.
    pub context: String,
    /// Empty where the backend did not say.
    pub request_context: RequestContext,
    /// Default: see [`Limits`].
    pub expires_at: Option<Timestamp>,
}

/// What a deployment allows.
#[derive(Clone, Debug)]
pub struct Limits<'a> {
    /// How long an answer may take, when the request does not say.
    pub lifetime: Duration,
    /// Where a callback may go.
    pub egress: &'a Egress,
}

impl Ask {
    /// Checks what a request says; every fault is told at once. The number to match is picked once it is known who is asked.
    pub fn parse(fields: Unchecked, limits: &Limits<'_>, now: Timestamp) -> Result<Self, Vec<FieldViolation>> {
        let mut violations = Vec::new();
        let mut note = |field: &str, fault: Option<&str>| {
            if let Some(fault) = fault {
                violations.push(FieldViolation::new(field, fault));
            }
        };
        let level = match fields.desired_level {
            0 => Ok(Level::Essential),
            level => Level::try_from(level),
        };
        note("desired_level", level.is_err().then_some("must be 1, 2 or 3"));
        for (field, text) in [("action", &fields.action), ("resource", &fields.resource)] {
            let fault = visible::check(text, MAX_TEXT).err().map(|fault| fault.to_string());
            note(field, fault.as_deref());
        }
        let nobody = fields.target.is_none();
        note("user_identifier", nobody.then_some("must be there, or device_identifier or trucode_id: somebody has to be asked"));
        if let Some(Target::User(user)) = &fields.target {
            note("user_identifier", text_fault(user));
        }
        if !fields.custom_fields.is_empty() {
            let fault = CustomFields::parse(&fields.custom_fields).err().map(|fault| fault.to_string());
            note("custom_fields", fault.as_deref());
        }
        if !fields.context.is_empty() {
            note("context", text_fault(&fields.context));
        }
        for (field, fault) in request_context_faults(&fields.request_context) {
            note(field, Some(&fault));
        }
        let callback = if fields.callback_url.is_empty() { Ok(None) } else { limits.egress.check(&fields.callback_url).map(Some) };
        let fault = callback.as_ref().err().map(ToString::to_string);
        note("callback_url", fault.as_deref());
        let expires_at = fields.expires_at.unwrap_or(now + limits.lifetime);
        note("expires_at", (expires_at > now + MAX_LIFETIME).then_some("must be at most 24 hours ahead"));
        match (fields.target, level, callback) {
            (Some(target), Ok(level), Ok(callback)) if violations.is_empty() => Ok(Self {
                target,
                desired_level: level,
                action: fields.action,
                resource: fields.resource,
                prompt: fields.prompt.unwrap_or(true),
                user_presence: fields.user_presence.unwrap_or(level != Level::Possession),
                show_identity_document: fields.show_identity_document.unwrap_or(level == Level::Executive),
                custom_fields: (!fields.custom_fields.is_empty()).then_some(fields.custom_fields),
                callback_url: callback.map(Into::into),
                number_match: None,
                context: fields.context,
                request_context: fields.request_context,
                expires_at,
            }),
            _ => Err(violations),
        }
    }

    /// What an acceptance has to prove to be more than one at a lower level.
    #[must_use]
    pub fn required_level(&self) -> Level {
        let presence = if self.user_presence { Level::Essential } else { Level::Possession };
        let document = if self.show_identity_document { Level::Executive } else { Level::Possession };
        self.desired_level.max(presence).max(document)
    }

    /// How an acceptance that proves `level` compares to what was asked for.
    #[must_use]
    pub fn grade(&self, level: Level) -> Grade {
        if level < self.required_level() {
            Grade::Lower
        } else if level > self.desired_level {
            Grade::Higher
        } else {
            Grade::AtLevel
        }
    }

    /// The custom fields, absent when there are none.
    #[must_use]
    pub fn custom_fields(&self) -> Option<CustomFields> {
        CustomFields::stored(self.custom_fields.as_deref()?).filter(|fields| !fields.is_empty())
    }
}

fn text_fault(text: &str) -> Option<&'static str> {
    if text.trim().is_empty() {
        Some("must not be blank")
    } else if text.chars().count() > MAX_TEXT {
        Some("must be at most 255 characters")
    } else if text.chars().any(char::is_control) {
        Some("must not hold control characters")
    } else {
        None
    }
}

fn request_context_faults(context: &RequestContext) -> Vec<(&'static str, String)> {
    let RequestContext { address, browser, place } = context;
    let mut faults = Vec::new();
    if !address.is_empty() && address.parse::<IpAddr>().is_err() {
        faults.push(("request_context.address", "must be an IP address, such as 203.0.113.7".to_owned()));
    }
    for (field, text, max) in [("request_context.browser", browser, MAX_BROWSER), ("request_context.place", place, MAX_PLACE)] {
        faults.extend(visible::check_optional(text, max).err().map(|fault| (field, fault.to_string())));
    }
    faults
}
