//! User identifiers that do not reveal the user.

use nodkey_kernel::jose::{b64u, hmac_sha256};
use serde_json::json;

use crate::{Case, Vectors};

pub fn vectors() -> Vectors {
    let case = |name: &str, key: &[u8], user: &str| {
        let hash = b64u(&hmac_sha256(key, user.as_bytes()));
        Case::ok(name, json!({"key": b64u(key), "user_identifier": user}), json!({ "hash": hash }))
    };
    let key: Vec<u8> = (0..32).collect();
    let mut cases = vec![
        case("a_user_by_name", &key, "ada"),
        case("a_user_by_address", &key, "ada@example.com"),
        case("case_and_spaces_count", &key, " Ada@example.com"),
        case("the_same_user_with_another_key", &[1; 32], "ada@example.com"),
        case("letters_beyond_ascii_are_utf_8", &key, "ünïcødé 用户 👩‍🚀"),
        case("the_same_letters_composed_otherwise_are_another_user", &key, "u\u{308}nïcødé 用户 👩‍🚀"),
        case("a_key_longer_than_a_block", &[7; 100], "ada"),
    ];
    // RFC 4231, test case 2.
    let hash = "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM";
    cases.push(Case::ok(
        "as_in_rfc_4231",
        json!({"key": b64u(b"Jefe"), "user_identifier": "what do ya want for nothing?"}),
        json!({ "hash": hash }),
    ));
    Vectors {
        name: "user-identifiers",
        about: "hash_user_identifier: base64url of the HMAC-SHA-256 of the identifier's UTF-8. `key` is base64url here.",
        shared: json!({}),
        cases,
        function: "hash_user_identifier",
    }
}
