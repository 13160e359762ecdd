//! Operators confirm on their phones calls with effects that outlive a session.

use nodkey_mobile_sdk::Decision;
use serde_json::{Value, json};

use crate::{
    browser::Browser,
    http::Answered,
    world::{SoftPhone, asked},
};

/// Prompts the operator of a browser to confirm a call. Returns the confirmation's id and the number to type.
pub async fn to_confirm(browser: &mut Browser, method: &str, party: Option<&str>, message: &Value) -> (String, String) {
    let request = json!({"method": format!("nodkey.{method}"), "request": message.to_string()});
    let asked = browser.rpc("registry.v1.ConfirmationService/CreateConfirmation", party, request).await;
    assert_eq!(asked.status, 200, "{}", asked.body);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&asked.body["confirmation"]["id"]), text(&asked.body["matchNumber"]))
}

/// Has the operator confirm a call on their phone. Returns the confirmation's id.
pub async fn confirmation(browser: &mut Browser, phone: &SoftPhone, method: &str, party: Option<&str>, message: &Value) -> String {
    let (id, number) = to_confirm(browser, method, party, message).await;
    phone.respond(&asked(phone).await, Decision::Accept, Some(&number)).await.unwrap();
    id
}

/// Calls a method the way the page does, with the operator's confirmation on their phone.
pub async fn confirmed(browser: &mut Browser, phone: &SoftPhone, method: &str, party: Option<&str>, message: Value) -> Answered {
    let id = confirmation(browser, phone, method, party, &message).await;
    browser.rpc_confirmed(method, party, message, &id).await
}
