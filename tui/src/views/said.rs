//! What a program has said last.

use std::collections::VecDeque;

/// Lines that are kept.
const KEPT: usize = 500;

#[derive(Default)]
pub(crate) struct Said(VecDeque<String>);

impl Said {
    pub(crate) fn add(&mut self, line: String) {
        self.0.push_back(line);
        if self.0.len() > KEPT {
            self.0.pop_front();
        }
    }

    pub(crate) fn lines(&self) -> impl ExactSizeIterator<Item = &String> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_lines_are_kept() {
        let mut said = Said::default();
        (0..KEPT + 2).for_each(|n| said.add(n.to_string()));
        assert_eq!(said.lines().len(), KEPT);
        assert_eq!(said.lines().next().unwrap(), "2");
    }
}
