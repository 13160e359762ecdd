//! The tokens that a backend signs.

use nodkey_kernel::jose::b64u;
use serde_json::{Value, json};

use crate::{Case, Vectors, deployment::NOW};

const KID: &str = "01a21c1e-6fff-71c6-8c16-c0c1f52fa9ed";
const SECRET: &str = "5f3c9a1be0d24c7f8a6b0e9d3c2f1a4b5f3c9a1be0d24c7f8a6b0e9d3c2f1a4b";

/// A token of which only the claims are read.
fn issued(claims: &Value) -> String {
    format!("{}.{}.{}", b64u(br#"{"alg":"HS256"}"#), b64u(claims.to_string().as_bytes()), b64u(b"not verified"))
}

pub fn vectors() -> Vectors {
    let token = issued(&json!({ "jti": KID }));
    let signed = |name: &str, input: Value, kid: &str, audience: &str, at: i64| {
        let claims = json!({"aud": audience, "iat": at, "exp": at + 30});
        Case::ok(name, input, json!({"header": {"alg": "HS256", "kid": kid}, "claims": claims}))
    };
    let refused = |name: &str, token: &str| Case::error(name, json!({ "token": token }), "INVALID_CREDENTIAL");
    let [header, _, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("{token}") };
    let around = |payload: &str| format!("{header}.{payload}.{signature}");
    let padded = around(&format!("{}=", b64u(br#"{"jti":"of a length that is padded"}"#)));
    let cases = vec![
        signed("holds_for_thirty_seconds", json!({}), KID, "nodkey", NOW),
        signed("a_fraction_of_a_second_is_dropped", json!({"now": 1_790_000_000.999}), KID, "nodkey", NOW),
        signed("is_signed_anew_at_another_time", json!({"now": NOW + 1}), KID, "nodkey", NOW + 1),
        signed("is_for_the_audience_of_the_deployment", json!({"audience": "acme"}), KID, "acme", NOW),
        signed(
            "only_the_jti_of_the_token_is_read",
            json!({"token": issued(&json!({"jti": "other", "aud": "other", "exp": 1, "kid": "none", "sub": {"jti": "inner"}}))}),
            "other",
            "nodkey",
            NOW,
        ),
        signed("the_secret_is_text_and_not_decoded", json!({"secret": "00ff00ff"}), KID, "nodkey", NOW),
        signed("the_secret_may_hold_any_character", json!({"secret": "Schlüssel 🔑"}), KID, "nodkey", NOW),
        refused("of_nothing", ""),
        refused("of_one_part", "token"),
        refused("of_claims_that_are_not_base64url", &around("{}")),
        refused("of_claims_with_padding", &padded),
        refused("of_claims_that_are_not_json", &around(&b64u(b"jti"))),
        refused("of_claims_without_a_jti", &issued(&json!({"kid": KID}))),
        refused("of_claims_whose_jti_is_no_text", &issued(&json!({"jti": 1}))),
        Case::error("without_a_secret", json!({"secret": ""}), "INVALID_CREDENTIAL"),
    ];
    Vectors {
        name: "bearer",
        about: "bearer_token: the token of one call. `ok` is its header and claims, exactly; it is signed with HS256 by the secret.",
        shared: json!({"now": NOW, "token": token, "secret": SECRET, "audience": "nodkey"}),
        cases,
        function: "bearer_token",
    }
}
