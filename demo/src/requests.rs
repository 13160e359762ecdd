//! Requests that the bank sends to a person's phone: to sign in, to transfer money.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Json,
    extract::{
        Path, Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::StatusCode,
};
use axum_extra::extract::CookieJar;
use nodkey_client::{
    Created, Evidence, NewTrusonafication, is_success, is_terminal,
    proto::{
        rest,
        trusonafication::v1::{NumberMatch, RequestContext, Trusonafication},
    },
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Site,
    bank::{self, Cents, NAME, OPENING_BALANCE},
    browser,
    calls::Entry,
    problem::Problem,
    session::Session,
    visitor::Visitor,
};

const PATH: &str = "/api/v2/trusonafications";
/// The longest wait in one call, in seconds.
const MAX_WAIT: u64 = 25;

/// A request of a browser.
#[derive(Debug)]
pub struct Pending {
    browser: String,
    purpose: Purpose,
    /// Set by the call that acts on the end, so that it is recorded and takes effect once.
    done: AtomicBool,
}

#[derive(Debug)]
enum Purpose {
    SignIn,
    /// A simulated stranger: whatever the phone answers, nobody is signed in.
    Attack,
    Transfer {
        user: String,
        amount: Cents,
    },
}

/// A request, as the page sees it.
#[derive(Debug, Serialize)]
pub struct Request {
    id: String,
    kind: &'static str,
    status: &'static str,
    action: String,
    resource: String,
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    match_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reject_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted_level: Option<i32>,
}

/// Who signs in: the user whose phone scanned a code, or a user by name.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignIn {
    TrucodeId(String),
    User(String),
    /// A user by name, as a stranger far away would send it: the page shows the result.
    StrangerAs(String),
}

/// A transfer.
#[derive(Deserialize)]
pub struct Transfer {
    payee: String,
    amount: String,
}

/// How long the page waits at most, in seconds.
#[derive(Deserialize)]
pub struct Wait {
    #[serde(default)]
    wait: u64,
}

/// Sends a sign-in request with its origin to a phone. By name, the phone asks for the number that the page shows, so that a stranger who knows
/// a name does not get in by a careless accept.
pub async fn sign_in(
    State(site): State<Site>,
    jar: CookieJar,
    Visitor(visitor): Visitor,
    wanted: Result<Json<SignIn>, JsonRejection>,
) -> Result<(StatusCode, CookieJar, Json<Request>), Problem> {
    let Json(wanted) = wanted?;
    let by_name = |user: &str| {
        let user = bank::user(user).map_err(|fault| Problem::field("user", fault))?;
        let body = json!({"user_identifier": user, "action": "sign in", "resource": NAME, "number_match": "enter"});
        Ok::<_, Problem>((NewTrusonafication::user(&user, "sign in", NAME).number_match(NumberMatch::Enter), body))
    };
    let ((new, mut body), from, purpose) = match wanted {
        SignIn::TrucodeId(id) => {
            let body = json!({"trucode_id": id, "action": "sign in", "resource": NAME});
            ((NewTrusonafication::trucode(&id, "sign in", NAME), body), visitor, Purpose::SignIn)
        }
        SignIn::User(user) => (by_name(&user)?, visitor, Purpose::SignIn),
        SignIn::StrangerAs(user) => (by_name(&user)?, stranger(), Purpose::Attack),
    };
    body["request_context"] = context(&from);
    send(&site, jar, new.request_context(from), body, purpose).await
}

/// The origin of a request as JSON, without what is unknown.
fn context(from: &RequestContext) -> Value {
    let members = [("address", &from.address), ("browser", &from.browser), ("place", &from.place)];
    members.into_iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| (name, text.as_str())).collect()
}

/// A stranger far away, at a documentation address (RFC 5737).
fn stranger() -> RequestContext {
    RequestContext { address: "198.51.100.66".into(), browser: "Chrome on Windows".into(), place: "Far away".into() }
}

/// Has the signed-in user confirm exactly this transfer.
pub async fn transfer(
    State(site): State<Site>,
    jar: CookieJar,
    Visitor(visitor): Visitor,
    wanted: Result<Json<Transfer>, JsonRejection>,
) -> Result<(StatusCode, CookieJar, Json<Request>), Problem> {
    let Json(wanted) = wanted?;
    let user = Session::of(&site, &jar)?.user;
    let payee = bank::payee(&wanted.payee).map_err(|fault| Problem::field("payee", fault))?;
    let amount = Cents::parse(wanted.amount.trim()).map_err(|fault| Problem::field("amount", fault))?;
    if amount > balance(&site, &user) {
        return Err(Problem::field("amount", "is more than you have"));
    }
    let fields = json!({"payee": payee, "amount": amount.to_string(), "currency": "EUR"});
    let action = format!("transfer {amount} EUR to {payee}");
    let from = context(&visitor);
    let body = json!({"user_identifier": user, "action": action, "resource": NAME, "custom_fields": fields, "request_context": from});
    let new = NewTrusonafication::user(&user, &action, NAME)
        .custom_fields(fields.as_object().unwrap_or(&serde_json::Map::new()))
        .request_context(visitor);
    send(&site, jar, new, body, Purpose::Transfer { user, amount }).await
}

/// Returns a request once it has ended, or its state after `wait` seconds. An accept takes effect here.
pub async fn show(
    State(site): State<Site>,
    jar: CookieJar,
    Path(id): Path<String>,
    wait: Result<Query<Wait>, QueryRejection>,
) -> Result<(CookieJar, Json<Request>), Problem> {
    let Query(Wait { wait }) = wait?;
    let pending = find(&site, &jar, &id)?;
    let nodkey = &site.backend()?.nodkey;
    let _permit = site.0.waiting.try_acquire().map_err(|_| Problem::full())?;
    let over = tokio::select! {
        over = tokio::time::timeout(Duration::from_secs(wait.min(MAX_WAIT)), nodkey.wait(&id)) => over.ok(),
        () = site.0.closing.cancelled() => None,
    };
    let now = match over {
        Some(over) => over?,
        None => nodkey.trusonafication(&id).await?,
    };
    let is_first = is_terminal(now.status()) && !pending.done.swap(true, Ordering::AcqRel);
    if is_first {
        site.record(&pending.browser, Entry::ended(&now, pending.is_own(&now)));
    }
    let jar = if is_first && is_success(&now) { settle(&site, jar, &pending, &now) } else { jar };
    Ok((jar, Json(pending.view(&now, None))))
}

/// Cancels a request.
pub async fn cancel(State(site): State<Site>, jar: CookieJar, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    let pending = find(&site, &jar, &id)?;
    site.backend()?.nodkey.cancel(&id).await?;
    site.record(&pending.browser, Entry::call("DELETE", format!("{PATH}/{id}"), 204));
    Ok(StatusCode::NO_CONTENT)
}

/// Returns the evidence, which the page verifies itself.
pub async fn evidence(State(site): State<Site>, jar: CookieJar, Path(id): Path<String>) -> Result<Json<Evidence>, Problem> {
    let pending = find(&site, &jar, &id)?;
    let evidence = site.backend()?.nodkey.evidence(&id).await?;
    let (path, response) = (format!("{PATH}/{id}/evidence"), Some(json!(evidence)));
    site.record(&pending.browser, Entry::Call { method: "GET", path, request: None, status: 200, response });
    Ok(Json(evidence))
}

async fn send(
    site: &Site,
    jar: CookieJar,
    new: NewTrusonafication,
    body: Value,
    purpose: Purpose,
) -> Result<(StatusCode, CookieJar, Json<Request>), Problem> {
    let (browser, jar) = browser::ensure_id(site, jar);
    let created = site.backend()?.nodkey.create_trusonafication(new).await.map_err(Problem::from);
    let (status, response) = match &created {
        Ok(created) => (201, view(created)),
        Err(problem) => (problem.status(), problem.body()),
    };
    let (request, response) = (Some(body), Some(response));
    site.record(&browser, Entry::Call { method: "POST", path: PATH.into(), request, status, response });
    let created = created?;
    let pending = Arc::new(Pending { browser, purpose, done: AtomicBool::default() });
    let request = pending.view(&created.trusonafication, created.match_number);
    site.0.requests.insert(created.trusonafication.id, pending);
    Ok((StatusCode::CREATED, jar, Json(request)))
}

/// The response of the HTTP API to the creation.
fn view(created: &Created) -> Value {
    let mut view = json!(rest::Trusonafication::from(&created.trusonafication));
    if let Some(number) = &created.match_number {
        view["match_number"] = json!(number);
    }
    view
}

/// Carries out an accept, once.
fn settle(site: &Site, jar: CookieJar, pending: &Pending, accepted: &Trusonafication) -> CookieJar {
    match &pending.purpose {
        Purpose::SignIn => Session::begin(site, jar, accepted),
        Purpose::Attack => jar,
        Purpose::Transfer { user, amount } => {
            let before = |entry: Option<moka::Entry<String, Cents>>| entry.map_or(OPENING_BALANCE, moka::Entry::into_value);
            site.0.balances.entry_by_ref(user).and_upsert_with(|entry| before(entry).less(*amount));
            jar
        }
    }
}

fn balance(site: &Site, user: &str) -> Cents {
    site.0.balances.get(user).unwrap_or(OPENING_BALANCE)
}

fn find(site: &Site, jar: &CookieJar, id: &str) -> Result<Arc<Pending>, Problem> {
    let browser = browser::id(jar);
    let found = site.0.requests.get(id).filter(|pending| browser == Some(pending.browser.as_str()));
    found.ok_or_else(|| Problem::not_found("request"))
}

impl Pending {
    /// Whether the browser's user is known to own the phone: a name alone does not prove it.
    fn is_own(&self, ended: &Trusonafication) -> bool {
        match self.purpose {
            Purpose::SignIn => is_success(ended),
            Purpose::Attack => false,
            Purpose::Transfer { .. } => true,
        }
    }

    fn view(&self, t: &Trusonafication, match_number: Option<String>) -> Request {
        let rest::Trusonafication { id, status, action, resource, expires_at, result, .. } = t.into();
        Request {
            id,
            kind: match self.purpose {
                Purpose::SignIn => "sign_in",
                Purpose::Attack => "attack",
                Purpose::Transfer { .. } => "transfer",
            },
            status,
            action,
            resource,
            expires_at,
            match_number,
            reject_reason: result.as_ref().and_then(|result| result.reject_reason),
            accepted_level: result.filter(|result| result.is_accepted).map(|result| result.accepted_level),
        }
    }
}
