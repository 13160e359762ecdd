//! The gRPC services: messages to commands, results to messages.

mod replays;

use axum::Router;
use nodkey_kernel::{
    id::{BindingId, DeviceId},
    jose::{b64u, b64u_decode},
    role::Role,
    visible,
};
use nodkey_proto::binding::v1::{
    self as pb, ActivateBindingRequest, BindingState, CreateBindingRequest, DeactivateBindingRequest, DeactivateUserRequest,
    DeactivateUserResponse, FreezeDeviceUserRequest, FreezeUserRequest, GetBindingRequest, GetDeviceBindingRequest, GetUserRequest,
    ImportUsersRequest, ImportUsersResponse, ListBindingsRequest, ListBindingsResponse, ListIdentifiersRequest, ListIdentifiersResponse,
    ListUserDevicesRequest, ListUserDevicesResponse, ListUsersRequest, ListUsersResponse, RegisterIdentifierRequest, ReleaseUserRequest,
    TransferBindingRequest,
    binding_service_server::{BindingService, BindingServiceServer},
    identifier_service_server::{IdentifierService, IdentifierServiceServer},
    import_service_server::{ImportService, ImportServiceServer},
    replay_service_server::ReplayServiceServer,
    user_service_server::{UserService, UserServiceServer},
};
use nodkey_runtime::{
    Caller, Failure, Validation, caller, idempotent::Request as Repeatable, mount, page::Page, status::status, uninterrupted,
};
use tonic::{Request, Response, Status, Streaming};

use crate::{
    app::{App, Create},
    convert::{identifier_message, message, user_device, user_message},
    domain::{
        Refusal, Scope, StateName, TrusonaId, User, UserIdentifier,
        freeze::{Freezer, Note},
    },
    error::Error,
    import::MAX_ROWS,
};

/// Returns the gRPC services as routes.
pub fn routes(app: &App) -> Router {
    let router = mount(Router::new(), BindingServiceServer::new(Api(app.clone())));
    let router = mount(router, UserServiceServer::new(Api(app.clone())));
    let router = mount(router, IdentifierServiceServer::new(Api(app.clone())));
    let router = mount(router, ReplayServiceServer::new(Api(app.clone())));
    mount(router, ImportServiceServer::new(Api(app.clone())))
}

/// Prefix of the page tokens of users, which distinguishes them from those of other lists.
const AFTER_USER: &str = "user:";
/// Maximum number of identifiers per request.
const MAX_IDENTIFIERS: usize = 100;

struct Api(App);

#[tonic::async_trait]
impl BindingService for Api {
    async fn create_binding(&self, request: Request<CreateBindingRequest>) -> Result<Response<pb::Binding>, Status> {
        let party = caller(&request)?.relying_party()?;
        let repeatable = Repeatable::read(party, "CreateBinding", &request, |asked| &asked.request_id).map_err(status)?;
        let asked = request.into_inner();
        let mut validation = Validation::default();
        validation.read("user_identifier", UserIdentifier::parse(&asked.user_identifier));
        validation.require(!asked.device_identifier.trim().is_empty(), "device_identifier", "must not be blank");
        validation.finish().map_err(status)?;
        let user = user_identifier(&asked.user_identifier)?;
        let create = Create { request: repeatable, user, device: DeviceId::parse(&asked.device_identifier).ok() };
        let app = self.0.clone();
        answer(uninterrupted(async move { app.create(party, create).await }).await)
    }

    async fn activate_binding(&self, request: Request<ActivateBindingRequest>) -> Result<Response<pb::Binding>, Status> {
        let party = caller(&request)?.relying_party()?;
        let id = binding_id(&request.get_ref().id)?;
        let app = self.0.clone();
        answer(uninterrupted(async move { app.activate(party, id).await }).await.map(|b| message(&b)))
    }

    async fn deactivate_binding(&self, request: Request<DeactivateBindingRequest>) -> Result<Response<pb::Binding>, Status> {
        let party = caller(&request)?.relying_party()?;
        let id = binding_id(&request.get_ref().id)?;
        let app = self.0.clone();
        answer(uninterrupted(async move { app.deactivate(party, id).await }).await.map(|b| message(&b)))
    }

    async fn transfer_binding(&self, request: Request<TransferBindingRequest>) -> Result<Response<pb::Binding>, Status> {
        let party = caller(&request)?.relying_party()?;
        let asked = request.into_inner();
        not_blank("device_identifier", &asked.device_identifier)?;
        let old = DeviceId::parse(&asked.device_identifier).map_err(|_| status(Error::from(Refusal::DeviceNotBound)))?;
        let app = self.0.clone();
        answer(uninterrupted(async move { app.transfer(party, &old, &asked).await }).await.map(|b| message(&b)))
    }

    async fn get_binding(&self, request: Request<GetBindingRequest>) -> Result<Response<pb::Binding>, Status> {
        let caller = caller(&request)?;
        let party = caller.relying_party()?;
        let id = binding_id(&request.get_ref().id)?;
        answer(self.0.get(party, id).await.map(|b| shown(&caller, message(&b))))
    }

    async fn get_device_binding(&self, request: Request<GetDeviceBindingRequest>) -> Result<Response<pb::Binding>, Status> {
        let caller = caller(&request)?;
        let party = caller.relying_party()?;
        let asked = request.get_ref();
        not_blank("device_identifier", &asked.device_identifier)?;
        let device = DeviceId::parse(&asked.device_identifier).map_err(|_| status(Failure::NotFound("binding")))?;
        let binding = self.0.of_device(party, &device).await.map_err(status)?;
        let beside = if asked.with_user_devices { self.0.active_beside(&binding).await.map_err(status)? } else { Vec::new() };
        let user_devices = beside.iter().map(|other| user_device(other, &binding)).collect();
        Ok(Response::new(pb::Binding { user_devices, ..shown(&caller, message(&binding)) }))
    }

    async fn list_bindings(&self, request: Request<ListBindingsRequest>) -> Result<Response<ListBindingsResponse>, Status> {
        let caller = caller(&request)?;
        let party = caller.relying_party()?;
        let asked = request.get_ref();
        // Auditors read the requests of all operators in the audit log, including page tokens.
        let is_operator = matches!(caller, Caller::Operator { .. });
        let page = if is_operator {
            let token = self.0.open_token(party, &asked.page_token).map_err(status)?;
            Page::parse(asked.page_size, &token)
        } else {
            Page::parse(asked.page_size, &asked.page_token)
        };
        let page = page.map_err(status)?;
        let user = match asked.user_identifier.as_str() {
            "" => None,
            text => Some(user_identifier(text)?),
        };
        let state = match BindingState::try_from(asked.state) {
            Ok(BindingState::Unspecified) => None,
            Ok(BindingState::Inactive) => Some(StateName::Inactive),
            Ok(BindingState::Active) => Some(StateName::Active),
            Ok(BindingState::Deactivated) => Some(StateName::Deactivated),
            Err(_) => return Err(status(Failure::field("state", "must be an existing state"))),
        };
        let found = self.0.list(party, user.as_ref(), state, &page).await.map_err(status)?;
        let (bindings, mut next_page_token) = found.map(|b| shown(&caller, message(&b))).into_parts();
        if is_operator {
            next_page_token = self.0.seal_token(party, &next_page_token);
        }
        Ok(Response::new(ListBindingsResponse { bindings, next_page_token }))
    }
}

#[tonic::async_trait]
impl UserService for Api {
    async fn deactivate_user(&self, request: Request<DeactivateUserRequest>) -> Result<Response<DeactivateUserResponse>, Status> {
        let party = caller(&request)?.relying_party()?;
        let user = user_identifier(&request.get_ref().user_identifier)?;
        let app = self.0.clone();
        let ended = uninterrupted(async move { app.deactivate_user(party, &user).await }).await.map_err(status)?;
        Ok(Response::new(DeactivateUserResponse { device_identifiers: ended.iter().map(|b| b.device.to_string()).collect() }))
    }

    async fn freeze_user(&self, request: Request<FreezeUserRequest>) -> Result<Response<pb::User>, Status> {
        let caller = caller(&request)?;
        let party = caller.relying_party()?;
        let by = match caller {
            Caller::Backend { .. } => Freezer::Backend,
            Caller::Operator { .. } => Freezer::Operator,
            Caller::Service { .. } => return Err(status(Failure::Internal("no service freezes a user by name"))),
        };
        let asked = request.into_inner();
        let mut validation = Validation::default();
        let user = validation.read("user_identifier", UserIdentifier::parse(&asked.user_identifier));
        // Notes stored before this check existed stay readable.
        let shown = visible::check_optional(asked.note.trim(), usize::MAX).map_err(|fault| fault.to_string());
        let note = validation.read("note", shown.and_then(|()| Note::parse(&asked.note).map_err(ToOwned::to_owned)));
        validation.finish().map_err(status)?;
        let (Some(user), Some(note)) = (user, note) else { return Err(status(Failure::Internal("a checked field"))) };
        let app = self.0.clone();
        answer_user(uninterrupted(async move { app.freeze(party, &user, by, note).await }).await)
    }

    async fn freeze_device_user(&self, request: Request<FreezeDeviceUserRequest>) -> Result<Response<pb::User>, Status> {
        let party = caller(&request)?.relying_party()?;
        let FreezeDeviceUserRequest { device_identifier, call } = request.into_inner();
        let device = DeviceId::parse(&device_identifier).map_err(|e| status(Failure::field("device_identifier", e.to_string())))?;
        let app = self.0.clone();
        answer_user(uninterrupted(async move { app.freeze_by_device(party, &device, call).await }).await)
    }

    async fn release_user(&self, request: Request<ReleaseUserRequest>) -> Result<Response<pb::User>, Status> {
        let party = caller(&request)?.relying_party()?;
        let user = user_identifier(&request.get_ref().user_identifier)?;
        let app = self.0.clone();
        answer_user(uninterrupted(async move { app.release(party, &user).await }).await)
    }

    async fn get_user(&self, request: Request<GetUserRequest>) -> Result<Response<pb::User>, Status> {
        let party = caller(&request)?.relying_party()?;
        let user = user_identifier(&request.get_ref().user_identifier)?;
        answer_user(self.0.user(party, &user).await)
    }

    async fn list_users(&self, request: Request<ListUsersRequest>) -> Result<Response<ListUsersResponse>, Status> {
        let party = caller(&request)?.relying_party()?;
        let ListUsersRequest { page_size, page_token, prefix } = request.into_inner();
        let page = Page::parse(page_size, "").map_err(status)?;
        let after = match page_token.as_str() {
            "" => String::new(),
            token => {
                user_after(token).ok_or_else(|| status(Failure::field("page_token", "must be a page token from an earlier response")))?
            }
        };
        if !prefix.is_empty() {
            UserIdentifier::parse(&prefix).map_err(|e| status(Failure::field("prefix", e.to_string())))?;
        }
        let found = self.0.users(party, &prefix, &after, page.size).await.map_err(status)?;
        let users = found.users.iter().map(user_message).collect();
        Ok(Response::new(ListUsersResponse {
            users,
            next_page_token: found.last.map(|last| b64u(format!("{AFTER_USER}{last}").as_bytes())).unwrap_or_default(),
        }))
    }

    async fn list_user_devices(&self, request: Request<ListUserDevicesRequest>) -> Result<Response<ListUserDevicesResponse>, Status> {
        let caller = caller(&request)?;
        let party = caller.relying_party()?;
        let user = user_identifier(&request.get_ref().user_identifier)?;
        let bindings = self.0.of_user(party, &user).await.map_err(status)?;
        Ok(Response::new(ListUserDevicesResponse { bindings: bindings.iter().map(|b| shown(&caller, message(b))).collect() }))
    }
}

#[tonic::async_trait]
impl IdentifierService for Api {
    async fn register_identifier(&self, request: Request<RegisterIdentifierRequest>) -> Result<Response<pb::Identifier>, Status> {
        let party = caller(&request)?.relying_party()?;
        let asked = request.into_inner();
        let scope = scope(&asked.integration_id)?;
        let mut validation = Validation::default();
        let identifier = validation.read("identifier", UserIdentifier::parse(&asked.identifier));
        let trusona_id = validation.read("trusona_id", TrusonaId::parse(&asked.trusona_id));
        validation.finish().map_err(status)?;
        let (Some(identifier), Some(trusona_id)) = (identifier, trusona_id) else {
            return Err(status(Failure::Internal("a checked field")));
        };
        let app = self.0.clone();
        let registered = uninterrupted(async move { app.register_identifier(party, scope, identifier, trusona_id).await }).await;
        registered.map(|found| Response::new(identifier_message(&found))).map_err(status)
    }

    async fn list_identifiers(&self, request: Request<ListIdentifiersRequest>) -> Result<Response<ListIdentifiersResponse>, Status> {
        let party = caller(&request)?.relying_party()?;
        let asked = request.get_ref();
        let scope = scope(&asked.integration_id)?;
        let found = if asked.identifiers.is_empty() {
            let trusona_id = TrusonaId::parse(&asked.trusona_id).map_err(|e| status(Failure::field("trusona_id", e)))?;
            self.0.identifiers_of(party, scope, &trusona_id).await
        } else {
            if asked.identifiers.len() > MAX_IDENTIFIERS {
                return Err(status(Failure::field("identifiers", "must be at most 100")));
            }
            // Text that is not a valid identifier names nobody.
            let users: Vec<_> = asked.identifiers.iter().filter_map(|text| UserIdentifier::parse(text).ok()).collect();
            self.0.identifiers(party, scope, &users).await
        };
        let identifiers = found.map_err(status)?.iter().map(identifier_message).collect();
        Ok(Response::new(ListIdentifiersResponse { identifiers }))
    }
}

#[tonic::async_trait]
impl ImportService for Api {
    async fn import_users(&self, request: Request<Streaming<ImportUsersRequest>>) -> Result<Response<ImportUsersResponse>, Status> {
        let party = caller(&request)?.relying_party()?;
        let mut messages = request.into_inner();
        let (mut rows, mut dry_run) = (Vec::new(), false);
        while let Some(message) = messages.message().await? {
            rows.extend(message.rows);
            dry_run |= message.dry_run;
            if rows.len() > MAX_ROWS {
                return Err(status(Failure::field("rows", format!("must be at most {MAX_ROWS}; split the file"))));
            }
        }
        let app = self.0.clone();
        // In its own task, so a client that disconnects cannot interrupt it halfway.
        let imported = uninterrupted(async move { app.import(party, &rows, dry_run).await }).await;
        imported.map(Response::new).map_err(status)
    }
}

fn scope(integration_id: &str) -> Result<Scope, Status> {
    match integration_id {
        "" => Ok(Scope::RelyingParty),
        text => text.parse().map(Scope::Integration).map_err(|_| status(Failure::field("integration_id", "must be a UUID"))),
    }
}

fn answer(result: Result<pb::Binding, Error>) -> Result<Response<pb::Binding>, Status> {
    result.map(Response::new).map_err(status)
}

/// The identifier after which a page begins; it may be one that is not valid.
fn user_after(token: &str) -> Option<String> {
    let text = String::from_utf8(b64u_decode(token).ok()?).ok()?;
    text.strip_prefix(AFTER_USER).filter(|after| !after.contains('\0')).map(ToOwned::to_owned)
}

fn answer_user(result: Result<User, Error>) -> Result<Response<pb::User>, Status> {
    result.map(|user| Response::new(user_message(&user))).map_err(status)
}

/// Whether the caller has read-only access.
fn is_auditor(caller: &Caller) -> bool {
    matches!(caller, Caller::Operator { operator, .. } if operator.role < Role::Operator)
}

/// A binding as this caller may see it: read-only callers do not see the activation code while it is usable.
fn shown(caller: &Caller, binding: pb::Binding) -> pb::Binding {
    if is_auditor(caller) && binding.state() == BindingState::Inactive { pb::Binding { id: String::new(), ..binding } } else { binding }
}

/// Text that is not a UUID names no binding.
fn binding_id(text: &str) -> Result<BindingId, Status> {
    not_blank("id", text)?;
    text.parse().map_err(|_| status(Failure::NotFound("binding")))
}

fn user_identifier(text: &str) -> Result<UserIdentifier, Status> {
    UserIdentifier::parse(text).map_err(|e| status(Failure::field("user_identifier", e)))
}

fn not_blank(field: &str, text: &str) -> Result<(), Status> {
    if text.trim().is_empty() { Err(status(Failure::field(field, "must not be blank"))) } else { Ok(()) }
}
