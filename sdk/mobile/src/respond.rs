//! Waiting for challenges, and answering them.

use std::{
    future::ready,
    sync::{Arc, Mutex},
    time::Duration,
};

use eventsource_stream::Eventsource as _;
use futures_util::{StreamExt as _, stream};
use nodkey_kernel::challenge::{self, ResponseClaims};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Answer, Decision, Error, Events, Open, Pending, Phone, RejectReason,
    error::Failure,
    pending::{Heard, Reader, while_alive},
    phone::Inner,
    signer::Statement,
    transport::{Call, json as read_json},
    wire::AnswerBody,
};

/// How much longer than the requested wait the gateway may take.
const GRACE: Duration = Duration::from_secs(10);

impl Phone {
    /// Waits up to `wait` (at most 60 s) for something to answer, and returns everything that is open, or nothing on timeout. What was open
    /// before and is no longer returned is over. A failure is not retried: [`retry_after`](Error::retry_after) says how long the app should
    /// pause at least before it waits again.
    pub async fn open(&self, wait: Duration) -> Result<Open, Error> {
        #[derive(Deserialize)]
        struct Body {
            trusonafications: Vec<Value>,
        }
        let Inner { transport, signer, .. } = &*self.0;
        let path = format!("/api/v2/devices/{}/trusonafications?wait={}", self.device_identifier(), wait.as_secs().min(60));
        let call = Call::get(&path).once();
        let answer = tokio::time::timeout(wait + GRACE, transport.send(signer, &call)).await;
        let answer = answer.map_err(|_| Failure::Cut("the gateway did not answer in time".into()))??;
        self.0.reader().list(read_json::<Body>(answer).await?.trusonafications).await
    }

    /// Like [`open`](Self::open), for an app that does not report challenges that [cannot be trusted](Open::untrusted): they are omitted.
    pub async fn wait(&self, wait: Duration) -> Result<Vec<Pending>, Error> {
        Ok(self.open(wait).await?.pending)
    }

    /// Streams challenges as they arrive, over server-sent events, beginning with all that are open. Ends when the connection ends, or with
    /// an error; then call it again after a pause. Use one stream at a time: each reports which challenges of the previous one are over.
    pub async fn events(&self) -> Result<Events, Error> {
        let Inner { transport, signer, .. } = &*self.0;
        let path = format!("/api/v2/devices/{}/trusonafications", self.device_identifier());
        let call = Call::get(&path).accept("text/event-stream").once();
        let answer = transport.send(signer, &call).await?;
        let events = while_alive(answer.bytes_stream(), Arc::clone(transport.environment())).eventsource();
        let (phone, heard) = (Arc::clone(&self.0), Arc::new(Mutex::default()));
        let events = events
            .then(move |event| {
                let (phone, heard) = (Arc::clone(&phone), Arc::clone(&heard));
                async move {
                    match event {
                        Ok(event) => phone.reader().event(Heard { name: &event.event, data: &event.data }, &heard).await,
                        Err(e) => vec![Err(Failure::Cut(e.to_string()).into())],
                    }
                }
            })
            .flat_map(stream::iter)
            // Events after an error may be incomplete.
            .scan(false, |is_over, item: Result<_, Error>| {
                let item = (!*is_over).then_some(item);
                *is_over = !matches!(item, Some(Ok(_)));
                ready(item)
            });
        Ok(Events::new(events))
    }

    /// Answers a challenge, prompting the person for presence first if the challenge requires it.
    ///
    /// `number` is the one that the person chose or entered, when the challenge has one to match.
    pub async fn respond(&self, pending: &Pending, decision: Decision, number: Option<&str>) -> Result<Answer, Error> {
        self.respond_with(pending, decision, None, number, None).await
    }

    /// Rejects a challenge, with a reason.
    pub async fn reject(&self, pending: &Pending, why: RejectReason) -> Result<Answer, Error> {
        self.respond_with(pending, Decision::Reject, Some(why), None, None).await
    }

    /// Accepts at the executive level, presenting the document with the registered hash.
    pub async fn accept_with_document(&self, pending: &Pending, hash: &str) -> Result<Answer, Error> {
        self.respond_with(pending, Decision::Accept, None, None, Some(hash)).await
    }

    async fn respond_with(
        &self,
        pending: &Pending,
        decision: Decision,
        why: Option<RejectReason>,
        number: Option<&str>,
        document: Option<&str>,
    ) -> Result<Answer, Error> {
        let Inner { transport, signer, .. } = &*self.0;
        let claims = ResponseClaims {
            iss: self.device_identifier().to_string(),
            aud: pending.challenge.gateway.as_str().into(),
            sub: pending.id.to_string(),
            chal: challenge::challenge_hash(&pending.jws),
            dec: decision.to_kernel(),
            why: why.map(RejectReason::to_kernel),
            num: number.map(ToOwned::to_owned),
            doc: document.map(ToOwned::to_owned),
            iat: transport.now().as_seconds(),
            jti: transport.environment().token(),
        };
        let body = json!({"response": self.sign(&claims, pending, decision).await?});
        let answer = transport.send(signer, &Call::post("/api/v2/trusonafication_responses").body(&body)).await?;
        Ok(read_json::<AnswerBody>(answer).await?.into())
    }

    /// An accept that needs presence is signed with a presence key, everything else with the device key.
    async fn sign(&self, claims: &ResponseClaims, pending: &Pending, decision: Decision) -> Result<String, Error> {
        let signer = &self.0.signer;
        if decision == Decision::Accept && pending.needs_presence() {
            let keys = signer.presence_keys().await?;
            if !keys.is_empty() {
                let reason = format!("{}: {}", pending.challenge.action, pending.challenge.resource);
                let statement = Statement { typ: challenge::RESPONSE_TYP, claims, reason: &reason };
                return signer.by_any_presence(keys, statement).await;
            }
        }
        signer.by_device(challenge::RESPONSE_TYP, claims).await
    }
}

impl Inner {
    const fn reader(&self) -> Reader<'_> {
        Reader { transport: &self.transport, keys: &self.trusted, shown: &self.shown }
    }
}
