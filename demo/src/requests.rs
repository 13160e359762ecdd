//! The bank's requests to a person's phone: to sign in, and to transfer money.

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
use axum_extra::extract::{CookieJar, cookie::Cookie};
use nodkey_server_sdk::{
    Evidence, NewTrusonafication, is_success,
    proto::{
        rest,
        trusonafication::v1::{NumberMatch, RequestContext, Trusonafication},
    },
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Site,
    bank::{self, Cents, NAME, OPENING_BALANCE},
    problem::Problem,
    session::Session,
    visitor::Visitor,
};

/// The cookie that identifies a browser, so that its requests are visible to it alone.
const COOKIE: &str = "acme_browser";
/// The longest wait in one call, in seconds.
const MAX_WAIT: u64 = 25;

/// A request made by a browser.
#[derive(Debug)]
pub struct Asked {
    browser: String,
    purpose: Purpose,
    /// Set once, by the call that acts on the answer.
    done: AtomicBool,
}

#[derive(Debug)]
enum Purpose {
    SignIn,
    /// A simulated attack: whatever the phone answers, nobody is signed in.
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

/// Who wants to sign in: whoever scanned a code, or a user by name.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignIn {
    TrucodeId(String),
    User(String),
    /// A user by name, requested as a distant stranger would. The page shows what happens.
    StrangerAs(String),
}

/// A transfer of money.
#[derive(Deserialize)]
pub struct Transfer {
    payee: String,
    amount: String,
}

/// How long the page is ready to wait, in seconds.
#[derive(Deserialize)]
pub struct Wait {
    #[serde(default)]
    wait: u64,
}

/// Prompts a phone to sign its user in here, and shows where the request comes from. A sign-in by name has a number to match, so that
/// somebody who merely knows a name cannot get in by a careless tap.
pub async fn sign_in(
    State(site): State<Site>,
    jar: CookieJar,
    Visitor(visitor): Visitor,
    wanted: Result<Json<SignIn>, JsonRejection>,
) -> Result<(StatusCode, CookieJar, Json<Request>), Problem> {
    let Json(wanted) = wanted?;
    let by_name = |user: &str| {
        let user = bank::user(user).map_err(|fault| Problem::field("user", fault))?;
        Ok::<_, Problem>(NewTrusonafication::user(&user, "sign in", NAME).number_match(NumberMatch::Enter))
    };
    let (new, purpose) = match wanted {
        SignIn::TrucodeId(id) => (NewTrusonafication::trucode(&id, "sign in", NAME).request_context(visitor), Purpose::SignIn),
        SignIn::User(user) => (by_name(&user)?.request_context(visitor), Purpose::SignIn),
        SignIn::StrangerAs(user) => (by_name(&user)?.request_context(stranger()), Purpose::Attack),
    };
    ask(&site, jar, new, purpose).await
}

/// Somebody far away, at a documentation address (RFC 5737).
fn stranger() -> RequestContext {
    RequestContext { address: "198.51.100.66".into(), browser: "Chrome on Windows".into(), place: "Far away".into() }
}

/// Prompts the signed-in person to confirm this very transfer.
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
    let new = NewTrusonafication::user(&user, &format!("transfer {amount} EUR to {payee}"), NAME)
        .custom_fields(fields.as_object().unwrap_or(&serde_json::Map::new()))
        .request_context(visitor);
    ask(&site, jar, new, Purpose::Transfer { user, amount }).await
}

/// Returns a request once it is over, or its current state after `wait` seconds. An accepted request takes effect with it.
pub async fn show(
    State(site): State<Site>,
    jar: CookieJar,
    Path(id): Path<String>,
    wait: Result<Query<Wait>, QueryRejection>,
) -> Result<(CookieJar, Json<Request>), Problem> {
    let Query(Wait { wait }) = wait?;
    let asked = find(&site, &jar, &id)?;
    let nodkey = &site.backend()?.nodkey;
    let _place = site.0.waiting.try_acquire().map_err(|_| Problem::full())?;
    let over = tokio::select! {
        over = tokio::time::timeout(Duration::from_secs(wait.min(MAX_WAIT)), nodkey.wait(&id)) => over.ok(),
        () = site.0.closing.cancelled() => None,
    };
    let now = match over {
        Some(over) => over?,
        None => nodkey.trusonafication(&id).await?,
    };
    let jar = if is_success(&now) && !asked.done.swap(true, Ordering::AcqRel) { settle(&site, jar, &asked, &now) } else { jar };
    Ok((jar, Json(asked.seen(&now, None))))
}

/// Cancels a request.
pub async fn cancel(State(site): State<Site>, jar: CookieJar, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    find(&site, &jar, &id)?;
    site.backend()?.nodkey.cancel(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Returns the evidence, which the page verifies itself.
pub async fn evidence(State(site): State<Site>, jar: CookieJar, Path(id): Path<String>) -> Result<Json<Evidence>, Problem> {
    find(&site, &jar, &id)?;
    Ok(Json(site.backend()?.nodkey.evidence(&id).await?))
}

async fn ask(
    site: &Site,
    jar: CookieJar,
    new: NewTrusonafication,
    purpose: Purpose,
) -> Result<(StatusCode, CookieJar, Json<Request>), Problem> {
    let created = site.backend()?.nodkey.create_trusonafication(new).await?;
    let known = jar.get(COOKIE).map(|cookie| cookie.value().to_owned());
    let browser = known.clone().unwrap_or_else(|| site.secret());
    let jar = if known.is_some() { jar } else { jar.add(site.cookie(COOKIE, browser.clone())) };
    let asked = Arc::new(Asked { browser, purpose, done: AtomicBool::new(false) });
    let request = asked.seen(&created.trusonafication, created.match_number);
    site.0.requests.insert(created.trusonafication.id, asked);
    Ok((StatusCode::CREATED, jar, Json(request)))
}

/// Applies an accepted request, once.
fn settle(site: &Site, jar: CookieJar, asked: &Asked, accepted: &Trusonafication) -> CookieJar {
    match &asked.purpose {
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

fn find(site: &Site, jar: &CookieJar, id: &str) -> Result<Arc<Asked>, Problem> {
    let browser = jar.get(COOKIE).map(Cookie::value);
    let found = site.0.requests.get(id).filter(|asked| browser == Some(asked.browser.as_str()));
    found.ok_or_else(|| Problem::not_found("request"))
}

impl Asked {
    fn seen(&self, t: &Trusonafication, match_number: Option<String>) -> Request {
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
