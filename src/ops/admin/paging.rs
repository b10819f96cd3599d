//! Which page of a list is asked for, and where the next one goes on.

use std::str::FromStr;

use serde::Deserialize;
use utoipa::IntoParams;

use super::{Problem, wrong};

/// Rows in one answer, unless asked otherwise, and at most.
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1_000;

/// A page of a list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Paging {
    /// The `next` of the answer before; left out: from the beginning.
    after: Option<String>,
    limit: Option<usize>,
}

impl Paging {
    /// Rows that are wanted.
    pub(super) fn limit(&self) -> Result<usize, Problem> {
        let limit = self.limit.unwrap_or(LIMIT);
        if limit == 0 || limit > LIMIT_MAX {
            return Err(wrong(format!("limit: expected 1 to {LIMIT_MAX}")));
        }
        Ok(limit)
    }

    /// The cursor, if there is one: so many numbers with dots between them.
    pub(super) fn after<T: FromStr, const N: usize>(&self) -> Result<Option<[T; N]>, Problem> {
        let Some(after) = &self.after else {
            return Ok(None);
        };
        let numbers: Option<Vec<T>> = after.split('.').map(|part| part.parse().ok()).collect();
        let numbers = numbers.and_then(|numbers| numbers.try_into().ok());
        let expected = || wrong("after: expected the next of the answer before");
        numbers.map(Some).ok_or_else(expected)
    }
}

/// The first rows, so many and however many more belong to the last of them; and that, when there
/// are others behind it.
pub(super) fn cut<T>(
    mut rows: impl Iterator<Item = T>,
    limit: usize,
    belongs: impl Fn(&T, &T) -> bool,
) -> (Vec<T>, bool) {
    let mut page: Vec<T> = Vec::new();
    loop {
        let Some(row) = rows.next() else {
            return (page, false);
        };
        let is_full = page.len() >= limit;
        if is_full && !page.last().is_some_and(|last| belongs(last, &row)) {
            return (page, true);
        }
        page.push(row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paging(after: Option<&str>, limit: Option<usize>) -> Paging {
        let after = after.map(str::to_owned);
        Paging { after, limit }
    }

    #[test]
    fn a_cursor_is_numbers_and_a_limit_has_bounds() {
        assert_eq!(paging(None, None).after::<u32, 1>().unwrap(), None);
        let cursor = paging(Some("-5.2.1"), None);
        assert_eq!(cursor.after::<i64, 3>().unwrap(), Some([-5, 2, 1]));
        for wrong in ["", "1", "1.2", "1.2.3.4", "1.2.x"] {
            assert!(paging(Some(wrong), None).after::<i64, 3>().is_err());
        }
        assert_eq!(paging(None, None).limit().unwrap(), LIMIT);
        assert_eq!(paging(None, Some(1)).limit().unwrap(), 1);
        for wrong in [0, LIMIT_MAX + 1] {
            assert!(paging(None, Some(wrong)).limit().is_err());
        }
    }

    #[test]
    fn a_page_keeps_together_what_belongs_together() {
        let rows = [1, 1, 2, 2, 2, 3];
        let cut = |limit| cut(rows.into_iter(), limit, |last, row| last == row);
        assert_eq!(cut(1), (vec![1, 1], true));
        assert_eq!(cut(3), (vec![1, 1, 2, 2, 2], true));
        assert_eq!(cut(6), (rows.to_vec(), false));
        assert_eq!(
            super::cut(rows.into_iter(), 1, |_, _| false),
            (vec![1], true)
        );
    }
}
