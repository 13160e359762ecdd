//! The gRPC service of devices.

use nodkey_kernel::service_key::ServiceName;
use nodkey_proto::registry::v1::{
    ApproveDeviceKeysRequest, CreateDeviceChallengeRequest, Device, DeviceChallenge, GetDeviceRequest, IssueDeviceIdentifierJwtRequest,
    IssueDeviceIdentifierJwtResponse, ListDevicesRequest, ListDevicesResponse, RegisterDeviceRequest, RegisterDeviceResponse,
    ResolveDeviceRequest, ResolveDeviceResponse, RetireDeviceRequest, UpdateDeviceRequest, VerifiedTransfer, VerifyTransferRequest,
    device_service_server::DeviceService,
};
use nodkey_runtime::{Caller, caller, page::Page, status::status, uninterrupted};
use tonic::{Request, Response, Status};

use super::{
    Grpc,
    convert::{phone_call, platform, presence_keys},
    id, party,
};
use crate::domain::{
    Refusal,
    device::{Patch, Registration, RegistrationFields},
    key_statement::SentStatement,
    phone_call::Operation,
    transfer::SentTransfer,
};

/// A device has at most one presence key of each of two kinds.
const MAX_APPROVED: usize = 2;

#[tonic::async_trait]
impl DeviceService for Grpc {
    async fn create_device_challenge(&self, request: Request<CreateDeviceChallengeRequest>) -> Result<Response<DeviceChallenge>, Status> {
        let id = id(&request.get_ref().device_id, "device").map_err(status)?;
        Ok(Response::new(self.0.create_device_challenge(&id).into()))
    }

    async fn register_device(&self, request: Request<RegisterDeviceRequest>) -> Result<Response<RegisterDeviceResponse>, Status> {
        let party = party(&caller(&request)?, &request.get_ref().relying_party_id)?;
        let (app, message) = (self.0.clone(), request.into_inner());
        let statement = SentStatement::parse(&message.key_statement, &message.key_signatures).map_err(status)?;
        let registration = Registration::parse(RegistrationFields {
            device_key: &message.device_key,
            presence: presence_keys(&message.presence_keys),
            name: &message.name,
            platform: platform(message.platform),
            app_version: &message.app_version,
            statement,
        })
        .map_err(status)?;
        let call = app.prove(phone_call(message.call.as_ref()), Operation::Register, &registration.device_id()).map_err(status)?;
        let registered =
            uninterrupted(async move { app.register_device(party, registration, call.as_ref()).await }).await.map_err(status)?;
        Ok(Response::new(registered.into()))
    }

    async fn resolve_device(&self, request: Request<ResolveDeviceRequest>) -> Result<Response<ResolveDeviceResponse>, Status> {
        let id = id(&request.get_ref().device_id, "device").map_err(status)?;
        let device = self.0.resolve_device(&id).await.map_err(status)?;
        let relying_party_id = device.relying_party.to_string();
        Ok(Response::new(ResolveDeviceResponse { relying_party_id, retired: device.retired_at.is_some() }))
    }

    async fn update_device(&self, request: Request<UpdateDeviceRequest>) -> Result<Response<Device>, Status> {
        let party = caller(&request)?.relying_party()?;
        let (app, message) = (self.0.clone(), request.into_inner());
        let id = id(&message.device_id, "device").map_err(status)?;
        let statement = SentStatement::parse(&message.key_statement, &message.key_signatures).map_err(status)?;
        let presence = presence_keys(&message.presence_keys);
        let patch = Patch::parse(presence, message.name.as_deref(), message.app_version.as_deref(), statement).map_err(status)?;
        let call = app.prove(phone_call(message.call.as_ref()), Operation::Update(&id), &id).map_err(status)?;
        let device = uninterrupted(async move { app.update_device(party, &id, patch, call.as_ref()).await }).await.map_err(status)?;
        Ok(Response::new((&device).into()))
    }

    async fn issue_device_identifier_jwt(
        &self,
        request: Request<IssueDeviceIdentifierJwtRequest>,
    ) -> Result<Response<IssueDeviceIdentifierJwtResponse>, Status> {
        let party = caller(&request)?.relying_party()?;
        let id = id(&request.get_ref().device_id, "device").map_err(status)?;
        let device_identifier_jwt = self.0.issue_device_jwt(party, &id).await.map_err(status)?;
        Ok(Response::new(IssueDeviceIdentifierJwtResponse { device_identifier_jwt }))
    }

    async fn get_device(&self, request: Request<GetDeviceRequest>) -> Result<Response<Device>, Status> {
        let caller = caller(&request)?;
        let (party, id) = (caller.relying_party()?, id(&request.get_ref().device_id, "device").map_err(status)?);
        let device = match caller {
            // The binding service calls this when it is about to bind the device; other services only read.
            Caller::Service { name: ServiceName::Binding, .. } => self.0.device_in_use(party, &id).await,
            Caller::Service { .. } | Caller::Backend { .. } | Caller::Operator { .. } => self.0.device(party, &id).await,
        };
        let device = device.map_err(status)?;
        Ok(Response::new((&device).into()))
    }

    async fn list_devices(&self, request: Request<ListDevicesRequest>) -> Result<Response<ListDevicesResponse>, Status> {
        let party = caller(&request)?.relying_party()?;
        let message = request.into_inner();
        let page = Page::parse(message.page_size, &message.page_token).map_err(status)?;
        let (devices, next_page_token) = self.0.devices(party, &page).await.map_err(status)?;
        Ok(Response::new(ListDevicesResponse { devices: devices.iter().map(Into::into).collect(), next_page_token }))
    }

    async fn approve_device_keys(&self, request: Request<ApproveDeviceKeysRequest>) -> Result<Response<Device>, Status> {
        let party = caller(&request)?.relying_party()?;
        let ApproveDeviceKeysRequest { device_id, thumbprints } = request.into_inner();
        let id = id(&device_id, "device").map_err(status)?;
        if thumbprints.is_empty() || thumbprints.len() > MAX_APPROVED {
            return Err(status(Refusal::invalid("thumbprints", "must be 1 or 2")));
        }
        let app = self.0.clone();
        let device = uninterrupted(async move { app.approve_device_keys(party, &id, &thumbprints).await }).await.map_err(status)?;
        Ok(Response::new((&device).into()))
    }

    async fn verify_transfer(&self, request: Request<VerifyTransferRequest>) -> Result<Response<VerifiedTransfer>, Status> {
        let party = caller(&request)?.relying_party()?;
        let VerifyTransferRequest { device_id, statement, signature, request } = request.into_inner();
        let old = id(&device_id, "device").map_err(status)?;
        let sent = SentTransfer::parse(&statement, &signature, &request).map_err(status)?;
        let verified = self.0.verify_transfer(party, &old, &sent).await.map_err(status)?;
        Ok(Response::new(verified.into()))
    }

    async fn retire_device(&self, request: Request<RetireDeviceRequest>) -> Result<Response<Device>, Status> {
        let party = caller(&request)?.relying_party()?;
        let id = id(&request.get_ref().device_id, "device").map_err(status)?;
        let app = self.0.clone();
        let device = uninterrupted(async move { app.retire_device(party, &id).await }).await.map_err(status)?;
        Ok(Response::new((&device).into()))
    }
}
