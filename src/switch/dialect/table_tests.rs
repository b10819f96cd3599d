//! The dialect tables that are built in, and what is told of a wrong one.

use super::table::*;
use crate::domain::decision::Reason;
use crate::domain::facts::Purpose;

const VISA: &str = include_str!("../../../spec/dialect/visa-style.toml");
const MASTERCARD: &str = include_str!("../../../spec/dialect/mastercard-style.toml");
const ISO87: &str = include_str!("../../../spec/dialect/iso87.toml");

#[test]
fn the_generic_dialect_is_sound() {
    let dialect = parse(ISO87).unwrap();
    assert_eq!(dialect.purpose(200_000), Purpose::Refund);
    assert_eq!(dialect.purpose(990_000), Purpose::Unnamed);
    assert_eq!(dialect.management(301), Some(Management::Echo));
    assert_eq!(dialect.codes.code(Reason::InsufficientFunds).as_str(), "51");
}

#[test]
fn the_network_style_dialects_are_sound() {
    for (name, text) in [("visa-style", VISA), ("mastercard-style", MASTERCARD)] {
        let dialect = parse(text).unwrap_or_else(|wrong| panic!("{name}: {wrong:?}"));
        assert_eq!(dialect.name, name);
        assert_eq!(dialect.purpose(200_000), Purpose::Refund);
    }
}

#[test]
fn the_dialect_of_1993_is_sound_and_codes_have_the_length_of_their_edition() {
    let text = include_str!("../../../spec/dialect/iso93.toml");
    let dialect = parse(text).unwrap();
    assert_eq!(dialect.edition, Edition::Of1993);
    assert_eq!(
        dialect.codes.code(Reason::InsufficientFunds).as_str(),
        "116"
    );
    for (old, new, expected) in [
        ("\"116\"", "\"51\"", "expected 3 characters"),
        (
            "edition = 1993",
            "edition = 1988",
            "expected 1987, 1993 or 2003",
        ),
        ("edition = 1993\n", "", "expected 2 characters"),
    ] {
        let wrong = parse(&text.replace(old, new)).unwrap_err().join("; ");
        assert!(wrong.contains(expected), "{new}: {wrong}");
    }
}

#[test]
fn the_dialect_of_2003_is_sound_and_reads_bits_of_bytes() {
    let text = include_str!("../../../spec/dialect/iso2003.toml");
    let dialect = parse(text).unwrap();
    assert_eq!(dialect.edition, Edition::Of2003);
    let code = dialect.codes.code(Reason::InsufficientFunds);
    assert_eq!(code.as_str(), "1016");
    for (old, new, expected) in [
        (
            "bits = \"F8\"",
            "bits = \"00\"",
            "expected two hexadecimal digits",
        ),
        (
            "bits = \"F8\"",
            "bits = \"8\"",
            "expected two hexadecimal digits",
        ),
        (
            "byte = 9\nbits = \"F8\"",
            "bits = \"F8\"",
            "or bits of a byte",
        ),
        ("byte = 9\nbits = \"F8\"", "byte = 9", "or bits of a byte"),
        ("byte = 9\n", "byte = 0\n", "both at least 1"),
        ("byte = 9\n", "byte = 9\npart = \"71.\"\n", "names of parts"),
        (
            "byte = 9\n",
            "byte = 9\npart = \"71\"\nsubelement = 3\n",
            "part or subelement",
        ),
        (
            "byte = 9\n",
            "byte = 9\nfrom = 1\n",
            "expected byte, or from and length",
        ),
    ] {
        assert!(text.contains(old), "{old}");
        let wrong = parse(&text.replacen(old, new, 1)).unwrap_err().join("; ");
        assert!(wrong.contains(expected), "{new}: {wrong}");
    }
}

#[test]
fn a_subelement_is_found_behind_others_and_a_broken_list_states_nothing() {
    let reach = |subelement, part| Reach {
        subelement: Some(subelement),
        part,
    };
    for (subelement, part, text, expected) in [
        (61, None, "R420701032106105", None),
        (61, None, "R42070103210610510000", Some("10000")),
        (61, Some((4, 1)), "R42070103210610510001", Some("1")),
        (42, None, "R42070103210610510000", Some("0103210")),
        (63, None, "R42070103210610510000", None),
        (42, None, "R42", None),
        (42, None, "", None),
    ] {
        assert_eq!(reach(subelement, part).cut(text), expected, "{text}");
    }
}

#[test]
fn every_mistake_is_named_at_once() {
    let text = ISO87
        .replace("insufficient-funds = \"51\"", "insufficient-fonds = \"51\"")
        .replace("\"301\" = \"echo\"", "\"31\" = \"echo\"")
        .replace("value = \"in-flight\"", "value = \"at-sea\"");
    let all = parse(&text).unwrap_err().join("\n");
    for part in [
        "insufficient-fonds",
        "no row for insufficient-funds",
        "\"31\"",
        "at-sea",
    ] {
        assert!(all.contains(part), "{part} is not in {all}");
    }
}

#[test]
fn an_indicator_says_where_it_reads() {
    let dialect = parse(ISO87).unwrap();
    let indicators = dialect.rows.iter().flat_map(|row| &row.indicators);
    let sources: Vec<&str> = indicators.map(|row| row.1.source).collect();
    assert!(sources.contains(&"DE60 positions 9-10 = 02"), "{sources:?}");
    assert!(sources.contains(&"DE61 position 4 = 4"), "{sources:?}");
    assert!(sources.contains(&"DE67 at least 2"), "{sources:?}");
}
