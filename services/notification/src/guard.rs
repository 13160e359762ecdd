//! DNS resolver of all outbound calls for relying parties and phones: the address that is checked is the address that is connected to.

use std::{io, net::SocketAddr};

use nodkey_kernel::egress::{Egress, Refused};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Resolves names only to addresses that may be called.
#[derive(Clone, Debug)]
pub struct Guard(pub Egress);

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|address| guard.0.permits(address.ip())).collect();
            if allowed.is_empty() {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, Refused::Address).into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_resolves_to_this_machine_is_not_called() {
        let resolve = async |guard: Guard| guard.resolve("localhost".parse().unwrap()).await.map(Iterator::count);
        let refused = resolve(Guard(Egress::new(false))).await.unwrap_err();
        assert!(refused.to_string().contains("public address"), "{refused}");
        assert!(resolve(Guard(Egress::new(true))).await.unwrap() > 0);
    }
}
