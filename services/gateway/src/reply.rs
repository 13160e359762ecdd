//! Answers.

use axum::{
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
};
use serde::Serialize;

/// An answer in JSON, its type spelled as existing clients hash it.
pub fn reply(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(json) => {
            let json_type = HeaderValue::from_static("application/json; charset=utf-8");
            (status, [(CONTENT_TYPE, json_type)], json).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
