//! Countries by both of their codes (ISO 3166-1).

/// Three digits and two letters of each country, ascending.
const COUNTRIES: &str = "\
     004AF008AL010AQ012DZ016AS020AD024AO028AG031AZ032AR036AU040AT044BS048BH050BD051AM052BB\
     056BE060BM064BT068BO070BA072BW074BV076BR084BZ086IO090SB092VG096BN100BG104MM108BI112BY\
     116KH120CM124CA132CV136KY140CF144LK148TD152CL156CN158TW162CX166CC170CO174KM175YT178CG\
     180CD184CK188CR191HR192CU196CY203CZ204BJ208DK212DM214DO218EC222SV226GQ231ET232ER233EE\
     234FO238FK239GS242FJ246FI248AX250FR254GF258PF260TF262DJ266GA268GE270GM275PS276DE288GH\
     292GI296KI300GR304GL308GD312GP316GU320GT324GN328GY332HT334HM336VA340HN344HK348HU352IS\
     356IN360ID364IR368IQ372IE376IL380IT384CI388JM392JP398KZ400JO404KE408KP410KR414KW417KG\
     418LA422LB426LS428LV430LR434LY438LI440LT442LU446MO450MG454MW458MY462MV466ML470MT474MQ\
     478MR480MU484MX492MC496MN498MD499ME500MS504MA508MZ512OM516NA520NR524NP528NL531CW533AW\
     534SX535BQ540NC548VU554NZ558NI562NE566NG570NU574NF578NO580MP581UM583FM584MH585PW586PK\
     591PA598PG600PY604PE608PH612PN616PL620PT624GW626TL630PR634QA638RE642RO643RU646RW652BL\
     654SH659KN660AI662LC663MF666PM670VC674SM678ST682SA686SN688RS690SC694SL702SG703SK704VN\
     705SI706SO710ZA716ZW724ES728SS729SD732EH740SR744SJ748SZ752SE756CH760SY762TJ764TH768TG\
     772TK776TO780TT784AE788TN792TR795TM796TC798TV800UG804UA807MK818EG826GB831GG832JE833IM\
     834TZ840US850VI854BF858UY860UZ862VE876WF882WS887YE894ZM";

/// Characters of one country.
const ROW: usize = 5;

/// The two letters of the country with this numeric code; `None` when there is none.
pub fn letters_of(numeric: u16) -> Option<[u8; 2]> {
    let rows = COUNTRIES.as_bytes().chunks_exact(ROW);
    let mut rows = rows.filter_map(|row| row.split_at_checked(3));
    let wanted = format!("{numeric:03}");
    let (_, letters) = rows.find(|(digits, _)| *digits == wanted.as_bytes())?;
    letters.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_country_is_found_by_its_number() {
        for (numeric, letters) in [
            (4, Some(*b"AF")),
            (392, Some(*b"JP")),
            (840, Some(*b"US")),
            (894, Some(*b"ZM")),
            (0, None),
            (391, None),
            (1_392, None),
        ] {
            assert_eq!(letters_of(numeric), letters, "{numeric}");
        }
    }

    #[test]
    fn every_row_is_three_digits_and_two_letters_and_they_ascend() {
        assert_eq!(COUNTRIES.len() % ROW, 0);
        let rows: Vec<&[u8]> = COUNTRIES.as_bytes().chunks_exact(ROW).collect();
        assert!(rows.len() > 240);
        assert!(rows.is_sorted_by(|one, next| one[..3] < next[..3]));
        assert!(
            rows.iter()
                .all(|row| row[..3].iter().all(u8::is_ascii_digit))
        );
        assert!(
            rows.iter()
                .all(|row| row[3..].iter().all(u8::is_ascii_uppercase))
        );
    }
}
