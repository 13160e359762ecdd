//! Links that open a relying party's app, by the host of the link.

use nodkey_client::{Error, ServiceName};
use nodkey_proto::registry::v1::{
    AndroidApp, AppLinks, GetAppLinksRequest, SetAppLinksRequest, app_link_service_client::AppLinkServiceClient,
};
use reqwest::{Client, Response};
use serde_json::{Value, json};

use crate::world::{Tenant, World};

scenarios!(
    a_host_opens_the_apps_of_its_relying_party_alone,
    a_host_is_one_relying_partys_until_it_is_given_up,
    whoever_has_no_app_is_told_where_to_get_it,
);

const FILES: [&str; 2] = ["/.well-known/assetlinks.json", "/.well-known/apple-app-site-association"];

/// Sets the apps that open links of a host.
pub async fn set(world: &World, tenant: &Tenant, host: &str) -> Result<AppLinks, Error> {
    let request = SetAppLinksRequest {
        relying_party_id: tenant.id.clone(),
        host: host.to_owned(),
        android_apps: vec![AndroidApp { package_name: "com.acme.app".into(), sha256_cert_fingerprints: vec!["0a".repeat(32)] }],
        apple_app_ids: vec!["TEAMID1234.com.acme.app".into()],
        download_url: "https://acme.example.com/app?a=1&b=\"2".into(),
    };
    let mut links = AppLinkServiceClient::new(world.operator(None).channel(ServiceName::Registry));
    Ok(links.set_app_links(request).await?.into_inner())
}

/// Requests a path as a client of this host.
async fn get(world: &World, host: &str, path: &str) -> Response {
    Client::builder().http1_only().build().unwrap().get(format!("{}{path}", world.http)).header("Host", host).send().await.unwrap()
}

/// A host that only this tenant uses.
fn host(tenant: &Tenant) -> String {
    format!("{}.links.example.com", tenant.id)
}

async fn a_host_opens_the_apps_of_its_relying_party_alone(world: &World) {
    let (tenant, other) = (world.tenant().await, world.tenant().await);
    for path in FILES {
        assert_eq!(get(world, &host(&tenant), path).await.status(), 404, "before");
    }
    set(world, &tenant, &host(&tenant)).await.unwrap();
    // Whatever the port and the case.
    let answer = get(world, &format!("{}:8443", host(&tenant).to_uppercase()), FILES[0]).await;
    assert_eq!(answer.headers()["content-type"], "application/json; charset=utf-8");
    let fingerprint = vec!["0A"; 32].join(":");
    let statement = json!([{
        "relation": ["delegate_permission/common.handle_all_urls"],
        "target": {"namespace": "android_app", "package_name": "com.acme.app", "sha256_cert_fingerprints": [fingerprint]},
    }]);
    assert_eq!(answer.json::<Value>().await.unwrap(), statement);
    let apple: Value = get(world, &host(&tenant), FILES[1]).await.json().await.unwrap();
    let detail = &apple["applinks"]["details"][0];
    assert_eq!((&detail["appIDs"], &detail["components"][0]["/"]), (&json!(["TEAMID1234.com.acme.app"]), &json!("/trucode")));
    for path in FILES {
        assert_eq!(get(world, &host(&other), path).await.status(), 404, "of another");
    }
    let mut backend = AppLinkServiceClient::new(other.backend.channel(ServiceName::Registry));
    assert_eq!(backend.get_app_links(GetAppLinksRequest::default()).await.unwrap().into_inner().host, "");
}

async fn a_host_is_one_relying_partys_until_it_is_given_up(world: &World) {
    let (tenant, other) = (world.tenant().await, world.tenant().await);
    let wanted = host(&tenant);
    for _ in 0..2 {
        set(world, &tenant, &wanted).await.unwrap();
    }
    set(world, &other, &host(&other)).await.unwrap();
    assert_eq!(set(world, &other, &wanted).await.unwrap_err().reason, "HOST_TAKEN");
    assert_eq!(get(world, &host(&other), FILES[0]).await.status(), 200, "a refusal changes nothing");
    let mut links = AppLinkServiceClient::new(world.operator(None).channel(ServiceName::Registry));
    let nothing = SetAppLinksRequest { relying_party_id: tenant.id.clone(), ..SetAppLinksRequest::default() };
    links.set_app_links(nothing).await.unwrap();
    assert_eq!(get(world, &wanted, FILES[0]).await.status(), 404);
    set(world, &other, &wanted).await.unwrap();
    assert_eq!(get(world, &wanted, FILES[0]).await.status(), 200);
    assert_eq!(get(world, &host(&other), FILES[0]).await.status(), 404, "it has one host");
}

async fn whoever_has_no_app_is_told_where_to_get_it(world: &World) {
    let tenant = world.tenant().await;
    assert_eq!(get(world, &host(&tenant), "/trucode?payload=a.b.c").await.status(), 404);
    set(world, &tenant, &host(&tenant)).await.unwrap();
    let page = get(world, &host(&tenant), "/trucode?payload=<script>").await;
    assert_eq!((page.status().as_u16(), &page.headers()["content-type"]), (200, &"text/html; charset=utf-8".parse().unwrap()));
    assert_eq!(page.headers()["referrer-policy"], "no-referrer");
    assert!(page.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    let html = page.text().await.unwrap();
    assert!(html.contains("Acme") && html.contains("href=\"https://acme.example.com/app?a=1&amp;b=%222\""), "{html}");
    assert!(!html.contains("script"), "the payload is not looked at");
}
