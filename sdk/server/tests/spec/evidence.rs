//! Evidence: the worked examples of `tests/vectors/evidence-v1.json`, which the kernel makes, and what a verifier does with an archive.

use nodkey_kernel::{jose::jws, time::Timestamp};
use serde_json::{Value, json};

use crate::{Case, Vectors};

const EXAMPLES: &str = include_str!("../../../../tests/vectors/evidence-v1.json");

/// A name as the other files spell it.
fn name(sentence: &str) -> String {
    sentence.replace(", ", "_").replace(' ', "_").replace('\'', "").to_lowercase()
}

/// What is returned for evidence that is verified.
fn proven(evidence: &Value, certification: &Value) -> Value {
    let receipt = jws::Compact::parse(evidence["receipt"].as_str().unwrap()).unwrap();
    json!({"receipt": receipt.unverified_claims::<Value>().unwrap(), "certification": certification})
}

/// A worked example as a case.
fn example(it: &Value, file: &Value) -> Case {
    let mut expected = it["expected"].clone();
    if let Some(seconds) = expected.as_object_mut().unwrap().shift_remove("max_age") {
        expected["max_age_seconds"] = seconds;
    }
    let mut input = json!({"evidence": it["evidence"], "expected": expected});
    if it["jwks"] != "now" {
        input["jwks"] = file["jwks"][it["jwks"].as_str().unwrap()].clone();
    }
    let name = name(it["name"].as_str().unwrap());
    let text = |member: &str| it[member].as_str().unwrap();
    match text("verdict") {
        "verified" => Case::ok(&name, input, proven(&it["evidence"], &it["certification"])),
        "not_proven" => Case::detailed(&name, input, "not_proven", text("reason")),
        "not_genuine" => Case::detailed(&name, input, "not_genuine", text("fault")),
        "unexpected" => {
            let differs: Vec<_> = it["differs"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
            Case::detailed(&name, input, "unexpected", &differs.join(","))
        }
        other => panic!("{other}"),
    }
}

/// What an archive says of keys that no longer sign.
fn archives(file: &Value) -> Vec<Case> {
    let accepted = &file["cases"][0];
    assert_eq!(accepted["name"], "accepted");
    let ok = || proven(&accepted["evidence"], &accepted["certification"]);
    let archive = |typ: &str, change: &dyn Fn(&mut Value)| {
        let mut jwks = file["jwks"]["now"].clone();
        for key in jwks["keys"].as_array_mut().unwrap() {
            key["iat"] = json!(1_700_000_000);
            key["exp"] = json!(1_780_000_000);
            if key["typs"][0] == typ {
                change(key);
            }
        }
        json!({"evidence": accepted["evidence"], "expected": {}, "jwks": jwks})
    };
    let revoked = |key: &mut Value| key["revoked"] = json!({"revoked_at": 1_795_000_000});
    let ignored = |key: &mut Value| key["d"] = json!("Qvm04XGIT9DhDjvvnNHHy2ecimFN6PxMDwCS3pa86M8");
    let fault = |name: &str, input: Value, part: &str| Case::detailed(name, input, "not_genuine", part);
    let (challenge, receipt) = ("nodkey-challenge+jwt", "nodkey-receipt+jwt");
    vec![
        Case::ok("by_keys_of_an_archive_that_sign_no_longer", archive("", &|_| ()), ok()),
        fault("by_a_key_for_challenges_that_was_revoked_later", archive(challenge, &revoked), "challenge"),
        fault("by_a_key_for_receipts_that_was_revoked_later", archive(receipt, &revoked), "receipt"),
        fault("by_a_key_whose_private_half_is_published", archive(receipt, &ignored), "receipt"),
        fault(
            "by_no_key_that_the_verifier_knows",
            json!({"evidence": accepted["evidence"], "expected": {}, "jwks": {"keys": []}}),
            "challenge",
        ),
    ]
}

pub fn vectors() -> Vectors {
    let file: Value = serde_json::from_str(EXAMPLES).unwrap();
    let now = Timestamp::parse_rfc3339(file["now"].as_str().unwrap()).unwrap().as_seconds();
    let mut cases: Vec<_> = file["cases"].as_array().unwrap().iter().map(|it| example(it, &file)).collect();
    cases.extend(archives(&file));
    Vectors {
        name: "evidence",
        about: "verify_evidence: what evidence proves to a verifier who has `jwks` from elsewhere, and expects `expected`.",
        shared: json!({"now": now, "jwks": file["jwks"]["now"]}),
        cases,
        function: "verify_evidence",
    }
}
