//! A browser for the console and the demo site: it keeps cookies, and sends the headers that say where its requests come from.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use reqwest::{Client, Method, RequestBuilder, Response, header::SET_COOKIE};
use serde_json::{Value, json};

use crate::http::{self, Answered};

/// A browser with one site open.
pub struct Browser {
    http: String,
    client: Client,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    /// A fresh one.
    pub fn new(http: &str) -> Self {
        Self { http: http.to_owned(), client: Client::new(), cookies: BTreeMap::new() }
    }

    /// Another browser that has stolen the cookies of this one.
    pub fn stolen(&self) -> Self {
        Self { http: self.http.clone(), client: self.client.clone(), cookies: self.cookies.clone() }
    }

    /// The value of a cookie.
    pub fn cookie(&self, name: &str) -> String {
        self.cookies[name].clone()
    }

    /// The value of the session cookie, over TLS or not.
    pub fn session(&self) -> String {
        self.cookies.iter().find(|(name, _)| name.ends_with("nodkey_session")).unwrap().1.clone()
    }

    /// A request as the page makes it; send it with [`Browser::send`].
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        self.client
            .request(method, format!("{}{path}", self.http))
            .header("Cookie", cookies.join("; "))
            .header("Sec-Fetch-Site", "same-origin")
    }

    /// Sends a request, and keeps the cookies of the response.
    pub async fn send(&mut self, request: RequestBuilder) -> Answered {
        let response = request.send().await.unwrap();
        self.keep(&response);
        http::read(response).await
    }

    fn keep(&mut self, response: &Response) {
        for cookie in response.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            assert!(cookie.contains("HttpOnly"), "{cookie}");
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// Sends a GET.
    pub async fn get(&mut self, path: &str) -> Answered {
        self.send(self.request(Method::GET, path)).await
    }

    /// Sends a POST of JSON.
    pub async fn post(&mut self, path: &str, body: &Value) -> Answered {
        let request = self.request(Method::POST, path).header("Content-Type", "application/json").body(body.to_string());
        self.send(request).await
    }

    /// Calls an RPC of `nodkey.`, with or without a relying party.
    pub async fn rpc(&mut self, method: &str, relying_party: Option<&str>, message: Value) -> Answered {
        let request = self.rpc_request(method, relying_party, &message);
        self.send(request).await
    }

    /// Does the same with a confirmation.
    pub async fn rpc_confirmed(&mut self, method: &str, relying_party: Option<&str>, message: Value, confirmation: &str) -> Answered {
        let request = self.rpc_request(method, relying_party, &message).header("X-Nodkey-Confirmation", confirmation);
        self.send(request).await
    }

    /// Begins to read the stream of an RPC, once the server has begun it.
    pub async fn stream(&self, method: &str, relying_party: &str) -> Events {
        let response = self.rpc_request(method, Some(relying_party), &json!({})).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let mut events = Events { response: Box::pin(response.bytes_stream()), read: String::new() };
        while !events.read.contains('\n') {
            events.more().await;
        }
        events
    }

    fn rpc_request(&self, method: &str, relying_party: Option<&str>, message: &Value) -> RequestBuilder {
        let request = self.request(Method::POST, &format!("/console/api/rpc/nodkey.{method}"));
        let request = request.header("Content-Type", "application/json").body(message.to_string());
        match relying_party {
            Some(id) => request.header("X-Nodkey-Relying-Party", id),
            None => request,
        }
    }
}

/// Server-sent events, as they come.
pub struct Events {
    response: std::pin::Pin<Box<dyn futures_util::Stream<Item = reqwest::Result<bytes::Bytes>> + Send>>,
    read: String,
}

impl Events {
    /// The next message.
    pub async fn next(&mut self) -> Value {
        loop {
            if let Some((event, rest)) = self.read.split_once("\n\n") {
                let data = event.strip_prefix("data: ").map(|data| serde_json::from_str(data).unwrap());
                self.read = rest.into();
                match data {
                    Some(data) => return data,
                    None => continue,
                }
            }
            self.more().await;
        }
    }

    async fn more(&mut self) {
        self.read.push_str(std::str::from_utf8(&self.response.next().await.unwrap().unwrap()).unwrap());
    }
}
