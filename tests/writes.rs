//! Makes writes to each service through its usual callers, and classifies how each ended.

use std::{collections::VecDeque, sync::Mutex};

use nodkey_client::{Error as CallError, Kind, NewTrusonafication, ServiceName, is_success};
use nodkey_mobile_sdk::{Decision, Error as PhoneError, Pending, software::SoftwareKeyStore};
use nodkey_proto::{
    binding::v1::Binding,
    notification::v1::{CreateEndpointRequest, DeleteEndpointRequest, endpoint_service_client::EndpointServiceClient},
};

use crate::world::{PATIENCE, SoftPhone, Tenant, World, eventually};

/// How many of the things that a write uses up are prepared.
const PREPARED: usize = 10;

/// The callers that write, and what they need.
pub struct Writers {
    /// A relying party.
    pub tenant: Tenant,
    /// A phone that answers, of the user "ada".
    pub phone: SoftPhone,
    unbound: Mutex<VecDeque<SoftPhone>>,
    pending: Mutex<VecDeque<Pending>>,
    answered: Mutex<Vec<String>>,
}

/// How a write ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It succeeded.
    Done,
    /// Unavailable: 503 over HTTP, UNAVAILABLE over gRPC. The same may succeed soon.
    Unavailable,
    /// Refused permanently, or failed internally.
    Wrong(String),
}

/// A write and how it ended.
pub type Write = (&'static str, Ended);

impl Writers {
    /// Prepares everything that the writes need.
    pub async fn new(world: &World) -> Self {
        let tenant = world.tenant().await;
        let phone = tenant.active("ada").await;
        tenant.active("grace").await;
        let mut unbound = VecDeque::new();
        for _ in 0..PREPARED {
            unbound.push_back(tenant.registered().await);
            tenant.backend.create_trusonafication(log_in("ada")).await.unwrap();
        }
        let pending = phone.wait(PATIENCE).await.unwrap();
        assert_eq!(pending.len(), PREPARED);
        Self { tenant, phone, unbound: unbound.into(), pending: Mutex::new(pending.into()), answered: Mutex::default() }
    }

    /// Makes a write to each service, concurrently: a registration, a binding, a trusonafication, an answer, an endpoint.
    pub async fn each(&self) -> Vec<Write> {
        let register = async || of_phone(self.tenant.phone_with(SoftwareKeyStore::generate()).register("new phone").await);
        // On the heap, because five together are large.
        let ended = tokio::join!(
            Box::pin(register()),
            Box::pin(self.bind()),
            Box::pin(self.create()),
            Box::pin(self.answer()),
            Box::pin(self.create_endpoint())
        );
        vec![("registration", ended.0), ("binding", ended.1), ("trusonafication", ended.2), ("answer", ended.3), ("endpoint", ended.4)]
    }

    async fn bind(&self) -> Ended {
        let device = self.unbound.lock().unwrap()[0].device_identifier().to_string();
        let bound: Result<Binding, _> = self.tenant.backend.create_binding("alan", &device).await;
        Self::used(&self.unbound, of_call(bound))
    }

    async fn create(&self) -> Ended {
        let created = self.tenant.backend.create_trusonafication(log_in("grace")).await;
        if let Ok(created) = &created {
            // A user can have a limited number of open prompts. If canceling fails, the limit still exceeds the number of attempts.
            let _ = self.tenant.backend.cancel(&created.trusonafication.id).await;
        }
        of_call(created)
    }

    async fn answer(&self) -> Ended {
        let pending = self.pending.lock().unwrap()[0].clone();
        let ended = of_phone(self.phone.respond(&pending, Decision::Accept, None).await);
        if ended == Ended::Done {
            self.answered.lock().unwrap().push(pending.id.into());
        }
        Self::used(&self.pending, ended)
    }

    async fn create_endpoint(&self) -> Ended {
        let mut endpoints = EndpointServiceClient::new(self.tenant.backend.channel(ServiceName::Notification));
        let request = CreateEndpointRequest { url: "http://127.0.0.1:9/hook".into(), ..CreateEndpointRequest::default() };
        let created = endpoints.create_endpoint(request).await;
        if let Ok(created) = &created {
            let id = created.get_ref().endpoint.clone().unwrap().id;
            let _ = endpoints.delete_endpoint(DeleteEndpointRequest { id }).await;
        }
        of_call(created.map_err(CallError::from))
    }

    fn used<T>(prepared: &Mutex<VecDeque<T>>, ended: Ended) -> Ended {
        if ended == Ended::Done {
            prepared.lock().unwrap().pop_front();
        }
        ended
    }

    /// Checks that every accepted answer counts, once.
    pub async fn answers_count(&self) {
        let answered = self.answered.lock().unwrap().clone();
        assert!(!answered.is_empty());
        for id in answered {
            let now = self.tenant.backend.trusonafication(&id).await.unwrap();
            assert!(is_success(&now), "{:?}", now.status());
            assert_eq!(now.version, 2);
        }
    }

    /// Makes each write until all have been refused as unavailable. None may end otherwise than done or unavailable.
    pub async fn each_is_unavailable(&self) {
        let mut left: Vec<&str> = self.each().await.into_iter().map(|(name, _)| name).collect();
        while !left.is_empty() {
            for (name, ended) in self.each().await {
                assert!(!matches!(ended, Ended::Wrong(_)), "{name}: {ended:?}");
                left.retain(|still| *still != name || ended != Ended::Unavailable);
            }
        }
    }

    /// Waits until each write is done. Meanwhile none may end otherwise than done or unavailable.
    pub async fn each_is_made(&self) {
        eventually("every write is made", async || {
            let ended = self.each().await;
            assert!(!ended.iter().any(|(_, ended)| matches!(ended, Ended::Wrong(_))), "{ended:?}");
            ended.iter().all(|(_, ended)| *ended == Ended::Done).then_some(())
        })
        .await;
    }

    /// A complete login: the phone is prompted, the answer counts, and the backend gets the result.
    pub async fn log_in(&self) {
        log_in_by(&self.tenant, "ada", &self.phone).await;
    }
}

/// A complete login of a user with a phone; returns its id.
pub async fn log_in_by(tenant: &Tenant, user: &str, phone: &SoftPhone) -> String {
    let id = tenant.backend.create_trusonafication(log_in(user)).await.unwrap().trusonafication.id;
    let prompted = eventually("the phone is prompted", async || {
        at_its_rate(async || phone.wait(PATIENCE).await).await.into_iter().find(|pending| pending.id == id)
    });
    let pending = prompted.await;
    at_its_rate(async || phone.respond(&pending, Decision::Accept, None).await).await;
    let done = tenant.backend.wait(&id).await.unwrap();
    assert!(is_success(&done));
    assert_eq!(done.version, 2);
    id
}

/// What a phone is answered. A phone that asks more often than a device may asks again after as long as it is told to wait.
async fn at_its_rate<T>(ask: impl AsyncFn() -> Result<T, PhoneError>) -> T {
    loop {
        match ask().await {
            Err(e) if e.reason() == "RATE_LIMITED" => tokio::time::sleep(e.retry_after().unwrap_or_default()).await,
            answered => return answered.unwrap(),
        }
    }
}

/// The backend's request for a login.
pub fn log_in(user: &str) -> NewTrusonafication {
    NewTrusonafication::user(user, "log in", "Acme")
}

fn of_phone<T>(result: Result<T, PhoneError>) -> Ended {
    match result {
        Ok(_) => Ended::Done,
        Err(e) if e.status() == Some(503) => Ended::Unavailable,
        Err(e) => Ended::Wrong(format!("{e:?}")),
    }
}

fn of_call<T>(result: Result<T, CallError>) -> Ended {
    match result {
        Ok(_) => Ended::Done,
        Err(e) if e.kind == Kind::Unavailable => Ended::Unavailable,
        Err(e) => Ended::Wrong(format!("{e:?}")),
    }
}
