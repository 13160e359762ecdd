//! The gRPC service of retention policies.

use nodkey_proto::registry::v1::{
    self as pb, GetRetentionPolicyRequest, ListRetentionPoliciesRequest, ListRetentionPoliciesResponse, PutRetentionPolicyRequest,
    retention_service_server::RetentionService,
};
use nodkey_runtime::{caller, page::Page, status::status, uninterrupted};
use tonic::{Request, Response, Status};

use super::{Grpc, party};
use crate::domain::retention::RetentionPolicy;

#[tonic::async_trait]
impl RetentionService for Grpc {
    async fn get_retention_policy(&self, request: Request<GetRetentionPolicyRequest>) -> Result<Response<pb::RetentionPolicy>, Status> {
        let party = party(&caller(&request)?, &request.get_ref().relying_party_id)?;
        let policy = self.0.retention_policy(party).await.map_err(status)?;
        Ok(Response::new(policy.into()))
    }

    async fn list_retention_policies(
        &self,
        request: Request<ListRetentionPoliciesRequest>,
    ) -> Result<Response<ListRetentionPoliciesResponse>, Status> {
        let message = request.into_inner();
        let page = Page::parse(message.page_size, &message.page_token).map_err(status)?;
        let (policies, next_page_token) = self.0.retention_policies(&page).await.map_err(status)?;
        let retention_policies = policies.into_iter().map(Into::into).collect();
        Ok(Response::new(ListRetentionPoliciesResponse { retention_policies, next_page_token }))
    }

    async fn put_retention_policy(&self, request: Request<PutRetentionPolicyRequest>) -> Result<Response<pb::RetentionPolicy>, Status> {
        let caller = caller(&request)?;
        let given = request.into_inner().retention_policy.unwrap_or_default();
        let party = party(&caller, &given.relying_party_id)?;
        let policy = RetentionPolicy::parse(party, given.answered_days, given.unanswered_days, given.unbound_device_days);
        let (app, policy) = (self.0.clone(), policy.map_err(status)?);
        let policy = uninterrupted(async move { app.put_retention_policy(policy).await }).await.map_err(status)?;
        Ok(Response::new(policy.into()))
    }
}

impl From<RetentionPolicy> for pb::RetentionPolicy {
    fn from(policy: RetentionPolicy) -> Self {
        let days = |days: Option<u32>| days.and_then(|days| i32::try_from(days).ok());
        Self {
            relying_party_id: policy.relying_party.to_string(),
            answered_days: days(policy.answered),
            unanswered_days: days(policy.unanswered),
            unbound_device_days: days(policy.unbound_device),
        }
    }
}
