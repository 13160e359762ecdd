//! The status of the deployment: every process is queried, and those that do not answer are named.

use axum::{Json, extract::State};
use futures_util::future::join_all;
use nodkey_kernel::error::{Classify as _, Kind};
use nodkey_proto::{
    convert::from_timestamp,
    status::v1::{DeadLetter, GetStatusRequest, ProcessStatus, status_service_client::StatusServiceClient},
};
use nodkey_runtime::{Actor, status::PeerError, telemetry};
use prost_types::Timestamp;
use serde_json::{Value, json};

use super::{claim::Claim, cookie::Session};
use crate::{body::MAX_MESSAGE, limits::network::Source, problem::Problem, state::AppState};

/// The gateway's name in a process's list of services.
const GATEWAY: &str = "gateway";

/// Queries every service for the status of its process, and returns each process once.
pub async fn show(State(state): State<AppState>, Session(session): Session, source: Source) -> Result<Json<Value>, Problem> {
    let claim = Claim::of(&state, &session, &source)?;
    let peers = [
        ("registry", state.peers.registry()),
        ("binding", state.peers.binding()),
        ("trusonafication", state.peers.trusonafication()),
        ("notification", state.peers.notification()),
    ];
    let ask = peers.map(|(name, peer)| {
        let channel = peer.on_behalf_of(Actor::Operator(session.clone(), None));
        async move {
            let mut client = StatusServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
            (name, client.get_status(GetStatusRequest {}).await.map_err(PeerError::from))
        }
    });
    let mut processes: Vec<Value> = Vec::new();
    let mut known: Vec<String> = Vec::new();
    let mut own = true;
    let answers = join_all(ask).await;
    let refused = answers.iter().find_map(|(_, answer)| answer.as_ref().err().filter(|e| e.kind() == Kind::Unauthenticated));
    match refused {
        Some(refused) => claim.settle(&state, Err(refused.clone()))?,
        None if answers.iter().any(|(_, answer)| answer.is_ok()) => claim.settle(&state, Ok::<_, PeerError>(()))?,
        // All services are away, so nobody said whether the session is valid.
        None => {}
    }
    for (name, answer) in answers {
        match answer {
            Ok(answer) => {
                let process = answer.into_inner();
                own &= !process.services.iter().any(|service| service == GATEWAY);
                if !known.contains(&process.id) {
                    known.push(process.id.clone());
                    processes.push(to_json(&process));
                }
            }
            Err(e) => processes
                .push(json!({"id": name, "services": [name], "ready": false, "problems": [silent(&e)], "metrics": "", "dead_letters": []})),
        }
    }
    if own {
        processes.push(to_json(&this_process(&state)));
    }
    Ok(Json(json!({"processes": processes})))
}

/// The status of a gateway that runs as a process of its own. It serves no gRPC, so it reports for itself.
fn this_process(state: &AppState) -> ProcessStatus {
    ProcessStatus {
        id: GATEWAY.into(),
        services: vec![GATEWAY.into()],
        version: env!("CARGO_PKG_VERSION").into(),
        started_at: Some(nodkey_proto::convert::timestamp(state.started_at)),
        metrics: telemetry::metrics(),
        ..ProcessStatus::default()
    }
}

fn to_json(process: &ProcessStatus) -> Value {
    let time = |at: Option<&Timestamp>| at.and_then(from_timestamp).map(|at| at.to_string());
    let dead_letter = |letter: &DeadLetter| {
        json!({
            "consumer": letter.consumer,
            "event_id": letter.event_id,
            "subject": letter.subject,
            "cause": letter.cause,
            "given_up_at": time(letter.given_up_at.as_ref()),
        })
    };
    json!({
        "id": process.id,
        "services": process.services,
        // Of one that does not answer it is not known.
        "version": Some(&process.version).filter(|version| !version.is_empty()),
        "started_at": time(process.started_at.as_ref()),
        "ready": process.problems.is_empty(),
        "problems": process.problems,
        "metrics": process.metrics,
        "dead_letters": process.dead_letters.iter().map(dead_letter).collect::<Vec<_>>(),
    })
}

fn silent(error: &PeerError) -> String {
    format!("does not answer: {error}")
}
