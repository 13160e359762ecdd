//! Shows a challenge to the person and reads their answer.

use std::io::BufRead;

use anyhow::Context as _;
use nodkey_mobile_sdk::{Challenge, CustomFields, NumberMatch};

use crate::output::{bold, plain};

/// The person's decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Yes.
    Accept,
    /// No.
    Reject,
    /// No, and somebody else started this.
    NotMe,
}

impl Choice {
    /// The name of the decision.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Reject => "reject",
            Self::NotMe => "not-me",
        }
    }

    /// Parses the input: a word or its first letter.
    fn parse(text: &str) -> Option<Self> {
        match text.trim().to_lowercase().as_str() {
            "a" | "accept" => Some(Self::Accept),
            "r" | "reject" => Some(Self::Reject),
            "n" | "not-me" | "not me" => Some(Self::NotMe),
            _ => None,
        }
    }
}

/// Describes the request in lines, from the signed challenge only.
pub fn describe(challenge: &Challenge) -> Vec<String> {
    let level = match challenge.level {
        1 => "1, the phone",
        2 => "2, the phone and your presence",
        _ => "3, the phone, your presence and an identity document, which this phone cannot present",
    };
    let mut lines = vec![
        bold(&format!("Request from {}", plain(&challenge.relying_party.name))),
        format!("  action    {}", plain(&challenge.action)),
        format!("  resource  {}", plain(&challenge.resource)),
        format!("  level     {level}"),
    ];
    if let Some(from) = &challenge.request_context {
        lines.push(format!("  from      {}", plain(&from.describe())));
    }
    for (name, value) in challenge.custom_fields.iter().flat_map(CustomFields::members) {
        lines.push(format!("  {}: {}", plain(&name), plain(&value)));
    }
    if let Some(number_match) = &challenge.number_match {
        lines.push(format!("  number    {}", wanted(number_match)));
    }
    lines
}

/// Describes the number to enter.
pub fn wanted(number_match: &NumberMatch) -> String {
    match number_match {
        NumberMatch::Choose { choices } => format!("one of {}", plain(&choices.join(", "))),
        NumberMatch::Enter { digits } => format!("the {digits} digits shown where you started this"),
        _ => "a number that this release does not know: update nodkey".to_owned(),
    }
}

/// Prompts until there is a decision.
pub fn ask_choice(input: &mut impl BufRead) -> anyhow::Result<Choice> {
    loop {
        if let Some(choice) = Choice::parse(&ask(input, "accept, reject or not-me? ")?) {
            return Ok(choice);
        }
    }
}

/// Prompts until there is a number that fits.
pub fn ask_number(input: &mut impl BufRead, number_match: &NumberMatch) -> anyhow::Result<String> {
    loop {
        let number = ask(input, "which number? ")?.trim().to_owned();
        if fits(&number, number_match) {
            return Ok(number);
        }
    }
}

/// Whether the number is one of the choices, or has the required number of digits.
pub fn fits(number: &str, number_match: &NumberMatch) -> bool {
    match number_match {
        NumberMatch::Choose { choices } => choices.iter().any(|choice| choice == number),
        NumberMatch::Enter { digits } => number.len() == usize::from(*digits) && number.bytes().all(|b| b.is_ascii_digit()),
        _ => false,
    }
}

/// Prompts on standard error, so that standard output stays clean for programs.
fn ask(input: &mut impl BufRead, prompt: &str) -> anyhow::Result<String> {
    anstream::eprint!("{prompt}");
    let mut text = String::new();
    let read = input.read_line(&mut text).context("cannot read the answer")?;
    anyhow::ensure!(read > 0, "standard input ended before there was an answer: use --decide");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use nodkey_mobile_sdk::RequestContext;

    use super::*;

    #[test]
    fn words_and_first_letters_decide_and_nothing_else_does() {
        for (text, choice) in [("a\n", Choice::Accept), ("Reject", Choice::Reject), ("n", Choice::NotMe), ("not me", Choice::NotMe)] {
            assert_eq!(Choice::parse(text), Some(choice));
        }
        for text in ["", "yes", "no", "ar", "acceptt"] {
            assert_eq!(Choice::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_person_is_asked_until_the_answer_is_one() {
        assert_eq!(ask_choice(&mut "perhaps\n\nreject\n".as_bytes()).unwrap(), Choice::Reject);
        assert!(ask_choice(&mut "perhaps".as_bytes()).is_err());
        let choose = NumberMatch::Choose { choices: vec!["17".into(), "42".into()] };
        assert_eq!(ask_number(&mut "18\n 42 \n".as_bytes(), &choose).unwrap(), "42");
        assert_eq!(ask_number(&mut "1\n1x\n07\n".as_bytes(), &NumberMatch::Enter { digits: 2 }).unwrap(), "07");
        assert_eq!(ask_number(&mut "07\n012345\n".as_bytes(), &NumberMatch::Enter { digits: 6 }).unwrap(), "012345");
    }

    #[test]
    fn everything_that_is_signed_is_shown_and_cannot_steer_the_terminal() {
        let mut challenge = Challenge::preview("Acme\u{1b}[31m", "pay", "90 EUR");
        challenge.level = 2;
        challenge.custom_fields =
            CustomFields::from_json(r#"{"to": "Bob\r", "sum": 90.0, "iban": 89370400440532013000, "more": [1e2, {"é": 1.0}]}"#);
        challenge.number_match = Some(NumberMatch::Choose { choices: vec!["17".into(), "42".into()] });
        let mut from = RequestContext::default();
        (from.address, from.browser, from.place) = ("203.0.113.7".into(), "Firefox\u{202e}".into(), "Berlin".into());
        challenge.request_context = Some(from);
        let shown = describe(&challenge).join("\n");
        for text in [
            "Request from Acme\\u{001B}[31m",
            "pay",
            "90 EUR",
            "from      Firefox\\u{202E}, Berlin, 203.0.113.7",
            "to: Bob\\u{000D}",
            "sum: 90.0\n",
            "iban: 89370400440532013000\n",
            "more: [1e2,{\"é\":1.0}]\n",
            "one of 17, 42",
        ] {
            assert!(shown.contains(text), "{text} is not in {shown}");
        }
    }
}
