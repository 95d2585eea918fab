//! Tables, as commands print them.

/// Widest column: what is longer stands out of it.
const MAX_COLUMN_CHARS: usize = 48;

/// Lines with their cells below each other.
pub(super) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(super) fn headed(heading: [&str; N]) -> Self {
        Self { rows: vec![heading.map(str::to_owned)] }
    }

    pub(super) fn add(&mut self, row: [String; N]) {
        // What people call themselves does not move the cursor.
        self.rows.push(row.map(|cell| cell.chars().filter(|c| !c.is_control()).collect()));
    }

    pub(super) fn text(&self) -> String {
        let width = |at: usize| {
            let widths = self.rows.iter().map(|row| row[at].chars().count());
            widths.filter(|width| *width <= MAX_COLUMN_CHARS).max().unwrap_or_default()
        };
        let widths: [usize; N] = std::array::from_fn(width);
        let mut text = String::new();
        for row in &self.rows {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
            text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_below_each_other() {
        let mut table = Table::headed(["BADGE", "USER"]);
        table.add(["04A1B2C3".to_owned(), "zoë\u{1b}[2J".to_owned()]);
        table.add(["x".to_owned(), String::new()]);
        assert_eq!(table.text(), "BADGE     USER\n04A1B2C3  zoë[2J\nx\n");
    }

    #[test]
    fn one_long_cell_does_not_move_all_others() {
        let mut table = Table::headed(["BADGE", "USER"]);
        let long = "a".repeat(MAX_COLUMN_CHARS + 1);
        table.add([long.clone(), "ada".to_owned()]);
        table.add(["04A1".to_owned(), "bob".to_owned()]);
        assert_eq!(table.text(), format!("BADGE  USER\n{long}  ada\n04A1   bob\n"));
    }
}
