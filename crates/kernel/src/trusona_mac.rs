//! The TRUSONA signature scheme of existing server SDKs: an HMAC over method, body, content type, date and request target.

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use md5::{Digest as _, Md5};
use subtle::ConstantTimeEq as _;

use crate::auth_scheme::credentials;

/// Lower-case hexadecimal MD5 of a body. The scheme requires MD5; the MAC around it provides the security.
#[must_use]
pub fn body_md5(body: &[u8]) -> String {
    hex::encode(Md5::digest(body))
}

/// Joins the parts that are signed. `content_type` is empty where the header is absent.
#[must_use]
pub fn string_to_sign(method: &str, body_md5: &str, content_type: &str, date: &str, path_and_query: &str) -> String {
    [method, body_md5, content_type, date, path_and_query].join("\n")
}

/// Signs: base64 of the lower-case hexadecimal text of HMAC-SHA-256, 88 characters. The secret is used as text.
#[must_use]
pub fn mac(secret: &str, text: &str) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), text.as_bytes());
    STANDARD.encode(hex::encode(tag.as_ref()))
}

/// Verifies in constant time.
#[must_use]
pub fn verify(secret: &str, text: &str, signature: &str) -> bool {
    mac(secret, text).as_bytes().ct_eq(signature.as_bytes()).into()
}

/// The value of the `Authorization` header.
#[must_use]
pub fn authorization(token: &str, signature: &str) -> String {
    format!("TRUSONA {token}:{signature}")
}

/// Splits an `Authorization` header into token and signature.
#[must_use]
pub fn parse_authorization(header: &str) -> Option<(&str, &str)> {
    let (token, signature) = credentials(header, "TRUSONA")?.split_once(':')?;
    (!token.is_empty() && !signature.is_empty()).then_some((token, signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str =
        "7f1dd753b6fa473d07c99b56d43bd5da3cd928487d5022e1810fab96c70945b01ad2603585542d33a1383b1f14b5880373474ff40c76a38df19052cefeb3a3eb";
    const DATE: &str = "Thu, 03 Jan 2019 17:57:07 GMT";

    fn hex_of(text: &str) -> String {
        String::from_utf8(STANDARD.decode(mac(SECRET, text)).unwrap()).unwrap()
    }

    #[test]
    fn the_published_vector_verifies() {
        let text = string_to_sign("GET", &body_md5(b""), "application/json", "Tue, 27 Jun 2017 18:03:47 GMT", "/test/auth?blah=blah");
        let signature = "YTgwNDgzNGRjNTA0YjBkYWJmNmFlMzU0MjJiNmRmYTRjNjk5NTQxMDk3MGFkN2YzZjlmZTYyMjdlMTlkNjc4Zg==";
        assert_eq!(mac(SECRET, &text), signature);
        assert!(verify(SECRET, &text, signature));
        assert!(!verify("other", &text, signature));
        assert!(!verify(SECRET, &text, &signature[1..]));
    }

    #[test]
    fn every_clients_content_type_and_date_sign_as_recorded() {
        let body = br#"{"user_identifier":"u","device_identifier":"d"}"#;
        assert_eq!(body_md5(body), "2cb20f43c2117dbe20679c16dd03a75e");
        for (content_type, date, hex) in [
            ("application/json", DATE, "e80062163f7e1017508dd5c2fd009fe8c95e8c008f8fffe61d61d7bf2a2790e5"),
            ("application/json;charset=utf-8", DATE, "f56965207e05ead00932b6a740be544cc097a9bc3b9ad528891ed42d88f5cea0"),
            (
                "application/json; charset=UTF-8",
                "Thu, 03 Jan 2019  17:57:07 +0000",
                "3b5d874fea90a02cc591a9f2be93c8d7428bede7090cdd5a94ade5e20213285b",
            ),
            ("application/json; charset=utf-8", DATE, "0255c8b19b7b52f486442fa0fccd7b4a85c356c61fb95ce339d457858961e9a9"),
            ("application/json;charset=UTF-8", DATE, "6fdd92771b36990cb63d7dc718e05925e0d18904272462504505317f55200384"),
        ] {
            assert_eq!(hex_of(&string_to_sign("POST", &body_md5(body), content_type, date, "/api/v2/user_devices")), hex);
        }
    }

    #[test]
    fn other_published_vectors_verify() {
        // .NET: only the key and the hash of an empty body.
        let empty = "MjBmYmFkMzI3NTA2MWE3N2ViZDA1ZGFmNTU4NWMyYWIyZjVlNDY0NzIyNDVmNGJkZTdjMThhNDgwNzBmYjg2Mg==";
        assert_eq!(mac("tacos", &string_to_sign("", &body_md5(b""), "", "", "")), empty);
        // C: without framing.
        let plain = "NTAzMWZlM2Q5ODljNmQxNTM3YTAxM2ZhNmU3MzlkYTIzNDYzZmRhZWMzYjcwMTM3ZDgyOGUzNmFjZTIyMWJkMA==";
        assert_eq!(mac("key", "data"), plain);
    }

    #[test]
    fn an_encoded_query_and_the_beginning_of_a_body_sign_as_recorded() {
        let text = string_to_sign("GET", &body_md5(b""), "", DATE, "/api/v2/identity_documents?user_identifier=a%20b");
        assert_eq!(hex_of(&text), "192fc895434d926b8ddaee170a4ce804ca8c286141ba32e3134642b238847e9b");
        let body = format!(r#"{{"user_identifier":"{}"}}"#, "x".repeat(300));
        assert_eq!((body.len(), body_md5(body.as_bytes()).as_str()), (322, "b74fae0e946a34c714d305cf360d9cb8"));
        let beginning = body_md5(&body.as_bytes()[..256]);
        let text = string_to_sign("POST", &beginning, "application/json;charset=UTF-8", DATE, "/api/v2/trusonafications");
        assert_eq!(hex_of(&text), "6061e330309a514440795a535c84935e2866a1416ce54e80f739a6019009a55e");
    }

    #[test]
    fn responses_sign_as_recorded() {
        let text = string_to_sign("DELETE", &body_md5(b""), "", DATE, "/api/v2/users/u");
        assert_eq!(hex_of(&text), "47bbeaf8c4de3597560d4d7fb82f86bc056263933219e1bc83ae3586d5706144");
        let body = br#"{"id":"6f9d3c3e-6d8e-4b7e-9d53-6a1df0f7e6a1","active":false}"#;
        let text = string_to_sign("POST", &body_md5(body), "application/json; charset=utf-8", DATE, "/api/v2/user_devices");
        assert_eq!(hex_of(&text), "f5edda49e643b9ca440cad11adc65ad6217c112c098defebb226239961c1f4eb");
    }

    #[test]
    fn authorization_headers_come_apart_only_when_whole() {
        for whole in ["TRUSONA a.b.c:sig", "trusona a.b.c:sig", "Trusona  a.b.c:sig"] {
            assert_eq!(parse_authorization(whole), Some(("a.b.c", "sig")), "{whole}");
        }
        for bad in ["", "TRUSONA", "TRUSONA a", "Bearer a:b", "TRUSONA :b", "TRUSONA a:"] {
            assert_eq!(parse_authorization(bad), None, "{bad}");
        }
    }
}
