//! The methods that are served, as `proto/` defines them.

use nodkey_kernel::{error::Kind, service_key::ServiceName};
use nodkey_proto::{
    access::{ACCESS, Principal, owner},
    reflect,
};
use nodkey_runtime::status;

use super::Refusal;
use crate::{addressee::is_of_any_service, metrics::GrpcRefusal};

/// The largest message, in bytes.
const MESSAGE: usize = 64 << 10;
/// The largest message with custom fields, in bytes, the same as in the services. A megabyte of JSON takes more space in a message.
const MESSAGE_WITH_FIELDS: usize = 4 << 20;

/// The callers that a method is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Any caller.
    Anybody,
    /// Backends, and operators where these are served.
    Backends,
    /// Operators only.
    Operators,
}

impl Audience {
    fn of(allow: &[Principal]) -> Self {
        if allow.contains(&Principal::Public) {
            Self::Anybody
        } else if allow.contains(&Principal::Backend) {
            Self::Backends
        } else {
            Self::Operators
        }
    }
}

/// A method that is served.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    pub path: &'static str,
    /// The service that owns it; `None` where the caller names the service.
    pub owner: Option<ServiceName>,
    /// The callers that it is for.
    pub audience: Audience,
    pub client_streams: bool,
    pub server_streams: bool,
    pub max_message: usize,
}

impl Method {
    /// The refusal of a message that is too large.
    pub fn too_large(&self) -> Refusal {
        let text = format!("a message to this method may have at most {} KiB", self.max_message >> 10);
        (GrpcRefusal::Large, status::new(Kind::TooLarge, "MESSAGE_TOO_LARGE", text, &[]))
    }
}

/// The methods that backends may call, and with `operators` also those for operators. Never those for services alone, nor those that every
/// process serves for itself, except for dead letters.
pub fn served(operators: bool) -> impl Iterator<Item = Method> {
    let wanted = move |principal: &Principal| match principal {
        Principal::Public | Principal::Backend => true,
        Principal::Auditor | Principal::Oneself | Principal::Operator | Principal::Owner => operators,
        Principal::Service(_) | Principal::ForConsole(_) => false,
    };
    let wanted = ACCESS.iter().filter(move |(_, allow)| allow.iter().any(wanted));
    wanted.filter_map(|(path, allow)| {
        let (path, allow) = (*path, *allow);
        let method = reflect::method(path)?;
        let owner = owner(path);
        if owner.is_none() && !is_of_any_service(path) {
            return None;
        }
        let with_fields = method.input().get_field_by_name("custom_fields_json").is_some();
        Some(Method {
            path,
            owner,
            audience: Audience::of(allow),
            client_streams: method.is_client_streaming(),
            server_streams: method.is_server_streaming(),
            max_message: if with_fields { MESSAGE_WITH_FIELDS } else { MESSAGE },
        })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The methods of `access.txt` with a yes in one of these columns.
    fn golden(columns: &[&str]) -> BTreeSet<String> {
        let mut lines = include_str!("../../../../tests/golden/access.txt").lines().filter(|line| !line.starts_with('#'));
        let heads: Vec<_> = lines.next().unwrap().split_whitespace().collect();
        let rows = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
        let may = |row: &Vec<&str>| columns.iter().any(|column| row[heads.iter().position(|head| head == column).unwrap()] == "yes");
        rows.filter(may).map(|row| format!("/nodkey.{}", row[0])).collect()
    }

    #[test]
    fn what_is_served_is_what_the_table_gives_to_backends_and_with_the_setting_to_operators() {
        let paths = |operators| served(operators).map(|method| method.path.to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(paths(false), golden(&["backend"]));
        let mut with_operators = golden(&["backend", "auditor", "operator", "owner"]);
        with_operators.retain(|path| !path.starts_with("/nodkey.status.") || is_of_any_service(path));
        assert_eq!(paths(true), with_operators);
    }

    #[test]
    fn messages_are_small_but_for_those_with_custom_fields() {
        let large: Vec<_> = served(false).filter(|method| method.max_message > MESSAGE).map(|method| method.path).collect();
        let creates = "/nodkey.trusonafication.v1.TrusonaficationService/CreateTrusonafication";
        assert_eq!(large, [creates]);
    }
}
