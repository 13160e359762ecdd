//! A gateway that gives the responses of a case, one call after the other, and verifies the requests.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use nodkey_kernel::{
    challenge::{CHALLENGE_TYP, RESPONSE_TYP, challenge_hash},
    dpop,
    jose::jws::{self, Compact},
    time::{Clock, Timestamp},
    trusona_mac,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::{Keys, Log};

/// The mobile credential.
pub const TOKEN: &str = "a.b.c";
/// Its secret.
pub const SECRET: &str = "secret";

/// The gateway of a case.
#[derive(Clone)]
pub struct Gateway {
    /// Its public URL.
    pub url: String,
    /// The device identifier of the calling phone.
    pub device: String,
    keys: Arc<Keys>,
    clock: Clock,
    started: Timestamp,
    log: Log,
    script: Arc<Mutex<Script>>,
}

#[derive(Default)]
struct Script {
    answers: Vec<Value>,
    jwks: Vec<Value>,
    /// The issued challenges, by trusonafication id.
    challenges: BTreeMap<String, String>,
    proofs: BTreeSet<String>,
    bodies: BTreeMap<String, String>,
}

/// A complete request.
struct Call {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    body: String,
}

/// A key set with these keys.
pub fn jwks(keys: &Keys, named: &Value) -> Value {
    let key = |named: &Value| {
        let name = named.as_str().or_else(|| named["key"].as_str()).unwrap();
        let mut jwk = keys[name].public().to_value();
        jwk["kid"] = json!(keys[name].public().thumbprint());
        jwk["typs"] = named.get("typs").cloned().unwrap_or_else(|| json!([CHALLENGE_TYP]));
        if named.get("revoked").is_some() {
            jwk["revoked"] = json!({"revoked_at": 1});
        }
        jwk
    };
    json!({"keys": named.as_array().unwrap().iter().map(key).collect::<Vec<_>>()})
}

impl Gateway {
    /// Starts the gateway on a free port.
    pub async fn start(keys: &Keys, case: &Value, clock: Clock, log: Log) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let in_turn = |value: &Value| value.as_array().unwrap().iter().rev().cloned().collect::<Vec<_>>();
        let jwks = case.get("jwks").map_or_else(|| vec![json!(["deployment"])], in_turn);
        let script = Script { answers: in_turn(&case["answers"]), jwks, ..Script::default() };
        let gateway = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            device: keys["device"].public().thumbprint(),
            keys: Arc::new(keys.clone()),
            started: clock.now(),
            clock,
            log,
            script: Arc::new(Mutex::new(script)),
        };
        let serving = gateway.clone();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let Some(call) = read(&mut stream).await else { continue };
                let answer = serving.answer(&call);
                stream.write_all(answer.as_bytes()).await.unwrap();
                let _ = stream.shutdown().await;
            }
        });
        gateway
    }

    /// Asserts that every expected call was made.
    pub fn assert_done(&self) {
        let script = self.script.lock().unwrap();
        assert!(script.answers.is_empty(), "nobody called for {:?}; {:?}", script.answers, self.log);
    }

    fn answer(&self, call: &Call) -> String {
        let name = format!("{} {}", call.method, call.path);
        if call.path == "/jwks" {
            self.log.add(json!({"call": name, "fresh": call.headers.get("cache-control").is_some_and(|cache| cache == "no-cache")}));
            let jwks = &mut self.script.lock().unwrap().jwks;
            let named = if jwks.len() > 1 { jwks.pop().unwrap() } else { jwks[0].clone() };
            return whole(200, &[], "application/json", &self::jwks(&self.keys, &named).to_string());
        }
        let entry = self.verify(call, &name);
        self.log.add(entry);
        let answer = self.script.lock().unwrap().answers.pop().unwrap_or_else(|| panic!("there is no answer to {name}; {:?}", self.log));
        self.render(&answer)
    }

    /// Verifies a call, and describes it.
    fn verify(&self, call: &Call, name: &str) -> Value {
        let proof = &call.headers["dpop"];
        let claims: Value = Compact::parse(proof).unwrap().unverified_claims().unwrap();
        let at = Timestamp::from_seconds(claims["iat"].as_i64().unwrap());
        let proven = dpop::verify(proof, &call.method, &format!("{}{}", self.url, call.path), call.body.as_bytes(), at).unwrap();
        assert_eq!(proven.device_id.as_str(), self.device);
        let mut script = self.script.lock().unwrap();
        assert!(script.proofs.insert(claims["jti"].to_string()), "a proof is for one call");
        let mut entry = json!({"call": name});
        match at.as_seconds() - self.clock.now().as_seconds() {
            0 => {}
            offset => entry["clock"] = json!(offset),
        }
        let body: Value = if call.body.is_empty() { Value::Null } else { serde_json::from_str(&call.body).unwrap() };
        if !call.body.is_empty() && script.bodies.insert(name.to_owned(), call.body.clone()).as_ref() == Some(&call.body) {
            entry["again"] = json!(true);
        }
        if let Some(authorization) = call.headers.get("authorization") {
            let md5 = trusona_mac::body_md5(call.body.as_bytes());
            let text = trusona_mac::string_to_sign(&call.method, &md5, "application/json", &call.headers["x-date"], &call.path);
            entry["credential"] = json!(*authorization == trusona_mac::authorization(TOKEN, &trusona_mac::mac(SECRET, &text)));
        }
        match body["response"].as_str() {
            Some(response) => self.read_response(response, &script.challenges, &mut entry),
            None if body.is_null() => {}
            None => entry["body"] = body,
        }
        entry
    }

    fn read_response(&self, response: &str, challenges: &BTreeMap<String, String>, entry: &mut Value) {
        let compact = Compact::parse(response).unwrap();
        let kid = compact.header().kid.clone().unwrap();
        let (by, key) = self.keys.iter().find(|(_, key)| key.public().thumbprint() == kid).unwrap();
        let claims: Value = compact.verify(&key.public(), RESPONSE_TYP).unwrap();
        assert_eq!((&claims["iss"], &claims["aud"]), (&json!(self.device), &json!(self.url)));
        assert_eq!(claims["chal"], challenge_hash(&challenges[claims["sub"].as_str().unwrap()]));
        assert!(claims["jti"].as_str().is_some_and(|jti| jti.len() >= 22));
        entry["signed_by"] = json!(by);
        entry["claims"] = claims;
    }

    fn render(&self, answer: &Value) -> String {
        if answer == "nothing" {
            return String::new();
        }
        if let Some(events) = answer["events"].as_array() {
            let text = events.iter().map(|event| self.event(event)).collect::<String>();
            return whole(200, &[], "text/event-stream", &format!(": open\n\n{text}"));
        }
        let body = match answer["error"].as_str() {
            Some(error) => json!({"error": error, "message": error, "description": error, "field_errors": {}}),
            None => answer["body"].clone(),
        };
        let mut headers: Vec<(String, String)> = Vec::new();
        for (name, value) in answer["headers"].as_object().into_iter().flatten() {
            headers.push((name.clone(), value.as_str().unwrap().to_owned()));
        }
        if let Some(date) = answer["date"].as_i64() {
            headers.push(("date".into(), Timestamp::from_seconds(self.started.as_seconds() + date).to_http_date()));
        }
        let body = body.to_string().replace("{device}", &self.device);
        whole(answer["status"].as_u64().unwrap(), &headers, "application/json", &body)
    }

    fn event(&self, event: &Value) -> String {
        let sse = |name: &str, data: &str| format!("event: {name}\ndata: {data}\n\n");
        if event == "synced" {
            return sse("synced", "{}");
        }
        if let Some(id) = event.get("closed") {
            return sse("closed", &json!({"id": id}).to_string());
        }
        match event.get("ask") {
            Some(ask) => sse("trusonafication", &self.ask(ask).to_string()),
            None => sse(event["event"].as_str().unwrap(), event["data"].as_str().unwrap()),
        }
    }

    /// Issues a challenge.
    fn ask(&self, ask: &Value) -> Value {
        let (id, now) = (ask["id"].as_str().unwrap(), self.started.as_seconds());
        let mut claims = json!({
            "iss": self.url, "jti": id, "iat": -10, "exp": 290, "rp": {"id": "r", "name": "Acme Bank"}, "act": "log in", "res": "Acme",
            "lvl": 2, "prompt": true, "presence": true, "document": false, "nonce": "n",
        });
        for (name, value) in ask["claims"].as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        for at in ["iat", "exp"] {
            claims[at] = json!(now + claims[at].as_i64().unwrap());
        }
        let by = ask["signed_by"].as_str().unwrap_or("deployment");
        let kid = self.keys[ask["kid"].as_str().unwrap_or(by)].public().thumbprint();
        let jws = jws::sign(ask["typ"].as_str().unwrap_or(CHALLENGE_TYP), Some(&kid), None, &claims, &self.keys[by]);
        self.script.lock().unwrap().challenges.insert(id.to_owned(), jws.clone());
        let mut item = json!({"id": id, "challenge": jws, "expires_at": "2026-01-02T03:05:00Z"});
        for (name, value) in ask["item"].as_object().into_iter().flatten() {
            item[name] = value.clone();
        }
        item
    }
}

fn whole(status: u64, headers: &[(String, String)], content_type: &str, body: &str) -> String {
    let headers = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect::<Vec<_>>().concat();
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\n{headers}content-type: {content_type}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

/// Reads one request (RFC 9112); `None` when the connection was closed before one came.
async fn read(stream: &mut TcpStream) -> Option<Call> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
    let mut words = line.split(' ').map(ToOwned::to_owned);
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).await.unwrap();
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await.unwrap();
    Some(Call { method, path, headers, body: String::from_utf8(body).unwrap() })
}
