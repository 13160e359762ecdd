use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::*;
use crate::serving::config::Config;

/// A service's own settings, with one of each kind.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Own {
    words: Option<SecretString>,
    count: u32,
    on: bool,
    ports: Vec<u16>,
}

fn given(variables: &[(&str, &str)]) -> Given {
    Given::read(None, variables.iter().map(|(name, value)| ((*name).into(), (*value).into()))).unwrap()
}

fn file(text: &str) -> (tempfile::NamedTempFile, Given) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let given = Given::read(Some(file.path()), []).unwrap();
    (file, given)
}

fn faults(given: &Given) -> String {
    given.to_settings::<Config<Own>>(vec![]).unwrap_err().to_string()
}

const URL: (&str, &str) = ("NODKEY_DEPLOYMENT__PUBLIC_URL", "https://id.example.com");

/// Texts that other parsers of the environment read as a number, a Boolean, a list, a table or a quoted text.
const TEXTS: &[&str] = &["12345", "007", "1e5", "-1", "true", "[1, 2]", "{a=1}", r#"{"keys": []}"#, r#""quoted""#, " spaces ", "null", ""];

#[test]
fn every_setting_that_takes_text_takes_any_text_from_the_environment_as_it_is() {
    let known = settings::<Config<Own>>();
    let texts: Vec<_> = known.iter().filter(|known| known.shape == Shape::Text && !known.list).collect();
    assert!(texts.len() >= 20, "{texts:?}");
    for setting in texts {
        for text in TEXTS {
            let given = given(&[(&variable(&setting.name), text)]);
            let (value, source) = &given.values[&setting.name];
            assert_eq!(fitting(value, source, setting), Ok(Value::from(*text)), "{}", setting.name);
        }
    }
}

#[test]
fn a_secret_of_digits_alone_is_that_secret() {
    for text in TEXTS {
        let variables = [
            URL,
            ("NODKEY_BUS__PASSWORD", text),
            ("NODKEY_SERVICE__WORDS", text),
            ("NODKEY_DB__URL", text),
            ("NODKEY_PEERS__REGISTRY", text),
        ];
        let config: Config<Own> = given(&variables).to_settings(vec![]).unwrap();
        assert_eq!(config.bus.password.expose_secret(), *text);
        assert_eq!(config.service.words.unwrap().expose_secret(), *text);
        assert_eq!(config.db.unwrap().url.expose_secret(), *text);
        assert_eq!(config.peers.registry, *text);
    }
}

#[test]
fn numbers_switches_and_lists_are_read_from_text() {
    let variables = [
        URL,
        ("NODKEY_SERVICE__COUNT", " 7 "),
        ("NODKEY_SERVICE__ON", "true"),
        ("NODKEY_SERVICE__PORTS", "[443, 8443]"),
        ("NODKEY_DEPLOYMENT__ALLOWED_NETWORKS", "10.1.0.0/16"),
        ("NODKEY_DEPLOYMENT__ALLOWED_PORTS", ""),
    ];
    let config: Config<Own> = given(&variables).to_settings(vec![]).unwrap();
    assert_eq!((config.service.count, config.service.on, config.service.ports), (7, true, vec![443, 8443]));
    assert_eq!(config.deployment.allowed_networks, ["10.1.0.0/16".parse().unwrap()]);
    assert!(config.deployment.allowed_ports.is_empty());
}

#[test]
fn a_value_of_another_kind_is_named_with_what_it_must_be_and_not_shown() {
    let wrong = [
        ("NODKEY_SERVICE__COUNT", "4294967296", "must be a whole number from 0 to 4294967295"),
        ("NODKEY_SERVICE__COUNT", "many", "must be a whole number from 0 to 4294967295"),
        ("NODKEY_SERVICE__ON", "yes", "must be true or false"),
        ("NODKEY_SERVICE__PORTS", "[443, x]", "must be a whole number from 0 to 65535"),
        ("NODKEY_SERVER__LISTEN", "here", ": invalid socket address syntax"),
    ];
    for (name, value, must) in wrong {
        let said = faults(&given(&[URL, (name, value)]));
        assert!(said.starts_with(name) && said.contains(must), "{said}");
        assert!(!said.contains(value), "{said}");
    }
    let (_file, given) = file("[service]\nwords = 12345\ncount = \"7\"");
    let said = faults(&given);
    assert!(said.contains("service.words in /") && said.contains("must be text: put it between quotes"), "{said}");
    assert!(said.contains("service.count in /"), "{said}");
}

#[test]
fn what_is_unknown_is_refused_all_at_once_with_what_was_meant() {
    let (_file, from_file) = file("[deployment]\npublic_ulr = \"x\"\n[servce]\ncount = 1\n[service]\ncolour = 1");
    let said = faults(&from_file);
    assert!(said.contains("deployment.public_ulr in /") && said.contains("did you mean deployment.public_url?"), "{said}");
    assert!(said.contains("servce.count in /") && said.contains("did you mean service.count?"), "{said}");
    assert!(said.contains("service.colour in /") && said.lines().count() == 3, "{said}");
    let said = faults(&given(&[URL, ("NODKEY_DB__MAX_CONECTIONS", "7"), ("NODKEY_BUS__PASWORD", "secret")]));
    assert!(
        said.contains("NODKEY_DB__MAX_CONECTIONS is not a setting of this service; did you mean NODKEY_DB__MAX_CONNECTIONS?"),
        "{said}"
    );
    assert!(said.contains("did you mean NODKEY_BUS__PASSWORD?") && !said.contains("secret"), "{said}");
}

#[test]
fn variables_that_name_no_setting_are_named_and_those_of_others_are_left_alone() {
    let given = given(&[
        URL,
        ("NODKEY_DB_URL", "x"),
        ("NODKEY_OPERATOR_KEY", "x"),
        ("NODKEY_WHATEVER", "x"),
        ("NODKEY_LOG", "info"),
        ("NODKEY_CONFIG", "x"),
        ("NODKEY_REGISTRY_SERVICE_HOST", "10.0.0.1"),
        ("NODKEY_REGISTRY_PORT", "tcp://10.0.0.1:7070"),
        ("NODKEY_REGISTRY_PORT_7070_TCP_ADDR", "10.0.0.1"),
        ("PATH", "/bin"),
    ]);
    let told = given.strays::<Config<Own>>();
    assert_eq!(told[0], "NODKEY_DB_URL has no effect; did you mean NODKEY_DB__URL?");
    assert!(told[1].starts_with("NODKEY_OPERATOR_KEY is read by the `nodkey` command alone"), "{told:?}");
    assert_eq!(told[2], "NODKEY_WHATEVER has no effect: there is no such setting");
    assert_eq!(told.len(), 3, "{told:?}");
    given.to_settings::<Config<Own>>(vec![]).unwrap();
}

#[test]
fn all_that_is_missing_is_named_at_once_with_its_variable() {
    let given = given(&[("NODKEY_DB__URL", " "), ("NODKEY_DB__MAX_CONNECTIONS", "3")]);
    let missing = given.missing(&["db.url", "deployment.public_url"]);
    let said = given.to_settings::<Config<Own>>(missing).unwrap_err().to_string();
    assert_eq!(said, "db.url is missing: set NODKEY_DB__URL\n  deployment.public_url is missing: set NODKEY_DEPLOYMENT__PUBLIC_URL");
    assert!(given.has_section("db") && !given.has_section("bus"));
}

#[test]
fn the_environment_goes_before_the_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[deployment]\npublic_url = \"https://a.example.com\"\n[service]\ncount = 1\non = true").unwrap();
    let given = Given::read(Some(file.path()), [("NODKEY_SERVICE__COUNT".into(), "2".into())]).unwrap();
    let config: Config<Own> = given.to_settings(vec![]).unwrap();
    assert_eq!((config.service.count, config.service.on), (2, true));
    let nowhere = Given::read(Some(Path::new("/nowhere/nodkey.toml")), []).unwrap_err().to_string();
    assert_eq!(nowhere, "NODKEY_CONFIG: cannot read /nowhere/nodkey.toml: No such file or directory");
}

#[test]
fn a_file_that_is_no_toml_is_told_by_its_line_and_never_by_what_is_in_it() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for (text, line) in [("[deployment]\nmaster_key = 0123secret\n", 2), ("master_key = \"secret", 1), ("= secret", 1)] {
        std::fs::write(file.path(), text).unwrap();
        let told = Given::read(Some(file.path()), []).unwrap_err().to_string();
        assert!(told.contains(&format!("line {line}: ")) && !told.contains("secret"), "{told}");
    }
}

#[test]
fn a_secret_may_be_in_a_file_and_never_both_there_and_in_the_environment() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "s3cret\n").unwrap();
    let path = file.path().to_str().unwrap();
    let from_file = given(&[URL, ("NODKEY_BUS__PASSWORD_FILE", path), ("NODKEY_DB__URL_FILE", path)]);
    let config: Config<Own> = from_file.to_settings(vec![]).unwrap();
    assert_eq!(config.bus.password.expose_secret(), "s3cret");
    assert!(from_file.has("db.url"));
    let both = faults(&given(&[URL, ("NODKEY_BUS__PASSWORD_FILE", path), ("NODKEY_BUS__PASSWORD", "other")]));
    assert!(both.contains("NODKEY_BUS__PASSWORD_FILE and NODKEY_BUS__PASSWORD are both set"), "{both}");
    let gone = faults(&given(&[URL, ("NODKEY_BUS__PASSWORD_FILE", "/nowhere/password")]));
    assert!(gone.contains("NODKEY_BUS__PASSWORD_FILE: cannot read /nowhere/password"), "{gone}");
    let pasted = faults(&given(&[URL, ("NODKEY_DEPLOYMENT__MASTER_KEY_FILE", "0123456789abcdef")]));
    assert!(pasted.contains("must be the path of a file") && !pasted.contains("0123456789abcdef"), "{pasted}");
    // What is no secret is in no file: its contents would be shown with the fault.
    let public = faults(&given(&[URL, ("NODKEY_SERVER__LISTEN_FILE", path)]));
    assert!(public.contains("NODKEY_SERVER__LISTEN_FILE is not a setting") && !public.contains("s3cret"), "{public}");
}

#[test]
fn every_setting_that_holds_a_secret_is_known_to() {
    let known: Vec<_> = settings::<Config<Own>>().into_iter().map(|known| known.name).filter(|name| is_secret(name)).collect();
    let secrets =
        ["db.url", "bus.url", "bus.password", "deployment.master_key", "deployment.previous_master_keys", "deployment.service_key"];
    let older = ["deployment.internal_key", "deployment.operator_key", "deployment.previous_operator_key"];
    assert_eq!(known, [&secrets[..], &older].concat());
}

#[test]
fn the_settings_are_shown_as_a_file_that_has_the_same_effect_and_no_secret_is() {
    let (file, _) = file("[server]\nmax_calls = 7\n[deployment]\nallowed_ports = [443, 8443]");
    let variables = [URL, ("NODKEY_BUS__PASSWORD", "s3cret"), ("NODKEY_BUS__USER", "a \"quoted\" name")];
    let given = Given::read(Some(file.path()), variables.map(|(name, value)| (name.into(), value.into()))).unwrap();
    let shown = given.to_toml::<Config<Own>>();
    assert!(!shown.contains("s3cret") && shown.contains("# bus.password is secret, and set by NODKEY_BUS__PASSWORD"), "{shown}");
    assert!(shown.contains("# server.listen has its default"), "{shown}");
    std::fs::write(file.path(), &shown).unwrap();
    let again: Config<Own> = Given::read(Some(file.path()), []).unwrap().to_settings(vec![]).unwrap();
    assert_eq!((again.server.max_calls, again.deployment.allowed_ports), (7, vec![443, 8443]));
    assert_eq!((again.deployment.public_url.as_str(), again.bus.user.as_str()), (URL.1, "a \"quoted\" name"));
}
