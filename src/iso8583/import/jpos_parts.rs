//! The fields inside a field of a jPOS packager file, at any depth.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::jpos::{Field, row};
use super::jpos_classes::{TagForm, class_named};
use super::{Outcome, Report, Row, line, quoted};

/// A definition with others inside.
pub(super) struct Owner<'f> {
    pub(super) fields: &'f [Field],
    pub(super) index: usize,
    /// Its number, behind those of the fields it lies in.
    pub(super) path: &'f str,
}

impl<'f> Owner<'f> {
    fn field(&self) -> Result<&'f Field, String> {
        let field = self.fields.get(self.index);
        field.ok_or_else(|| "no such definition".to_owned())
    }

    /// The definitions directly inside, with their places.
    fn children(&self) -> impl Iterator<Item = (usize, &'f Field)> {
        let depth = self.fields.get(self.index).map_or(0, |field| field.depth);
        inside(self.fields, self.index)
            .filter(move |(_, field)| field.depth == depth.saturating_add(1))
    }
}

/// The definitions inside another one, at any depth, with their places.
fn inside(fields: &[Field], parent: usize) -> impl Iterator<Item = (usize, &Field)> {
    let depth = fields.get(parent).map_or(0, |field| field.depth);
    let behind = fields.iter().enumerate().skip(parent).skip(1);
    behind.take_while(move |(_, field)| field.depth > depth && field.depth != usize::MAX)
}

/// Reports the definitions inside another one that is read as one value.
pub(super) fn unread(owner: &Owner<'_>, reason: &str, report: &mut Report) {
    let depth = owner.fields.get(owner.index).map_or(0, |field| field.depth);
    let mut path: Vec<&str> = Vec::new();
    for (_, field) in inside(owner.fields, owner.index) {
        let depth = field.depth.saturating_sub(depth);
        path.truncate(depth.saturating_sub(1));
        path.push(&field.id);
        let path = format!("{}.{}", owner.path, path.join("."));
        report.add(
            &path,
            field.form(),
            Outcome::NotExpressible(reason.to_owned()),
        );
    }
}

/// The tables that say how the value of a definition is divided; what became of each definition
/// inside. The row of the owner may change with it.
pub(super) fn divided(
    owner: &Owner<'_>,
    own_row: &mut Row,
    report: &mut Report,
) -> Result<String, String> {
    let field = owner.field()?;
    if !own_row.format.starts_with(['b', 'a']) {
        return Err("parts are read out of bytes and text only".to_owned());
    }
    let packager = field.get("packager").unwrap_or_default();
    let packager = packager.rsplit('.').next().unwrap_or_default();
    let (form, keys) = match packager {
        "GenericSubFieldPackager" | "GenericPackager" => announced_or_ordered(owner)?,
        "GenericTaggedFieldsPackager" => mapped(field)?,
        "TaggedSequencePackager" => sequence(owner, "latin1")?,
        "BinaryHexTaggedSequencePackager" => sequence(owner, "hex")?,
        "EuroSubFieldPackager" | "MasterCardEBCDICSubFieldPackager" => (
            "form = \"tagged\"\ntag = \"latin1 2\"\n".to_owned(),
            Keys::Tagged(None),
        ),
        "BERTLVBinaryPackager" => ("form = \"ber\"\n".to_owned(), Keys::Numbers(0)),
        "BERTLVAsciiHexPackager" | "BERTLVEbcdicHexPackager" => {
            as_hexadecimal(own_row)?;
            ("form = \"ber\"\n".to_owned(), Keys::Numbers(0))
        }
        "DatasetPackager" | "ICCDataPackager" => {
            ("form = \"datasets\"\n".to_owned(), Keys::Numbers(0))
        }
        other => return Err(format!("parts of {other} are not read apart")),
    };
    let has_rows = form.contains("positional") || form.contains("bitmap");
    let mut rows = String::new();
    let mut tables = String::new();
    let has_no_keys = form.contains("\"ber\"") || form.contains("\"datasets\"");
    let mut last = BTreeMap::new();
    for (index, child) in owner.children() {
        last.insert(&*child.id, index);
    }
    for (index, child) in owner.children() {
        let path = format!("{}.{}", owner.path, child.id);
        let child_owner = Owner {
            fields: owner.fields,
            index,
            path: &path,
        };
        let mut inner = Report::default();
        let outcome = if last.get(&*child.id) != Some(&index) {
            Outcome::NotExpressible("defined again further down".to_owned())
        } else if has_no_keys {
            Outcome::NotExpressible("items with a tag need none, and no other is read".to_owned())
        } else {
            keys.part(&child_owner, child, &mut rows, &mut tables, &mut inner)
        };
        if matches!(outcome, Outcome::NotExpressible(_)) && inner.0.is_empty() {
            unread(&child_owner, "their field is not read", &mut inner);
        }
        report.add(&path, child.form(), outcome);
        report.0.append(&mut inner.0);
    }
    let path = match owner.path.contains('.') {
        true => quoted(owner.path),
        false => owner.path.to_owned(),
    };
    let mut text = format!("\n[parts.{path}]\n{form}");
    if has_rows || !rows.is_empty() {
        // Writing to a string cannot fail.
        let _ = write!(text, "[parts.{path}.rows]\n{rows}");
    }
    Ok(text + &tables)
}

/// What names the parts of an owner.
enum Keys {
    /// Their numbers, from the first that is read.
    Numbers(u32),
    /// A tag, made of the number by a mapper of so many characters where their class has none.
    Tagged(Option<usize>),
}

impl Keys {
    /// What becomes of one definition: its row, the tables of what is inside.
    fn part(
        &self,
        owner: &Owner<'_>,
        field: &Field,
        rows: &mut String,
        tables: &mut String,
        report: &mut Report,
    ) -> Outcome {
        let Ok(number) = field.id.parse::<u32>() else {
            return Outcome::NotExpressible("its number is none".to_owned());
        };
        match self {
            _ if field.class.ends_with("_BITMAP") => return Outcome::Taken,
            Keys::Numbers(first) if number < *first && field.class == "IF_NOP" => {
                return Outcome::Taken;
            }
            Keys::Numbers(first) if number < *first => {
                return Outcome::NotExpressible("before the first field".to_owned());
            }
            Keys::Numbers(_) if number > 255 => {
                return Outcome::NotExpressible("its number is above 255".to_owned());
            }
            Keys::Numbers(_) | Keys::Tagged(_) => {}
        }
        let (mut part, mut notes) = match row(number, field) {
            Ok(read) => read,
            Err(reason) => return Outcome::NotExpressible(reason),
        };
        if let Keys::Tagged(width) = self {
            let tag = class_named(&field.class).map_or(TagForm::None, |class| class.tag);
            match (tag, width) {
                (TagForm::Mapped, Some(width)) => match mapped_tag(number, *width) {
                    Some(key) => part.key = key,
                    None => return Outcome::NotExpressible("no tag has its number".to_owned()),
                },
                (TagForm::Mapped, None) => {
                    return Outcome::NotExpressible("nothing says its tag".to_owned());
                }
                (TagForm::Token | TagForm::TokenHex, _) => {
                    let token = field.get("token").unwrap_or_default();
                    if token.bytes().all(|byte| byte == b'#') {
                        // The form of unknown tags, which the table says.
                        return Outcome::Taken;
                    }
                    part.key = token.to_owned();
                }
                (TagForm::Number { .. } | TagForm::Counted { .. }, _) => {}
                (TagForm::None | TagForm::EndsAt(_) | TagForm::EndsAtHex(_), _) => {
                    part.keys.push_str("tag = \"none\", ");
                }
            }
        }
        if field.get("packager").is_some() {
            let path = match owner.path.rsplit_once('.') {
                Some((outer, _)) => format!("{outer}.{}", part.key),
                None => owner.path.to_owned(),
            };
            let inner = Owner {
                path: &path,
                ..*owner
            };
            match divided(&inner, &mut part, report) {
                Ok(table) => tables.push_str(&table),
                Err(reason) => {
                    unread(&inner, &reason, report);
                    notes.push("its parts stay one value".to_owned());
                }
            }
        }
        rows.push_str(&line(&part, ""));
        match notes.is_empty() {
            true => Outcome::Taken,
            false => Outcome::Approximated(notes.join("; ")),
        }
    }
}

/// The tag that a mapper makes of a number: two or three digits, then letters.
///
/// Two characters say 0 to 99 with digits, and from 100 on with a letter in base 36.
fn mapped_tag(number: u32, width: usize) -> Option<String> {
    let digits = 10_u32.checked_pow(u32::try_from(width).ok()?)?;
    if number < digits {
        return Some(format!("{number:0>width$}"));
    }
    let mut rest = number.checked_sub(digits)?;
    let mut characters = Vec::new();
    for _ in 0..width {
        let digit = char::from_digit(rest % 36, 36)?;
        characters.push(digit.to_ascii_uppercase());
        rest /= 36;
    }
    (rest == 0).then(|| characters.iter().rev().collect())
}

/// Fields in order, or behind a bitmap of their own.
fn announced_or_ordered(owner: &Owner<'_>) -> Result<(String, Keys), String> {
    let field = owner.field()?;
    let first = field.get("firstField").and_then(|id| id.parse().ok());
    let mut children = owner.children().map(|(_, child)| child);
    let bitmap = children.find(|child| child.class.ends_with("_BITMAP"));
    let has_one = owner.children().any(|(_, child)| child.id == "1");
    let Some(bitmap) = bitmap else {
        if field.get("emitBitmap") != Some("false") {
            return Err("it asks for a bitmap and defines none, jPOS fails on it too".to_owned());
        }
        let usual = u32::from(has_one);
        let form = "form = \"positional\"\n".to_owned();
        return Ok((form, Keys::Numbers(first.unwrap_or(usual))));
    };
    if bitmap.id != field.get("bitmapField").unwrap_or("1") {
        return Err("its bitmap is not its bitmapField".to_owned());
    }
    let form = match &*bitmap.class {
        "IFB_BITMAP" | "Base1_BITMAP126" => "binary",
        "IFA_BITMAP" => "hex",
        "IFE_BITMAP" => "ebcdic-hex",
        other => return Err(format!("no inner bitmap {other} is known")),
    };
    let is_fixed = bitmap.class == "Base1_BITMAP126";
    let (size, usual) = match bitmap.length()? {
        bytes @ 1..=7 => (format!("bitmap_bytes = {bytes}"), 1),
        8 if is_fixed || (has_one && bitmap.id != "1") => ("bitmap_bytes = 8".to_owned(), 1),
        8 => ("bitmaps = \"one\"".to_owned(), 2),
        16 if !is_fixed => ("bitmaps = \"up to two\"".to_owned(), 2),
        24 if !is_fixed => ("bitmaps = \"up to three\"".to_owned(), 2),
        other => return Err(format!("an inner bitmap of {other} bytes")),
    };
    if bitmap.id != "1" && has_one && usual != 1 {
        return Err("bit 1 of an inner bitmap is read as no part".to_owned());
    }
    let form = format!("form = \"bitmap\"\nbitmap = \"{form}\"\n{size}\n");
    Ok((form, Keys::Numbers(first.unwrap_or(usual))))
}

/// Text with tags that a mapper makes of the numbers.
fn mapped(field: &Field) -> Result<(String, Keys), String> {
    let mapper = field.get("tagMapper").unwrap_or_default();
    let mapper = mapper.rsplit('.').next().unwrap_or_default();
    let number = |name: &str| field.get(name).and_then(|text| text.trim().parse().ok());
    let width = match (mapper, number("tagSize")) {
        ("TTDecimalTagMapper", None | Some(2)) => 2_usize,
        ("TTTDecimalTagMapper", None | Some(3)) => 3,
        ("DecimalTagMapper", Some(width @ 1..=4)) => width,
        _ => return Err(format!("tags of {mapper} are not known")),
    };
    let place = match field.is_true("swapTagAndLen") {
        true => "tag_place = \"behind\"\n",
        false => "",
    };
    let unknown = match number("lenSize") {
        Some(size @ 1..=4) => {
            let greatest = 10_usize.saturating_pow(u32::try_from(size).unwrap_or(1));
            let dots = ".".repeat(size);
            format!(
                "unknown = {{ format = \"any{dots}{}\" }}\n",
                greatest.saturating_sub(1)
            )
        }
        _ => String::new(),
    };
    let form = format!("form = \"tagged\"\ntag = \"latin1 {width}\"\n{place}{unknown}");
    Ok((form, Keys::Tagged(Some(width))))
}

/// Fields without a tag, then fields named by their token.
fn sequence(owner: &Owner<'_>, written: &str) -> Result<(String, Keys), String> {
    let mut tokens = owner.children().filter_map(|(_, child)| child.get("token"));
    let token = tokens.next().ok_or("no field has a token")?;
    let width = match written {
        "hex" => token.len() / 2,
        _ => token.len(),
    };
    if !(1..=4).contains(&width) {
        return Err("its tags are not one to four characters".to_owned());
    }
    let is_default = |field: &&Field| {
        let token = field.get("token").unwrap_or_default();
        !token.is_empty() && token.bytes().all(|byte| byte == b'#')
    };
    let mut children = owner.children().map(|(_, child)| child);
    let unknown = match children.find(is_default) {
        Some(field) => {
            let class = class_named(&field.class).ok_or("no class of this name is known")?;
            let dots = ".".repeat(usize::from(class.width));
            let (letters, keys) = (class.class, class.keys);
            let length = field.length()?;
            let separator = if keys.is_empty() { "" } else { ", " };
            let keys = keys.trim_end_matches(", ");
            format!("unknown = {{ format = \"{letters}{dots}{length}\"{separator}{keys} }}\n")
        }
        None => String::new(),
    };
    let form = format!("form = \"tagged\"\ntag = \"{written} {width}\"\n{unknown}");
    Ok((form, Keys::Tagged(None)))
}

/// Makes of a text the bytes that it says in hexadecimal.
fn as_hexadecimal(row: &mut Row) -> Result<(), String> {
    let refused = || "hexadecimal text is read behind a length of characters only".to_owned();
    let dots = row.format.matches('.').count();
    let length = row
        .format
        .rsplit('.')
        .next()
        .and_then(|text| text.parse::<u32>().ok());
    let length = length.filter(|_| dots > 0).ok_or_else(refused)?;
    if row.keys.contains("counts") || row.keys.contains("binary =") || row.keys.contains("until") {
        return Err(refused());
    }
    let binary = match row.keys.contains("text = \"ebcdic") {
        true => "ebcdic-hex",
        false => "hex",
    };
    row.keys = row.keys.replace("text = \"ebcdic-1047\", ", "");
    let _ = write!(row.keys, "binary = \"{binary}\", counts = \"nibbles\", ");
    row.format = format!("b{}{}", ".".repeat(dots), length / 2);
    row.is_text = false;
    Ok(())
}
