//! The gRPC service of app links.

use nodkey_kernel::id::RelyingPartyId;
use nodkey_proto::registry::v1::{
    self as pb, GetAppLinksRequest, ResolveAppLinksRequest, SetAppLinksRequest, app_link_service_server::AppLinkService,
};
use nodkey_runtime::{caller, status::status, uninterrupted};
use tonic::{Request, Response, Status};

use super::{Grpc, party};
use crate::domain::app_links::{AndroidApp, AppLinks, Apps};

#[tonic::async_trait]
impl AppLinkService for Grpc {
    async fn set_app_links(&self, request: Request<SetAppLinksRequest>) -> Result<Response<pb::AppLinks>, Status> {
        let party = party(&caller(&request)?, &request.get_ref().relying_party_id)?;
        let (app, message) = (self.0.clone(), request.into_inner());
        let apps = Apps {
            android: message.android_apps.into_iter().map(Into::into).collect(),
            apple: message.apple_app_ids,
            download_url: message.download_url,
        };
        let links = (!message.host.is_empty()).then(|| AppLinks::parse(&message.host, apps)).transpose().map_err(status)?;
        let links = uninterrupted(async move { app.set_app_links(party, links).await }).await.map_err(status)?;
        Ok(Response::new(answer(party, links, String::new())))
    }

    async fn get_app_links(&self, request: Request<GetAppLinksRequest>) -> Result<Response<pb::AppLinks>, Status> {
        let party = party(&caller(&request)?, &request.get_ref().relying_party_id)?;
        let links = self.0.app_links(party).await.map_err(status)?;
        Ok(Response::new(answer(party, links, String::new())))
    }

    async fn resolve_app_links(&self, request: Request<ResolveAppLinksRequest>) -> Result<Response<pb::AppLinks>, Status> {
        let (party, name, links) = self.0.resolve_app_links(&request.get_ref().host).await.map_err(status)?;
        Ok(Response::new(answer(party, Some(links), name)))
    }
}

fn answer(party: RelyingPartyId, links: Option<AppLinks>, relying_party_name: String) -> pb::AppLinks {
    let (host, apps) = links.map(|links| (links.host, links.apps)).unwrap_or_default();
    pb::AppLinks {
        relying_party_id: party.to_string(),
        host,
        android_apps: apps.android.into_iter().map(Into::into).collect(),
        apple_app_ids: apps.apple,
        download_url: apps.download_url,
        relying_party_name,
    }
}

impl From<pb::AndroidApp> for AndroidApp {
    fn from(app: pb::AndroidApp) -> Self {
        Self { package_name: app.package_name, sha256_cert_fingerprints: app.sha256_cert_fingerprints }
    }
}

impl From<AndroidApp> for pb::AndroidApp {
    fn from(app: AndroidApp) -> Self {
        Self { package_name: app.package_name, sha256_cert_fingerprints: app.sha256_cert_fingerprints }
    }
}
