//! Lines of a review, as CSV (RFC 4180). Pure.

/// The first line.
pub(super) const HEADER: &[&str] = &[
    "principal_kind",
    "principal_id",
    "principal_name",
    "acts_for",
    "permission",
    "where",
    "workspace_id",
    "except",
    "via_role",
    "role_grant_id",
    "via_group_id",
    "expires_at",
];

/// Appends one line.
pub(super) fn line<'a>(into: &mut String, cells: impl IntoIterator<Item = &'a str>) {
    for (index, cell) in cells.into_iter().enumerate() {
        if index > 0 {
            into.push(',');
        }
        push_cell(into, cell);
    }
    into.push_str("\r\n");
}

/// A cell that a spreadsheet would take for a formula gets an apostrophe before it; then it is shown as it is.
fn push_cell(into: &mut String, cell: &str) {
    let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let needs_quotes = cell.contains([',', '"', '\r', '\n']);
    if needs_quotes {
        into.push('"');
    }
    if is_formula {
        into.push('\'');
    }
    match needs_quotes {
        true => into.push_str(&cell.replace('"', "\"\"")),
        false => into.push_str(cell),
    }
    if needs_quotes {
        into.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cells: &[&str]) -> String {
        let mut text = String::new();
        line(&mut text, cells.iter().copied());
        text
    }

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        assert_eq!(of(&["a", "", "b c"]), "a,,b c\r\n");
        assert_eq!(of(&["a,b", "say \"so\"", "two\nlines"]), "\"a,b\",\"say \"\"so\"\"\",\"two\nlines\"\r\n");
    }

    #[test]
    fn no_cell_is_a_formula() {
        for cell in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "=cmd|' /C calc'!A0"] {
            let text = of(&[cell]);
            assert!(text.starts_with('\'') || text.starts_with("\"'"), "{text:?}");
        }
        assert_eq!(of(&["=HYPERLINK(\"x\",\"y\")"]), "\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\"\r\n");
        assert_eq!(of(&["tasks:read", "a=b", "1-2"]), "tasks:read,a=b,1-2\r\n");
    }
}
