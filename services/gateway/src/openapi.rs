//! What the OpenAPI document says about the whole: title, security, answers every route may give.

use utoipa::openapi::{
    Components, InfoBuilder, OpenApi, RefOr, ResponseBuilder,
    path::Operation,
    security::{ApiKey, ApiKeyValue, SecurityRequirement, SecurityScheme},
};
use utoipa_axum::router::OpenApiRouter;

use crate::edge::Edge;

/// Who may call.
#[derive(Clone, Copy, Debug)]
pub enum Scheme {
    /// Anybody.
    Public,
    /// A phone that registers.
    Registration,
    /// Whoever holds the key of a device, registered or not.
    Key,
    /// A registered phone.
    Phone,
    /// A backend.
    Backend,
}

impl Scheme {
    fn requirement(self) -> Vec<SecurityRequirement> {
        let none: [&str; 0] = [];
        match self {
            Self::Public => Vec::new(),
            Self::Registration => vec![SecurityRequirement::new("mobile", none).add("dpop", none)],
            Self::Key | Self::Phone => vec![SecurityRequirement::new("dpop", none)],
            Self::Backend => vec![SecurityRequirement::new("server", none)],
        }
    }
}

/// Notes who may call these routes, and how they are refused.
pub fn secured(mut routes: OpenApiRouter<Edge>, scheme: Scheme) -> OpenApiRouter<Edge> {
    for item in routes.get_openapi_mut().paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        for operation in operations.into_iter().flatten() {
            operation.security = Some(scheme.requirement());
            let refused: &[(&str, &str)] = match scheme {
                Scheme::Public => &[],
                Scheme::Registration => &[("401", "the DPoP proof does not hold"), ("403", "the mobile credential does not hold")],
                Scheme::Key => &[("401", "the DPoP proof does not hold")],
                Scheme::Phone => &[("401", "the DPoP proof does not hold"), ("403", "the device may not do this")],
                Scheme::Backend => &[("403", "the server credential does not hold")],
            };
            for (status, description) in refused.iter().chain(&[("429", "too many requests"), ("503", "away or overloaded; try again")]) {
                answer(operation, status, description);
            }
        }
    }
    routes
}

fn answer(operation: &mut Operation, status: &str, description: &str) {
    let response = ResponseBuilder::new().description(description).build();
    operation.responses.responses.entry(status.to_owned()).or_insert(RefOr::T(response));
}

/// Completes the document.
pub fn describe(mut document: OpenApi) -> String {
    document.info = InfoBuilder::new()
        .title("Nodkey gateway")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Passwordless authentication: a backend asks, a phone shows exactly that and answers with a signature. Errors are JSON \
             with `error`, `message`, `description` and `field_errors`.",
        ))
        .build();
    document.servers = None;
    let components = document.components.get_or_insert_with(Components::new);
    let header = |name: &str, text: &str| SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(name, text)));
    components.add_security_scheme("dpop", header("DPoP", "RFC 9449 proof by the device key, with `bh`, the hash of the body"));
    components.add_security_scheme(
        "server",
        header("Authorization", "`TRUSONA <token>:<signature>` with a server credential; the answer is signed, too"),
    );
    components.add_security_scheme("mobile", header("Authorization", "`TRUSONA <token>:<signature>` with a mobile credential"));
    document.to_pretty_json().unwrap_or_default()
}
