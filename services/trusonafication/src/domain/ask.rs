//! The request of a backend, and its checks.

use std::{net::IpAddr, time::Duration};

use nodkey_kernel::{
    challenge::RequestContext, custom_fields::CustomFields, egress::Egress, error::FieldViolation, level::Level, time::Timestamp, visible,
};

use super::{Grade, NumberMatch, Target};

/// Maximum length of texts shown to the person, in characters.
const MAX_TEXT: usize = 255;
/// Maximum size of custom fields as JSON, in bytes.
pub const MAX_CUSTOM_FIELDS: usize = 1 << 20;
/// Maximum length of a browser's description and of a place, in characters.
const MAX_BROWSER: usize = 255;
const MAX_PLACE: usize = 100;
/// How far ahead an expiry may be at most.
const MAX_LIFETIME: Duration = Duration::from_hours(24);

/// A checked request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Who is to answer.
    pub target: Target,
    /// The level that an acceptance should prove.
    pub desired_level: Level,
    /// Action, shown to the person.
    pub action: String,
    /// Resource, shown to the person.
    pub resource: String,
    /// Whether the phone prompts the person.
    pub prompt: bool,
    /// Whether the person has to prove their presence.
    pub user_presence: bool,
    /// Whether the person has to present their registered document.
    pub show_identity_document: bool,
    /// Custom fields as the exact JSON text.
    pub custom_fields: Option<String>,
    /// Where the result is posted.
    pub callback_url: Option<String>,
    /// The number to match, if requested.
    pub number_match: Option<NumberMatch>,
    /// The context that the backend names for it; empty if none.
    pub context: String,
    /// The origin of the request to the backend, as far as the backend reports it.
    pub request_context: RequestContext,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// The unchecked fields of a request.
#[derive(Clone, Debug)]
pub struct Unchecked {
    /// Who is to answer, if given.
    pub target: Option<Target>,
    /// 0 means 2.
    pub desired_level: i32,
    /// Action, shown to the person.
    pub action: String,
    /// Resource, shown to the person.
    pub resource: String,
    /// Default true.
    pub prompt: Option<bool>,
    /// Default true, except at level 1.
    pub user_presence: Option<bool>,
    /// Default true at level 3 only.
    pub show_identity_document: Option<bool>,
    /// Custom fields as JSON; empty: none.
    pub custom_fields: String,
    /// URL for the result; empty: none.
    pub callback_url: String,
    /// Context; empty: none.
    pub context: String,
    /// Empty if the backend did not report it.
    pub request_context: RequestContext,
    /// Default: see [`Limits`].
    pub expires_at: Option<Timestamp>,
}

/// Limits of the deployment.
#[derive(Clone, Debug)]
pub struct Limits<'a> {
    /// Default lifetime.
    pub lifetime: Duration,
    /// Where callbacks may be sent.
    pub egress: &'a Egress,
}

impl Ask {
    /// Checks a request and reports all faults together. The number to match is picked later, once the devices are known.
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
        note("user_identifier", nobody.then_some("is required unless device_identifier or trucode_id is set"));
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

    /// The level that an acceptance has to prove so that it is not one at a lower level.
    #[must_use]
    pub fn required_level(&self) -> Level {
        let presence = if self.user_presence { Level::Essential } else { Level::Possession };
        let document = if self.show_identity_document { Level::Executive } else { Level::Possession };
        self.desired_level.max(presence).max(document)
    }

    /// How an acceptance that proves `level` compares to the desired level.
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

    /// The custom fields, if any.
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
