//! Rust files as the house rules see them: text, and code without comments and literals.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// A place that breaks a rule.
pub(crate) struct Finding {
    pub(crate) path: PathBuf,
    pub(crate) line: usize,
    pub(crate) text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line, self.text)
    }
}

/// One source file: as written, and with comments and literals blanked out.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    pub(crate) code: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Source {
        Source {
            path: PathBuf::from(path),
            text: text.to_string(),
            code: code_of(text),
        }
    }

    pub(crate) fn finding(&self, line: usize, text: impl Into<String>) -> Finding {
        Finding {
            path: self.path.clone(),
            line,
            text: text.into(),
        }
    }

    /// Folder below `src`, or nothing for `main.rs`, `lib.rs` and whatever is outside.
    pub(crate) fn layer(&self) -> Option<&str> {
        let below = self.path.strip_prefix("src").ok()?;
        below.parent()?.components().next()?.as_os_str().to_str()
    }

    pub(crate) fn is_in(&self, folder: &str) -> bool {
        self.path.starts_with(folder)
    }

    /// Lines of code that contain `word` as a word of its own, numbered from 1.
    pub(crate) fn lines_with<'s>(&'s self, word: &'s str) -> impl Iterator<Item = usize> + 's {
        (1..)
            .zip(self.code.lines())
            .filter(move |(_, line)| has_word(line, word))
            .map(|(n, _)| n)
    }
}

/// Names that follow `crate::`, also inside `crate::{…}`, with the line they stand on.
pub(crate) fn imported(code: &str) -> Vec<(usize, String)> {
    const ROOT: &str = "crate::";
    let mut found = Vec::new();
    for (start, _) in code.match_indices(ROOT) {
        let line_at = |offset: usize| code[..offset].matches('\n').count() + 1;
        let rest = &code[start + ROOT.len()..];
        let name = |text: &str| text.chars().take_while(|c| is_name(*c)).collect::<String>();
        if !rest.starts_with('{') {
            found.push((line_at(start), name(rest)));
            continue;
        }
        let mut depth = 0_usize;
        let mut expects_name = true;
        for (offset, c) in rest.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => expects_name = true,
                c if depth == 1 && expects_name && is_name(c) => {
                    expects_name = false;
                    found.push((line_at(start + ROOT.len() + offset), name(&rest[offset..])));
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    found
}

/// The text with comments, strings and characters blanked out; lines stay where they are.
pub(crate) fn code_of(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match literal_end(text, at) {
            Some(end) => end,
            None => {
                at += 1;
                continue;
            }
        };
        for byte in &mut code[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end;
    }
    String::from_utf8(code).unwrap()
}

/// Where the comment or literal that starts at `at` ends, if one starts there.
pub(crate) fn literal_end(text: &str, at: usize) -> Option<usize> {
    let rest = text.get(at..)?;
    let before_is_name = text[..at].chars().next_back().is_some_and(is_name);
    let end_of =
        |found: Option<usize>, length: usize| Some(found.map_or(text.len(), |i| i + length));
    if rest.starts_with("//") {
        return end_of(rest.find('\n').map(|i| at + i), 0);
    }
    if rest.starts_with("/*") {
        return end_of(rest.find("*/").map(|i| at + i), 2);
    }
    if rest.starts_with('"') {
        return Some(at + quoted_length(rest, '"'));
    }
    if let Some(raw) = rest.strip_prefix('r').filter(|_| !before_is_name) {
        let hashes = raw.chars().take_while(|c| *c == '#').count();
        if raw[hashes..].starts_with('"') {
            let close = format!("\"{}", "#".repeat(hashes));
            let body = at + 1 + hashes + 1;
            return end_of(text[body..].find(&close).map(|i| body + i), close.len());
        }
    }
    // A character, not a lifetime: the quote closes after one character or one escape.
    let body = rest.strip_prefix('\'')?;
    let mut characters = body.chars();
    match (characters.next()?, characters.next()?) {
        ('\\', _) => Some(at + quoted_length(rest, '\'')),
        (c, '\'') => Some(at + 2 + c.len_utf8()),
        _ => None,
    }
}

/// Length of a quoted text with its quotes, escapes respected.
pub(crate) fn quoted_length(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (offset, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return offset + 1,
            _ => {}
        }
    }
    rest.len()
}

pub(crate) fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

pub(crate) fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        let opens = word.starts_with('#') || !before.is_some_and(is_name);
        let closes = !word.ends_with(is_name) || !after.is_some_and(is_name);
        opens && closes
    })
}

/// The words of `snake_case`, `SCREAMING_CASE` and `CamelCase`, in lower case.
pub(crate) fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut previous_is_lower = false;
    for c in name.chars() {
        if c == '_' || (c.is_uppercase() && previous_is_lower) {
            words.push(String::new());
        }
        if c != '_' {
            words.last_mut().unwrap().extend(c.to_lowercase());
        }
        previous_is_lower = c.is_lowercase() || c.is_ascii_digit();
    }
    words
}

/// Every Rust file below these folders.
pub(crate) fn sources(folders: &[&str]) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pending: Vec<PathBuf> = folders.iter().map(|folder| root.join(folder)).collect();
    let mut sources = Vec::new();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).unwrap();
            pending.extend(entries.map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(root).unwrap().to_string_lossy();
            sources.push(Source::new(&path, &text));
        }
    }
    sources.sort_by(|one, other| one.path.cmp(&other.path));
    sources
}

#[test]
fn literals_and_comments_are_no_code() {
    for (text, code) in [
        ("a // b\nc", "a     \nc"),
        ("a /* b\nb */ c", "a     \n     c"),
        (r#"a "b \" b" c"#, "a          c"),
        ("a r#\"b \" b\"# c", "a            c"),
        ("a 'b' '\\'' c", "a          c"),
        ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
        ("\"界\" a", "      a"),
    ] {
        assert_eq!(code_of(text), code);
    }
}
