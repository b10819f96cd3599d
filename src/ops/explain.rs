//! Why a message was answered as it was: a sentence for each reason in English and Japanese, and
//! which rules had looked at the message by then.

use serde_json::{Value, json};

use crate::domain::decision::Reason;
use crate::domain::facts::{Facts, MessageKind};
use crate::engine::case::intent_of;
use crate::engine::rules::RULES;

/// What a cardholder may be told, in English and in Japanese; by the name of the reason.
const SENTENCES: &[(&str, &str, &str)] = &[
    (
        "approved",
        "The transaction was accepted.",
        "お取引は承認されました。",
    ),
    (
        "partially-approved",
        "Only the available part of the amount was approved.",
        "ご利用可能な残高の範囲で、一部の金額のみ承認されました。",
    ),
    (
        "format-error",
        "The shop's message could not be read.",
        "加盟店からの電文を読み取れませんでした。",
    ),
    (
        "not-signed-on",
        "The network had not opened its connection for business.",
        "ネットワークの接続がまだ開始されていませんでした。",
    ),
    (
        "link-not-permitted",
        "The connection it came over may not send this.",
        "この接続からのお取引はお取扱いできません。",
    ),
    (
        "mac-wrong",
        "The message was not proven to be the sender's own.",
        "電文の真正性を確認できませんでした。",
    ),
    (
        "mac-unavailable",
        "A fault of the card's issuer; trying again later is right.",
        "カード発行会社側の障害です。しばらくしてからもう一度お試しください。",
    ),
    (
        "key-not-taken",
        "The connection was offered a key that could not be taken.",
        "接続の新しい鍵を受け取れませんでした。",
    ),
    (
        "overload",
        "Too much was waiting at that moment; trying again is right.",
        "混み合っていたため処理できませんでした。もう一度お試しください。",
    ),
    (
        "system-fault",
        "A fault of the card's issuer; trying again later is right.",
        "カード発行会社側の障害です。しばらくしてからお試しください。",
    ),
    (
        "unknown-issuer",
        "No card of this issuer has this number.",
        "この番号のカードは発行していません。",
    ),
    (
        "invalid-card",
        "There is no card with this number; it may have been mistyped.",
        "カード番号が正しくありません。番号をご確認ください。",
    ),
    (
        "duplicate-content",
        "Another transaction had been sent under the same number before.",
        "同じ識別番号の別のお取引がすでに送られています。",
    ),
    (
        "late-original",
        "The transaction had been called off before it arrived.",
        "このお取引は到着前に取り消されています。",
    ),
    (
        "account-closed",
        "The account is closed.",
        "口座は解約されています。",
    ),
    (
        "card-stolen",
        "The card was reported stolen.",
        "盗難の届け出があるカードです。",
    ),
    (
        "card-lost",
        "The card was reported lost.",
        "紛失の届け出があるカードです。",
    ),
    (
        "card-not-activated",
        "The card has not been activated yet.",
        "カードの利用開始手続きが完了していません。",
    ),
    (
        "card-frozen",
        "The card is frozen; its holder can lift that.",
        "カードは一時停止中です。停止を解除するとご利用いただけます。",
    ),
    (
        "card-expired",
        "The card has expired, or another expiry was given.",
        "カードの有効期限が切れているか、入力された有効期限が異なります。",
    ),
    (
        "not-supported",
        "The card does not offer this kind of transaction.",
        "このカードではご利用いただけないお取引です。",
    ),
    (
        "invalid-amount",
        "The amount cannot be processed.",
        "お取扱いできない金額です。",
    ),
    (
        "currency-not-allowed",
        "The card does not pay in this currency.",
        "このカードではお取扱いできない通貨です。",
    ),
    (
        "card-check-unavailable",
        "The card could not be checked just then; trying again is right.",
        "カードを確認できませんでした。もう一度お試しください。",
    ),
    (
        "chip-data-missing",
        "The chip was read, but what proves it did not come.",
        "ICチップの認証データがありません。",
    ),
    (
        "chip-data-malformed",
        "What the chip said cannot be read.",
        "ICチップのデータを読み取れません。",
    ),
    (
        "chip-not-verifiable",
        "The chip of this card cannot be checked here.",
        "このカードのICチップを確認できません。",
    ),
    (
        "cryptogram-wrong",
        "The chip did not prove itself.",
        "ICチップの認証に失敗しました。",
    ),
    (
        "chip-counter-replayed",
        "The chip has used this counter before.",
        "ICチップの取引番号は既に使われています。",
    ),
    (
        "track-missing",
        "The stripe was read, but its data did not come.",
        "磁気ストライプのデータがありません。",
    ),
    (
        "track-contradicts",
        "The stripe names another card or month.",
        "磁気ストライプとカード情報が一致しません。",
    ),
    (
        "card-value-not-verifiable",
        "The security code of this card cannot be checked here.",
        "このカードのセキュリティコードを確認できません。",
    ),
    (
        "track-value-wrong",
        "The stripe is not that of the card.",
        "磁気ストライプの認証に失敗しました。",
    ),
    (
        "printed-value-wrong",
        "The security code was wrong.",
        "セキュリティコードが違います。",
    ),
    (
        "pin-locked",
        "The PIN is locked after too many wrong tries.",
        "暗証番号の誤入力が続いたため、ロックされています。",
    ),
    (
        "hsm-unavailable",
        "The PIN could not be checked just then; trying again is right.",
        "暗証番号を確認できませんでした。もう一度お試しください。",
    ),
    (
        "pin-not-verifiable",
        "There is no PIN that could be checked for this card.",
        "このカードの暗証番号を確認できません。",
    ),
    (
        "pin-malformed",
        "What was entered is no PIN.",
        "入力された暗証番号の形式が正しくありません。",
    ),
    (
        "pin-required",
        "A PIN is needed.",
        "暗証番号の入力が必要です。",
    ),
    ("pin-wrong", "The PIN was wrong.", "暗証番号が違います。"),
    (
        "pin-not-acceptable",
        "The new PIN is too easy to guess, or cannot be set this way.",
        "推測されやすい番号など、設定できない暗証番号です。",
    ),
    (
        "merchant-denied",
        "The card does not work at this shop.",
        "この加盟店ではご利用いただけません。",
    ),
    (
        "recurring",
        "The card is not for subscriptions and recurring payments.",
        "定期購入・継続課金にはご利用いただけません。",
    ),
    (
        "instalment",
        "The card pays at once only, not in instalments.",
        "分割・ボーナス・リボ払いにはご利用いただけません。",
    ),
    (
        "deposit",
        "The card is not for deposits of hotels and car rentals.",
        "ホテルやレンタカーの保証金にはご利用いただけません。",
    ),
    (
        "in-flight",
        "The card is not for sales on board.",
        "機内・船内販売ではご利用いただけません。",
    ),
    (
        "merchant-category",
        "The card does not work at shops of this kind.",
        "この業種の加盟店ではご利用いただけません。",
    ),
    (
        "country-not-allowed",
        "The card does not work in this country.",
        "この国・地域ではご利用いただけません。",
    ),
    (
        "time-not-allowed",
        "The card does not work at this time of day.",
        "この時間帯はご利用いただけません。",
    ),
    (
        "cash-not-allowed",
        "The card gives no cash here.",
        "現金の引き出しにはご利用いただけません。",
    ),
    (
        "channel-not-allowed",
        "The card cannot be used in this way.",
        "このご利用方法には対応していません。",
    ),
    (
        "holder-not-verified",
        "Only holders whose identity is verified may do this.",
        "本人確認が完了した方のみご利用いただけます。",
    ),
    (
        "load-not-allowed",
        "The card cannot be loaded this way.",
        "この方法ではチャージできません。",
    ),
    (
        "authentication-required",
        "The holder must be authenticated first.",
        "本人認証が必要です。",
    ),
    (
        "refund-without-original",
        "The purchase that this refund belongs to was not found.",
        "返金の対象となるお取引が見つかりません。",
    ),
    (
        "transaction-limit",
        "The amount is above the limit of one transaction.",
        "1回あたりのご利用限度額を超えています。",
    ),
    (
        "period-amount-limit",
        "The amount is above what is left of the limit of the day, week or month.",
        "期間内のご利用限度額を超えています。",
    ),
    (
        "period-count-limit",
        "The number of transactions of the day, week or month is used up.",
        "期間内のご利用回数の上限に達しています。",
    ),
    (
        "maximum-balance",
        "The balance would rise above its maximum.",
        "残高の上限額を超えるため、お取扱いできません。",
    ),
    (
        "insufficient-funds",
        "Less is available than was asked for; what is held for other purchases does not count.",
        "ご利用可能な残高が不足しています（保留中の金額は含まれません）。",
    ),
];

/// The sentences of a reason: English, Japanese.
pub fn sentences(reason: Reason) -> (&'static str, &'static str) {
    let found = SENTENCES.iter().find(|row| row.0 == reason.name());
    found.map_or(
        (
            "The transaction was not accepted.",
            "お取引は承認されませんでした。",
        ),
        |row| (row.1, row.2),
    )
}

/// Every rule that looks at such a message, in the order of precedence, with what it said.
pub(super) fn rules_seen(facts: &Facts, reason: Reason) -> Vec<Value> {
    let intent = intent_of(facts);
    let judged = matches!(
        facts.kind,
        MessageKind::Authorization | MessageKind::Financial
    );
    let of_rule = RULES.iter().position(|rule| rule.reasons.contains(&reason));
    let is_good = matches!(reason, Reason::Approved | Reason::PartiallyApproved);
    let told = |(place, name): (usize, &str)| {
        let outcome = match of_rule {
            _ if !judged => "not-judged",
            _ if is_good => "passed",
            Some(refusing) if place < refusing => "passed",
            Some(refusing) if place == refusing => "refused",
            // Refused before or after it was their turn.
            Some(_) | None => "not-reached",
        };
        json!({ "rule": name, "outcome": outcome })
    };
    let seen = RULES.iter().enumerate();
    seen.filter(|(_, rule)| rule.intents.has(intent))
        .map(|(place, rule)| told((place, rule.name)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_sentence_in_both_languages_and_no_other_has() {
        let names: Vec<&str> = Reason::ALL.iter().map(|reason| reason.name()).collect();
        let told: Vec<&str> = SENTENCES.iter().map(|row| row.0).collect();
        assert_eq!(told, names, "in the order of precedence");
        for (name, english, japanese) in SENTENCES {
            assert!(english.ends_with('.') && english.is_ascii(), "{name}");
            assert!(japanese.ends_with('。') && !japanese.is_ascii(), "{name}");
        }
    }
}
