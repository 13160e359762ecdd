//! The gRPC services: messages to commands, results to messages.

mod prompts;
mod replays;
mod signing_keys;
mod trucodes;
mod trusonafications;

use axum::Router;
use nodkey_proto::trusonafication::v1::{
    prompt_service_server::PromptServiceServer, replay_service_server::ReplayServiceServer,
    signing_key_service_server::SigningKeyServiceServer, tru_code_service_server::TruCodeServiceServer,
    trusonafication_service_server::TrusonaficationServiceServer,
};
use nodkey_runtime::mount;

use crate::app::App;

/// Returns the gRPC services as routes.
pub fn routes(app: &App) -> Router {
    let router = mount(Router::new(), TrusonaficationServiceServer::new(Api(app.clone())));
    let router = mount(router, PromptServiceServer::new(Api(app.clone())));
    let router = mount(router, ReplayServiceServer::new(Api(app.clone())));
    let router = mount(router, SigningKeyServiceServer::new(Api(app.clone())));
    mount(router, TruCodeServiceServer::new(Api(app.clone())))
}

struct Api(App);
