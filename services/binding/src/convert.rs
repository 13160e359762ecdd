//! Conversion from domain types to messages.

use nodkey_proto::{
    binding::v1::{self as pb, BindingActivated, BindingCreated, BindingDeactivated, BindingState, DeviceReplaced, FrozenBy},
    convert::timestamp,
};

use crate::domain::{Binding, Identifier, Scope, State, User, freeze::Freezer};

/// Converts a user.
pub fn user_message(user: &User) -> pb::User {
    pb::User {
        user_identifier: user.identifier.as_str().to_owned(),
        freeze: user.freeze.as_ref().map(|freeze| pb::Freeze {
            frozen_at: Some(timestamp(freeze.at)),
            frozen_by: frozen_by(&freeze.by).into(),
            frozen_by_device: freeze.by.device().map(ToString::to_string).unwrap_or_default(),
            note: freeze.note.as_str().to_owned(),
        }),
        devices: i32::try_from(user.devices).unwrap_or(i32::MAX),
    }
}

/// Converts who froze a user.
pub const fn frozen_by(freezer: &Freezer) -> FrozenBy {
    match freezer {
        Freezer::Backend => FrozenBy::Backend,
        Freezer::Operator => FrozenBy::Operator,
        Freezer::Device(_) => FrozenBy::Device,
    }
}

/// The event of a new binding.
pub fn created(binding: &Binding) -> BindingCreated {
    BindingCreated {
        binding_id: binding.id.to_string(),
        user_identifier: binding.user.as_str().to_owned(),
        device_identifier: binding.device.to_string(),
    }
}

/// The event of an activated binding, with the other active devices of the user.
pub fn activated(binding: &Binding, others: &[Binding]) -> BindingActivated {
    BindingActivated {
        binding_id: binding.id.to_string(),
        user_identifier: binding.user.as_str().to_owned(),
        device_identifier: binding.device.to_string(),
        vouched_by: vouched_by(binding),
        other_device_identifiers: others.iter().map(|other| other.device.to_string()).collect(),
    }
}

fn vouched_by(binding: &Binding) -> String {
    binding.vouched_by.as_ref().map(ToString::to_string).unwrap_or_default()
}

/// The event of an ended binding.
pub fn deactivated(binding: &Binding, last: bool) -> BindingDeactivated {
    BindingDeactivated {
        binding_id: binding.id.to_string(),
        user_identifier: binding.user.as_str().to_owned(),
        device_identifier: binding.device.to_string(),
        last,
    }
}

/// The event of a phone that handed its place on to another: its binding ended, and the other's began.
pub fn replaced(ended: &Binding, begun: &Binding) -> DeviceReplaced {
    DeviceReplaced {
        user_identifier: begun.user.as_str().to_owned(),
        old_device_identifier: ended.device.to_string(),
        new_device_identifier: begun.device.to_string(),
        old_binding_id: ended.id.to_string(),
        new_binding_id: begun.id.to_string(),
    }
}

/// Converts an identifier.
pub fn identifier_message(identifier: &Identifier) -> pb::Identifier {
    pb::Identifier {
        identifier: identifier.user.as_str().to_owned(),
        trusona_id: identifier.trusona_id.as_str().to_owned(),
        integration_id: match identifier.scope {
            Scope::RelyingParty => String::new(),
            Scope::Integration(id) => id.to_string(),
        },
        created_at: Some(timestamp(identifier.created_at)),
    }
}

/// Converts a binding.
pub fn message(binding: &Binding) -> pb::Binding {
    let state = match binding.state {
        State::Inactive => BindingState::Inactive,
        State::Active { .. } => BindingState::Active,
        State::Deactivated { .. } => BindingState::Deactivated,
    };
    pb::Binding {
        id: binding.id.to_string(),
        relying_party_id: binding.relying_party.to_string(),
        user_identifier: binding.user.as_str().to_owned(),
        device_identifier: binding.device.to_string(),
        state: state.into(),
        created_at: Some(timestamp(binding.created_at)),
        activated_at: binding.state.activated_at().map(timestamp),
        deactivated_at: binding.state.deactivated_at().map(timestamp),
        user_frozen: binding.user_frozen,
        vouched_by: vouched_by(binding),
        user_devices: Vec::new(),
    }
}

/// Converts another device of the user, as returned for `this`.
pub fn user_device(binding: &Binding, this: &Binding) -> pb::UserDevice {
    pb::UserDevice { activated_at: binding.state.activated_at().map(timestamp), is_this: binding.id == this.id }
}
