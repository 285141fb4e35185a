//! A place in a list, and the part of the list that is seen.

/// The selected row and the first that is seen, both counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) at: usize,
    pub(crate) top: usize,
    /// Rows that were seen last: a page.
    pub(crate) height: usize,
}

impl Cursor {
    /// Goes `by` rows down, or up; whether there was anywhere to go.
    pub(crate) fn step(&mut self, by: isize, rows: usize) -> bool {
        let before = self.at;
        self.at = self.at.saturating_add_signed(by).min(rows.saturating_sub(1));
        self.at != before
    }

    /// Half a page.
    pub(crate) fn half(&self) -> isize {
        isize::try_from(self.height / 2).unwrap_or(1).max(1)
    }

    /// Brings the selected row into sight, of `rows` in all; `height` of them are seen.
    pub(crate) fn fit(&mut self, height: usize, rows: usize) {
        self.height = height;
        self.at = self.at.min(rows.saturating_sub(1));
        let lowest = self.at.saturating_sub(height.saturating_sub(1));
        self.top = self.top.clamp(lowest, self.at).min(rows.saturating_sub(height));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selected_row_is_always_seen() {
        let mut cursor = Cursor::default();
        cursor.fit(3, 10);
        assert_eq!(cursor.top, 0);
        assert!(cursor.step(5, 10));
        cursor.fit(3, 10);
        assert_eq!((cursor.at, cursor.top), (5, 3));
        assert!(cursor.step(-1, 10));
        cursor.fit(3, 10);
        assert_eq!((cursor.at, cursor.top), (4, 3));
        assert!(cursor.step(100, 10));
        cursor.fit(3, 10);
        assert_eq!((cursor.at, cursor.top), (9, 7));
    }

    #[test]
    fn a_list_that_has_become_shorter_is_seen_from_where_it_is() {
        let mut cursor = Cursor { at: 9, top: 7, height: 3 };
        cursor.fit(3, 2);
        assert_eq!((cursor.at, cursor.top), (1, 0));
        cursor.fit(3, 0);
        assert_eq!((cursor.at, cursor.top), (0, 0));
        assert!(!cursor.step(1, 0));
    }
}
