//! A statement as a page to print: no script, nothing from elsewhere.

/// What stands on the page, every text as it came.
pub(super) struct Page<'a> {
    pub(super) title: String,
    pub(super) period: String,
    pub(super) tables: Vec<Table<'a>>,
}

/// One table of the page.
pub(super) struct Table<'a> {
    pub(super) caption: &'a str,
    pub(super) headings: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

const STYLE: &str = "body{font:14px/1.4 system-ui,sans-serif;margin:2em;color:#111;background:#fff}\
table{border-collapse:collapse;margin:1em 0;width:100%}\
caption{text-align:left;font-weight:bold;padding:.3em 0}\
th,td{border-bottom:1px solid #999;padding:.25em .6em;text-align:left}\
td.n{text-align:right;font-variant-numeric:tabular-nums}\
thead{display:table-header-group}tr{break-inside:avoid}\
@media print{body{margin:0;font-size:10pt}}";

/// The page in HTML.
pub(super) fn html(page: &Page<'_>) -> String {
    let title = escaped(&page.title);
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n<p>{}</p>\n",
        escaped(&page.period)
    );
    for table in &page.tables {
        text += &format!(
            "<table><caption>{}</caption><thead><tr>",
            escaped(table.caption)
        );
        for heading in &table.headings {
            text += &format!("<th scope=\"col\">{}</th>", escaped(heading));
        }
        text += "</tr></thead><tbody>\n";
        for row in &table.rows {
            text += "<tr>";
            for cell in row {
                let class = if cell.parse::<i64>().is_ok() {
                    " class=\"n\""
                } else {
                    ""
                };
                text += &format!("<td{class}>{}</td>", escaped(cell));
            }
            text += "</tr>\n";
        }
        text += "</tbody></table>\n";
    }
    text += "</body></html>\n";
    text
}

/// A text of somebody else's within HTML.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merchants_text_stays_text() {
        let page = Page {
            title: "Account 1".to_owned(),
            period: "all".to_owned(),
            tables: vec![Table {
                caption: "Lines",
                headings: vec!["merchant".to_owned()],
                rows: vec![vec!["<script>alert('x')</script> & \"co\"".to_owned()]],
            }],
        };
        let html = html(&page);
        assert!(!html.contains("<script"), "{html}");
        assert!(html.contains("&lt;script&gt;alert(&#39;x&#39;)"), "{html}");
        assert!(html.contains("&amp; &quot;co&quot;"), "{html}");
    }
}
