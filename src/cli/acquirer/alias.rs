//! Trade names of data elements in scenario files: `amount` for DE 4, `mcc` for DE 18.

/// The element of this number (`"4"`) or trade name (`"amount"`).
pub(super) fn element_of(key: &str) -> Option<u8> {
    if let Ok(number) = key.parse::<u8>() {
        return (2..=128).contains(&number).then_some(number);
    }
    ALIASES
        .iter()
        .find(|(_, alias)| *alias == key)
        .map(|(element, _)| *element)
}

/// How a person calls an element: its number and, where it has one, its trade name.
pub(super) fn element_name(element: u8) -> String {
    match ALIASES.iter().find(|(number, _)| *number == element) {
        Some((_, alias)) => format!("DE{element} {alias}"),
        None => format!("DE{element}"),
    }
}

const ALIASES: [(u8, &str); 39] = [
    (2, "pan"),
    (3, "processing_code"),
    (4, "amount"),
    (5, "settlement_amount"),
    (6, "billing_amount"),
    (7, "transmission"),
    (9, "settlement_rate"),
    (10, "billing_rate"),
    (11, "stan"),
    (12, "local_time"),
    (13, "local_date"),
    (14, "expiry"),
    (15, "settlement_date"),
    (18, "mcc"),
    (19, "acquirer_country"),
    (22, "entry_mode"),
    (23, "card_sequence"),
    (25, "condition"),
    (28, "fee"),
    (32, "acquirer"),
    (33, "forwarder"),
    (35, "track2"),
    (37, "rrn"),
    (38, "approval"),
    (39, "code"),
    (41, "terminal"),
    (42, "merchant"),
    (43, "merchant_name"),
    (48, "additional"),
    (49, "currency"),
    (50, "settlement_currency"),
    (51, "billing_currency"),
    (52, "pin_block"),
    (54, "balances"),
    (55, "chip"),
    (67, "instalments"),
    (70, "network_code"),
    (90, "original"),
    (95, "replacement_amounts"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_is_known_by_number_and_by_trade_name() {
        let rows = [
            ("2", Some(2)),
            ("pan", Some(2)),
            ("128", Some(128)),
            ("original", Some(90)),
            ("1", None),
            ("129", None),
            ("amonut", None),
        ];
        for (key, expected) in rows {
            assert_eq!(element_of(key), expected, "{key}");
        }
        assert_eq!(element_name(18), "DE18 mcc");
        assert_eq!(element_name(60), "DE60");
    }
}
